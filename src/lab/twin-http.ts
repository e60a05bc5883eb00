/**
 * The HTTP floor under the Vault, Prometheus and Loki twins: one loopback server on a free port that reads a bounded
 * body, applies the faults a test has asked for, and hands a plain value to the twin. It knows no product, holds no
 * protocol knowledge and keeps no log: what a twin records is the twin's business.
 */
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';

/** One parsed request. `path` is decoded once and has no query; `raw_path` is as it was sent. */
export interface TwinCall {
  readonly method: string;
  readonly path: string;
  readonly raw_path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface TwinReply {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: string;
}

/**
 * A fault applied to matching requests. `status` answers without executing; `delay` waits, then executes;
 * `drop_before` cuts the connection without executing; `drop_after` executes and then cuts it, so that the caller
 * cannot know whether it ran.
 */
type Fault =
  | { readonly kind: 'status'; readonly status: number; readonly body?: string }
  | { readonly kind: 'delay'; readonly delay_ms: number }
  | { readonly kind: 'drop_before' }
  | { readonly kind: 'drop_after' };

interface FaultRule {
  /** Which requests; without it every request. */
  readonly match?: (call: TwinCall) => boolean;
  /** How many requests; 1 unless told, `Infinity` until removed. */
  readonly times?: number;
}

export interface FaultControls {
  /** Adds a fault and returns its removal. */
  inject(fault: Fault, rule?: FaultRule): () => void;
  clear(): void;
}

export interface TwinServer {
  readonly url: string;
  readonly faults: FaultControls;
  close(): Promise<void>;
}

export interface TwinServerOptions {
  readonly handle: (call: TwinCall) => Promise<TwinReply> | TwinReply;
  /** Told about every request that ended; `status` 0 means the connection was cut. */
  readonly ended?: (call: TwinCall, status: number) => void;
  /** What a `status` fault without a body answers, in the twin's own error form. */
  readonly fault_body: (status: number) => string;
  readonly tls?: { readonly key: string; readonly cert: string };
  readonly body_bytes_max?: number;
}

interface ArmedFault {
  readonly fault: Fault;
  readonly match: (call: TwinCall) => boolean;
  left: number;
}

const BODY_BYTES_MAX = 4 * 1024 * 1024;

/** Starts the server on 127.0.0.1 and a free port. */
export async function startTwinServer(options: TwinServerOptions): Promise<TwinServer> {
  const armed: ArmedFault[] = [];
  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    void serve(options, armed, request, response);
  };
  const server = options.tls === undefined ? createServer(listener) : createTlsServer(options.tls, listener);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `${options.tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`,
    faults: faultControls(armed),
    close: async () => {
      const closed = new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
      server.closeAllConnections();
      await closed;
    },
  };
}

function faultControls(armed: ArmedFault[]): FaultControls {
  return {
    inject: (fault, rule = {}) => {
      const entry: ArmedFault = { fault, match: rule.match ?? (() => true), left: rule.times ?? 1 };
      armed.push(entry);
      return () => {
        entry.left = 0;
      };
    },
    clear: () => {
      armed.length = 0;
    },
  };
}

async function serve(
  options: TwinServerOptions,
  armed: readonly ArmedFault[],
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const address = new URL(request.url ?? '/', 'http://twin');
  const body = await readBody(request, options.body_bytes_max ?? BODY_BYTES_MAX);
  if (body === undefined) {
    response.writeHead(413).end('request body too large');
    return;
  }
  const path = decodePath(address.pathname);
  const { method = 'GET', headers } = request;
  const call: TwinCall = {
    method,
    path,
    raw_path: address.pathname,
    query: address.searchParams,
    headers,
    body,
  };
  const fault = takeFault(armed, call);
  if (fault?.kind === 'drop_before') return cut(options, call, request);
  if (fault?.kind === 'delay') await pause(fault.delay_ms);
  const reply = fault?.kind === 'status' ? faultReply(options, fault) : await reply500(options, call);
  if (fault?.kind === 'drop_after') return cut(options, call, request);
  options.ended?.(call, reply.status);
  response.writeHead(reply.status, { 'Content-Type': 'application/json', ...reply.headers });
  response.end(method === 'HEAD' || reply.status === 204 ? undefined : reply.body);
}

function faultReply(options: TwinServerOptions, fault: { status: number; body?: string }): TwinReply {
  return { status: fault.status, body: fault.body ?? options.fault_body(fault.status) };
}

/** A defect inside a twin is shown to the caller by name; it must not look like an answer or kill the lab. */
async function reply500(options: TwinServerOptions, call: TwinCall): Promise<TwinReply> {
  try {
    return await options.handle(call);
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    return { status: 500, body: JSON.stringify({ errors: [`defect in the twin: ${text}`] }) };
  }
}

function cut(options: TwinServerOptions, call: TwinCall, request: IncomingMessage): void {
  options.ended?.(call, 0);
  request.socket.destroy();
}

function takeFault(armed: readonly ArmedFault[], call: TwinCall): Fault | undefined {
  const entry = armed.find((candidate) => candidate.left > 0 && candidate.match(call));
  if (entry === undefined) return undefined;
  entry.left -= 1;
  return entry.fault;
}

async function readBody(request: IncomingMessage, bytesMax: number): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of request) {
      bytes += (chunk as Buffer).length;
      if (bytes > bytesMax) return undefined;
      chunks.push(chunk as Buffer);
    }
  } catch {
    return undefined; // the caller hung up while sending: nobody is left to answer
  }
  return Buffer.concat(chunks).toString('utf8');
}

function decodePath(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

async function pause(delay_ms: number): Promise<void> {
  await new Promise((resolve) => {
    setTimeout(resolve, delay_ms).unref();
  });
}
