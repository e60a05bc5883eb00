import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { isRefusal } from '../../src/contract/verdict.ts';
import { findingsIn } from '../../src/gateway/upstreams/definition.ts';
import {
  hostile,
  startUpstreamStage,
  textOf,
  type UpstreamInput,
  type UpstreamStage,
} from './upstream-stage.ts';

// External MCP servers that mean harm or are merely broken: each is contained, and others keep their answers meanwhile.

const PATIENCE = { timeout: 15_000 };
let dir = '';
let stage: UpstreamStage | null = null;
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'aegis-hostile-'))));
afterEach(async () => {
  await stage?.close();
  stage = null;
  rmSync(dir, { recursive: true, force: true });
});

/** A stage with the hostile server `bad` beside `good`, both approved unless the server cannot even be looked at. */
async function beside(
  bad: UpstreamInput,
  approved = true,
  secrets: Record<string, string> = {},
): Promise<UpstreamStage> {
  stage = await startUpstreamStage({ good: hostile('good'), bad }, { secrets });
  await stage.approve('good');
  if (approved) await stage.approve('bad');
  return stage;
}

/** While `bad` is being asked, `good` answers. */
async function whileAsking(
  s: UpstreamStage,
  args: Record<string, unknown> = {},
): Promise<Awaited<ReturnType<UpstreamStage['call']>>> {
  let settled = false;
  const asked = s.call('bad', 'look', args).finally(() => (settled = true));
  let answers = 0;
  do {
    expect(textOf(await s.call('good', 'look', { at: 'this' }))).toBe('saw this');
    answers += 1;
  } while (!settled && answers < 20);
  expect(textOf(await s.call('good', 'look', { at: 'that' }))).toBe('saw that');
  return asked;
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

const leftHomes = (): string[] => readdirSync(tmpdir()).filter((name) => name.startsWith('aegis-upstream-'));

describe('a hostile MCP server is contained, and others keep their answers', () => {
  it('one that hangs costs its caller the call’s time, and nobody else anything', async () => {
    const s = await beside(hostile('hangs', { call_timeout_ms: 1500 }));
    expect(await whileAsking(s)).toMatchObject({ code: 'upstream-timeout' });
  });

  it('one that floods 50 MB without an end of line is cut, and its memory is not taken', async () => {
    const s = await beside(hostile('floods'));
    const before = process.memoryUsage().rss;
    const answer = await whileAsking(s);
    expect(answer).toMatchObject({ code: 'result-too-large' });
    expect(process.memoryUsage().rss - before).toBeLessThan(48 * 1024 * 1024);
  });

  it('one that floods 50 MB of notes that nobody asked for is cut', async () => {
    const s = await beside(hostile('floods-notes'));
    expect(await whileAsking(s)).toMatchObject({ code: 'result-too-large' });
  });

  it('one that ended is started again at the next call; a read that was cut is asked once more', async () => {
    const s = await beside(hostile('forks'));
    const [pid = 0] = JSON.parse(textOf(await s.call('bad', 'look'))) as number[];
    process.kill(pid, 'SIGKILL');
    await vi.waitFor(() => expect(alive(pid)).toBe(false), PATIENCE);
    const [again = 0] = JSON.parse(textOf(await s.call('bad', 'look'))) as number[];
    expect(again).not.toBe(pid);
  });

  it('one that changes a tool loses that tool until a person approves the change', async () => {
    const note = join(dir, 'note');
    const s = await beside(hostile('changes', {}, note));
    expect(textOf(await whileAsking(s, { at: 'here' }))).toBe('saw here');
    expect(textOf(await s.call('bad', 'look', { at: 'changed' }))).toBe('done');
    await vi.waitFor(
      async () => expect(await s.call('bad', 'look')).toMatchObject({ code: 'tool-quarantined' }),
      PATIENCE,
    );
    const listed = await s.gateway.upstreamDefinitions();
    const held = listed.find((tool) => tool.name === 'mcp.bad.look');
    expect(held?.description).toMatch(/^\(unavailable now: bad describes look differently/);
    expect(held?.description).not.toContain('sends all that it sees');
    const chain = await s.store.ledger.read('SYSTEM', { kinds: ['event'] });
    expect(chain.map((entry) => entry.payload['type'])).toContain('upstream_tool_changed');
    await s.approve('bad');
    expect(textOf(await s.call('bad', 'look', { at: 'there' }))).toBe('saw there');
  });

  it('a change is also seen when the server comes back with it, before anything is called', async () => {
    const note = join(dir, 'note');
    const s = await beside(hostile('changes', { idle_stop_s: 1 }, note));
    writeFileSync(note, 'changed');
    await vi.waitFor(
      async () => expect(await s.call('bad', 'look')).toMatchObject({ code: 'tool-quarantined' }),
      { timeout: 15_000, interval: 1500 },
    );
    writeFileSync(note, 'gone');
    expect(await s.gateway.lookAtUpstream('bad')).toEqual({ undeclared: [] });
    expect(await s.call('bad', 'look')).toMatchObject({ code: 'tool-gone' });
  });

  it('one that flips its tools voids nobody’s approval: the digest of plans does not hold them', async () => {
    const note = join(dir, 'note');
    const s = await beside(hostile('changes', {}, note));
    const digest = s.gateway.toolDefinitionsDigest();
    writeFileSync(note, 'changed');
    await s.gateway.lookAtUpstream('bad');
    await s.approve('bad');
    expect(s.gateway.toolDefinitionsDigest()).toBe(digest);
  });

  it('one that sends malformed JSON is ended, and its caller told', async () => {
    const s = await beside(hostile('malformed', { call_timeout_ms: 5000 }));
    expect(await whileAsking(s)).toMatchObject({ code: 'upstream-malformed' });
  });

  it('one whose answer is nested without end is told apart, and overflows nobody', async () => {
    const s = await beside(hostile('deep'));
    expect(await whileAsking(s)).toMatchObject({ code: 'upstream-malformed' });
  });

  it('one that forks takes its children with it, those outside of its group too', async () => {
    const s = await beside(hostile('forks'));
    const pids = JSON.parse(textOf(await whileAsking(s))) as number[];
    expect(pids.map(alive)).toEqual([true, true, true]);
    await s.gateway.close();
    expect(pids.map(alive)).toEqual([false, false, process.platform !== 'linux']);
  });

  it('one that ignores SIGTERM is gone after close all the same, with its directory', async () => {
    const homes = leftHomes().length;
    const s = await beside(hostile('stays'));
    expect(textOf(await whileAsking(s))).toBe('saw nothing');
    expect(leftHomes().length).toBeGreaterThan(homes);
    await s.gateway.close();
    expect(leftHomes().length).toBeLessThanOrEqual(homes);
  });

  it('one that reads its environment and HOME finds what the configuration gave it, and nothing of Aegis', async () => {
    process.env['AEGIS_TEST_CANARY'] = 'canary-of-the-parent';
    const s = await beside(hostile('curious', { env: { REGION: 'eu' } }));
    const seen = JSON.parse(textOf(await whileAsking(s))) as {
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
    const key = 'plain-words-that-no-rule-knows';
    const s = await beside(hostile('blabs', { env: { API_KEY: { env: 'BAD_KEY' } } }), true, {
      BAD_KEY: key,
    });
    const answer = await whileAsking(s);
    expect(answer).toMatchObject({ code: 'source-rejected' });
    expect(JSON.stringify(answer)).toContain('my key is [REDACTED');
    expect(JSON.stringify([answer, s.log_lines])).not.toContain(key);
  });

  it('one that never completes the handshake is given up, and left alone for a while', async () => {
    const s = await beside(hostile('silent', { handshake_timeout_ms: 300 }), false);
    const looked = s.gateway.lookAtUpstream('bad');
    expect(textOf(await s.call('good', 'look'))).toBe('saw nothing');
    expect(await looked).toMatchObject({
      code: 'upstream-timeout',
      reason: expect.stringContaining('handshake'),
    });
    await s.gateway.lookAtUpstream('bad');
    const third = await s.gateway.lookAtUpstream('bad');
    expect(third).toMatchObject({
      code: 'upstream-unreachable',
      reason: expect.stringContaining('left alone'),
    });
  });

  it('one that exits at once is not started in a loop', async () => {
    const s = await beside(hostile('exits'), false);
    const looks = [];
    for (let n = 0; n < 12; n += 1) looks.push(await s.gateway.lookAtUpstream('bad'));
    expect(looks[0]).toMatchObject({ reason: expect.stringContaining('ended with code 3') });
    expect(
      looks.filter((look) => isRefusal(look) && look.reason.includes('left alone')).length,
    ).toBeGreaterThan(7);
    expect(textOf(await s.call('good', 'look'))).toBe('saw nothing');
    s.clock.skip(60_000);
    expect(await s.gateway.lookAtUpstream('bad')).toMatchObject({
      reason: expect.stringContaining('ended with code 3'),
    });
  });

  it('one that dies in every call is started at most twice for one caller', async () => {
    const s = await beside(hostile('dies'));
    expect(await whileAsking(s)).toMatchObject({
      code: expect.stringMatching(/^upstream-(dropped|unreachable)$/),
    });
  });

  it('one that shadows names is pointed out, and its names cannot reach ours', async () => {
    const s = await beside(hostile('shadows', { tools: { look: 'read', 'k8s.get': 'read' } }), false);
    await s.gateway.lookAtUpstream('bad');
    const [pin] = (await s.store.upstream_pins.list('bad')).filter(({ tool }) => tool === 'k8s.get');
    const others = { tools: [...s.gateway.definitions().map((d) => d.name), 'good/look'], servers: ['good'] };
    const findings = findingsIn({ tool: 'k8s.get', definition: pin?.seen?.definition ?? {} }, others);
    expect(findings.map(({ kind }) => kind)).toEqual(['hidden-text', 'mentions-others', 'shadows']);
    expect(findings[0]?.text).toContain('U+200B');
    await s.approve('bad');
    const names = (await s.gateway.upstreamDefinitions()).map(({ name }) => name);
    expect(names).toEqual(['mcp.good.look', 'mcp.bad.look', 'mcp.bad.k8s_get']);
    expect(s.gateway.definitions().map(({ name }) => name)).toContain('k8s.get');
  });

  it('one that lies in its annotations can only make itself look worse', async () => {
    const s = await beside(hostile('lies'), false);
    await s.gateway.lookAtUpstream('bad');
    const [pin] = (await s.store.upstream_pins.list('bad')).filter(({ tool }) => tool === 'look');
    const findings = findingsIn(
      { tool: 'look', definition: pin?.seen?.definition ?? {} },
      { tools: [], servers: [] },
    );
    expect(findings).toEqual([expect.objectContaining({ kind: 'raises-risk' })]);
    expect(await s.call('bad', 'look')).toMatchObject({ code: 'tool-quarantined' });
  });
});
