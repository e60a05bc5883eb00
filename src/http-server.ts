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
/** Time that a refused sender has to read the answer before its connection is cut. */
const LINGER_MS = 500;

export interface RunningServer {
  readonly port: number;
  close(): Promise<void>;
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
}): Promise<RunningServer> {
  const requestTimeout = options.request_timeout_ms ?? REQUEST_TIMEOUT_MS;
  const connectionsCheckingInterval = Math.min(CHECK_EVERY_MS, requestTimeout);
  const server = createServer(
    { requestTimeout, headersTimeout: requestTimeout, connectionsCheckingInterval },
    (req, res) => {
      void serve(req, res, options.routes, options.log);
    },
  );
  server.maxConnections = CONNECTIONS_MAX;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.host, resolve);
  });
  return { port: (server.address() as AddressInfo).port, close: () => closeServer(server) };
}

async function serve(
  req: IncomingMessage,
  res: ServerResponse,
  routes: readonly HttpRoute[],
  log: Log,
): Promise<void> {
  const path = (req.url ?? '/').split('?')[0] ?? '/';
  const here = routes.filter((r) => r.path === path);
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
    send(res, await route.handle({ method: req.method ?? 'GET', path, headers: flatHeaders(req), body }));
  } catch (error) {
    log.error({ path, error: String(error) }, 'request failed');
    send(res, { status: 500, body: JSON.stringify({ error: 'internal error; see the log of Aegis' }) });
  }
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

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
