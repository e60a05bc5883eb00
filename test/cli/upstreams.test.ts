import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { EXAMPLE_CONFIG } from '../../src/cli/example-config.ts';
import type { Check } from '../../src/cli/doctor.ts';
import { upstreamChecks } from '../../src/cli/doctor-upstreams.ts';
import { upstreams } from '../../src/cli/upstreams.ts';
import { loadConfig } from '../../src/config.ts';
import { createGateway } from '../../src/gateway/create-gateway.ts';
import { openStore } from '../../src/store/open-store.ts';
import { createLog, systemClock, systemIds } from '../../src/system-ports.ts';
import { inProcess, json, type Ran } from './run-aegis.ts';

// What a person does with the tools of external MCP servers: look, decide, and never decide about what was not seen.

const SERVER = join(import.meta.dirname, '../gateway/hostile-server.mjs');
let dir = '';
let config = '';
let note = '';

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'aegis-upstreams-cli-'));
  config = join(dir, 'aegis.yaml');
  note = join(dir, 'note');
  const server = (mode: string, more = {}) => ({
    transport: 'stdio',
    command: 'node',
    args: [SERVER, mode, note],
    tools: { look: 'read' },
    ...more,
  });
  const upstream_servers = {
    runbooks: server('changes'),
    liar: server('lies'),
    shadow: server('shadows', { tools: { look: 'read', 'k8s.get': 'read', wipe: 'write' } }),
    broken: server('exits'),
  };
  const example = parse(EXAMPLE_CONFIG) as { teams: { data: { environments: { prod: object } } } };
  const systems = ['runbooks', 'shadow', 'broken'].map((name) => ({ system: 'mcp', name }));
  Object.assign(example.teams.data.environments.prod, { systems });
  writeFileSync(config, stringify({ ...example, upstreams: upstream_servers }));
});
afterAll(() => rmSync(dir, { recursive: true }));

const run = (
  action: string,
  server?: string,
  tool?: string,
  more: { seen?: string; text?: boolean } = {},
): Promise<Ran> => {
  const o = more.seen === undefined ? {} : { seen: more.seen };
  return inProcess(() => upstreams({ config, json: more.text !== true }, action, server, tool, o));
};
const markOf = async (server: string, tool?: string): Promise<string> =>
  json(await run('diff', server, tool))['seen'] as string;
const stateOf = async (server: string, tool: string): Promise<unknown> => {
  const { tools } = json(await run('list', server)) as { tools: { tool: string; state: string }[] };
  return tools.find((one) => one.tool === tool)?.state;
};

/** What `aegis doctor` says of each server. */
async function examined(): Promise<Record<string, Check>> {
  const { settings, secrets } = loadConfig(config, {});
  const store = await openStore({ home: settings.home, clock: systemClock });
  const policies_dir = join(import.meta.dirname, '../../policies');
  const ports = { clock: systemClock, ids: systemIds, log: createLog('silent', () => null) };
  const gateway = await createGateway({ store, settings, secrets, policies_dir, ...ports });
  try {
    const checks = await upstreamChecks(settings, gateway, store);
    return Object.fromEntries(checks.map((check) => [check.check, check]));
  } finally {
    await gateway.close();
    await store.close();
  }
}

async function systemEvents(): Promise<Record<string, unknown>[]> {
  const store = await openStore({ home: join(dir, '.aegis'), clock: systemClock });
  try {
    const entries = await store.ledger.read('SYSTEM', { kinds: ['event'] });
    return entries.map((entry) => entry.payload).filter(({ type }) => String(type).startsWith('upstream_'));
  } finally {
    await store.close();
  }
}

describe('aegis upstreams refuses', () => {
  it('an action, a server or a tool that is not known, with the nearest word', async () => {
    expect(await run('trust')).toMatchObject({
      code: 2,
      err: expect.stringContaining('use list, diff or approve'),
    });
    expect(await run('diff', 'runbook')).toMatchObject({
      code: 2,
      err: expect.stringContaining('"runbooks"'),
    });
    expect(await run('diff', 'runbooks', 'loook')).toMatchObject({
      code: 2,
      err: expect.stringContaining('"look"'),
    });
  });

  it('an approval that does not say what was looked at, or of what was never shown', async () => {
    await run('diff', 'runbooks');
    expect(await run('approve', 'runbooks')).toMatchObject({
      code: 2,
      err: expect.stringContaining('--seen'),
    });
    expect(await run('approve', 'runbooks', undefined, { seen: '000000000000' })).toMatchObject({
      code: 1,
      err: expect.stringContaining('Nothing was approved'),
    });
    expect(await stateOf('runbooks', 'look')).toBe('new');
  });
});

describe('aegis upstreams', () => {
  it('shows a new tool, approves exactly what was shown, and says so in the SYSTEM chain under a person’s name', async () => {
    const shown = await run('diff', 'runbooks', undefined, { text: true });
    expect(shown.out).toContain('look (read): waits for approval');
    expect(shown.out).toContain('+ description: "Looks at something."');
    const mark = await markOf('runbooks');
    expect(shown.out).toContain(`aegis upstreams approve runbooks --seen ${mark}`);
    expect(await run('approve', 'runbooks', undefined, { seen: mark })).toMatchObject({ code: 0 });
    expect(await stateOf('runbooks', 'look')).toBe('approved');
    const events = await systemEvents();
    expect(events).toContainEqual(
      expect.objectContaining({ type: 'upstream_tool_new', server: 'runbooks', tool: 'look' }),
    );
    expect(events).toContainEqual(
      expect.objectContaining({
        type: 'upstream_tool_approved',
        tool: 'look',
        by: expect.stringMatching(/^cli:/),
      }),
    );
  });

  it('shows a change as before and after; a mark of the text before does not approve it', async () => {
    const before = await markOf('runbooks');
    writeFileSync(note, 'changed');
    const shown = await run('diff', 'runbooks', undefined, { text: true });
    expect(shown.out).toContain('- description: "Looks at something."');
    expect(shown.out).toContain('+ description: "Looks, and sends all that it sees to its author."');
    expect((await run('approve', 'runbooks', undefined, { seen: before ?? '000000000000' })).code).toBe(1);
    const mark = await markOf('runbooks');
    writeFileSync(note, 'gone');
    await run('diff', 'runbooks');
    expect(await run('approve', 'runbooks', undefined, { seen: mark })).toMatchObject({ code: 1 });
    expect(await stateOf('runbooks', 'look')).toBe('gone');
    writeFileSync(note, '');
    expect((await run('diff', 'runbooks', undefined, { text: true })).out).toContain(
      'Nothing waits for approval.',
    );
    expect(await stateOf('runbooks', 'look')).toBe('approved');
  });

  it('approves a tool whose server says that it writes only by its own name', async () => {
    const shown = await run('diff', 'liar', undefined, { text: true });
    expect(shown.out).toContain('LOOK: its server says that it may destroy (destructiveHint: true)');
    await run('approve', 'liar', undefined, { seen: await markOf('liar') });
    expect(await stateOf('liar', '(instructions)')).toBe('approved');
    expect(await stateOf('liar', 'look')).toBe('new');
    const alone = await run('diff', 'liar', undefined, { text: true });
    const mark = await markOf('liar', 'look');
    expect(alone.out).toContain(`aegis upstreams approve liar look --seen ${mark}`);
    expect((await run('approve', 'liar', 'look', { seen: mark })).code).toBe(0);
    expect(await stateOf('liar', 'look')).toBe('approved');
  });

  it('makes hidden characters, shadowed names and talk of other servers visible', async () => {
    const { out } = await run('diff', 'shadow', undefined, { text: true });
    expect(out).toContain('LOOK: it holds characters that nobody sees: U+200B');
    expect(out).toContain('[U+200B]');
    expect(out).toContain('LOOK: its name reads like k8s.get');
    expect(out).toContain('LOOK: it speaks of other servers or tools: k8s.list');
    expect(out).not.toContain('\u200b');
  });

  it('are told by the doctor: which answer, which wait for a person, which do not start, which nobody owns', async () => {
    const checks = await examined();
    expect(checks['mcp runbooks']).toMatchObject({ status: 'ok', detail: 'answers; approved tools: 1' });
    expect(checks['mcp shadow']).toMatchObject({
      status: 'failed',
      next: expect.stringContaining('aegis upstreams diff shadow'),
    });
    expect(checks['mcp broken']).toMatchObject({
      status: 'failed',
      detail: expect.stringContaining('ended with code 3'),
    });
    expect(checks['mcp liar']).toMatchObject({ status: 'skipped', detail: 'no environment owns it' });
  });

  it('says of a server that does not start why, and lists the others all the same', async () => {
    expect((await run('diff', 'broken', undefined, { text: true })).out).toContain('ended with code 3');
    const { out } = await run('list', undefined, undefined, { text: true });
    expect(out).toMatch(/broken +look +read +never looked at/);
    expect(out).toMatch(/shadow +wipe +write +refused/);
    expect(out).toMatch(/runbooks +look +read +approved +cli:/);
  });
});
