import type { IPolicy } from 'cockatiel';
import type { Clock, Log } from '../../contract/ports.ts';
import { UpstreamError, type UpstreamErrorInfo } from '../upstream-error.ts';
import type { Credential } from '../credentials/credential.ts';
import type { Link, LinkHandlers } from './link.ts';

/**
 * Keeps at most one link to one server: opened on first need, left alone for longer and longer while it keeps failing,
 * ended when nobody uses it. Its state is what people are told about the server's health.
 */
export interface KeeperDeps {
  readonly name: string;
  readonly open: (
    credential: Credential | null,
    handlers: LinkHandlers,
    signal: AbortSignal,
  ) => Promise<Link>;
  /** Takes stock of a fresh link, or of one whose tools have changed: pins are compared before anything is called. */
  readonly takeStock: (link: Link, credential: Credential | null) => Promise<void>;
  /** Shared by all keepers: how many servers may be starting at a time. */
  readonly starts: IPolicy;
  readonly idle_stop_ms: number;
  readonly clock: Clock;
  readonly log: Log;
  /** Takes secrets out of a server's words. */
  readonly redact: (text: string) => string;
}

/** A link that ends sooner than this after it was opened counts as a failed start. */
const STABLE_MS = 30_000;
/** Not more often without a call that needs it. */
const RESTOCK_EVERY_MS = 1000;
const BACKOFF_FIRST_MS = 500;
const BACKOFF_MAX_MS = 60_000;

export class Keeper {
  readonly #deps: KeeperDeps;
  #link: Link | null = null;
  #opening: Promise<Link> | null = null;
  #restocking: Promise<void> | null = null;
  #stale = false;
  #restocked_at = -Infinity;
  #opened_at_ms = 0;
  #failures = 0;
  #retry_at_ms = 0;
  #trouble: string | null = null;
  #in_flight = 0;
  #idle: NodeJS.Timeout | null = null;
  #closed = false;
  /** Ends a handshake that is under way when everything ends. */
  readonly #closing = new AbortController();

  constructor(deps: KeeperDeps) {
    this.#deps = deps;
  }

  /** Why the server is not to be had now, redacted; null when nothing is known against it. */
  trouble(): string | null {
    return this.#trouble;
  }

  /** Lends the link for one piece of work. @throws UpstreamError when there is none to be had; `sent` is `no` then. */
  async use<T>(credential: Credential | null, work: (link: Link) => Promise<T>): Promise<T> {
    this.#in_flight += 1;
    if (this.#idle !== null) clearTimeout(this.#idle);
    try {
      return await work(await this.#ready(credential));
    } finally {
      this.#in_flight -= 1;
      this.#watchIdle();
    }
  }

  /** Ends this link, if it is still the one; the next use opens another. */
  drop(link: Link): void {
    if (this.#link !== link) return;
    this.#link = null;
    void link.close();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#closing.abort();
    if (this.#idle !== null) clearTimeout(this.#idle);
    const link = this.#link ?? (await this.#opening?.catch(() => null));
    this.#link = null;
    await link?.close();
  }

  async #ready(credential: Credential | null): Promise<Link> {
    if (this.#closed) throw unavailable('the gateway is closing');
    if (this.#link === null) return this.#open(credential);
    if (this.#stale) await this.#restock(this.#link, credential);
    // Whatever was found while taking stock, the link may have ended meanwhile.
    return this.#link ?? this.#open(credential);
  }

  #open(credential: Credential | null): Promise<Link> {
    if (this.#opening !== null) return this.#opening;
    const wait_ms = this.#retry_at_ms - this.#deps.clock.now();
    if (wait_ms > 0)
      throw unavailable(
        `it is left alone for ${Math.ceil(wait_ms / 1000)} s after ${this.#failures} failed starts: ${this.#trouble ?? 'unknown'}`,
      );
    this.#opening = Promise.resolve(this.#deps.starts.execute(() => this.#start(credential))).finally(() => {
      this.#opening = null;
    });
    return this.#opening;
  }

  async #start(credential: Credential | null): Promise<Link> {
    if (this.#closed) throw unavailable('the gateway is closing');
    // The link may end while stock is taken; then it must not be kept.
    let ended = false;
    let link: Link | null = null;
    const handlers: LinkHandlers = {
      onnotification: (method) => {
        if (method === 'notifications/tools/list_changed') this.#toolsChanged(link, credential);
      },
      onclose: (reason) => {
        ended = true;
        if (link !== null && this.#link === link) this.#lost(reason);
      },
      onstderr: (line) =>
        this.#deps.log.debug(
          { server: this.#deps.name, line: this.#deps.redact(line) },
          'an MCP server says',
        ),
    };
    try {
      link = await this.#deps.open(credential, handlers, this.#closing.signal);
      this.#stale = false;
      await this.#deps.takeStock(link, credential);
      if (ended) throw unavailable('it ended while its tools were listed');
    } catch (error) {
      await link?.close();
      this.#failed(infoOf(error));
      throw new UpstreamError({ ...infoOf(error), sent: 'no' });
    }
    this.#link = link;
    this.#opened_at_ms = this.#deps.clock.now();
    this.#trouble = null;
    return link;
  }

  #toolsChanged(link: Link | null, credential: Credential | null): void {
    this.#stale = true;
    if (link === null || this.#link !== link) return;
    if (performance.now() - this.#restocked_at < RESTOCK_EVERY_MS) return;
    // Nobody waits for this; whoever calls next takes stock first if it failed.
    this.#restock(link, credential).catch(() => undefined);
  }

  /** One at a time; for a server that shouts "changed" without end, stock is taken when somebody calls. */
  #restock(link: Link, credential: Credential | null): Promise<void> {
    this.#restocking ??= (async () => {
      this.#stale = false;
      this.#restocked_at = performance.now();
      try {
        await this.#deps.takeStock(link, credential);
      } catch (error) {
        this.#stale = true;
        throw new UpstreamError({ ...infoOf(error), sent: 'no' });
      } finally {
        this.#restocking = null;
      }
    })();
    return this.#restocking;
  }

  #lost(reason: UpstreamErrorInfo): void {
    this.#link = null;
    if (this.#closed) return;
    if (this.#deps.clock.now() - this.#opened_at_ms >= STABLE_MS) this.#failures = 0;
    this.#failed(reason);
  }

  #failed({ message }: UpstreamErrorInfo): void {
    this.#failures += 1;
    this.#trouble = this.#deps.redact(message);
    // Once may be chance: the first failure costs no wait.
    const wait_ms =
      this.#failures < 2 ? 0 : Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** (this.#failures - 2));
    this.#retry_at_ms = this.#deps.clock.now() + wait_ms;
    this.#deps.log.warn(
      { server: this.#deps.name, failures: this.#failures, wait_ms, reason: this.#trouble },
      'an MCP server is not available',
    );
  }

  #watchIdle(): void {
    if (this.#in_flight > 0 || this.#link === null || this.#closed) return;
    this.#idle = setTimeout(() => {
      if (this.#link !== null && this.#in_flight === 0) this.drop(this.#link);
    }, this.#deps.idle_stop_ms);
    this.#idle.unref();
  }
}

function infoOf(error: unknown): UpstreamErrorInfo {
  if (error instanceof UpstreamError) return error.info;
  return { problem: 'failed', sent: 'no', status: null, message: (error as Error).message };
}

function unavailable(message: string): UpstreamError {
  return new UpstreamError({ problem: 'unreachable', sent: 'no', status: null, message });
}
