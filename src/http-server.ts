import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { HttpResponse, HttpRoute } from './contract/http.ts';
import type { Log } from './contract/ports.ts';

/** A request must have arrived within this time; slow senders are cut off. */
const REQUEST_TIMEOUT_MS = 15_000;

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
}): Promise<RunningServer> {
  const server = createServer(
    { requestTimeout: REQUEST_TIMEOUT_MS, headersTimeout: REQUEST_TIMEOUT_MS },
    (req, res) => {
      void serve(req, res, options.routes, options.log);
    },
  );
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
  if (route === undefined) return send(res, { status: here.length > 0 ? 405 : 404, body: '' });
  try {
    const body = await readBody(req, route.body_bytes_max);
    if (body === null) {
      res.setHeader('connection', 'close');
      return send(res, {
        status: 413,
        body: JSON.stringify({ error: `the body is larger than ${route.body_bytes_max} bytes` }),
      });
    }
    send(res, await route.handle({ method: req.method ?? 'GET', path, headers: flatHeaders(req), body }));
  } catch (error) {
    log.error({ path, error: String(error) }, 'request failed');
    send(res, { status: 500, body: JSON.stringify({ error: 'internal error; see the log of Aegis' }) });
  }
}

/** Null when the body is too large; the rest is not read. */
async function readBody(req: IncomingMessage, bytes_max: number): Promise<Buffer | null> {
  if (Number(req.headers['content-length'] ?? 0) > bytes_max) return null;
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of req as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > bytes_max) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
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
