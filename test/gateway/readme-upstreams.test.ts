import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { EXAMPLE_CONFIG } from '../../src/cli/example-config.ts';
import { token } from '../../src/cli/token.ts';
import { upstreams } from '../../src/cli/upstreams.ts';
import { loadConfig } from '../../src/config.ts';
import { isRefusal } from '../../src/contract/verdict.ts';
import { createGateway } from '../../src/gateway/create-gateway.ts';
import { openStore } from '../../src/store/open-store.ts';
import { createLog, systemClock, systemIds } from '../../src/system-ports.ts';
import { inProcess, json, type Ran } from '../cli/run-aegis.ts';
import { entryPoint } from './entry-point.ts';
import { readmeBlocks } from './readme-blocks.ts';

/** README, "Put your own MCP server behind Aegis": its snippet with a real server, its commands in their order, one read. */
interface StdioServer {
  readonly args: readonly string[];
  readonly tools: Readonly<Record<string, string>>;
}

let dir = '';
let config = '';

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'aegis-readme-mcp-'));
  config = join(dir, 'aegis.yaml');
  const runbooks = join(dir, 'runbooks');
  mkdirSync(runbooks);
  writeFileSync(join(runbooks, 'spark.md'), '# Spark\nGive the driver more memory. Ask ana@example.com.\n');
  const snippet = readmeBlocks('yaml').find((text) => text.startsWith('upstreams:'));
  const { upstreams: shown } = parse(snippet ?? '') as { upstreams: { runbooks: StdioServer } };
  const program = entryPoint('@modelcontextprotocol/server-filesystem', 'dist/index.js');
  const example = parse(EXAMPLE_CONFIG) as { teams: { data: { environments: { prod: object } } } };
  Object.assign(example.teams.data.environments.prod, { systems: [{ system: 'mcp', name: 'runbooks' }] });
  const servers = { runbooks: { ...shown.runbooks, args: [program, runbooks] } };
  writeFileSync(config, stringify({ ...example, upstreams: servers }));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const run = (action: string, o: { seen?: string } = {}): Promise<Ran> =>
  inProcess(() => upstreams({ config, json: true }, action, 'runbooks', undefined, o));

async function read(): Promise<string> {
  const holder = { principal: 'agent-oncall', scope: 'data/prod', class: 'read', ttl: '5m' };
  const minted = json(await inProcess(() => token({ config, json: true }, 'mint', undefined, holder)));
  const { settings, secrets } = loadConfig(config, {});
  const store = await openStore({ home: settings.home, clock: systemClock });
  const policies_dir = join(import.meta.dirname, '../../policies');
  const ports = { clock: systemClock, ids: systemIds, log: createLog('silent', () => null) };
  const gateway = await createGateway({ store, settings, secrets, policies_dir, ...ports });
  try {
    const answer = await gateway.read({
      token: minted['token'] as string,
      tool: 'mcp.runbooks.read_text_file',
      target: 'mcp://mcp/runbooks/-/tool/read_text_file',
      args: { path: join(dir, 'runbooks', 'spark.md') },
      why: 'README',
    });
    return isRefusal(answer) ? answer.code : JSON.stringify(answer.result);
  } finally {
    await gateway.close();
    await store.close();
  }
}

it('is refused before a person has looked, and answers, redacted, after the three commands', async () => {
  expect(await read()).not.toContain('more memory');
  expect(await run('list')).toMatchObject({ code: 0, err: '' });
  const { seen } = json(await run('diff'));
  expect(await run('approve', { seen: seen as string })).toMatchObject({ code: 0 });
  const text = await read();
  expect(text).toContain('Give the driver more memory. Ask [REDACTED_EMAIL].');
});
