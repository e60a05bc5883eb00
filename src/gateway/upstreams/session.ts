import { z } from 'zod';
import { valueProblem } from '../../contract/parse.ts';
import { UpstreamError, type UpstreamErrorInfo, type UpstreamProblem } from '../upstream-error.ts';
import type {
  Link,
  LinkAnswer,
  LinkOptions,
  LinkRequestOptions,
  LinkServer,
  RpcError,
  RpcParams,
  RpcReply,
} from './link.ts';
import { plainWords } from './plain-words.ts';
import type { Flight, Wire } from './wire.ts';

/**
 * MCP's sessions over a wire. The SDK's client rewords what passes (errors get a prefix, progress can overtake or lose
 * its request, unknown fields vanish), which neither pins nor a relay can bear; so requests and answers meet here, and
 * everything that the other side sends is checked for shape and size before anybody sees it.
 */
const CLIENT_INFO = { name: 'aegis', version: '1' };
/** What is refused of one message besides its bytes: depth would overflow whoever walks it. */
const SHAPE_LIMITS = { bytes_max: Number.MAX_SAFE_INTEGER, depth_max: 60, keys_max: 200_000 } as const;
/** Requests of the server that may be open at a time; more is a flood. */
const ASKED_OF_US_MAX = 32;
const CANCEL_WAIT_MS = 1000;

const Id = z.union([z.string().max(200), z.int()]);
const Params = z.record(z.string(), z.unknown());
const Message = z.union([
  z.object({ id: Id, method: z.string().max(200), params: Params.optional() }),
  z.object({ method: z.string().max(200), params: Params.optional() }).strip(),
  z.object({ id: Id, result: Params }),
  z.object({
    id: Id.nullable().optional(),
    error: z.object({ code: z.int(), message: z.string(), data: z.unknown().optional() }),
  }),
]);
type Message = z.infer<typeof Message>;

const Initialized = z.object({
  protocolVersion: z.string().max(100),
  capabilities: Params,
  serverInfo: z.object({ name: z.string().max(500), version: z.string().max(500) }),
  instructions: z.string().optional(),
});

interface Waiting {
  readonly settle: (answer: LinkAnswer) => void;
  readonly onprogress: LinkRequestOptions['onprogress'];
}

/** @throws UpstreamError when the server cannot be reached or does not finish the handshake in time. */
export async function openSession(wire: Wire, options: LinkOptions): Promise<Link> {
  const session = new Session(wire, options);
  await session.open();
  return session;
}

class Session implements Link {
  readonly #wire: Wire;
  readonly #options: LinkOptions;
  readonly #waiting = new Map<number, Waiting>();
  readonly #serving = new Map<string | number, AbortController>();
  #next_id = 1;
  #server: LinkServer | null = null;
  #ended: UpstreamErrorInfo | null = null;

  constructor(wire: Wire, options: LinkOptions) {
    this.#wire = wire;
    this.#options = options;
    wire.onmessage = (message) => this.#take(message);
    wire.onclose = (reason) => this.#end(reason);
  }

  get server(): LinkServer {
    if (this.#server === null) throw new Error('the handshake is not finished');
    return this.#server;
  }

  async open(): Promise<void> {
    const { LATEST_PROTOCOL_VERSION, SUPPORTED_PROTOCOL_VERSIONS } =
      await import('@modelcontextprotocol/sdk/types.js');
    try {
      await this.#wire.start();
      const answer = await this.request(
        'initialize',
        {
          protocolVersion: LATEST_PROTOCOL_VERSION,
          capabilities: this.#options.capabilities,
          clientInfo: CLIENT_INFO,
        },
        { timeout_ms: this.#options.handshake_timeout_ms, signal: this.#options.signal },
      );
      if (!answer.ok) throw new UpstreamError(handshakeProblem(answer.error));
      const parsed = Initialized.safeParse(answer.result);
      if (!parsed.success)
        throw problem('malformed', 'answered', 'its answer to the handshake is not one of MCP');
      const { protocolVersion, capabilities, serverInfo, instructions } = parsed.data;
      if (!SUPPORTED_PROTOCOL_VERSIONS.includes(protocolVersion))
        throw problem('malformed', 'answered', `it speaks MCP ${protocolVersion}, which Aegis does not`);
      this.#server = {
        name: serverInfo.name,
        version: serverInfo.version,
        instructions: instructions ?? null,
        capabilities,
        protocol_version: protocolVersion,
        raw: answer.result,
      };
      this.#wire.agreed?.(protocolVersion);
      await this.#wire.send({ jsonrpc: '2.0', method: 'notifications/initialized' }, null);
      if (this.#ended !== null) throw new UpstreamError(this.#ended);
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  request(method: string, params: RpcParams | undefined, options: LinkRequestOptions): Promise<LinkAnswer> {
    if (this.#ended !== null) return Promise.resolve(unanswered({ ...this.#ended, sent: 'no' }));
    if (options.signal?.aborted === true)
      return Promise.resolve(unanswered(info('aborted', 'no', 'the call was aborted')));
    return new Promise((resolve) => this.#send(method, params, options, resolve));
  }

  #send(
    method: string,
    params: RpcParams | undefined,
    options: LinkRequestOptions,
    resolve: (answer: LinkAnswer) => void,
  ): void {
    const id = this.#next_id++;
    // One own controller for each request, bridged once: listeners never pile up on a long-lived signal.
    const controller = new AbortController();
    const settle = (answer: LinkAnswer): void => {
      if (!this.#waiting.delete(id)) return;
      clearTimeout(timer);
      options.signal?.removeEventListener('abort', onabort);
      resolve(answer);
    };
    const giveUp = (reason: UpstreamErrorInfo): void => {
      if (!this.#waiting.has(id)) return;
      settle(unanswered(reason));
      controller.abort();
      // A handshake cannot be cancelled (the protocol says so); everything else can at least be asked to stop.
      if (method !== 'initialize')
        void this.notify('notifications/cancelled', { requestId: id, reason: reason.message });
    };
    const timer = setTimeout(
      () => giveUp(info('timeout', 'maybe', `did not answer within ${options.timeout_ms} ms`)),
      options.timeout_ms,
    );
    const onabort = (): void => giveUp(info('aborted', 'maybe', 'the call was aborted'));
    options.signal?.addEventListener('abort', onabort, { once: true });
    this.#waiting.set(id, { settle, onprogress: options.onprogress });
    const flight: Flight = {
      signal: controller.signal,
      credential: options.credential,
      ended: (reason) => settle(unanswered(reason)),
    };
    const message = { jsonrpc: '2.0', id, method, ...paramsOf(id, params, options) };
    this.#wire.send(message, flight).catch((error: unknown) => settle(unanswered(infoOf(error))));
  }

  async notify(method: string, params?: RpcParams): Promise<void> {
    if (this.#ended !== null) return;
    const message = { jsonrpc: '2.0', method, ...(params === undefined ? {} : { params }) };
    const sent = this.#wire.send(message, null).catch(() => undefined);
    await Promise.race([sent, new Promise((resolve) => setTimeout(resolve, CANCEL_WAIT_MS).unref())]);
  }

  async close(): Promise<void> {
    this.#end(info('aborted', 'maybe', 'the link was closed'));
    await this.#wire.close();
  }

  #end(reason: UpstreamErrorInfo): void {
    if (this.#ended !== null) return;
    this.#ended = reason;
    for (const { settle } of this.#waiting.values()) settle(unanswered({ ...reason, sent: 'maybe' }));
    for (const controller of this.#serving.values()) controller.abort();
    this.#serving.clear();
    this.#options.handlers.onclose?.(reason);
  }

  #take(raw: unknown): void {
    if (this.#ended !== null) return;
    const parsed = Message.safeParse(raw);
    const shape = valueProblem(raw, SHAPE_LIMITS);
    if (!parsed.success || shape !== null) {
      this.#refuseShape(raw, shape ?? 'no message of MCP');
      return;
    }
    const message = parsed.data;
    if (!('method' in message)) this.#answered(message);
    else if ('id' in message) void this.#serve(message.id, message.method, message.params ?? {});
    else this.#notified(message.method, message.params ?? {});
  }

  /** An answer that cannot be used still tells its request that no other will come. */
  #refuseShape(raw: unknown, reason: string): void {
    const id = (raw as { id?: unknown } | null)?.id;
    if (typeof id !== 'number' || Object.hasOwn(raw as object, 'method')) return;
    this.#waiting.get(id)?.settle(unanswered(info('malformed', 'answered', `the answer is ${reason}`)));
  }

  #answered(message: Exclude<Message, { method: string }>): void {
    const waiting = typeof message.id === 'number' ? this.#waiting.get(message.id) : undefined;
    if (waiting === undefined) return;
    if ('result' in message) waiting.settle({ ok: true, result: message.result });
    else waiting.settle({ ok: false, error: problemOfRpc(message.error), rpc: message.error });
  }

  #notified(method: string, params: RpcParams): void {
    if (method === 'notifications/cancelled') {
      this.#serving.get(params['requestId'] as string | number)?.abort();
      return;
    }
    if (method === 'notifications/progress') {
      const token = params['progressToken'];
      if (typeof token === 'number') this.#waiting.get(token)?.onprogress?.(params);
      return;
    }
    this.#options.handlers.onnotification?.(method, params);
  }

  async #serve(id: string | number, method: string, params: RpcParams): Promise<void> {
    let reply: RpcReply;
    if (method === 'ping') reply = { ok: true, result: {} };
    else if (this.#options.handlers.onrequest === undefined)
      reply = { ok: false, rpc: { code: -32_601, message: 'Method not found' } };
    else if (this.#serving.size >= ASKED_OF_US_MAX || this.#serving.has(id))
      reply = { ok: false, rpc: { code: -32_600, message: 'Too many requests at a time' } };
    else {
      const controller = new AbortController();
      this.#serving.set(id, controller);
      try {
        reply = await this.#options.handlers.onrequest(method, params, controller.signal);
      } catch {
        reply = { ok: false, rpc: { code: -32_603, message: 'Internal error' } };
      }
      if (this.#serving.get(id) === controller) this.#serving.delete(id);
      // Whoever cancelled a request is not answered.
      if (controller.signal.aborted) return;
    }
    const body = reply.ok ? { result: reply.result } : { error: reply.rpc };
    await this.#wire.send({ jsonrpc: '2.0', id, ...body }, null).catch(() => undefined);
  }
}

function paramsOf(
  id: number,
  params: RpcParams | undefined,
  { onprogress }: LinkRequestOptions,
): { params?: RpcParams } {
  if (onprogress === undefined) return params === undefined ? {} : { params };
  const meta = params?.['_meta'] as RpcParams | undefined;
  return { params: { ...params, _meta: { ...meta, progressToken: id } } };
}

/** An error that the server words says that it is alive; only its own fault (-32603) counts as illness. */
function problemOfRpc({ code, message }: RpcError): UpstreamErrorInfo {
  const problem = code === -32_603 ? 'failed' : code === -32_002 ? 'not-found' : 'invalid';
  return info(problem, 'answered', `answered with an error: ${plainWords(message, 400)}`);
}

function handshakeProblem({ problem, sent, message }: UpstreamErrorInfo): UpstreamErrorInfo {
  return info(problem, sent, `the handshake failed: it ${message}`);
}

function infoOf(error: unknown): UpstreamErrorInfo {
  if (error instanceof UpstreamError) return error.info;
  return info(
    'malformed',
    'maybe',
    `the answer could not be used: ${(error as Error).message}`.slice(0, 300),
  );
}

function unanswered(error: UpstreamErrorInfo): LinkAnswer {
  return { ok: false, error, rpc: null };
}

function info(what: UpstreamProblem, sent: UpstreamErrorInfo['sent'], message: string): UpstreamErrorInfo {
  return { problem: what, sent, status: null, message };
}

function problem(what: UpstreamProblem, sent: UpstreamErrorInfo['sent'], message: string): UpstreamError {
  return new UpstreamError(info(what, sent, message));
}
