import { setTimeout as sleep } from 'node:timers/promises';
import { evaluateExpectation } from '../../contract/expectation.ts';
import type { AnyCheck } from '../../contract/plan.ts';
import type { World } from '../../contract/world.ts';
import type { EffectInput } from './effect.ts';

/** Pauses between tries grow: a job that takes half an hour is not asked six hundred times. */
const GROWTH = 1.1;
const GROWTH_MAX = 10;

export interface CheckResult {
  check_id: string;
  title: string;
  status: 'passed' | 'failed' | 'unknown';
  found: string;
  evidence_id: string | null;
  tries: number;
}

export interface CheckTimes {
  /** Data older than this says nothing about the change. */
  readonly changed_at_ms: number;
  /** The time of each check counts from here. */
  readonly from_ms: number;
  /** Once all passed: when they must pass again; null: they need not. */
  readonly baked_at_ms: number | null;
}

/**
 * Each check is read again and again until it passes or its time is over; what it said last counts. Absence, an error or
 * data older than the change is `unknown`, and unknown is never success (law 11). With a bake time all of them are asked
 * once more when it is over: what passed at first and does not any more has failed.
 */
export async function runChecks(
  input: EffectInput,
  world: World,
  checks: readonly AnyCheck[],
  times: CheckTimes,
): Promise<CheckResult[]> {
  const first = await askAll(input, world, checks, times);
  if (times.baked_at_ms === null || first.some((result) => result.status !== 'passed')) return first;
  const left_ms = times.baked_at_ms - input.deps.clock.now();
  if (left_ms > 0) await sleep(left_ms, undefined, { signal: input.signal });
  const again = await askAll(input, world, checks, { ...times, is_last: true });
  return again.map((result, n) => ({ ...result, tries: result.tries + (first[n]?.tries ?? 0) }));
}

async function askAll(
  input: EffectInput,
  world: World,
  checks: readonly AnyCheck[],
  times: CheckTimes & { readonly is_last?: true },
): Promise<CheckResult[]> {
  const results: CheckResult[] = [];
  for (const check of checks) {
    // Once a check has failed for certain, the others are looked at once: nothing that they say can mend it.
    const over = results.some((result) => result.status === 'failed');
    const deadline_ms = times.from_ms + (over ? 0 : check.within_s * 1000);
    const final = (status: CheckResult['status']): boolean =>
      isFinal(check, status) || (times.is_last === true && status === 'failed');
    results.push(await ask(input, world, check, { ...times, deadline_ms, final }));
  }
  return results;
}

async function ask(
  input: EffectInput,
  world: World,
  check: AnyCheck,
  until: {
    readonly changed_at_ms: number;
    readonly deadline_ms: number;
    readonly final: (status: CheckResult['status']) => boolean;
  },
): Promise<CheckResult> {
  const result: CheckResult = {
    check_id: check.id,
    title: check.title,
    status: 'unknown',
    found: 'not read yet',
    evidence_id: null,
    tries: 0,
  };
  for (;;) {
    result.tries += 1;
    const response = await world.call(
      { op: 'run', command: check.read, why_needed: `verify: ${check.title}` },
      input.signal,
    );
    if (!response.ok) {
      result.status = 'unknown';
      result.found = response.refusal.reason.slice(0, 500);
    } else if (response.op === 'run') {
      const verdict = evaluateExpectation(response.capture.lines, check.expect, until.changed_at_ms);
      result.status = response.capture.complete || verdict.status !== 'passed' ? verdict.status : 'unknown';
      result.found = verdict.found.slice(0, 500);
      result.evidence_id = response.capture.pointer.evidence_id;
    }
    const left_ms = until.deadline_ms - input.deps.clock.now();
    if (until.final(result.status) || left_ms <= 0) return result;
    const pause_ms = Math.min(check.every_s * GROWTH ** result.tries, check.every_s * GROWTH_MAX) * 1000;
    await sleep(Math.min(pause_ms, Math.max(50, left_ms)), undefined, { signal: input.signal });
  }
}

/** A pass is final; so is a failure over data that is provably newer than the change: waiting cannot mend it. */
function isFinal(check: AnyCheck, status: CheckResult['status']): boolean {
  return status === 'passed' || (status === 'failed' && check.expect.fresh_select !== undefined);
}
