import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { BUILT_ENTRY } from '../built-product.ts';
import { isRefusal } from '../../src/contract/verdict.ts';
import { findingsIn } from '../../src/gateway/upstreams/definition.ts';
import { hostile, startUpstreamStage, textOf, type UpstreamStage } from './upstream-stage.ts';

// External MCP servers that mean harm or are merely broken: each is contained, and others keep their answers meanwhile.

const PATIENCE = { timeout: 40_000 };
vi.setConfig({ testTimeout: 60_000 });
const BAD_KEY = 'plain-words-that-no-rule-knows';
const dir = mkdtempSync(join(tmpdir(), 'aegis-hostile-'));
const note = (name: string): string => join(dir, name);

/** All of them at once behind one gateway, beside one that behaves. */
let s: UpstreamStage;
beforeAll(async () => {
  s = await startUpstreamStage(
    {
      good: hostile('good'),
      hangs: hostile('hangs', { call_timeout_ms: 1500 }),
      floods: hostile('floods'),
      'floods-notes': hostile('floods-notes'),
      killed: hostile('forks'),
      changes: hostile('changes', {}, note('changes')),
      returns: hostile('changes', { idle_stop_s: 1 }, note('returns')),
      flips: hostile('changes', {}, note('flips')),
      malformed: hostile('malformed'),
      deep: hostile('deep'),
      curious: hostile('curious', { env: { REGION: 'eu' } }),
      blabs: hostile('blabs', { env: { API_KEY: { env: 'BAD_KEY' } } }),
      silent: hostile('silent', { handshake_timeout_ms: 300 }),
      exits: hostile('exits'),
      dies: hostile('dies'),
      shadows: hostile('shadows', { tools: { look: 'read', 'k8s.get': 'read' } }),
      lies: hostile('lies'),
    },
    { secrets: { BAD_KEY } },
  );
  await s.approve('good');
});
afterAll(async () => {
  await s.close();
  rmSync(dir, { recursive: true, force: true });
});

/** While the hostile one is being asked, the good one answers. */
async function whileAsking(
  server: string,
  args: Record<string, unknown> = {},
): Promise<Awaited<ReturnType<UpstreamStage['call']>>> {
  const state = { settled: false };
  const asked = s.call(server, 'look', args).finally(() => (state.settled = true));
  let answers = 0;
  do {
    expect(textOf(await s.call('good', 'look', { at: 'this' }))).toBe('saw this');
    answers += 1;
  } while (!state.settled && answers < 20);
  const answer = await asked;
  expect(textOf(await s.call('good', 'look', { at: 'that' }))).toBe('saw that');
  return answer;
}

async function approvedAsking(
  server: string,
  args: Record<string, unknown> = {},
): ReturnType<typeof whileAsking> {
  await s.approve(server);
  return whileAsking(server, args);
}

const pinOf = async (server: string, tool: string): Promise<Readonly<Record<string, unknown>>> =>
  (await s.store.upstream_pins.get(server, tool))?.seen?.definition ?? {};

/** A zombie is dead: who has to bury it is the business of this machine's init. */
function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  const stat = existsSync(`/proc/${pid}/stat`) ? readFileSync(`/proc/${pid}/stat`, 'utf8') : '';
  return !/\) Z /.test(stat);
}

describe('a hostile MCP server is contained, and others keep their answers', () => {
  it('one that hangs costs its caller the call’s time, and nobody else anything', async () => {
    expect(await approvedAsking('hangs')).toMatchObject({ code: 'upstream-timeout' });
  });

  it('one that floods 50 MB without an end of line is cut, and its memory is not taken', async () => {
    await s.approve('floods');
    const before = process.memoryUsage().rss;
    expect(await whileAsking('floods')).toMatchObject({ code: 'result-too-large' });
    expect(process.memoryUsage().rss - before).toBeLessThan(48 * 1024 * 1024);
  });

  it('one that floods 50 MB of notes that nobody asked for is cut', async () => {
    expect(await approvedAsking('floods-notes')).toMatchObject({ code: 'result-too-large' });
  });

  it('one that was restarted or killed is started again by the next call', async () => {
    const [pid = 0] = JSON.parse(textOf(await approvedAsking('killed'))) as number[];
    process.kill(pid, 'SIGKILL');
    await vi.waitFor(() => expect(alive(pid)).toBe(false), PATIENCE);
    const [again = 0] = JSON.parse(textOf(await whileAsking('killed'))) as number[];
    expect(again).not.toBe(pid);
  });

  it('one that changes its tools loses them until a person approves the change', async () => {
    expect(textOf(await approvedAsking('changes', { at: 'here' }))).toBe('saw here');
    expect(textOf(await s.call('changes', 'look', { at: 'changed' }))).toBe('done');
    await vi.waitFor(
      async () => expect(await s.call('changes', 'look')).toMatchObject({ code: 'tool-quarantined' }),
      PATIENCE,
    );
    const listed = await s.gateway.upstreamDefinitions();
    const held = listed.find((tool) => tool.name === 'mcp.changes.look');
    expect(held?.description).toMatch(/^\(unavailable now: changes describes look differently/);
    expect(held?.description).not.toContain('sends all that it sees');
    const chain = await s.store.ledger.read('SYSTEM', { kinds: ['event'] });
    expect(chain.map((entry) => entry.payload['type'])).toContain('upstream_tool_changed');
    expect(textOf(await approvedAsking('changes', { at: 'there' }))).toBe('saw there');
  });

  it('a change is seen when a server comes back with it, before anything is called', async () => {
    await s.approve('returns');
    writeFileSync(note('returns'), 'changed');
    // It is ended after a second without a call; the next call meets what came back.
    await vi.waitFor(
      async () => expect(await s.call('returns', 'look')).toMatchObject({ code: 'tool-quarantined' }),
      { ...PATIENCE, interval: 1500 },
    );
    writeFileSync(note('returns'), 'gone');
    expect(await s.gateway.lookAtUpstream('returns')).toEqual({ undeclared: [] });
    expect(await s.call('returns', 'look')).toMatchObject({ code: 'tool-gone' });
  });

  it('one that flips its tools voids nobody’s approval: the digest of plans does not hold them', async () => {
    await s.approve('flips');
    const digest = s.gateway.toolDefinitionsDigest();
    writeFileSync(note('flips'), 'changed');
    await s.gateway.lookAtUpstream('flips');
    expect(await s.call('flips', 'look')).toMatchObject({ code: 'tool-quarantined' });
    expect(s.gateway.toolDefinitionsDigest()).toBe(digest);
    await s.approve('flips');
    expect(s.gateway.toolDefinitionsDigest()).toBe(digest);
  });

  it('one that sends malformed JSON is ended, and its caller told', async () => {
    expect(await approvedAsking('malformed')).toMatchObject({ code: 'upstream-malformed' });
  });

  it('one whose answer is nested without end is told apart, and overflows nobody', async () => {
    expect(await approvedAsking('deep')).toMatchObject({ code: 'upstream-malformed' });
  });

  it('one that reads its environment and HOME finds what the configuration gave it, and nothing of Aegis', async () => {
    process.env['AEGIS_TEST_CANARY'] = 'canary-of-the-parent';
    const seen = JSON.parse(textOf(await approvedAsking('curious'))) as {
      env: Record<string, string>;
      home: string;
      cwd: string;
    };
    delete process.env['AEGIS_TEST_CANARY'];
    expect(Object.keys(seen.env).sort()).toEqual(['AEGIS_UPSTREAM', 'HOME', 'PATH', 'REGION', 'TMPDIR']);
    expect(JSON.stringify(seen)).not.toContain('canary-of-the-parent');
    expect(JSON.stringify(seen)).not.toContain(s.home);
    expect(seen.home).toMatch(/aegis-upstream-/);
    expect(seen.cwd).toBe(seen.home);
  });

  it('one that says its own secret in an error does not get it past the gateway', async () => {
    const answer = await approvedAsking('blabs');
    expect(answer).toMatchObject({ code: 'source-rejected' });
    expect(JSON.stringify(answer)).toContain('my key is [REDACTED');
    expect(JSON.stringify([answer, s.log_lines])).not.toContain(BAD_KEY);
  });

  it('one that never completes the handshake is given up, and left alone for a while', async () => {
    const looked = s.gateway.lookAtUpstream('silent');
    expect(textOf(await s.call('good', 'look'))).toBe('saw nothing');
    expect(await looked).toMatchObject({
      code: 'upstream-timeout',
      reason: expect.stringContaining('handshake'),
    });
    await s.gateway.lookAtUpstream('silent');
    expect(await s.gateway.lookAtUpstream('silent')).toMatchObject({
      code: 'upstream-unreachable',
      reason: expect.stringContaining('left alone'),
    });
  });

  it('one that exits at once is not started in a loop', async () => {
    const looks = [];
    for (let n = 0; n < 12; n += 1) looks.push(await s.gateway.lookAtUpstream('exits'));
    expect(looks[0]).toMatchObject({ reason: expect.stringContaining('ended with code 3') });
    const spared = looks.filter((look) => isRefusal(look) && look.reason.includes('left alone'));
    expect(spared.length).toBeGreaterThan(5);
    expect(textOf(await s.call('good', 'look'))).toBe('saw nothing');
    s.clock.skip(60_000);
    expect(await s.gateway.lookAtUpstream('exits')).toMatchObject({
      reason: expect.stringContaining('ended with code 3'),
    });
  });

  it('one that dies in every call is not asked for ever', async () => {
    expect(await approvedAsking('dies')).toMatchObject({
      code: expect.stringMatching(/^upstream-(dropped|unreachable)$/),
    });
  });

  it('one that shadows names is pointed out, and its names cannot reach ours', async () => {
    await s.gateway.lookAtUpstream('shadows');
    const others = {
      tools: [...s.gateway.definitions().map((d) => d.name), 'good/look'],
      servers: ['good'],
    };
    const findings = findingsIn({ tool: 'k8s.get', definition: await pinOf('shadows', 'k8s.get') }, others);
    expect(findings.map(({ kind }) => kind)).toEqual(['hidden-text', 'mentions-others', 'shadows']);
    expect(findings[0]?.text).toContain('U+200B');
    await s.approve('shadows');
    const names = (await s.gateway.upstreamDefinitions()).map(({ name }) => name);
    expect(names.filter((name) => name.includes('k8s'))).toEqual(['mcp.shadows.k8s_get']);
    expect(s.gateway.definitions().filter(({ name }) => name === 'k8s.get')).toHaveLength(1);
    expect(await s.call('shadows', 'look')).not.toHaveProperty('allow');
  });

  it('one that lies in its annotations can only make itself look worse', async () => {
    await s.gateway.lookAtUpstream('lies');
    const findings = findingsIn(
      { tool: 'look', definition: await pinOf('lies', 'look') },
      { tools: [], servers: [] },
    );
    expect(findings).toEqual([expect.objectContaining({ kind: 'raises-risk' })]);
    expect(await s.call('lies', 'look')).toMatchObject({ code: 'tool-quarantined' });
  });
});

describe('nothing of a hostile MCP server is left after close', () => {
  it('one that forks takes its children with it, those outside of its group too; so does one that ignores SIGTERM', async () => {
    const own = await startUpstreamStage({ forks: hostile('forks'), stays: hostile('stays') });
    try {
      await own.approve('forks');
      await own.approve('stays');
      const pids = JSON.parse(textOf(await own.call('forks', 'look'))) as number[];
      expect(pids.map(alive)).toEqual([true, true, true]);
      const seen = JSON.parse(textOf(await own.call('stays', 'look'))) as { pid: number; home: string };
      expect(existsSync(seen.home)).toBe(true);
      await own.gateway.close();
      expect([...pids, seen.pid].map(alive)).toEqual([false, false, process.platform !== 'linux', false]);
      expect(existsSync(seen.home)).toBe(false);
    } finally {
      await own.close();
    }
  });

  it('when Aegis itself is killed without a word, its servers and their children end too', async () => {
    const link = join(BUILT_ENTRY, '../../gateway/upstreams/link-stdio.js');
    const server = join(import.meta.dirname, 'hostile-server.mjs');
    const script = `
      const { openStdioLink } = await import(${JSON.stringify(link)});
      const options = { capabilities: {}, handlers: {}, handshake_timeout_ms: 40000, message_bytes_max: 100000 };
      const link = await openStdioLink({ command: process.execPath, args: [${JSON.stringify(server)}, 'forks'], env: {} }, options);
      const answer = await link.request('tools/call', { name: 'look', arguments: {} }, { timeout_ms: 40000 });
      console.log(answer.result.content[0].text);
      setInterval(() => undefined, 1000);`;
    const aegis = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    try {
      let said = '';
      aegis.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
      await vi.waitFor(() => expect(said).toContain('\n'), PATIENCE);
      const pids = JSON.parse(said) as number[];
      expect(pids.map(alive)).toEqual([true, true, true]);
      aegis.kill('SIGKILL');
      const left = process.platform === 'linux' ? [] : [true];
      await vi.waitFor(() => expect(pids.map(alive).filter(Boolean)).toEqual(left), PATIENCE);
    } finally {
      aegis.kill('SIGKILL');
    }
  });
});
