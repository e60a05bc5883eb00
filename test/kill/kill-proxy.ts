import { createServer, request as requestPlain, type IncomingMessage, type ServerResponse } from 'node:http';
import { request as requestTls } from 'node:https';
import type { AddressInfo } from 'node:net';
import { z } from 'zod';

/**
 * A proxy in front of a twin that ends the process behind a request: right before the request is passed on, while it is
 * under way, or when its answer is there and nobody has heard it. What a store cannot see of a write happens here.
 */
export const RequestPoint = z.strictObject({
  system: z.enum(['kubernetes', 'vault']),
  /** Matched against `METHOD /path?query`. */
  request: z.string(),
  /** Which one of the matching requests, 1-based. */
  n: z.int().min(1),
  when: z.enum(['before', 'during', 'after']),
});
export type RequestPoint = z.infer<typeof RequestPoint>;

export interface KillProxy {
  readonly url: string;
  /** From now on: the process to end, and where. */
  arm(point: RequestPoint, pid: number): void;
  /** Nobody is ended any more. */
  disarm(): void;
  close(): Promise<void>;
}

/** A request that was under way when its sender died arrives this late. */
const LATE_MS = 150;

export async function startKillProxy(target: { url: string; ca?: string }): Promise<KillProxy> {
  let armed: { point: RequestPoint; pid: number; seen: number } | null = null;
  const hits = (line: string): RequestPoint['when'] | null => {
    if (armed === null || !line.includes(armed.point.request)) return null;
    armed.seen += 1;
    return armed.seen === armed.point.n ? armed.point.when : null;
  };
  const kill = (): void => {
    if (armed !== null) process.kill(armed.pid, 'SIGKILL');
    armed = null;
  };
  const server = createServer((incoming, outgoing) => {
    void bodyOf(incoming).then(async (body) => {
      const here = hits(`${incoming.method} ${incoming.url}`);
      if (here === 'before' || here === 'during') kill();
      if (here === 'before') return void outgoing.destroy();
      if (here === 'during') await new Promise((resolve) => setTimeout(resolve, LATE_MS));
      const answer = await forward(target, incoming, body).catch(() => null);
      if (here === 'after') kill();
      if (here !== null || answer === null) return void outgoing.destroy();
      passBack(answer, outgoing);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    arm: (point, pid) => {
      armed = { point, pid, seen: 0 };
    },
    disarm: () => {
      armed = null;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

interface Passed {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly body: Buffer;
}

function forward(
  target: { url: string; ca?: string },
  incoming: IncomingMessage,
  body: Buffer,
): Promise<Passed> {
  const url = new URL(incoming.url ?? '/', target.url);
  const { host: _host, connection: _connection, ...headers } = incoming.headers;
  const options = { method: incoming.method, headers, agent: false as const };
  return new Promise((resolve, reject) => {
    const sent =
      url.protocol === 'https:'
        ? requestTls(url, { ...options, ca: target.ca }, take)
        : requestPlain(url, options, take);
    function take(answer: IncomingMessage): void {
      bodyOf(answer).then((text) => {
        const type = answer.headers['content-type'];
        resolve({
          status: answer.statusCode ?? 500,
          headers: type === undefined ? {} : { 'content-type': type },
          body: text,
        });
      }, reject);
    }
    sent.once('error', reject);
    sent.end(body);
  });
}

function passBack({ status, headers, body }: Passed, outgoing: ServerResponse): void {
  outgoing.writeHead(status, { ...headers, 'content-length': String(body.length) });
  outgoing.end(body);
}

async function bodyOf(message: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
