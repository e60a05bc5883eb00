import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client } from '@modelcontextprotocol/sdk/client/index.js';
import {
  LoggingMessageNotificationSchema,
  ResourceUpdatedNotificationSchema,
  type CallToolResult,
} from '@modelcontextprotocol/sdk/types.js';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { CallPayload } from '../../src/contract/ledger.ts';
import { call, connectRelay, textOf, type RelayClient } from './relay-client.ts';
import { startRelayStage, type RelayStage } from './relay-stage.ts';
import { LENT, PLANTED, READS, startRelayUpstream, type RelayUpstream } from './relay-upstream.ts';
import { POLICIES_DIR } from './stage.ts';

// What the relay promises besides being transparent: who gets in, what exists for them, what leaves, what is written down.

const PATIENCE = { timeout: 20_000 };
const INITIALIZE = {
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'raw', version: '1' } },
};

let upstream: RelayUpstream;
let stage: RelayStage;
let policies_dir: string;

beforeAll(async () => {
  policies_dir = mkdtempSync(join(tmpdir(), 'aegis-relay-policies-'));
  cpSync(POLICIES_DIR, policies_dir, { recursive: true });
  const never = 'resource == Aegis::Target::"mcp://mcp/leaky/-/tool/forbidden"';
  writeFileSync(join(policies_dir, 'own.cedar'), `@id("own-never")\nforbid (principal, action, ${never});\n`);
  upstream = await startRelayUpstream();
  stage = await startRelayStage({
    upstreams: { leaky: upstream.settings(), private: upstream.settings({ relay: false }) },
    secrets: { LENT },
    policies_dir,
  });
  await stage.approve('leaky');
});
afterAll(async () => {
  await stage.close();
  await upstream.close();
  rmSync(policies_dir, { recursive: true, force: true });
});

afterEach(async () => {
  for (const { client } of clients.splice(0)) await client.close();
});

const clients: RelayClient[] = [];
const connect = async (token: string, before?: (client: Client) => void): Promise<RelayClient> => {
  const connected = await connectRelay(stage.url('leaky'), token, before === undefined ? {} : { before });
  clients.push(connected);
  return connected;
};

/** A request as anything but an MCP client would send it. */
function raw(
  headers: Record<string, string>,
  options: { path?: string; method?: string; body?: unknown } = {},
): Promise<{ status: number; headers: Record<string, unknown>; body: string }> {
  return new Promise((resolve, reject) => {
    const accept = 'application/json, text/event-stream';
    const req = httpRequest(
      {
        host: '127.0.0.1',
        port: stage.http.port,
        path: options.path ?? '/mcp/leaky',
        method: options.method ?? 'POST',
        headers: { 'content-type': 'application/json', accept, ...headers },
      },
      (res) => {
        let body = '';
        res.on('data', (chunk: Buffer) => (body += chunk.toString()));
        res.once('close', () => resolve({ status: res.statusCode ?? 0, headers: res.headers, body }));
      },
    );
    req.once('error', reject);
    req.end((options.method ?? 'POST') === 'POST' ? JSON.stringify(options.body ?? INITIALIZE) : undefined);
  });
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

async function callRows(): Promise<CallPayload[]> {
  const entries = await stage.store.ledger.read('SYSTEM', { kinds: ['call'], limit: 10_000 });
  return entries.map(({ payload }) => payload as CallPayload);
}

describe('who gets in', () => {
  it.each(['POST', 'GET', 'DELETE'])(
    'nobody without a token in the Authorization header (%s)',
    async (method) => {
      const token = await stage.token();
      const none = await raw({}, { method });
      expect([none.status, none.headers['www-authenticate']]).toEqual([401, 'Bearer realm="aegis"']);
      expect((await raw({}, { method, path: `/mcp/leaky?token=${token}` })).status).toBe(401);
      expect((await raw({ cookie: `token=${token}` }, { method })).status).toBe(401);
      expect((await raw(bearer('agt_guessed'), { method })).status).toBe(401);
    },
  );

  it('nobody who comes under a foreign Host or from a foreign page, whatever the token', async () => {
    const own = bearer(await stage.token());
    expect((await raw({ ...own, host: 'evil.example.com' })).status).toBe(403);
    expect((await raw({ ...own, origin: 'http://evil.example.com' })).status).toBe(403);
    expect((await raw({ ...own, origin: 'null' }, { method: 'GET' })).status).toBe(403);
    expect((await raw({ ...own, origin: `http://localhost:${stage.http.port}` })).status).toBe(200);
  });

  it('another tenant’s token gets the answer of a server that does not exist, as does one that is not relayed', async () => {
    const own = bearer(await stage.token());
    const missing = await raw(own, { path: '/mcp/nothing' });
    expect([missing.status, JSON.parse(missing.body)]).toEqual([
      404,
      {
        jsonrpc: '2.0',
        id: 1,
        error: { code: -32_001, message: expect.stringContaining('no such MCP server') },
      },
    ]);
    const foreign = await raw(bearer(await stage.token({ team: 'fraud' })));
    expect([foreign.status, foreign.body]).toEqual([404, missing.body]);
    const not_relayed = await raw(own, { path: '/mcp/private' });
    expect([not_relayed.status, not_relayed.body]).toEqual([404, missing.body]);
    expect((await raw(own, { path: '/mcp/__proto__' })).status).toBe(404);
  });

  it('a session belongs to the token that began it, and to its server', async () => {
    const { session, client } = await connect(await stage.token());
    const list = { jsonrpc: '2.0', id: 7, method: 'tools/list' };
    const guess = (id: string, token: string, method = 'POST', path = '/mcp/leaky') =>
      raw({ ...bearer(token), 'mcp-session-id': id }, { body: list, method, path });
    const other = await stage.token();
    for (const method of ['POST', 'GET', 'DELETE']) {
      const missing = await guess('no-such-session', other, method);
      expect(missing.status).toBe(404);
      expect(await guess(session, other, method)).toMatchObject({ status: 404, body: missing.body });
      expect(await guess(session, other, method, '/mcp/private')).toMatchObject({
        status: 404,
        body: missing.body,
      });
    }
    expect((await client.listTools()).tools.length).toBeGreaterThan(0);
  });

  it('what is no beginning and has no session gets 400, as does a batch', async () => {
    const own = bearer(await stage.token());
    expect((await raw(own, { body: { jsonrpc: '2.0', id: 1, method: 'tools/list' } })).status).toBe(400);
    expect((await raw(own, { body: [INITIALIZE] })).status).toBe(400);
    expect((await raw(own, { method: 'GET' })).status).toBe(400);
  });
});

describe('what exists', () => {
  it('are the tools that are declared to read, approved and permitted; the others are unknown, also to calls', async () => {
    const { client } = await connect(await stage.token());
    const names = (await client.listTools()).tools.map(({ name }) => name).sort();
    expect(names).toEqual(READS.filter((name) => name !== 'forbidden').sort());
    const before = upstream.called.length;
    for (const name of ['undeclared', 'writes', 'forbidden', 'not_there', '../fine', 'fine/../fine', ''])
      await expect(call(client, name)).rejects.toMatchObject({
        code: -32_602,
        ...(name === '' ? {} : { message: `MCP error -32602: Unknown tool: ${name}.` }),
      });
    expect(upstream.called.slice(before)).toEqual([]);
  });

  it('are the relayed methods; everything else of the protocol is not found', async () => {
    const { session } = await connect(await stage.token());
    const token = await stage.token();
    const mine = await connect(token);
    for (const method of [
      'tasks/list',
      'server/discover',
      'tools/call2',
      'constructor',
      'sampling/createMessage',
    ]) {
      const headers = { ...bearer(token), 'mcp-session-id': mine.session };
      const answer = await raw(headers, { body: { jsonrpc: '2.0', id: 5, method } });
      expect(answer.body).toContain('-32601');
    }
    expect(session).not.toBe(mine.session);
  });

  it('are the server’s capabilities as far as they are relayed', async () => {
    const { client } = await connect(await stage.token());
    const offered = Object.keys(client.getServerCapabilities() ?? {}).sort();
    expect(offered).toEqual(['completions', 'logging', 'prompts', 'resources', 'tools']);
  });
});

describe('what leaves', () => {
  it('holds no secret, wherever the server says it: lists, results, errors, log, progress, resources, prompts, hello', async () => {
    const logs: unknown[] = [];
    const progress: unknown[] = [];
    const updated: string[] = [];
    const { client, wire } = await connect(await stage.token(), (one) => {
      one.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => void logs.push(params));
      one.setNotificationHandler(
        ResourceUpdatedNotificationSchema,
        ({ params }) => void updated.push(params.uri),
      );
    });
    await client.listTools();
    await client.listResources();
    await client.listPrompts();
    const leaked = (await client.callTool({ name: 'leak' }, undefined, {
      onprogress: (step) => progress.push(step),
    })) as CallToolResult;
    expect(leaked.structuredContent).toMatchObject({
      deep: { list: [{ password: '[REDACTED_SECRET]' }, {}] },
    });
    expect(textOf(await call(client, 'tool_error'))).toContain('[REDACTED_EMAIL]');
    await expect(call(client, 'fail')).rejects.toMatchObject({
      code: -32_050,
      data: { note: expect.stringContaining('[REDACTED_CREDENTIAL]') },
    });
    const read = await client.readResource({ uri: 'note://one' });
    expect(JSON.stringify(read)).toContain('[REDACTED_CLOUD_KEY]');
    await expect(client.readResource({ uri: 'note://two' })).rejects.toMatchObject({ code: -32_002 });
    await client.getPrompt({ name: 'one' });
    await client.complete({ ref: { type: 'ref/prompt', name: 'one' }, argument: { name: 'a', value: '' } });
    await client.subscribeResource({ uri: 'note://one' });
    await expect.poll(() => [logs.length, progress.length, updated.length], PATIENCE).toEqual([1, 1, 1]);
    expect(client.getServerVersion()?.name).toContain('[REDACTED_EMAIL]');
    expect(client.getInstructions()).toContain('[REDACTED_CREDENTIAL]');
    const all =
      wire() +
      stage.log_lines.join('\n') +
      JSON.stringify(await stage.store.ledger.read('SYSTEM', { limit: 10_000 }));
    expect(all).toContain('[REDACTED_EMAIL]');
    for (const secret of [...PLANTED, LENT, Buffer.from(LENT).toString('base64'), 'hunter22'])
      expect(all).not.toContain(secret);
  });

  it('is no longer than the server’s limit: refused with the next step, not cut', async () => {
    const { client } = await connect(await stage.token());
    const answer = await call(client, 'large');
    expect(answer.isError).toBe(true);
    expect(textOf(answer)).toMatch(/larger than 262144 bytes.*Ask for less/);
  });

  it('is not Aegis’ token: the server sees the credential that was lent to it', async () => {
    const token = await stage.token();
    const { client } = await connect(token);
    await call(client, 'fine');
    const seen = JSON.stringify(upstream.seen_headers);
    expect(seen).not.toContain(token);
    expect(upstream.seen_headers.at(-1)?.authorization).toBe(`Bearer ${LENT}`);
  });
});

describe('what is written down', () => {
  it('is each kind of call, before and after, with redacted arguments', async () => {
    const { client } = await connect(await stage.token());
    const from = (await callRows()).length;
    await call(client, 'fine', { note: PLANTED[1] });
    await client.readResource({ uri: 'note://one' });
    await client.getPrompt({ name: 'one' });
    await client.complete({ ref: { type: 'ref/prompt', name: 'one' }, argument: { name: 'a', value: '' } });
    await call(client, 'fail').catch(() => undefined);
    const rows = (await callRows())
      .slice(from)
      .map(({ phase, tool, target, status }) => [phase, tool, target, status]);
    const at = (kind: string, name = '-') => `mcp://mcp/leaky/-/${kind}/${name}`;
    const pair = (tool: string, target: string, status: string) => [
      ['before', tool, target, 'accepted'],
      ['after', tool, target, status],
    ];
    expect(rows).toEqual([
      ...pair('mcp.leaky.fine', at('tool', 'fine'), 'done'),
      ...pair('mcp.resources_read', at('resource'), 'done'),
      ...pair('mcp.prompts_get', at('prompt'), 'done'),
      ...pair('mcp.completion_complete', at('completion'), 'done'),
      ...pair('mcp.leaky.fail', at('tool', 'fail'), 'failed'),
    ]);
    expect((await callRows())[from]?.args).toEqual({ name: 'fine', arguments: { note: '[REDACTED_EMAIL]' } });
  });
});
