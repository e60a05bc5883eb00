import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { CallToolResult } from '@modelcontextprotocol/sdk/types.js';
import { Ajv } from 'ajv';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ledger } from '../../src/cli/ledger.ts';
import { token } from '../../src/cli/token.ts';
import type { HttpResponse } from '../../src/contract/http.ts';
import { mcpRoute } from '../../src/gateway/endpoint.ts';
import { toolNames } from '../../src/gateway/endpoint/tool-names.ts';
import { startHttpServer, type RunningServer } from '../../src/http-server.ts';
import { BUILT_ENTRY } from '../built-product.ts';
import { inProcess, json } from '../cli/run-aegis.ts';
import { JOB, POLICIES_DIR, startStage, type Stage } from './stage.ts';

// The MCP face as outside agents meet it: the SDK's own client over HTTP, and everything that tries to get around it.

const SECRETS = ['AKIAIOSFODNN7EXAMPLE', 'maya.ortiz@example.com'];
const LOG = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

const PRODUCT_CONFIG = `v: 1
home: ./home
http: { host: 127.0.0.1, port: 0 }
unsafe_endpoints: true
slack:
  workspace: T0LAB
  bot_token: { env: PLANTED }
  signing_secret: { env: PLANTED }
  api_url: http://127.0.0.1:9/api/
  fallback_channel: C0AAA
clusters:
  prod-1: { server: 'http://127.0.0.1:9', credentials: { engine: token, token: { env: PLANTED } } }
teams:
  data:
    environments:
      prod:
        tier: tier2
        channel: C0AAA
        mounts: [{ kind: kubernetes, cluster: prod-1, namespaces: [spark-jobs] }]
`;

interface Served {
  readonly stage: Stage;
  readonly server: RunningServer;
  readonly url: string;
}

async function serve(policies_dir?: string): Promise<Served> {
  const stage = await startStage(policies_dir === undefined ? {} : { policies_dir });
  stage.kubernetes.patchFromOutside('SparkApplication', 'spark-jobs', 'nightly-settlement', {
    metadata: { annotations: { owner: SECRETS[1], note: `used ${SECRETS[0]}` } },
  });
  const route = mcpRoute({
    gateway: stage.gateway,
    store: stage.store,
    settings: { ...stage.settings, http: { host: '127.0.0.1' } },
    clock: stage.clock,
    ids: stage.ids,
    log: LOG,
  });
  const server = await startHttpServer({ host: '127.0.0.1', port: 0, routes: [route], log: LOG });
  return { stage, server, url: `http://127.0.0.1:${server.port}/mcp` };
}

let served: Served;
beforeAll(async () => {
  served = await serve();
});
afterAll(async () => {
  await served.server.close();
  await served.stage.close();
});

const clients: Client[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) await client.close();
});

async function connect(token: string, at: Served = served): Promise<Client> {
  const client = new Client({ name: 'outside-agent', version: '1' });
  const requestInit = { headers: { authorization: `Bearer ${token}` } };
  await client.connect(new StreamableHTTPClientTransport(new URL(at.url), { requestInit }));
  clients.push(client);
  return client;
}

const readToken = (grant: Parameters<Stage['token']>[0] = {}) =>
  served.stage.token({ action_class: 'read', incident_id: null, ...grant });

const call = (client: Client, name: string, args: Record<string, unknown>) =>
  client.callTool({ name, arguments: args }) as Promise<CallToolResult>;
const textOf = (result: CallToolResult): string =>
  result.content.map((part) => (part.type === 'text' ? part.text : '')).join('\n');

/** A request as anything but an MCP client would send it. */
function raw(
  headers: Record<string, string>,
  body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list' }),
  options: { path?: string; method?: string } = {},
): Promise<{ status: number; headers: Record<string, unknown>; body: string }> {
  return new Promise((resolve, reject) => {
    const req = httpRequest(
      {
        host: '127.0.0.1',
        port: served.server.port,
        path: options.path ?? '/mcp',
        method: options.method ?? 'POST',
        headers: {
          'content-type': 'application/json',
          accept: 'application/json, text/event-stream',
          ...headers,
        },
      },
      (res) => {
        let text = '';
        res.on('data', (chunk: Buffer) => (text += chunk.toString()));
        res.once('end', () => resolve({ status: res.statusCode ?? 0, headers: res.headers, body: text }));
      },
    );
    req.once('error', reject);
    req.end(body);
  });
}

describe('an agent with a read token', () => {
  it('is told who answers and that results are untrusted', async () => {
    const client = await connect(await readToken());
    expect(client.getServerVersion()).toMatchObject({ name: 'aegis' });
    expect(client.getInstructions()).toMatch(/untrusted/);
  });

  it('lists the read tools of its scope, marked as such, and no write tool', async () => {
    const { tools } = await (await connect(await readToken())).listTools();
    // The stage has no other systems: their tools have no place in this scope.
    const here = ['k8s', 'loki', 'prometheus'];
    const reads = served.stage.gateway
      .definitions()
      .filter((d) => d.base_class === 'read' && here.includes(d.system));
    expect(tools.map((tool) => tool.name)).toContain('aegis_k8s_get');
    // And one that reads lines of a large result.
    expect(tools).toHaveLength(reads.length + 1);
    expect(tools.filter((tool) => /update|patch|scale|restart/.test(tool.name))).toEqual([]);
    for (const tool of tools) {
      expect(tool.annotations).toMatchObject({ readOnlyHint: true, destructiveHint: false });
      expect(JSON.stringify(tool.inputSchema)).not.toContain('/fraud/');
      expect(() =>
        new Ajv({ strict: false, validateFormats: false }).compile(tool.inputSchema),
      ).not.toThrow();
    }
    const get = tools.find((tool) => tool.name === 'aegis_k8s_get');
    expect(JSON.stringify(get?.inputSchema)).toContain('mcp://k8s/prod-1/spark-jobs/<kind>/<name>');
  });

  it('lists only where it can read: without a source there is no tool for it', async () => {
    const { settings } = served.stage;
    const data = settings.teams['data']?.environments['prod'];
    const mounts = [{ kind: 'logs', source: 'main', namespaces: ['spark-jobs'], files: {} }];
    const teams = { data: { environments: { prod: { ...data, mounts } } } } as typeof settings.teams;
    const stage = { ...served.stage, settings: { ...settings, teams } };
    const tools = await listed(stage, await readToken());
    expect(tools).toEqual(['aegis_loki_query_range', 'aegis_result_read']);
  });

  it('reads through the whole pipeline: redacted, audited before and after in its own name', async () => {
    const token = await readToken();
    const client = await connect(token);
    const result = await call(client, 'aegis_k8s_get', { target: JOB, why: 'what are its limits?' });
    expect(result.isError).toBeUndefined();
    const { call_id, redactions } = result.structuredContent as { call_id: string; redactions: number };
    expect(redactions).toBeGreaterThanOrEqual(2);
    expect(JSON.parse(textOf(result))).toEqual((result.structuredContent as { result: unknown }).result);
    expect(textOf(result)).toContain('nightly-settlement');
    for (const secret of [...SECRETS, token]) expect(JSON.stringify(result)).not.toContain(secret);
    const entries = await served.stage.store.ledger.read('SYSTEM', { kinds: ['call'] });
    const mine = entries.filter((entry) => entry.payload['call_id'] === call_id);
    expect(mine.map((entry) => entry.payload)).toMatchObject([
      { phase: 'before', door: 'read', tool: 'k8s.get', why: 'what are its limits?', action_class: 'read' },
      { phase: 'after', status: 'done' },
    ]);
    expect(JSON.stringify(mine)).not.toContain(token);
  });

  it('passes the arguments of a tool on, defaults and limits included', async () => {
    const client = await connect(await readToken());
    const target = 'mcp://k8s/prod-1/spark-jobs/pod/-';
    const some = await call(client, 'aegis_k8s_list', { target, why: 'pods', args: { limit: 1 } });
    expect((JSON.parse(textOf(some)) as { items: unknown[] }).items).toHaveLength(1);
    const none = await call(client, 'aegis_k8s_list', { target, why: 'pods', args: { limit: 0 } });
    expect([none.isError, textOf(none)]).toEqual([true, expect.stringContaining('limit')]);
  });

  it('of an incident writes its calls into the chain of that incident', async () => {
    const incident_id = 'INC-2026-1123-007';
    const client = await connect(await readToken({ incident_id }));
    await call(client, 'aegis_k8s_get', { target: JOB, why: 'x' });
    expect(await served.stage.store.ledger.count(incident_id, ['call'])).toBe(2);
  });
});

describe('what an agent may not', () => {
  it('another tenant’s namespace does not exist for it, in lists and calls', async () => {
    const client = await connect(await readToken({ team: 'fraud' }));
    const { tools } = await client.listTools();
    expect(JSON.stringify(tools)).not.toContain('spark-jobs');
    const theirs = await call(client, 'aegis_k8s_get', { target: JOB, why: 'x' });
    const nobodys = await call(client, 'aegis_k8s_get', {
      target: 'mcp://k8s/prod-9/nowhere/pod/x',
      why: 'x',
    });
    expect([theirs.isError, nobodys.isError]).toEqual([true, true]);
    expect(theirs.structuredContent).toMatchObject({ code: 'scope-forbidden' });
    expect(nobodys.structuredContent).toMatchObject({ code: 'scope-forbidden' });
    expect(textOf(theirs)).not.toContain('settlement-');
  });

  it('a write tool is refused, recorded, and nothing reaches the cluster', async () => {
    const client = await connect(await readToken());
    const before = served.stage.kubernetes.mutations().length;
    const refused = await call(client, 'aegis_job_update_spec', {
      target: JOB,
      why: 'x',
      args: { set: { '/spec/driver/memory': '2g' } },
    });
    expect([refused.isError, refused.structuredContent]).toMatchObject([true, { code: 'tool-writes' }]);
    expect(served.stage.kubernetes.mutations()).toHaveLength(before);
    const refusals = await served.stage.store.ledger.read('SYSTEM', { kinds: ['refusal'] });
    expect(refusals.at(-1)?.payload).toMatchObject({ code: 'tool-writes', by: 'aegis' });
  });

  it('not even with a token of class write', async () => {
    const client = await connect(await served.stage.token({ action_class: 'write' }));
    const { tools } = await client.listTools();
    expect(tools.map((tool) => tool.name)).not.toContain('aegis_job_update_spec');
    expect(await call(client, 'aegis_job_update_spec', { target: JOB, why: 'x', args: {} })).toMatchObject({
      isError: true,
      structuredContent: { code: 'tool-writes' },
    });
  });

  it.each<[string, string, Record<string, unknown>, string]>([
    ['a tool that nobody has', 'aegis_shell', { target: JOB, why: 'x' }, 'tool-unknown'],
    ['our own name of a tool', 'k8s.get', { target: JOB, why: 'x' }, 'tool-unknown'],
    ['a word of every object', 'constructor', { target: JOB, why: 'x' }, 'tool-unknown'],
    ['no reason', 'aegis_k8s_get', { target: JOB }, 'arguments-invalid'],
    ['an empty reason', 'aegis_k8s_get', { target: JOB, why: ' ' }, 'arguments-invalid'],
    ['a key too many', 'aegis_k8s_get', { target: JOB, why: 'x', token: 'y' }, 'arguments-invalid'],
    [
      'arguments that are no object',
      'aegis_k8s_list',
      { target: JOB, why: 'x', args: [] },
      'arguments-invalid',
    ],
    ['no target', 'aegis_k8s_get', { target: 'pod/x', why: 'x' }, 'target-malformed'],
    [
      'a Secret',
      'aegis_k8s_get',
      { target: 'mcp://k8s/prod-1/spark-jobs/secret/x', why: 'x' },
      'kind-forbidden',
    ],
  ])(
    '%s is an error of the tool, not of the protocol, and a ledger entry',
    async (_what, name, input, code) => {
      const before = await served.stage.store.ledger.count('SYSTEM', ['refusal']);
      const result = await call(await connect(await readToken()), name, input);
      expect([result.isError, result.structuredContent]).toMatchObject([true, { code }]);
      expect(textOf(result)).not.toBe('');
      expect(await served.stage.store.ledger.count('SYSTEM', ['refusal'])).toBe(before + 1);
    },
  );

  it('a secret in the name of a tool comes back neither in the answer nor in the ledger', async () => {
    const result = await call(await connect(await readToken()), `x ${SECRETS[0]}`, {});
    const entries = await served.stage.store.ledger.read('SYSTEM', { kinds: ['refusal'] });
    expect(textOf(result) + JSON.stringify(entries)).not.toContain(SECRETS[0]);
  });
});

describe('the token', () => {
  it('a wrong one does not connect', async () => {
    await expect(connect('agt_wrong')).rejects.toThrow(/401|Unauthorized|not known/i);
  });

  it('a revoked one and an expired one are refused with their next call', async () => {
    const [revoked, expired] = [await readToken(), await readToken()];
    const ends = await connect(revoked);
    await ends.listTools();
    const grant = await served.stage.store.tokens.find(revoked);
    await served.stage.store.tokens.revoke(grant?.token_id ?? '');
    await expect(ends.listTools()).rejects.toThrow(/401|Unauthorized|revoked/i);
    served.stage.clock.skip(3_600_000);
    expect((await raw({ authorization: `Bearer ${expired}` })).status).toBe(401);
  });

  it('is asked for with WWW-Authenticate, and a wrong one is called that', async () => {
    const without = await raw({});
    expect([without.status, without.headers['www-authenticate']]).toEqual([401, 'Bearer realm="aegis"']);
    const wrong = await raw({ authorization: 'Bearer agt_wrong' });
    expect([wrong.status, wrong.headers['www-authenticate']]).toEqual([
      401,
      'Bearer realm="aegis", error="invalid_token"',
    ]);
    expect(wrong.body).not.toContain('agt_wrong');
  });

  it('counts in the Authorization header only', async () => {
    const token = await readToken();
    const places: [Record<string, string>, string][] = [
      [{}, `/mcp?token=${token}`],
      [{}, `/mcp?access_token=${token}`],
      [{ cookie: `token=${token}` }, '/mcp'],
      [{ 'x-api-key': token }, '/mcp'],
      [{ authorization: `Basic ${token}` }, '/mcp'],
      [{ authorization: `Bearer ${token}, Bearer x` }, '/mcp'],
    ];
    for (const [headers, path] of places)
      expect(
        (await raw(headers, undefined, { path })).status,
        JSON.stringify([Object.keys(headers), path]),
      ).toBe(401);
    expect((await raw({ authorization: `Bearer ${token}` })).status).toBe(200);
  });
});

describe('the door', () => {
  it.each([
    ['evil.example.com', 403],
    ['127.0.0.1.evil.example.com', 403],
    ['localhost.evil.example', 403],
    ['localhost@evil.example', 403],
    ['localhost, evil.example.com', 403],
    ['localhost:1', 200],
    ['127.0.0.1', 200],
    ['[::1]:7070', 200],
  ])('Host "%s" is answered %i', async (host, status) => {
    expect((await raw({ host, authorization: `Bearer ${await readToken()}` })).status).toBe(status);
  });

  it.each([
    ['https://evil.example.com', 403],
    ['http://localhost.evil.example', 403],
    ['null', 403],
    ['file://localhost', 403],
    ['http://localhost, https://evil.example.com', 403],
    ['http://localhost:6274', 200],
    ['http://127.0.0.1:7070', 200],
  ])('Origin "%s" is answered %i', async (origin, status) => {
    expect((await raw({ origin, authorization: `Bearer ${await readToken()}` })).status).toBe(status);
  });

  it.each([
    ['10.0.0.7', '10.0.0.7:7070', 200],
    ['10.0.0.7', '10.0.0.8:7070', 403],
    ['0.0.0.0', '0.0.0.0:7070', 403],
    ['0.0.0.0', '127.0.0.1:7070', 200],
  ])('listening on %s, Host "%s" is answered %i', async (listens_on, host, status) => {
    const answer = await asked(served.stage, await readToken(), listens_on, host);
    expect(answer.status).toBe(status);
  });

  it('a foreign page learns nothing of tokens: 403 comes first', async () => {
    const wrong = await raw({ host: 'evil.example.com', authorization: 'Bearer agt_wrong' });
    const right = await raw({ host: 'evil.example.com', authorization: `Bearer ${await readToken()}` });
    expect([wrong.status, wrong.body]).toEqual([right.status, right.body]);
  });

  it('has no session and no stream: GET and DELETE are 405', async () => {
    for (const method of ['GET', 'DELETE']) {
      const ran = await raw({ authorization: `Bearer ${await readToken()}` }, '', { method });
      expect([ran.status, ran.headers['allow']]).toEqual([405, 'POST']);
    }
  });

  it.each<[string, string, number]>([
    ['what is not JSON', '{', 400],
    ['a batch', '[{"jsonrpc":"2.0","id":1,"method":"tools/list"}]', 400],
    ['what is not JSON-RPC', '{"method":1}', 400],
    ['what is nested too deeply', `${'{"a":'.repeat(40)}1${'}'.repeat(40)}`, 400],
    ['more than the body may hold', JSON.stringify({ x: 'y'.repeat(200_000) }), 413],
    ['a notification', '{"jsonrpc":"2.0","method":"notifications/initialized"}', 202],
  ])('%s is answered', async (_what, body, status) => {
    expect((await raw({ authorization: `Bearer ${await readToken()}` }, body)).status).toBe(status);
  });

  it('an unknown method and a protocol of another time are errors of the protocol', async () => {
    const authorization = `Bearer ${await readToken()}`;
    const unknown = await raw({ authorization }, '{"jsonrpc":"2.0","id":7,"method":"resources/list"}');
    expect(JSON.parse(unknown.body)).toMatchObject({ id: 7, error: { code: -32601 } });
    expect((await raw({ authorization, 'mcp-protocol-version': '1999-01-01' })).status).toBe(400);
  });

  it('sixteen agents at once each get their own answer', async () => {
    const authorization = `Bearer ${await readToken()}`;
    const answers = await Promise.all(
      Array.from({ length: 16 }, (_, n) => {
        const params = { name: 'aegis_k8s_get', arguments: { target: JOB, why: `agent ${n}` } };
        const body = JSON.stringify({ jsonrpc: '2.0', id: n, method: 'tools/call', params });
        return raw({ authorization }, body);
      }),
    );
    expect(answers.map(({ body }) => (JSON.parse(body) as { id: number }).id)).toEqual(
      Array.from({ length: 16 }, (_, n) => n),
    );
  });
});

async function listed(stage: Stage, token: string): Promise<string[]> {
  const answer = await asked(stage, token, '127.0.0.1', 'localhost');
  const { result } = JSON.parse(answer.body ?? '') as { result: { tools: { name: string }[] } };
  return result.tools.map(({ name }) => name);
}

async function asked(stage: Stage, token: string, listens_on: string, host: string): Promise<HttpResponse> {
  const route = mcpRoute({
    gateway: stage.gateway,
    store: stage.store,
    settings: { ...stage.settings, http: { host: listens_on } },
    clock: stage.clock,
    ids: stage.ids,
    log: LOG,
  });
  const headers = {
    host,
    authorization: `Bearer ${token}`,
    accept: 'application/json, text/event-stream',
    'content-type': 'application/json',
  };
  const body = Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list' }));
  return route.handle({ method: 'POST', path: '/mcp', headers, body });
}

describe('the same policies decide lists and calls', () => {
  it('a rule that forbids a tool takes it from the list and refuses its call; a broken set lists nothing', async () => {
    const dir = join(served.stage.home, 'policies');
    cpSync(POLICIES_DIR, dir, { recursive: true });
    const rules = readFileSync(join(dir, 'read.cedar'), 'utf8');
    writeFileSync(
      join(dir, 'read.cedar'),
      `${rules}\n@id("no-logs")\nforbid (principal, action == Aegis::Action::"read", resource) when { context.tool == "k8s.logs" };\n`,
    );
    const strict = await serve(dir);
    try {
      const token = await strict.stage.token({ action_class: 'read' });
      const client = await connect(token, strict);
      const names = (await client.listTools()).tools.map((tool) => tool.name);
      expect(names).toContain('aegis_k8s_get');
      expect(names).not.toContain('aegis_k8s_logs');
      const target = 'mcp://k8s/prod-1/spark-jobs/pod/x';
      expect(await call(client, 'aegis_k8s_logs', { target, why: 'x' })).toMatchObject({
        isError: true,
        structuredContent: { code: 'policy-denied', reason: expect.stringContaining('no-logs') },
      });
      // Edited under a running service: the old rules list and decide until the new ones are in force.
      writeFileSync(join(dir, 'read.cedar'), rules);
      expect(await listed(strict.stage, token)).not.toContain('aegis_k8s_logs');
      for (let looks = 0; looks < 2; looks += 1) await strict.stage.gateway.refreshPolicies();
      expect(await listed(strict.stage, token)).toContain('aegis_k8s_logs');
      expect(await call(client, 'aegis_k8s_logs', { target, why: 'x' })).not.toMatchObject({
        structuredContent: { code: 'policy-denied' },
      });
    } finally {
      await strict.server.close();
      await strict.stage.close();
    }
    writeFileSync(join(dir, 'read.cedar'), 'permit (');
    const broken = await serve(dir);
    try {
      const client = await connect(await broken.stage.token({ action_class: 'read' }), broken);
      expect((await client.listTools()).tools).toEqual([]);
      expect(await call(client, 'aegis_k8s_get', { target: JOB, why: 'x' })).toMatchObject({
        isError: true,
        structuredContent: { code: 'policy-not-in-force' },
      });
    } finally {
      await broken.server.close();
      await broken.stage.close();
    }
  });
});

describe('the product', () => {
  let dir = '';
  let child: ChildProcess | null = null;
  afterEach(async () => {
    const gone = child === null ? null : once(child, 'exit');
    child?.kill('SIGTERM');
    await gone;
    rmSync(dir, { recursive: true, force: true });
  });

  it('serves /mcp to a token of the command line until it is revoked, and records who was refused', async () => {
    dir = mkdtempSync(join(tmpdir(), 'aegis-mcp-'));
    const config = join(dir, 'aegis.yaml');
    writeFileSync(config, PRODUCT_CONFIG);
    const env = { PATH: process.env['PATH'] ?? '', HOME: dir, PLANTED: 'planted' };
    child = spawn(process.execPath, [BUILT_ENTRY, '--config', config, 'start'], {
      env,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const port = await portOf(child);
    const holder = { principal: 'agent-oncall', scope: 'data/prod', class: 'read', ttl: '5m' };
    const verb = (action: string, id?: string) =>
      inProcess(() => token({ config, json: true }, action, id, holder));
    const made = json(await verb('mint')) as { token: string; token_id: string };
    const at = { ...served, url: `http://127.0.0.1:${port}/mcp` };
    const client = await connect(made.token, at);
    expect((await client.listTools()).tools.map((tool) => tool.name)).toContain('aegis_k8s_get');
    await verb('revoke', made.token_id);
    await expect(client.listTools()).rejects.toThrow(/401|Unauthorized|revoked/i);
    const { out } = await inProcess(() => ledger({ config, json: true }, 'show', 'SYSTEM', {}));
    expect(out).toContain('http-401');
    expect(out).not.toContain(made.token);
  });
});

/** The port that the service says it listens on. */
function portOf(started: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    let text = '';
    started.stderr?.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      const port = /"port":(\d+)/.exec(text)?.[1];
      if (port !== undefined) resolve(Number(port));
    });
    started.once('exit', () => reject(new Error(`it ended: ${text}`)));
  });
}

describe('names', () => {
  const Segment = fc.stringMatching(/^[a-z0-9_]{1,40}$/);
  const Tool = fc
    .tuple(fc.stringMatching(/^[a-z][a-z0-9_]{0,20}$/), fc.array(Segment, { minLength: 1, maxLength: 3 }))
    .map(([first, rest]) => [first, ...rest].join('.'));

  it('are prefixed, at most 60 characters, what every provider takes, and lead back to their tool', () => {
    fc.assert(
      fc.property(fc.uniqueArray(Tool, { maxLength: 30 }), (tools) => {
        const { outside, inside } = toolNames(tools);
        for (const tool of tools) {
          const name = outside.get(tool) ?? '';
          expect(name).toMatch(/^aegis_[a-z0-9_]{1,54}$/);
          expect(inside.get(name)).toBe(tool);
        }
      }),
    );
  });

  it('of tools that would read the same stay apart, whatever their order', () => {
    const one = toolNames(['a.b_c', 'a_b.c', 'k8s.get']);
    const other = toolNames(['k8s.get', 'a_b.c', 'a.b_c']);
    expect(one.outside.get('k8s.get')).toBe('aegis_k8s_get');
    expect(one.outside.get('a.b_c')).not.toBe(one.outside.get('a_b.c'));
    for (const [tool, name] of one.outside) expect(other.outside.get(tool)).toBe(name);
  });
});
