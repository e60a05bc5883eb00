import { AsyncLocalStorage } from 'node:async_hooks';
import type { Readable } from 'node:stream';
import type { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { Credential } from '../credentials/credential.ts';
import type { Egress, EgressOrigin, EgressStream } from '../egress.ts';
import { authorizationOf, refusedBy } from '../transport.ts';
import { UpstreamError, type UpstreamErrorInfo } from '../upstream-error.ts';
import { UNASKED_BYTES_MAX, type Link, type LinkOptions } from './link.ts';
import { openSession } from './session.ts';
import type { Flight, Wire } from './wire.ts';

/**
 * A link over streamable HTTP. The SDK's transport speaks the protocol (event streams, resumption, session header);
 * every byte goes through the egress client, so that address check, CA and the refusal of redirects hold here too.
 */
export interface HttpSpec {
  readonly url: string;
  readonly ca_file?: string | undefined;
  /** Sent with every request. */
  readonly headers: Readonly<Record<string, string>>;
  /** For the session itself and for requests that bring none. */
  readonly credential: Credential | null;
}

const HEADERS_TIMEOUT_MS = 120_000;
const GOODBYE_MS = 2000;
/** An answer's stream has ended; its last event may still be on its way through the parser. */
const SETTLE_MS = 250;
const REFUSAL_BYTES_MAX = 65_536;
/** Events end in an empty line; a chunk that holds one starts the count of the next event. */
const EVENT_END = /\r?\n\r?\n/;
const EVENT_ID = /(?:^|\n)id:/;

/** @throws UpstreamError when it cannot be reached or does not finish the handshake. */
export async function openHttpLink(spec: HttpSpec, egress: Egress, options: LinkOptions): Promise<Link> {
  const { StreamableHTTPClientTransport } =
    await import('@modelcontextprotocol/sdk/client/streamableHttp.js');
  const wire = new HttpWire(spec, egress, options, (fetch) => {
    const reconnectionOptions = {
      initialReconnectionDelay: 1000,
      maxReconnectionDelay: 30_000,
      reconnectionDelayGrowFactor: 2,
      maxRetries: 5,
    };
    return new StreamableHTTPClientTransport(new URL(spec.url), { fetch, reconnectionOptions });
  });
  return openSession(wire, options);
}

type Fetch = (url: string | URL, init?: RequestInit) => Promise<Response>;

class HttpWire implements Wire {
  onmessage: Wire['onmessage'] = () => undefined;
  onclose: Wire['onclose'] = () => undefined;
  readonly #spec: HttpSpec;
  readonly #egress: Egress;
  readonly #origin: EgressOrigin;
  readonly #limits: LinkOptions;
  readonly #transport: StreamableHTTPClientTransport;
  /** Which request a fetch of the SDK belongs to. */
  readonly #flights = new AsyncLocalStorage<Flight | null>();
  #unasked_bytes = 0;
  #ended = false;
  #closing: Promise<void> | null = null;

  constructor(
    spec: HttpSpec,
    egress: Egress,
    limits: LinkOptions,
    make: (fetch: Fetch) => StreamableHTTPClientTransport,
  ) {
    this.#spec = spec;
    this.#egress = egress;
    this.#origin = { url: new URL(spec.url).origin, ca_file: spec.ca_file };
    this.#limits = limits;
    this.#transport = make((url, init) => this.#fetch(url, init));
  }

  async start(): Promise<void> {
    this.#transport.onmessage = (message) => {
      if (!this.#ended) this.onmessage(message);
    };
    // What goes wrong with a request reaches its sender; what goes wrong with a stream ends in a request's deadline.
    this.#transport.onerror = () => undefined;
    await this.#transport.start();
  }

  agreed(protocol_version: string): void {
    this.#transport.setProtocolVersion(protocol_version);
  }

  send(message: object, flight: Flight | null): Promise<void> {
    if (this.#ended)
      return Promise.reject(new UpstreamError(reasonOf('dropped', 'the session has ended', 'no')));
    this.#unasked_bytes = 0;
    return this.#flights.run(flight, () =>
      this.#transport.send(message as Parameters<StreamableHTTPClientTransport['send']>[0]),
    );
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#goodbye());
  }

  async #goodbye(): Promise<void> {
    // A session that the server has forgotten cannot be ended; one that it holds should be.
    if (!this.#ended && this.#transport.sessionId !== undefined) {
      const ended = this.#transport.terminateSession().catch(() => undefined);
      await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, GOODBYE_MS).unref())]);
    }
    this.#ended = true;
    await this.#transport.close();
  }

  /** The SDK's fetch: it never sees a redirect, and a refusal of a message is thrown with what it proves. */
  async #fetch(url: string | URL, init: RequestInit = {}): Promise<Response> {
    const method = init.method ?? 'GET';
    const flight = method === 'POST' ? (this.#flights.getStore() ?? null) : null;
    const bridge = bridged([init.signal ?? undefined, flight?.signal]);
    let answer: EgressStream;
    try {
      answer = await this.#egress.open(this.#origin, {
        method,
        path: new URL(url).pathname,
        query: {},
        headers: this.#headers(init, flight),
        body: typeof init.body === 'string' ? init.body : null,
        timeout_ms: HEADERS_TIMEOUT_MS,
        signal: bridge.signal,
      });
    } catch (error) {
      bridge.done();
      throw error;
    }
    answer.body.once('close', bridge.done);
    // A body that breaks is told through the stream; without this it would be nobody's error, and end the process.
    answer.body.on('error', () => undefined);
    const ok = answer.status >= 200 && answer.status < 300;
    if (method === 'POST' && !ok) throw await this.#refused(answer, init);
    return this.#response(answer, flight, method);
  }

  #headers(init: RequestInit, flight: Flight | null): Record<string, string> {
    const headers: Record<string, string> = { 'user-agent': 'aegis' };
    new Headers(init.headers).forEach((value, name) => (headers[name] = value));
    for (const [name, value] of Object.entries(this.#spec.headers)) headers[name.toLowerCase()] = value;
    const credential = flight?.credential === undefined ? this.#spec.credential : flight.credential;
    if (credential !== null) headers['authorization'] = authorizationOf(credential);
    return headers;
  }

  async #refused(answer: EgressStream, init: RequestInit): Promise<UpstreamError> {
    const text = await readSome(answer.body, REFUSAL_BYTES_MAX);
    const error = refusedBy(answer.status, text, answer.headers['retry-after']);
    const in_session = new Headers(init.headers).has('mcp-session-id');
    // The protocol says 404; servers made from the SDK's examples say 400 and name the session.
    const forgotten = answer.status === 404 || (answer.status === 400 && /session/i.test(text));
    if (!in_session || !forgotten) return error;
    const lost = reasonOf(
      'dropped',
      `no longer knows the session (${answer.status}): it was restarted`,
      'no',
    );
    // This request is told that it did not run before the end of the session tells all others that they may have.
    setImmediate(() => this.#fail(lost));
    return new UpstreamError(lost);
  }

  #response(answer: EgressStream, flight: Flight | null, method: string): Response {
    const headers = new Headers();
    for (const [name, value] of Object.entries(answer.headers))
      if (value !== undefined) headers.set(name, Array.isArray(value) ? value.join(', ') : value);
    const events = (headers.get('content-type') ?? '').startsWith('text/event-stream');
    const empty = answer.status === 204 || answer.status === 205;
    if (empty) answer.body.resume();
    const watched = empty ? null : this.#watched(answer.body, { flight, events, standing: method === 'GET' });
    return new Response(watched, { status: answer.status, headers });
  }

  /** Bounds a body on its way to the SDK, and tells the request when its stream has ended without an answer. */
  #watched(
    body: Readable,
    { flight, events, standing }: { flight: Flight | null; events: boolean; standing: boolean },
  ): ReadableStream<Uint8Array> {
    const { message_bytes_max } = this.#limits;
    let event_bytes = 0;
    let resumable = false;
    const ended = (): void => {
      if (flight === null || resumable) return;
      const reason = reasonOf('dropped', 'ended its answer before it was complete', 'maybe');
      setTimeout(() => flight.ended(reason), SETTLE_MS);
    };
    body.once('close', ended);
    /** What is wrong with this chunk; null when it may pass. */
    const problemOf = (chunk: Buffer): UpstreamErrorInfo | null => {
      const text = chunk.toString('latin1');
      if (events && EVENT_ID.test(text)) resumable = true;
      event_bytes = events && EVENT_END.test(text) ? 0 : event_bytes + chunk.length;
      if (standing || events) this.#unasked_bytes += chunk.length;
      const flood = this.#unasked_bytes > UNASKED_BYTES_MAX;
      if (!flood && event_bytes <= message_bytes_max) return null;
      const what = flood
        ? `sent more than ${UNASKED_BYTES_MAX} bytes that nobody asked for`
        : `sent a message of more than ${message_bytes_max} bytes`;
      const reason = reasonOf('too-large', what, 'answered');
      if (flight === null || flood) this.#fail(reason);
      else flight.ended(reason);
      return reason;
    };
    return webStream(body, problemOf);
  }

  #fail(reason: UpstreamErrorInfo): void {
    if (this.#ended) return;
    this.#ended = true;
    this.onclose(reason);
    void this.#transport.close();
  }
}

/**
 * A body as the SDK reads it. Node's own adapter throws out of an event when a stream is cancelled while data comes, and
 * that would end the process: here every fault stays in the stream.
 */
function webStream(
  body: Readable,
  problemOf: (chunk: Buffer) => UpstreamErrorInfo | null,
): ReadableStream<Uint8Array> {
  const chunks = body[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const next = await chunks.next();
      if (next.done === true) {
        controller.close();
        return;
      }
      const problem = problemOf(next.value);
      if (problem === null) controller.enqueue(next.value);
      else {
        body.destroy();
        throw new UpstreamError(problem);
      }
    },
    cancel: () => void body.destroy(),
  });
}

/** One own controller for each exchange, released when it has ended. */
function bridged(signals: readonly (AbortSignal | undefined)[]): { signal: AbortSignal; done: () => void } {
  const controller = new AbortController();
  const abort = (): void => controller.abort();
  for (const signal of signals) {
    if (signal?.aborted === true) abort();
    signal?.addEventListener('abort', abort, { once: true });
  }
  return {
    signal: controller.signal,
    done: () => {
      for (const signal of signals) signal?.removeEventListener('abort', abort);
    },
  };
}

async function readSome(body: Readable, bytes_max: number): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes > bytes_max) break;
    }
  } catch {
    // The status has said enough; its words are only for the reader.
  }
  return Buffer.concat(chunks).subarray(0, bytes_max).toString('utf8');
}

function reasonOf(
  problem: UpstreamErrorInfo['problem'],
  message: string,
  sent: UpstreamErrorInfo['sent'],
): UpstreamErrorInfo {
  return { problem, sent, status: null, message };
}
