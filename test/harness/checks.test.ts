import { describe, expect, it } from 'vitest';
import type { AnyCheck } from '../../src/contract/plan.ts';
import type { World } from '../../src/contract/world.ts';
import { runChecks } from '../../src/harness/effects/checks.ts';
import type { EffectInput } from '../../src/harness/effects/effect.ts';

/** Checks and their bake time, over a world that answers as it is told. */
const check = (id: string, within_s = 1): AnyCheck => ({
  id: `a1c${id}`,
  title: `check ${id}`,
  read: `read /${id}`,
  expect: { select: 'state', op: 'eq', value: 'good' },
  within_s,
  every_s: 0.2,
});

/** Answers in order for each file, the last one for ever; null: the source is away. */
function worldOf(answers: Record<string, readonly (string | null)[]>) {
  const asked: string[] = [];
  const call = async ({ command }: { command: string }) => {
    const path = command.slice('read /'.length);
    const list = answers[path] ?? [];
    const said = list[Math.min(asked.filter((each) => each === path).length, list.length - 1)] ?? null;
    asked.push(path);
    if (said === null) return { ok: false, refusal: { reason: 'Loki is away' } };
    const capture = { lines: [`state: ${said}`], complete: true, pointer: { evidence_id: 'EV-1' } };
    return { ok: true, op: 'run', capture };
  };
  return { world: { call } as unknown as World, asked };
}

function inputOf(signal = new AbortController().signal): EffectInput {
  return { deps: { clock: { now: () => Date.now() } }, signal } as unknown as EffectInput;
}

const times = (baked_after_ms: number | null, changed_at_ms = Date.now()) => ({
  changed_at_ms,
  from_ms: changed_at_ms,
  baked_at_ms: baked_after_ms === null ? null : changed_at_ms + baked_after_ms,
});

describe('checks with a bake time', () => {
  it('must all pass again when it is over', async () => {
    const { world, asked } = worldOf({ 1: ['good'], 2: ['good'] });
    const began = Date.now();
    const results = await runChecks(inputOf(), world, [check('1'), check('2')], times(400, began));
    expect(results.map((r) => r.status)).toEqual(['passed', 'passed']);
    expect(asked).toEqual(['1', '2', '1', '2']);
    expect(Date.now() - began).toBeGreaterThanOrEqual(395);
    expect(results.map((r) => r.tries)).toEqual([2, 2]);
  });

  it('that passed at first and do not any more have failed, at once', async () => {
    const { world, asked } = worldOf({ 1: ['good', 'bad'], 2: ['good'] });
    const results = await runChecks(inputOf(), world, [check('1', 60), check('2', 60)], times(100));
    expect(results.map((r) => r.status)).toEqual(['failed', 'passed']);
    expect(asked.filter((path) => path === '1')).toHaveLength(2);
  });

  it('that have no answer afterwards are asked while their time lasts, and then are unknown', async () => {
    const { world, asked } = worldOf({ 1: ['good', null] });
    const results = await runChecks(inputOf(), world, [check('1')], times(100));
    expect(results).toMatchObject([{ status: 'unknown', found: 'Loki is away' }]);
    expect(asked.length).toBeGreaterThan(2);
  });

  it('do not begin to bake before all of them passed', async () => {
    const { world, asked } = worldOf({ 1: ['good'], 2: [null] });
    const results = await runChecks(inputOf(), world, [check('1'), check('2')], times(60_000));
    expect(results.map((r) => r.status)).toEqual(['passed', 'unknown']);
    expect(asked.filter((path) => path === '1')).toHaveLength(1);
  });

  it('count from the change: after a restart that outlasted it nothing is waited for again', async () => {
    const { world, asked } = worldOf({ 1: ['good'] });
    const began = Date.now();
    const results = await runChecks(inputOf(), world, [check('1')], times(30_000, began - 60_000));
    expect(results.map((r) => r.status)).toEqual(['passed']);
    expect(asked).toHaveLength(2);
    expect(Date.now() - began).toBeLessThan(10_000);
  });

  it('are left at once when somebody stops the incident', async () => {
    const { world } = worldOf({ 1: ['good'] });
    const abort = new AbortController();
    const run = runChecks(inputOf(abort.signal), world, [check('1')], times(600_000));
    setTimeout(() => abort.abort(new Error('stopped')), 50);
    await expect(run).rejects.toThrow(/abort/i);
  });
});
