import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import type { HttpRequest, HttpRoute } from '../../src/contract/http.ts';
import type { Log, LogFields } from '../../src/contract/ports.ts';
import { startHttpServer } from '../../src/http-server.ts';
import type { RunningServer, StreamLimits } from '../../src/http-server.ts';

let server: RunningServer | null = null;
let logged: string[] = [];
afterEach(async () => {
  await server?.close();
  server = null;
});

const keep =
  (level: string) =>
  (fields: LogFields, message: string): void => {
    logged.push(`${level} ${message} ${JSON.stringify(fields)}`);
  };
const log: Log = { debug: keep('debug'), info: keep('info'), warn: keep('warn'), error: keep('error') };

/** Starts a server whose POST /echo answers what it was given, and counts what reached it. */
async function start(
  more: readonly HttpRoute[] = [],
  request_timeout_ms?: number,
  streams: Partial<StreamLimits> = {},
) {
  logged = [];
  const seen: HttpRequest[] = [];
  const echo: HttpRoute = {
    method: 'POST',
    path: '/echo',
    body_bytes_max: 1000,
    handle(request) {
      seen.push(request);
      return Promise.resolve({ status: 200, body: JSON.stringify({ bytes: request.body.length }) });
    },
  };
  const routes = [echo, ...more];
  server = await startHttpServer({
    host: '127.0.0.1',
    port: 0,
    routes,
    log,
    streams,
    ...(request_timeout_ms === undefined ? {} : { request_timeout_ms }),
  });
  return { url: `http://127.0.0.1:${server.port}`, port: server.port, seen };
}

/** Speaks bytes over a socket: what a client library would refuse to send. */
function speak(port: number, send: (socket: Socket) => void): Promise<{ text: string; ms: number }> {
  return new Promise((resolve) => {
    const started = performance.now();
    const socket = connect(port, '127.0.0.1');
    let text = '';
    socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
    socket.on('error', () => {});
    socket.on('close', () => resolve({ text, ms: performance.now() - started }));
    socket.on('connect', () => send(socket));
  });
}

const HEAD = 'POST /echo HTTP/1.1\r\nhost: x\r\n';

describe('requests in order', () => {
  it('reach their route with raw bytes and lower-case headers', async () => {
    const { url, seen } = await start();
    const body = Buffer.from([0xff, 0x00, 0xc3, 0x28]);
    const response = await fetch(`${url}/echo?x=1`, { method: 'POST', body, headers: { 'X-Thing': 'A' } });
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'application/json']);
    expect(seen[0]?.body.equals(body)).toBe(true);
    expect(seen[0]).toMatchObject({ method: 'POST', path: '/echo' });
    expect(seen[0]?.headers['x-thing']).toBe('A');
  });

  it('keep their connection for the next one', async () => {
    const { port } = await start();
    const { text } = await speak(port, (socket) => {
      socket.write(
        `${HEAD}content-length: 1\r\n\r\na${HEAD}connection: close\r\ncontent-length: 2\r\n\r\nab`,
      );
    });
    expect(text.match(/HTTP\/1\.1 200/g)).toHaveLength(2);
  });

  it('may carry exactly the limit', async () => {
    const { url } = await start();
    expect(await (await fetch(`${url}/echo`, { method: 'POST', body: 'x'.repeat(1000) })).json()).toEqual({
      bytes: 1000,
    });
  });
});

describe('requests out of order', () => {
  it('for nothing get 404, with another method 405 and the methods that there are', async () => {
    const { url } = await start();
    expect((await fetch(`${url}/nothing`)).status).toBe(404);
    expect((await fetch(`${url}/Echo`, { method: 'POST' })).status).toBe(404);
    expect((await fetch(`${url}/echo/`, { method: 'POST' })).status).toBe(404);
    const wrong = await fetch(`${url}/echo`);
    expect([wrong.status, wrong.headers.get('allow')]).toEqual([405, 'POST']);
  });

  it('with a body announced too large get 413 and never reach the route', async () => {
    const { url, seen } = await start();
    const response = await fetch(`${url}/echo`, { method: 'POST', body: 'x'.repeat(1001) });
    expect(response.status).toBe(413);
    expect(await response.text()).toContain('1000 bytes');
    expect(seen).toEqual([]);
  });

  it('with a body that grows too large unannounced get 413 while they still send', async () => {
    const { port, seen } = await start();
    const { text } = await speak(port, (socket) => {
      socket.write(`${HEAD}transfer-encoding: chunked\r\n\r\n`);
      for (let n = 0; n < 5; n += 1) socket.write(`190\r\n${'x'.repeat(400)}\r\n`);
    });
    expect(text).toMatch(/^HTTP\/1\.1 413/);
    expect(seen).toEqual([]);
  });

  it('with an endless body do not fill the memory', async () => {
    const { port } = await start();
    const before = process.memoryUsage().rss;
    let sent = 0;
    const { text } = await speak(port, (socket) => {
      socket.write(`${HEAD}transfer-encoding: chunked\r\n\r\n`);
      const chunk = `100000\r\n${'x'.repeat(0x100000)}\r\n`;
      const more = (): void => {
        while (!socket.destroyed && sent < 200) {
          sent += 1;
          if (!socket.write(chunk)) return void socket.once('drain', more);
        }
      };
      more();
    });
    expect(text).toMatch(/^HTTP\/1\.1 413/);
    expect(sent).toBeLessThan(200);
    expect(process.memoryUsage().rss - before).toBeLessThan(150_000_000);
  });

  it('that come slowly are cut off, headers and body alike', async () => {
    const { port, seen } = await start([], 300);
    const slow = async (first: string): Promise<{ text: string; ms: number }> => {
      let drip: NodeJS.Timeout | undefined;
      const done = await speak(port, (socket) => {
        socket.write(first);
        drip = setInterval(() => socket.write('a'), 50);
      });
      clearInterval(drip);
      return done;
    };
    const [headers, body] = await Promise.all([
      slow('POST /echo HT'),
      slow(`${HEAD}content-length: 900\r\n\r\n`),
    ]);
    for (const { ms } of [headers, body]) expect(ms).toBeLessThan(5000);
    expect(body.text).toMatch(/^(HTTP\/1\.1 408|$)/);
    expect(seen).toEqual([]);
  });

  it('that break off are no error of ours', async () => {
    const { port, seen } = await start();
    await speak(port, (socket) => {
      socket.write(`${HEAD}content-length: 10\r\n\r\nabc`);
      setTimeout(() => socket.destroy(), 50);
    });
    await expect.poll(() => logged.join()).toContain('went away');
    expect(logged.filter((line) => line.startsWith('error'))).toEqual([]);
    expect(seen).toEqual([]);
  });

  it('that are no HTTP get 400 and do not disturb the others', async () => {
    const { port, url } = await start();
    expect((await speak(port, (socket) => socket.write('\x16\x03\x01hello\r\n\r\n'))).text).toMatch(
      /^HTTP\/1\.1 400/,
    );
    expect((await fetch(`${url}/echo`, { method: 'POST', body: 'a' })).status).toBe(200);
  });
});

describe('a handler that fails', () => {
  it('answers 500 without its words; the log has them', async () => {
    const route: HttpRoute = {
      method: 'GET',
      path: '/broken',
      body_bytes_max: 0,
      handle: () => Promise.reject(new Error('secret detail')),
    };
    const { url } = await start([route]);
    const response = await fetch(`${url}/broken`);
    expect(response.status).toBe(500);
    expect(await response.text()).not.toContain('secret detail');
    expect(logged.join()).toContain('secret detail');
  });
});

/** GET /stream: the test writes it and sees when nobody wants it any more. */
function streamRoute() {
  const streams: { controller: ReadableStreamDefaultController<Uint8Array>; cancelled: boolean }[] = [];
  const route: HttpRoute = {
    method: 'GET',
    path: '/stream',
    body_bytes_max: 0,
    handle() {
      const stream = new ReadableStream<Uint8Array>({
        start: (controller) => void streams.push({ controller, cancelled: false }),
        cancel: () => {
          const mine = streams[at];
          if (mine !== undefined) mine.cancelled = true;
        },
      });
      const at = streams.length - 1;
      return Promise.resolve({ status: 200, headers: { 'content-type': 'text/event-stream' }, stream });
    },
  };
  const write = (index: number, text: string): void =>
    streams[index]?.controller.enqueue(new TextEncoder().encode(text));
  return { route, streams, write };
}

describe('answers that last', () => {
  it('arrive piece by piece, before they are complete', async () => {
    const { route, streams, write } = streamRoute();
    const { url } = await start([route]);
    const response = await fetch(`${url}/stream`);
    expect(response.headers.get('content-type')).toBe('text/event-stream');
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    for (const text of ['first', 'second']) {
      write(0, text);
      expect(await reader?.read()).toEqual({ done: false, value: text });
    }
    streams[0]?.controller.close();
    expect((await reader?.read())?.done).toBe(true);
  });

  it('are cancelled when the asker goes away', async () => {
    const { route, streams } = streamRoute();
    const { url } = await start([route]);
    const asker = new AbortController();
    await fetch(`${url}/stream`, { signal: asker.signal });
    asker.abort();
    await expect.poll(() => streams[0]?.cancelled).toBe(true);
  });

  it('are cancelled when the listener stops', async () => {
    const { route, streams } = streamRoute();
    const { url } = await start([route]);
    const response = await fetch(`${url}/stream`);
    await server?.close();
    await expect(response.text()).rejects.toThrow();
    expect(streams[0]?.cancelled).toBe(true);
  });

  it('end after their time, in order', async () => {
    const { route, streams, write } = streamRoute();
    const { url } = await start([route], undefined, { ms_max: 50 });
    const response = await fetch(`${url}/stream`);
    write(0, 'said');
    expect(await response.text()).toBe('said');
    expect(streams[0]?.cancelled).toBe(true);
  });

  it('beyond their number get 503, and a place is free again when one ends', async () => {
    const { route, streams } = streamRoute();
    const { url } = await start([route], undefined, { open_max: 1 });
    const first = await fetch(`${url}/stream`);
    const second = await fetch(`${url}/stream`);
    expect([second.status, await second.text()]).toEqual([503, expect.stringContaining('streams are open')]);
    expect(streams[1]?.cancelled).toBe(true);
    streams[0]?.controller.close();
    await first.text();
    await expect
      .poll(async () => {
        const again = await fetch(`${url}/stream`);
        await again.body?.cancel();
        return again.status;
      })
      .toBe(200);
  });

  it('to a reader who does not read are cut off, so that memory stays bounded', async () => {
    const { route, streams, write } = streamRoute();
    const { port } = await start([route], undefined, { unsent_bytes_max: 1_000_000 });
    let resume = (): void => {};
    const ended = speak(port, (socket) => {
      socket.pause();
      resume = () => void socket.resume();
      socket.write('GET /stream HTTP/1.1\r\nhost: x\r\n\r\n');
    });
    await expect.poll(() => streams.length).toBe(1);
    await expect
      .poll(() => {
        if (streams[0]?.cancelled !== true) write(0, 'x'.repeat(500_000));
        return streams[0]?.cancelled;
      })
      .toBe(true);
    expect(logged.join()).toContain('too slow');
    resume();
    expect((await ended).text).toMatch(/^HTTP\/1\.1 200/);
  });
});

describe('a route for all names below a path', () => {
  it('gets one more segment, no less and no more', async () => {
    const below: HttpRoute = {
      method: 'DELETE',
      path: '/below/*',
      body_bytes_max: 0,
      handle: ({ path }) => Promise.resolve({ status: 200, body: JSON.stringify(path) }),
    };
    const { url } = await start([below]);
    const status = async (path: string) => (await fetch(`${url}${path}`, { method: 'DELETE' })).status;
    expect(await (await fetch(`${url}/below/name`, { method: 'DELETE' })).json()).toBe('/below/name');
    expect(await Promise.all(['/below', '/below/', '/below/a/b', '/other/a'].map(status))).toEqual([
      404, 404, 404, 404,
    ]);
    expect((await fetch(`${url}/below/name`)).status).toBe(405);
  });
});

describe('start and stop', () => {
  it('fails to start on a port that is taken', async () => {
    const { port } = await start();
    await expect(startHttpServer({ host: '127.0.0.1', port, routes: [], log })).rejects.toThrow('EADDRINUSE');
  });

  it('stops at once, also with connections that are open', async () => {
    const { port } = await start();
    const open = speak(port, (socket) => socket.write(`${HEAD}content-length: 10\r\n\r\n`));
    await new Promise((resolve) => setTimeout(resolve, 50));
    const started = performance.now();
    await server?.close();
    await open;
    expect(performance.now() - started).toBeLessThan(1000);
  });
});
