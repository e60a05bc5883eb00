import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { HttpResponse, HttpRoute } from './contract/http.ts';
import type { Log } from './contract/ports.ts';

/** A request must have arrived within this time; slow senders are cut off with 408. */
const REQUEST_TIMEOUT_MS = 15_000;
/** Node looks for slow requests this often at most. */
const CHECK_EVERY_MS = 5000;
/** Open connections; more are closed at once. */
const CONNECTIONS_MAX = 1000;
/** Answers that last: how many at a time, how long each, and how much of one may wait for a slow reader. */
const STREAM_LIMITS: StreamLimits = {
  open_max: 200,
  ms_max: 300_000,
  unsent_bytes_max: 16 * 1024 * 1024,
};
/** Time that a refused sender has to read the answer before its connection is cut. */
const LINGER_MS = 500;

export interface RunningServer {
  readonly port: number;
  close(): Promise<void>;
}

export interface StreamLimits {
  readonly open_max: number;
  readonly ms_max: number;
  readonly unsent_bytes_max: number;
}

/** What the requests of one listener share. */
interface Listener {
  readonly routes: readonly HttpRoute[];
  readonly log: Log;
  readonly limits: StreamLimits;
  /** Streams that are being sent. */
  readonly open: Set<ServerResponse>;
}

/**
 * The one listener. Bodies are limited before they are read; a handler that throws answers 500 without its message.
 * Binds to loopback unless the configuration says otherwise.
 */
export async function startHttpServer(options: {
  host: string;
  port: number;
  routes: readonly HttpRoute[];
  log: Log;
  /** Default 15,000. */
  request_timeout_ms?: number;
  streams?: Partial<StreamLimits>;
}): Promise<RunningServer> {
  const requestTimeout = options.request_timeout_ms ?? REQUEST_TIMEOUT_MS;
  const connectionsCheckingInterval = Math.min(CHECK_EVERY_MS, requestTimeout);
  const { routes, log } = options;
  const listener = {
    routes,
    log,
    limits: { ...STREAM_LIMITS, ...options.streams },
    open: new Set<ServerResponse>(),
  };
  const server = createServer(
    { requestTimeout, headersTimeout: requestTimeout, connectionsCheckingInterval },
    (req, res) => void serve(req, res, listener),
  );
  server.maxConnections = CONNECTIONS_MAX;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.host, resolve);
  });
  return { port: (server.address() as AddressInfo).port, close: () => closeServer(server) };
}

async function serve(req: IncomingMessage, res: ServerResponse, listener: Listener): Promise<void> {
  const { routes, log } = listener;
  const path = (req.url ?? '/').split('?')[0] ?? '/';
  const here = routes.filter((r) => covers(r.path, path));
  const route = here.find((r) => r.method === req.method);
  if (route === undefined) {
    if (here.length === 0) return refuse(req, res, 404, 'there is nothing here');
    res.setHeader('allow', here.map((r) => r.method).join(', '));
    return refuse(req, res, 405, `use ${here.map((r) => r.method).join(' or ')}`);
  }
  try {
    const body = await readBody(req, route.body_bytes_max);
    if (body === 'gone') return log.debug({ path }, 'the sender went away before its request was complete');
    if (body === 'too large')
      return refuse(req, res, 413, `the body is larger than ${route.body_bytes_max} bytes`);
    const request = { method: req.method ?? 'GET', path, headers: flatHeaders(req), body };
    const response = await route.handle(request);
    if (response.stream === undefined) send(res, response);
    else await sendStream(res, response, response.stream, listener);
  } catch (error) {
    log.error({ path, error: String(error) }, 'request failed');
    send(res, { status: 500, body: JSON.stringify({ error: 'internal error; see the log of Aegis' }) });
  }
}

function covers(route_path: string, path: string): boolean {
  if (!route_path.endsWith('/*')) return route_path === path;
  const base = route_path.slice(0, -1);
  return path.startsWith(base) && path.length > base.length && !path.includes('/', base.length);
}

/** What is longer than allowed is not read on: memory holds `bytes_max` and one chunk at most. */
function readBody(req: IncomingMessage, bytes_max: number): Promise<Buffer | 'too large' | 'gone'> {
  if (Number(req.headers['content-length'] ?? 0) > bytes_max) return Promise.resolve('too large');
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    req.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= bytes_max) return void chunks.push(chunk);
      chunks.length = 0;
      req.pause();
      resolve('too large');
    });
    req.once('end', () => resolve(Buffer.concat(chunks)));
    req.once('error', () => resolve('gone'));
    req.once('close', () => resolve('gone'));
  });
}

/** Answers without reading the rest of the request, and ends the connection soon after. */
function refuse(req: IncomingMessage, res: ServerResponse, status: number, error: string): void {
  res.setHeader('connection', 'close');
  res.once('finish', () => setTimeout(() => req.socket.destroy(), LINGER_MS).unref());
  send(res, { status, body: JSON.stringify({ error }) });
}

function flatHeaders(req: IncomingMessage): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(req.headers))
    headers[name] = Array.isArray(value) ? value.join(', ') : (value ?? '');
  return headers;
}

function send(res: ServerResponse, response: HttpResponse): void {
  if (res.headersSent) return;
  res.writeHead(response.status, { 'content-type': 'application/json', ...response.headers });
  res.end(response.body ?? '');
}

/**
 * Reads on whether or not the other side does, since whoever writes the stream cannot be slowed down: a reader who
 * falls too far behind loses the connection, so that memory stays bounded. Ends when the stream, the asker or the time does.
 */
async function sendStream(
  res: ServerResponse,
  response: HttpResponse,
  stream: ReadableStream<Uint8Array>,
  { limits, open, log }: Listener,
): Promise<void> {
  const reader = stream.getReader();
  const cancel = (): void => void reader.cancel().catch(() => undefined);
  if (open.size >= limits.open_max || res.destroyed) {
    cancel();
    const error = `more than ${limits.open_max} streams are open; close one or ask again later`;
    return send(res, { status: 503, body: JSON.stringify({ error }) });
  }
  open.add(res);
  res.once('close', cancel);
  const timer = setTimeout(cancel, limits.ms_max);
  try {
    res.writeHead(response.status, response.headers);
    res.flushHeaders();
    for (let piece = await reader.read(); !piece.done && !res.destroyed; piece = await reader.read()) {
      res.write(piece.value);
      if (res.writableLength <= limits.unsent_bytes_max) continue;
      log.warn({ unsent_bytes: res.writableLength }, 'a reader of a stream was too slow and was cut off');
      res.destroy();
    }
    res.end();
  } catch (error) {
    log.error({ error: String(error) }, 'a stream failed');
    res.destroy();
  } finally {
    clearTimeout(timer);
    open.delete(res);
  }
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
