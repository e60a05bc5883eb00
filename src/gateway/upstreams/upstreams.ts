import { bulkhead, BulkheadRejectedError } from 'cockatiel';
import type { SecretRef } from '../../contract/credentials.ts';
import type { Clock, Log } from '../../contract/ports.ts';
import type { Secret } from '../../contract/secret.ts';
import type { McpUpstream } from '../../contract/system-mcp.ts';
import type { ToolDefinition } from '../../contract/tool.ts';
import { isRefusal, refuse, type Refusal } from '../../contract/verdict.ts';
import {
  INSTRUCTIONS_PIN,
  type SeenTool,
  type UpstreamPin,
  type UpstreamPinStore,
} from '../../store/authority.ts';
import type { Credential } from '../credentials/credential.ts';
import type { Egress } from '../egress.ts';
import type { PeerAnswer } from '../mcp-peer.ts';
import type { RegisteredTool } from '../pipeline/registry.ts';
import { exactScrub } from '../sanitize/exact-scrub.ts';
import { UpstreamError } from '../upstream-error.ts';
import { argumentSchema, type ArgumentSchema } from './argument-schema.ts';
import { seenInstructions } from './definition.ts';
import { Keeper } from './keeper.ts';
import type { Link, LinkOptions } from './link.ts';
import { listTools } from './list-tools.ts';
import { quarantine, toolDefinition } from './offered-tool.ts';
import { plainWords } from './plain-words.ts';
import { registryNames, upstreamTarget, type UpstreamToolId } from './registry-names.ts';
import { toolAnswer } from './tool-answer.ts';

/**
 * All external MCP servers. What exists is what the configuration declares and a person has approved, read from the
 * store; a server is only started when one of its tools is called. Their definitions are no part of the registry's
 * digest: no plan can hold an action on them (they are only read), and each call checks its own pin, so a server that
 * changes its tools by the minute takes away its own tools and nobody's approval.
 */
export interface UpstreamsDeps {
  readonly settings: Readonly<Record<string, McpUpstream>>;
  readonly pins: UpstreamPinStore;
  readonly egress: Egress;
  readonly secrets: (ref: SecretRef) => Secret;
  readonly clock: Clock;
  readonly log: Log;
  readonly redactText: (text: string) => string;
}

export interface UpstreamCall {
  readonly credential: Credential | null;
  readonly timeout_ms: number;
  readonly signal: AbortSignal | undefined;
}

const STARTING_MAX = 8;
const STARTS_QUEUED_MAX = 200;
const MESSAGE_BYTES_MAX = 8 * 1024 * 1024;
const NAME_CHARS_SHOWN = 128;
/** Compiled argument schemas kept, by the hash of their definition. */
const SCHEMAS_MAX = 1000;

export class Upstreams {
  readonly #deps: UpstreamsDeps;
  readonly #names: ReadonlyMap<string, UpstreamToolId>;
  readonly #keepers = new Map<string, Keeper>();
  readonly #schemas = new Map<string, Promise<ArgumentSchema>>();
  /** What each link listed itself, since the store only knows who listed last. */
  readonly #listed = new WeakMap<Link, ReadonlyMap<string, string>>();
  readonly #starts = bulkhead(STARTING_MAX, STARTS_QUEUED_MAX);

  constructor(deps: UpstreamsDeps) {
    this.#deps = deps;
    this.#names = registryNames(
      Object.entries(deps.settings).flatMap(([server, { tools }]) =>
        Object.keys(tools).map((tool) => ({ server, tool })),
      ),
    );
  }

  /** Approved read tools, from the store: a server that is down or has changed hides nothing, its tools say so. */
  async definitions(): Promise<readonly ToolDefinition[]> {
    if (this.#names.size === 0) return [];
    const pins = new Map((await this.#deps.pins.list()).map((pin) => [`${pin.server} ${pin.tool}`, pin]));
    const definitions: ToolDefinition[] = [];
    for (const [name, id] of this.#names) {
      const config = this.#config(id.server);
      const pin = pins.get(`${id.server} ${id.tool}`);
      if (config?.tools[id.tool] !== 'read' || pin === undefined || pin.approved === null) continue;
      const held = quarantine(id, pin, pins.get(`${id.server} ${INSTRUCTIONS_PIN}`) ?? null);
      const why = held?.reason ?? this.#keepers.get(id.server)?.trouble() ?? null;
      definitions.push(toolDefinition(name, id, config, pin.approved.definition, why));
    }
    return definitions;
  }

  /**
   * Null: no such tool at this target, in the same words whether it exists elsewhere. A refusal says what a person must
   * do before the tool can be used.
   */
  async entry(name: string, target: string): Promise<RegisteredTool | Refusal | null> {
    const id = this.#names.get(name);
    const config = id === undefined ? undefined : this.#config(id.server);
    if (id === undefined || config === undefined || upstreamTarget(id) !== target) return null;
    if (config.tools[id.tool] !== 'read') return writeRefused(id);
    const pin = await this.#checked(id);
    if (isRefusal(pin)) return pin;
    const { hash, definition } = pin;
    let input: ArgumentSchema;
    try {
      input = await this.#schema(hash, definition);
    } catch (error) {
      return refuse(
        'tool-unusable',
        `The schema of ${id.tool} of ${id.server} cannot be read: ${(error as Error).message}.`,
        'Its author must mend it; until then the tool is not offered.',
      );
    }
    const declared = toolDefinition(name, id, config, definition, null);
    return {
      tool: { ...declared, mode: 'read', input },
      definition: declared,
      pins: () => new Map(),
      external: { ...id, secrets: this.standingSecrets(id.server) },
    };
  }

  /** One call. The pin is looked at once more behind the connection: what the server lists now decides. */
  async call(
    { server, tool }: UpstreamToolId,
    args: Readonly<Record<string, unknown>>,
    { credential, timeout_ms, signal }: UpstreamCall,
  ): Promise<PeerAnswer | Refusal> {
    const deadline_ms = performance.now() + timeout_ms;
    const attempt = (): Promise<PeerAnswer | Refusal> =>
      this.#keeper(server).use(credential, async (link) => {
        const pin = await this.#checked({ server, tool });
        if (isRefusal(pin)) return pin;
        if (this.#listed.get(link)?.get(tool) !== pin.hash) {
          // Approved is what another instance listed (the server was upgraded beneath this one): a fresh one decides.
          this.#keeper(server).drop(link);
          return outdated();
        }
        const answer = await link.request(
          'tools/call',
          { name: tool, arguments: { ...args } },
          { timeout_ms: Math.max(1, Math.ceil(deadline_ms - performance.now())), signal, credential },
        );
        const given = toolAnswer(tool, args, answer);
        if (neverReached(given)) this.#keeper(server).drop(link);
        return given;
      });
    // That a process has just died is noticed by whoever writes to it. It has not seen the call: another one is asked, once.
    const work = attempt().then((given) => (neverReached(given) ? attempt() : given));
    try {
      return await within(work, timeout_ms, signal);
    } catch (error) {
      if (error instanceof UpstreamError) return { ok: false, error: error.info };
      const message = `it could not be asked: ${(error as Error).message}`.slice(0, 300);
      return { ok: false, error: { problem: 'failed', sent: 'maybe', status: null, message } };
    }
  }

  /** Asks a server what it offers now and notes it; for people who look at pins. @throws UpstreamError */
  async look(
    server: string,
    credential: Credential | null,
  ): Promise<{ readonly undeclared: readonly string[] }> {
    return this.#keeper(server).use(credential, async (link) => ({
      undeclared: (await this.#takeStock(server, link, credential))
        .filter(({ tool }) => !Object.hasOwn(this.#config(server)?.tools ?? {}, tool))
        .map(({ tool }) => plainWords(tool, NAME_CHARS_SHOWN)),
    }));
  }

  /** The registry's name of a declared tool; null for every other. */
  nameOf({ server, tool }: UpstreamToolId): string | null {
    for (const [name, id] of this.#names) if (id.server === server && id.tool === tool) return name;
    return null;
  }

  /**
   * A link of its own, for a relayed session: what its server says reaches the client of that session and nobody else.
   * @throws UpstreamError
   */
  async openOwn(
    server: string,
    credential: Credential | null,
    session: Pick<LinkOptions, 'capabilities' | 'handlers' | 'signal'>,
  ): Promise<Link> {
    const config = this.#config(server);
    if (config === undefined) throw new Error(`no MCP server "${server}" is configured`);
    try {
      return await this.#starts.execute(() => this.#open(config, credential, session));
    } catch (error) {
      if (!(error instanceof BulkheadRejectedError)) throw error;
      const message = 'too many MCP servers are being started; ask again in a moment';
      throw new UpstreamError({ problem: 'throttled', sent: 'no', status: null, message });
    }
  }

  /** What the server of such a link lists now, by hash; noted in the pins, so that a change is held back everywhere. */
  async stockOf(
    server: string,
    link: Link,
    credential: Credential | null,
  ): Promise<ReadonlyMap<string, string>> {
    const tools = await this.#takeStock(server, link, credential);
    return new Map(tools.map(({ tool, hash }) => [tool, hash]));
  }

  async close(): Promise<void> {
    await Promise.all([...this.#keepers.values()].map((keeper) => keeper.close()));
  }

  #config(server: string): McpUpstream | undefined {
    return Object.hasOwn(this.#deps.settings, server) ? this.#deps.settings[server] : undefined;
  }

  async #checked(id: UpstreamToolId): Promise<NonNullable<UpstreamPin['approved']> | Refusal> {
    const [pin, instructions] = await Promise.all([
      this.#deps.pins.get(id.server, id.tool),
      this.#deps.pins.get(id.server, INSTRUCTIONS_PIN),
    ]);
    const held = quarantine(id, pin, instructions);
    if (held !== null) return held;
    // Not held means approved; the type cannot know.
    return (pin as UpstreamPin).approved as NonNullable<UpstreamPin['approved']>;
  }

  #schema(hash: string, definition: Readonly<Record<string, unknown>>): Promise<ArgumentSchema> {
    let schema = this.#schemas.get(hash);
    if (schema === undefined) {
      if (this.#schemas.size >= SCHEMAS_MAX) this.#schemas.clear();
      schema = argumentSchema(definition['inputSchema'] as Readonly<Record<string, unknown>>);
      this.#schemas.set(hash, schema);
      schema.catch(() => this.#schemas.delete(hash));
    }
    return schema;
  }

  #keeper(server: string): Keeper {
    let keeper = this.#keepers.get(server);
    const config = this.#config(server);
    if (config === undefined) throw new Error(`no MCP server "${server}" is configured`);
    if (keeper === undefined) {
      const { clock, log, redactText } = this.#deps;
      keeper = new Keeper({
        name: server,
        // Nothing is advertised: no server gets to use Aegis' model, its people or its directories.
        open: (credential, handlers, signal) =>
          this.#open(config, credential, { capabilities: {}, handlers, signal }),
        takeStock: async (link, credential) => void (await this.#takeStock(server, link, credential)),
        starts: this.#starts,
        idle_stop_ms: config.idle_stop_s * 1000,
        clock,
        log,
        redact: (text) => redactText(exactScrub(this.standingSecrets(server))(text, () => undefined)),
      });
      this.#keepers.set(server, keeper);
    }
    return keeper;
  }

  async #open(
    config: McpUpstream,
    credential: Credential | null,
    session: Pick<LinkOptions, 'capabilities' | 'handlers' | 'signal'>,
  ): Promise<Link> {
    const options: LinkOptions = {
      ...session,
      handshake_timeout_ms: config.handshake_timeout_ms,
      message_bytes_max: MESSAGE_BYTES_MAX,
    };
    if (config.transport === 'stdio') {
      const { openStdioLink } = await import('./link-stdio.ts');
      const { command, args, env, run_as } = config;
      return openStdioLink({ command, args, env: this.#texts(env), run_as }, options);
    }
    const { openHttpLink } = await import('./link-http.ts');
    const { url, ca_file, headers } = config;
    return openHttpLink(
      { url, ca_file, headers: this.#texts(headers), credential },
      this.#deps.egress,
      options,
    );
  }

  /** @throws UpstreamError naming the reference that cannot be read. */
  #texts(values: Readonly<Record<string, string | SecretRef>>): Record<string, string> {
    return Object.fromEntries(
      Object.entries(values).map(([name, value]) => {
        if (typeof value === 'string') return [name, value];
        try {
          return [name, this.#deps.secrets(value).reveal()];
        } catch {
          const message = `the secret for ${name} cannot be read; provide it and ask again`;
          throw new UpstreamError({ problem: 'unauthorized', sent: 'no', status: null, message });
        }
      }),
    );
  }

  /** Secrets that the server has for as long as it lives: taken out of everything that it says. */
  standingSecrets(server: string): readonly string[] {
    const config = this.#config(server);
    if (config === undefined) return [];
    const values = Object.values(config.transport === 'stdio' ? config.env : config.headers);
    return values.flatMap((value) => {
      if (typeof value === 'string') return [];
      try {
        return [this.#deps.secrets(value).reveal()];
      } catch {
        return [];
      }
    });
  }

  async #takeStock(server: string, link: Link, credential: Credential | null): Promise<readonly SeenTool[]> {
    const { tools, instructions } = await listTools(link, credential);
    this.#listed.set(link, new Map(tools.map(({ tool, hash }) => [tool, hash])));
    const declared = this.#config(server)?.tools ?? {};
    const known = tools.filter(({ tool }) => Object.hasOwn(declared, tool));
    const changes = await this.#deps.pins.see(server, [...known, seenInstructions(instructions)]);
    if (changes > 0)
      this.#deps.log.warn(
        { server, changes },
        'an MCP server describes its tools anew; a person must look: aegis upstreams diff',
      );
    return tools;
  }
}

function writeRefused({ server, tool }: UpstreamToolId): Refusal {
  return refuse(
    'upstream-write-refused',
    `${tool} of ${server} changes things, and Aegis cannot preview what a foreign server would change.`,
    'Make the change by hand, or with a tool that Aegis can preview; external MCP servers are only read.',
  );
}

function outdated(): PeerAnswer {
  const message = 'was started before its tools were approved as they are now; it is started anew';
  return { ok: false, error: { problem: 'dropped', sent: 'no', status: null, message } };
}

function neverReached(given: PeerAnswer | Refusal): boolean {
  if (isRefusal(given) || given.ok) return false;
  return given.error.problem === 'dropped' && given.error.sent === 'no';
}

/** The server may need longer to start than the call may take; it goes on starting for the next one. */
async function within<T>(work: Promise<T>, timeout_ms: number, signal: AbortSignal | undefined): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  let onabort: (() => void) | undefined;
  const limit = new Promise<never>((_, reject) => {
    const give = (problem: 'timeout' | 'aborted', message: string) => (): void =>
      reject(new UpstreamError({ problem, sent: 'maybe', status: null, message }));
    timer = setTimeout(give('timeout', `did not answer within ${timeout_ms} ms`), timeout_ms);
    onabort = give('aborted', 'the call was aborted');
    if (signal?.aborted === true) onabort();
    signal?.addEventListener('abort', onabort, { once: true });
  });
  try {
    return await Promise.race([work, limit]);
  } finally {
    clearTimeout(timer);
    if (onabort !== undefined) signal?.removeEventListener('abort', onabort);
    work.catch(() => undefined);
  }
}
