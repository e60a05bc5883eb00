import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer as createHttpServer, type Server, type ServerResponse } from 'node:http';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { Egress } from '../../src/gateway/egress.ts';
import { openHttpLink } from '../../src/gateway/upstreams/link-http.ts';
import { openStdioLink } from '../../src/gateway/upstreams/link-stdio.ts';
import type { Link, LinkAnswer, LinkHandlers, LinkOptions } from '../../src/gateway/upstreams/link.ts';
import type { UpstreamErrorInfo } from '../../src/gateway/upstream-error.ts';
import { entryPoint } from './entry-point.ts';

// The link to an external MCP server, against the reference server over both transports.

const EVERYTHING = entryPoint('@modelcontextprotocol/server-everything', 'dist/index.js');
const PATIENCE = { timeout: 40_000 };
vi.setConfig({ testTimeout: 60_000 });

const open: { close(): Promise<void> }[] = [];
const egress = new Egress(true);
afterEach(async () => {
  for (const link of open.splice(0)) await link.close();
});
afterAll(() => egress.close());

function options(handlers: LinkHandlers = {}, capabilities: Record<string, unknown> = {}): LinkOptions {
  return { capabilities, handlers, handshake_timeout_ms: 40_000, message_bytes_max: 4_000_000 };
}

async function everything(limits = options(), env: Record<string, string> = {}): Promise<Link> {
  const link = await openStdioLink({ command: process.execPath, args: [EVERYTHING, 'stdio'], env }, limits);
  open.push(link);
  return link;
}

const ASK = { timeout_ms: 40_000 };

const ROOT = process.getuid?.() === 0;
if (!ROOT) console.log('skipped: only root can start an MCP server as another user');

/** Tells what it can read of the path that it was given, and whether it can write in its HOME. */
const CURIOUS = `
import { readFileSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
const attempt = (work) => { try { return work(); } catch (error) { return error.code; } };
const look = () => ({
  seen: attempt(() => readFileSync(process.argv[2], 'utf8')),
  wrote: attempt(() => (writeFileSync(process.env.HOME + '/note', 'x'), 'at home')),
});
createInterface({ input: process.stdin }).on('line', (line) => {
  const { id, method, params } = JSON.parse(line);
  if (id === undefined) return;
  const result = method === 'initialize'
    ? { protocolVersion: params.protocolVersion, capabilities: {}, serverInfo: { name: 'curious', version: '1' } }
    : look();
  console.log(JSON.stringify({ jsonrpc: '2.0', id, result }));
});
`;

describe('a link over stdio', () => {
  it('says who the server is and answers requests', async () => {
    const link = await everything();
    expect(link.server.name).toContain('everything');
    expect(link.server.capabilities).toHaveProperty('tools');
    expect(link.server.instructions).toEqual(expect.any(String));
    const list = await link.request('tools/list', {}, ASK);
    expect(list).toMatchObject({
      ok: true,
      result: { tools: expect.arrayContaining([expect.objectContaining({ name: 'echo' })]) },
    });
  });

  it('gives the server’s own error unchanged, as an answer', async () => {
    const link = await everything();
    const answer = await link.request('no/such', {}, ASK);
    expect(answer).toEqual({
      ok: false,
      rpc: { code: -32601, message: 'Method not found' },
      error: expect.objectContaining({ problem: 'invalid', sent: 'answered' }),
    });
  });

  it('passes progress to the request that it belongs to', async () => {
    const link = await everything();
    const steps: unknown[] = [];
    const answer = await link.request(
      'tools/call',
      { name: 'trigger-long-running-operation', arguments: { duration: 0.2, steps: 2 } },
      { ...ASK, onprogress: (progress) => steps.push(progress['progress']) },
    );
    expect(answer.ok).toBe(true);
    expect(steps).toEqual([1, 2]);
  });

  it('serves what the server asks for, with the capabilities that it was told of', async () => {
    const asked: string[] = [];
    const link = await everything(
      options(
        {
          onrequest: (method) => {
            asked.push(method);
            return Promise.resolve({
              ok: true,
              result: { model: 'm', role: 'assistant', content: { type: 'text', text: 'sampled' } },
            });
          },
        },
        { sampling: {} },
      ),
    );
    await vi.waitFor(async () => {
      const answer = await link.request(
        'tools/call',
        { name: 'trigger-sampling-request', arguments: { prompt: 'x', maxTokens: 5 } },
        ASK,
      );
      expect(JSON.stringify(answer)).toContain('sampled');
    }, PATIENCE);
    expect(asked).toContain('sampling/createMessage');
  });

  it('gives the process nothing of this environment and a HOME of its own', async () => {
    const link = await everything(options(), { GREETING: 'hello' });
    const answer = await link.request('tools/call', { name: 'get-env', arguments: {} }, ASK);
    const text =
      (answer as unknown as { result: { content: { text: string }[] } }).result.content[0]?.text ?? '{}';
    const env = JSON.parse(text) as Record<string, string>;
    expect(Object.keys(env).sort()).toEqual(['AEGIS_UPSTREAM', 'GREETING', 'HOME', 'PATH', 'TMPDIR']);
    expect(env['HOME']).not.toBe(process.env['HOME']);
    expect(env['HOME']).toBe(env['TMPDIR']);
  });

  it.skipIf(!ROOT)(
    'as another user it reads nothing that belongs to Aegis, and writes only at home',
    async () => {
      const dir = mkdtempSync(join(tmpdir(), 'aegis-run-as-'));
      try {
        chmodSync(dir, 0o755);
        mkdirSync(join(dir, 'home'), { mode: 0o700 });
        writeFileSync(join(dir, 'home', 'aegis.db'), 'the ledger');
        writeFileSync(join(dir, 'server.mjs'), CURIOUS, { mode: 0o644 });
        const args = [join(dir, 'server.mjs'), join(dir, 'home', 'aegis.db')];
        const nobody = { uid: 65_534, gid: 65_534 };
        for (const [run_as, seen] of [
          [undefined, 'the ledger'],
          [nobody, 'EACCES'],
        ] as const) {
          const link = await openStdioLink({ command: process.execPath, args, env: {}, run_as }, options());
          open.push(link);
          const answer = await link.request('look', {}, ASK);
          expect(answer).toMatchObject({ ok: true, result: { seen, wrote: 'at home' } });
        }
      } finally {
        rmSync(dir, { recursive: true, force: true });
      }
    },
  );

  it('an aborted and a late request are told so, and the link goes on', async () => {
    const link = await everything();
    const slow = { name: 'trigger-long-running-operation', arguments: { duration: 30, steps: 1 } };
    const controller = new AbortController();
    const aborted = link.request('tools/call', slow, { ...ASK, signal: controller.signal });
    controller.abort();
    expect(await aborted).toMatchObject({
      ok: false,
      rpc: null,
      error: { problem: 'aborted', sent: 'maybe' },
    });
    expect(await link.request('tools/call', slow, { timeout_ms: 50 })).toMatchObject({
      error: { problem: 'timeout', sent: 'maybe' },
    });
    expect(await link.request('ping', {}, ASK)).toMatchObject({ ok: true });
    expect(await link.request('ping', {}, { ...ASK, signal: AbortSignal.abort() })).toMatchObject({
      error: { sent: 'no' },
    });
  });

  it('what cannot be started, and what ends before the handshake, is told with its last words', async () => {
    await expect(
      openStdioLink({ command: 'no-such-program', args: [], env: {} }, options()),
    ).rejects.toMatchObject({
      info: { problem: 'unreachable', sent: 'no' },
    });
    const script = 'console.error("no licence found"); process.exit(3)';
    await expect(
      openStdioLink({ command: process.execPath, args: ['-e', script], env: {} }, options()),
    ).rejects.toThrow(/ended with code 3.*no licence found/);
  });

  it('close ends it once, and a request after that did not run', async () => {
    const reasons: UpstreamErrorInfo[] = [];
    const link = await everything(options({ onclose: (reason) => reasons.push(reason) }));
    await link.close();
    await link.close();
    expect(reasons).toHaveLength(1);
    expect(await link.request('ping', {}, ASK)).toMatchObject({ ok: false, error: { sent: 'no' } });
  });
});

describe('a hostile server over HTTP is contained', () => {
  type Behaviour = (id: unknown, response: ServerResponse) => void;
  const servers: Server[] = [];
  afterEach(async () => {
    for (const one of servers.splice(0)) {
      one.closeAllConnections();
      await new Promise((resolve) => one.close(resolve));
    }
  });

  /** Shakes hands like any server, and answers everything else as the case says. */
  async function serve(behave: Behaviour): Promise<string> {
    const server = createHttpServer((request, response) => {
      let body = '';
      request.on('data', (chunk: Buffer) => (body += chunk.toString()));
      request.on('end', () => {
        if (request.method !== 'POST') return void response.writeHead(405).end();
        const { id, method } = JSON.parse(body) as { id?: unknown; method: string };
        if (id === undefined) return void response.writeHead(202).end();
        if (method !== 'initialize') return behave(id, response);
        const result = {
          protocolVersion: '2025-06-18',
          capabilities: {},
          serverInfo: { name: 'hostile', version: '1' },
        };
        response.writeHead(200, { 'content-type': 'application/json', 'mcp-session-id': 'session-1' });
        response.end(JSON.stringify({ jsonrpc: '2.0', id, result }));
      });
    });
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`;
  }

  async function ask(behave: Behaviour, timeout_ms = 40_000): Promise<LinkAnswer> {
    const url = await serve(behave);
    const link = await openHttpLink({ url, headers: {}, credential: null }, egress, options());
    open.push(link);
    return link.request('tools/call', { name: 'look' }, { timeout_ms });
  }

  const events = { 'content-type': 'text/event-stream' };
  const unanswered = (problem: string, sent: string) => ({ ok: false, rpc: null, error: { problem, sent } });

  it.each<[string, Behaviour, object]>([
    [
      'a flood of 50 MB as one answer',
      (id, response) => {
        response.writeHead(200, { 'content-type': 'application/json' });
        response.end(`{"jsonrpc":"2.0","id":${String(id)},"result":{"x":"${'x'.repeat(50 * 1024 * 1024)}"}}`);
      },
      unanswered('too-large', 'answered'),
    ],
    [
      'a flood of 50 MB as one event without an end',
      (_id, response) => {
        response.writeHead(200, events);
        response.write(`data: ${'x'.repeat(50 * 1024 * 1024)}`);
      },
      unanswered('too-large', 'answered'),
    ],
    [
      'a stream that ends before the answer',
      (_id, response) => {
        response.writeHead(200, events);
        response.end('data: {"jsonrpc":"2.0","method":"notifications/message","params":{}}\n\n');
      },
      unanswered('dropped', 'maybe'),
    ],
    [
      'a connection that breaks in the middle of the answer',
      (_id, response) => {
        response.writeHead(200, { ...events });
        response.write('data: {"jsonrpc"');
        setTimeout(() => response.destroy(), 50);
      },
      unanswered('dropped', 'maybe'),
    ],
    [
      'a redirect to somewhere else',
      (_id, response) => response.writeHead(307, { location: 'http://169.254.169.254/latest' }).end(),
      unanswered('redirect', 'answered'),
    ],
    [
      'an answer that is no JSON',
      (_id, response) => response.writeHead(200, { 'content-type': 'application/json' }).end('<html>'),
      unanswered('malformed', 'maybe'),
    ],
    [
      'an answer of another kind',
      (_id, response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<html>'),
      unanswered('malformed', 'maybe'),
    ],
    [
      'a refusal with its words',
      (_id, response) => response.writeHead(403).end('{"error":"not for you"}'),
      {
        ok: false,
        error: { problem: 'forbidden', sent: 'answered', message: expect.stringContaining('not for you') },
      },
    ],
    [
      'an error of a proxy in front',
      (_id, response) => response.writeHead(502).end('bad gateway'),
      unanswered('failed', 'maybe'),
    ],
    [
      'a session that is no longer known',
      (_id, response) => response.writeHead(404).end('no such session'),
      unanswered('dropped', 'no'),
    ],
  ])('%s', async (_what, behave, expected) => {
    expect(await ask(behave)).toMatchObject(expected);
  });

  it('one that hangs costs the time of the request', async () => {
    expect(await ask(() => undefined, 300)).toMatchObject(unanswered('timeout', 'maybe'));
  });
});

describe('a link over streamable HTTP', () => {
  let server: ChildProcess | null = null;
  afterEach(async () => {
    await stopServer();
  });

  async function freePort(): Promise<number> {
    const probe = createServer().listen(0, '127.0.0.1');
    await once(probe, 'listening');
    const { port } = probe.address() as { port: number };
    probe.close();
    await once(probe, 'close');
    return port;
  }

  async function startServer(port: number): Promise<void> {
    server = spawn(process.execPath, [EVERYTHING, 'streamableHttp'], {
      env: { PATH: process.env['PATH'], PORT: String(port) },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let said = '';
    server.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString()));
    await vi.waitFor(() => expect(said).toMatch(/listening/i), PATIENCE);
  }

  async function stopServer(): Promise<void> {
    if (server === null) return;
    const ended = once(server, 'exit');
    server.kill('SIGKILL');
    await ended;
    server = null;
  }

  async function connect(port: number, limits = options()): Promise<Link> {
    const link = await openHttpLink(
      { url: `http://127.0.0.1:${port}/mcp`, headers: {}, credential: null },
      egress,
      limits,
    );
    open.push(link);
    return link;
  }

  it('answers requests, passes progress, and says when the session is gone after a restart', async () => {
    const port = await freePort();
    await startServer(port);
    const reasons: UpstreamErrorInfo[] = [];
    const link = await connect(port, options({ onclose: (reason) => reasons.push(reason) }));
    expect(link.server.name).toContain('everything');
    expect(await link.request('tools/list', {}, ASK)).toMatchObject({ ok: true });
    const steps: unknown[] = [];
    const long = { name: 'trigger-long-running-operation', arguments: { duration: 0.2, steps: 2 } };
    await link.request('tools/call', long, {
      ...ASK,
      onprogress: (progress) => steps.push(progress['progress']),
    });
    expect(steps).toEqual([1, 2]);
    await stopServer();
    expect(await link.request('ping', {}, ASK)).toMatchObject({
      ok: false,
      error: { problem: 'unreachable', sent: 'no' },
    });
    await startServer(port);
    expect(await link.request('tools/list', {}, ASK)).toMatchObject({
      ok: false,
      rpc: null,
      error: { problem: 'dropped', sent: 'no' },
    });
    await vi.waitFor(() => expect(reasons).toHaveLength(1), PATIENCE);
    const again = await connect(port);
    expect(await again.request('tools/list', {}, ASK)).toMatchObject({ ok: true });
  });

  it('a plain address is refused outside of a lab, before anything is sent', async () => {
    const strict = new Egress(false);
    await expect(
      openHttpLink({ url: 'http://127.0.0.1:9/mcp', headers: {}, credential: null }, strict, options()),
    ).rejects.toMatchObject({ info: { problem: 'blocked', sent: 'no' } });
    await strict.close();
  });
});
