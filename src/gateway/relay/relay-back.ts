import { z } from 'zod';
import { isRefusal } from '../../contract/verdict.ts';
import type { RpcParams, RpcReply } from '../upstreams/link.ts';
import { ASKED_BACK, TOLD_BACK, type ClientCapabilities } from './relay-methods.ts';
import type { RelayScrub } from './relay-scrub.ts';

/**
 * What a server says of itself: notifications and questions. They reach the client of this session only, redacted, in
 * the order in which they came, and a question only through the stream of a request that the client has open.
 */
export interface OpenRequest {
  tell(notification: Message): Promise<void>;
  ask(
    request: Message,
    schema: typeof ANSWER,
    options: { signal: AbortSignal; timeout: number },
  ): Promise<RpcParams>;
  /** Stops the server's time while the client is asked; ends with the function that it returns. */
  hold(): () => void;
  /** Questions that the server asked during it. */
  asked: number;
}

interface Message {
  readonly method: string;
  readonly params: RpcParams;
}

export interface BackwardsDeps {
  readonly scrub: RelayScrub;
  readonly client: ClientCapabilities;
  /** Outside of requests: the stream that the client keeps open, if it does. */
  readonly tellClient: (notification: Message) => Promise<void>;
  /** False when the token is no longer in force: then nothing more is said. */
  readonly alive: () => Promise<boolean>;
  readonly now_ms: () => number;
}

const ANSWER = z.looseObject({});
const ASKS_PER_REQUEST_MAX = 20;
/** A person reads and answers. */
const ASK_MS_MAX = 180_000;
/** A flood is dropped before any work is done for it: notifications that wait to be sent, and how fast they may come. */
const WAITING_MAX = 1000;
const TOLD_BURST_MAX = 1000;
const TOLD_PER_SECOND_MAX = 50;
/** The SDK puts this before the words of an error; the server that asked gets the words. */
const SDK_PREFIX = /^MCP error -?\d+: /;

export class Backwards {
  readonly #deps: BackwardsDeps;
  /** Newest last. */
  readonly #open = new Set<OpenRequest>();
  #queue: Promise<void> = Promise.resolve();
  #waiting = 0;
  #allowance = { told: TOLD_BURST_MAX, at_ms: 0 };

  constructor(deps: BackwardsDeps) {
    this.#deps = deps;
  }

  get open(): number {
    return this.#open.size;
  }

  begin(request: OpenRequest): void {
    this.#open.add(request);
  }

  /** What was said during a request goes out before its answer. */
  async end(request: OpenRequest): Promise<void> {
    await this.#queue;
    this.#open.delete(request);
  }

  /** @param token the client's own, under which it waits for the progress of this request. */
  progress(request: OpenRequest, token: string | number, params: RpcParams): void {
    this.#say({ method: 'notifications/progress', params }, request, { progressToken: token });
  }

  /** Log lines belong to what runs; that something changed is nobody's answer. */
  tell(method: string, params: RpcParams): void {
    if (!TOLD_BACK.has(method)) return;
    const current = method === 'notifications/message' ? this.#newest() : undefined;
    this.#say({ method, params }, current);
  }

  async ask(method: string, params: RpcParams, signal: AbortSignal): Promise<RpcReply> {
    const needs = ASKED_BACK.get(method);
    if (needs === undefined || this.#deps.client[needs] === undefined)
      return failed(-32_601, 'Method not found: the client does not offer it');
    if (method === 'elicitation/create' && (params['mode'] ?? 'form') !== 'form')
      return failed(-32_602, 'Only forms are passed on, no addresses to open');
    const current = this.#newest();
    if (current === undefined)
      return failed(-32_600, 'The client has no request open, so there is nobody to ask');
    current.asked += 1;
    if (current.asked > ASKS_PER_REQUEST_MAX)
      return failed(-32_600, `More than ${ASKS_PER_REQUEST_MAX} questions during one request`);
    await this.#queue;
    const shown = await this.#deps.scrub.freeValue(params, signal);
    if (isRefusal(shown)) return failed(-32_600, shown.reason);
    if (!(await this.#deps.alive())) return failed(-32_600, 'The client may not be asked any more');
    const goOn = current.hold();
    try {
      const request = { method, params: shown.value as RpcParams };
      return { ok: true, result: await current.ask(request, ANSWER, { signal, timeout: ASK_MS_MAX }) };
    } catch (error) {
      const { code, message } = error as { code?: unknown; message: string };
      return failed(Number.isSafeInteger(code) ? (code as number) : -32_603, message.replace(SDK_PREFIX, ''));
    } finally {
      goOn();
    }
  }

  #newest(): OpenRequest | undefined {
    return [...this.#open].at(-1);
  }

  #say({ method, params }: Message, request: OpenRequest | undefined, own: RpcParams = {}): void {
    if (this.#waiting >= WAITING_MAX || !this.#mayTell()) return;
    this.#waiting += 1;
    const { alive, scrub, tellClient } = this.#deps;
    this.#queue = this.#queue
      .then(async () => {
        const shown = await scrub.freeValue(params, undefined);
        if (isRefusal(shown) || !(await alive())) return;
        const notification = { method, params: { ...(shown.value as RpcParams), ...own } };
        await (request?.tell(notification) ?? tellClient(notification));
      })
      // A client that is gone, or never offered to listen, misses a notification: nobody waits for it.
      .catch(() => undefined)
      .then(() => void (this.#waiting -= 1));
  }

  #mayTell(): boolean {
    const now = this.#deps.now_ms();
    const { told, at_ms } = this.#allowance;
    const left = Math.min(TOLD_BURST_MAX, told + (Math.max(0, now - at_ms) / 1000) * TOLD_PER_SECOND_MAX);
    this.#allowance = { told: left >= 1 ? left - 1 : left, at_ms: now };
    return left >= 1;
  }
}

function failed(code: number, message: string): RpcReply {
  return { ok: false, rpc: { code, message } };
}
