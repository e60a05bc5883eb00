import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import type { CallToolResult } from '@modelcontextprotocol/sdk/types.js';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { McpUpstream } from '../../src/contract/system-mcp.ts';
import { mcpRoute } from '../../src/gateway/endpoint.ts';
import { startHttpServer, type RunningServer } from '../../src/http-server.ts';
import { entryPoint } from './entry-point.ts';
import { JOB } from './stage.ts';
import { hostile, startUpstreamStage, textOf, type UpstreamStage } from './upstream-stage.ts';

// External MCP servers through the whole read door: real servers from npm over stdio, one of our own over HTTP.

const EVERYTHING = entryPoint('@modelcontextprotocol/server-everything', 'dist/index.js');
const FILESYSTEM = entryPoint('@modelcontextprotocol/server-filesystem', 'dist/index.js');
const KUBERNETES = entryPoint('mcp-server-kubernetes', 'dist/index.js');
const KUBECTL = hasKubectl();
const LOG = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
vi.setConfig({ testTimeout: 60_000, hookTimeout: 120_000 });
const HTTP_TOKEN = 'http-upstream-token-0123456789';

function hasKubectl(): boolean {
  try {
    execFileSync('kubectl', ['version', '--client'], { stdio: 'ignore' });
    return true;
  } catch {
    console.log('skipped: mcp-server-kubernetes runs kubectl, which is not installed');
    return false;
  }
}

/** An MCP server over streamable HTTP that knows who calls: one session server for each session. */
interface HttpUpstream {
  readonly url: string;
  readonly authorizations: (string | undefined)[];
  accept: string;
  close(): Promise<void>;
}

async function startHttpUpstream(): Promise<HttpUpstream> {
  const sessions = new Map<string, StreamableHTTPServerTransport>();
  const state = { authorizations: [] as (string | undefined)[], accept: `Bearer ${HTTP_TOKEN}` };
  const handle = async (
    request: IncomingMessage,
    response: import('node:http').ServerResponse,
  ): Promise<void> => {
    const { authorization } = request.headers;
    state.authorizations.push(authorization);
    if (authorization !== state.accept) {
      response.writeHead(401).end('{"error":"who are you?"}');
      return;
    }
    const id = request.headers['mcp-session-id'];
    let transport = typeof id === 'string' ? sessions.get(id) : undefined;
    if (transport === undefined) {
      const fresh = new StreamableHTTPServerTransport({
        sessionIdGenerator: () => `session-${sessions.size + 1}`,
        onsessioninitialized: (session) => void sessions.set(session, fresh),
      });
      const server = new McpServer({ name: 'recorder', version: '1' });
      server.registerTool(
        'whoami',
        {
          description: 'Says who asks.',
          inputSchema: { word: z.string().max(20) },
          annotations: { readOnlyHint: true },
        },
        ({ word }, extra) => ({
          content: [{ type: 'text', text: `${word} ${String(extra.requestInfo?.headers['authorization'])}` }],
        }),
      );
      await server.connect(fresh);
      transport = fresh;
    }
    await transport.handleRequest(request, response);
  };
  const server: Server = createServer((request, response) => void handle(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`,
    authorizations: state.authorizations,
    get accept() {
      return state.accept;
    },
    set accept(value: string) {
      state.accept = value;
    },
    close: async () => {
      for (const transport of sessions.values()) await transport.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

let dir = '';
let files = '';
let http: HttpUpstream;
let stage: UpstreamStage;
let face: RunningServer;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'aegis-upstreams-'));
  files = join(dir, 'runbooks');
  mkdirSync(files);
  writeFileSync(
    join(files, 'settlement.md'),
    'Restart it. Ask maya.ortiz@example.com, key AKIAIOSFODNN7EXAMPLE.\n',
  );
  writeFileSync(join(files, 'big.txt'), 'line of a long file\n'.repeat(4000));
  http = await startHttpUpstream();
  stage = await startUpstreamStage(
    {
      everything: {
        transport: 'stdio',
        command: 'node',
        args: [EVERYTHING, 'stdio'],
        env: { TEAM: 'data', API_KEY: { env: 'EVERYTHING_KEY' } },
        tools: {
          'get-env': 'read',
          echo: 'read',
          'get-sum': 'read',
          'get-resource-links': 'read',
          'get-tiny-image': 'read',
          'get-structured-content': 'read',
          'toggle-simulated-logging': 'write',
        },
      },
      runbooks: {
        transport: 'stdio',
        command: 'node',
        args: [FILESYSTEM, files],
        tools: { read_text_file: 'read', list_directory: 'read', write_file: 'read' },
        result_bytes_max: 16_384,
      },
      recorder: {
        transport: 'http',
        url: http.url,
        credentials: { engine: 'token', token: { env: 'RECORDER_TOKEN' } },
        tools: { whoami: 'read' },
      },
      dead: hostile('dies'),
      kube: {
        transport: 'stdio',
        command: 'node',
        args: [KUBERNETES],
        env: { ALLOW_ONLY_READONLY_TOOLS: 'true', KUBECONFIG: join(dir, 'kubeconfig') },
        tools: { kubectl_get: 'read', kubectl_delete: 'read' },
        handshake_timeout_ms: 60_000,
        call_timeout_ms: 60_000,
      },
    },
    { secrets: { EVERYTHING_KEY: 'everything-standing-secret', RECORDER_TOKEN: HTTP_TOKEN } },
  );
  const route = mcpRoute({
    gateway: stage.gateway,
    store: stage.store,
    settings: { ...stage.settings, http: { host: '127.0.0.1' } },
    clock: stage.clock,
    ids: stage.ids,
    log: LOG,
  });
  face = await startHttpServer({ host: '127.0.0.1', port: 0, routes: [route], log: LOG });
  for (const server of ['everything', 'runbooks', 'recorder', 'dead']) await stage.approve(server);
});
afterAll(async () => {
  await face.close();
  await stage.close();
  await http.close();
  rmSync(dir, { recursive: true, force: true });
});

describe('a tool of an external server is refused', () => {
  it('when aegis.yaml does not declare it, in the words for what does not exist', async () => {
    expect(await stage.call('everything', 'gzip-file-as-resource')).toMatchObject({ code: 'tool-unknown' });
  });

  it('when it is declared to write, with the reason and what to do', async () => {
    const answer = await stage.call('everything', 'toggle-simulated-logging');
    expect(answer).toMatchObject({ code: 'upstream-write-refused' });
    expect(answer).toMatchObject({ reason: expect.stringContaining('cannot preview') });
    const target = 'mcp://mcp/everything/-/tool/echo';
    expect(stage.gateway.classify({ tool: 'mcp.everything.echo', target, params: {} })).toMatchObject({
      code: 'upstream-write-refused',
    });
  });

  it('at any other target than its own, and to other tenants, in the same words', async () => {
    const token = await stage.token();
    const ask = (target: string, of = token) =>
      stage.gateway.read({
        token: of,
        tool: 'mcp.everything.echo',
        target,
        args: { message: 'x' },
        why: 'a test asks',
      });
    expect(await ask('mcp://mcp/runbooks/-/tool/echo')).toMatchObject({ code: 'tool-unknown' });
    expect(await ask(JOB)).toMatchObject({ code: 'tool-unknown' });
    const other = await stage.token({ env: 'staging', incident_id: null });
    expect(await ask('mcp://mcp/everything/-/tool/echo', other)).toMatchObject({ code: 'scope-forbidden' });
  });

  it('when its arguments are not those of the pinned schema, before the server hears of it', async () => {
    expect(await stage.call('everything', 'echo', { message: 7 })).toMatchObject({
      code: 'arguments-invalid',
      reason: expect.stringContaining('message'),
    });
  });

  it('until a person has looked, and when its server would have it be harmless by declaration only', async () => {
    const own = await startUpstreamStage({
      everything: {
        transport: 'stdio',
        command: 'node',
        args: [EVERYTHING, 'stdio'],
        tools: { echo: 'read' },
      },
    });
    try {
      expect(await own.call('everything', 'echo', { message: 'x' })).toMatchObject({
        code: 'tool-quarantined',
      });
      expect(await own.gateway.upstreamDefinitions()).toEqual([]);
    } finally {
      await own.close();
    }
  });

  it('and every refusal is in the ledger', async () => {
    await stage.call('everything', 'toggle-simulated-logging');
    const entries = await stage.store.ledger.read('INC-2026-1123-001', { kinds: ['refusal'] });
    expect(entries.map((entry) => entry.payload['code'])).toContain('upstream-write-refused');
  });
});

describe('a tool of an external server answers through the ordinary read door', () => {
  it('over stdio, with nothing of Aegis in its environment and its standing secret taken out', async () => {
    const env = JSON.parse(textOf(await stage.call('everything', 'get-env'))) as Record<string, string>;
    expect(Object.keys(env).sort()).toEqual(['AEGIS_UPSTREAM', 'API_KEY', 'HOME', 'PATH', 'TEAM', 'TMPDIR']);
    expect(env['API_KEY']).toMatch(/^\[REDACTED/);
    expect(env['TEAM']).toBe('data');
    expect(JSON.stringify(env)).not.toContain(stage.home);
  });

  it('with text, structured content and links as data; bytes that no rule can read are left out', async () => {
    expect(textOf(await stage.call('everything', 'get-sum', { a: 2, b: 40 }))).toContain('42');
    expect(await stage.call('everything', 'get-structured-content', { location: 'Chicago' })).toMatchObject({
      result: { structured: { conditions: expect.any(String) } },
      source_query: 'tools/call get-structured-content {"location":"Chicago"}',
    });
    const links = await stage.call('everything', 'get-resource-links', { count: 2 });
    expect(JSON.stringify(links)).toContain('"type":"resource_link"');
    const image = await stage.call('everything', 'get-tiny-image');
    expect(JSON.stringify(image)).toMatch(/bytes that cannot be redacted/);
    expect(JSON.stringify(image)).not.toContain('iVBOR');
  });

  it('redacted like everything else, and refused when it is too long', async () => {
    const text = textOf(
      await stage.call('runbooks', 'read_text_file', { path: join(files, 'settlement.md') }),
    );
    expect(text).toContain('Restart it.');
    expect(text).not.toContain('AKIAIOSFODNN7EXAMPLE');
    expect(text).not.toContain('maya.ortiz');
    expect(await stage.call('runbooks', 'read_text_file', { path: join(files, 'big.txt') })).toMatchObject({
      code: 'result-too-large',
    });
    expect(await stage.call('runbooks', 'read_text_file', { path: '/etc/hostname' })).toMatchObject({
      code: 'source-rejected',
      reason: expect.stringContaining('outside allowed directories'),
    });
  });

  it('over HTTP with the leased credential in the header of each request, which never comes back', async () => {
    expect(textOf(await stage.call('recorder', 'whoami', { word: 'hello' }))).toBe(
      'hello Bearer [REDACTED_CREDENTIAL]',
    );
    expect(new Set(http.authorizations)).toEqual(new Set([`Bearer ${HTTP_TOKEN}`]));
    http.accept = 'Bearer another';
    expect(await stage.call('recorder', 'whoami', { word: 'hello' })).toMatchObject({
      code: 'credential-refused',
    });
    http.accept = `Bearer ${HTTP_TOKEN}`;
    expect(textOf(await stage.call('recorder', 'whoami', { word: 'again' }))).toContain('again');
  });

  it('with an audit row before and after, that names server and tool', async () => {
    await stage.call('everything', 'echo', { message: 'audited' });
    const entries = await stage.store.ledger.read('INC-2026-1123-001', { kinds: ['call', 'read'] });
    expect(JSON.stringify(entries)).toContain('mcp://mcp/everything/-/tool/echo');
  });
});

describe('outside agents on /mcp', () => {
  const connect = async (): Promise<Client> => {
    const token = await stage.token({ action_class: 'read', incident_id: null });
    const client = new Client({ name: 'outside-agent', version: '1' });
    const requestInit = { headers: { authorization: `Bearer ${token}` } };
    const transport = new StreamableHTTPClientTransport(new URL(`http://127.0.0.1:${face.port}/mcp`), {
      requestInit,
    });
    await client.connect(transport);
    return client;
  };

  it('see approved tools under prefixed names of at most 60 characters, and call them at their one target', async () => {
    const client = await connect();
    const { tools } = await client.listTools();
    const names = tools.map((tool) => tool.name);
    expect(names).toContain('aegis_mcp_runbooks_read_text_file');
    expect(names).toContain('aegis_mcp_everything_get_env');
    expect(names).not.toContain('aegis_mcp_everything_toggle_simulated_logging');
    expect(Math.max(...names.map((name) => name.length))).toBeLessThanOrEqual(60);
    const tool = tools.find(({ name }) => name === 'aegis_mcp_runbooks_read_text_file');
    const target = 'mcp://mcp/runbooks/-/tool/read_text_file';
    expect(tool?.inputSchema.properties?.['target']).toMatchObject({ const: target });
    const args = { path: join(files, 'settlement.md') };
    const answer = (await client.callTool({
      name: 'aegis_mcp_runbooks_read_text_file',
      arguments: { target, why: 'a test asks', args },
    })) as CallToolResult;
    expect(JSON.stringify(answer)).toContain('Restart it.');
    expect(JSON.stringify(answer)).not.toContain('AKIAIOSFODNN7EXAMPLE');
    await client.close();
  });

  it('still see the tools of a server that is down, with the reason', async () => {
    await stage.call('dead', 'look');
    const client = await connect();
    const { tools } = await client.listTools();
    const dead = tools.find(({ name }) => name === 'aegis_mcp_dead_look');
    expect(dead?.description).toMatch(/^\(unavailable now: ended with code 7\) \[dead\] Looks at something/);
    expect(tools.map(({ name }) => name)).toContain('aegis_mcp_everything_echo');
    await client.close();
  });
});

describe('mcp-server-kubernetes against the Kubernetes twin', () => {
  it.skipIf(!KUBECTL)(
    'reads what kubectl would, with the standing credential of its kubeconfig; its writes wait for a person',
    async () => {
      const { token } = stage.kubernetes.issueToken({
        serviceAccount: 'mcp',
        namespace: 'spark-jobs',
        rules: [{ verbs: ['get', 'list'], apiGroups: [''], resources: ['pods'] }],
      });
      const config = stage.kubernetes.kubeconfig(token, { namespace: 'spark-jobs' });
      writeFileSync(join(dir, 'kubeconfig'), config, { mode: 0o600 });
      await stage.approve('kube');
      const args = { resourceType: 'pods', namespace: 'spark-jobs', output: 'json', name: '' };
      expect(textOf(await stage.call('kube', 'kubectl_get', args))).toContain('nightly-settlement');
      expect(await stage.call('kube', 'kubectl_delete', {})).toMatchObject({ code: 'tool-quarantined' });
    },
    120_000,
  );
});

describe('the configuration of an external server', () => {
  it.each([
    ['an unknown key', { transport: 'stdio', command: 'node', tool: {} }],
    ['a class that is none', { transport: 'stdio', command: 'node', tools: { echo: 'destroy' } }],
    ['a tool that no target can name', { transport: 'stdio', command: 'node', tools: { 'a/b': 'read' } }],
    [
      'a leased credential for a process',
      { transport: 'stdio', command: 'node', credentials: { engine: 'token', token: { env: 'X' } } },
    ],
    ['a query in the address', { transport: 'http', url: 'https://example.com/mcp?key=1' }],
    ['an address that is no HTTP', { transport: 'http', url: 'ws://example.com/mcp' }],
    ['both transports', { transport: 'http', url: 'https://example.com/mcp', command: 'node' }],
  ])('refuses %s', (_what, input) => {
    expect(McpUpstream.safeParse(input).success).toBe(false);
  });
});
