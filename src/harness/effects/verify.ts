import { setTimeout as sleep } from 'node:timers/promises';
import { evaluateExpectation } from '../../contract/expectation.ts';
import type { Check } from '../../contract/plan.ts';
import type { World } from '../../contract/world.ts';
import type { PreparedPlan } from '../state.ts';
import { withWorld } from '../world-session.ts';
import type { Effect, EffectInput } from './effect.ts';

/** Pauses between tries grow: a job that takes half an hour is not asked six hundred times. */
const GROWTH = 1.1;
const GROWTH_MAX = 10;

interface CheckResult {
  check_id: string;
  title: string;
  status: 'passed' | 'failed' | 'unknown';
  found: string;
  evidence_id: string | null;
  tries: number;
}

/**
 * VERIFYING: each check is read again and again until it passes or its time is over; what it said last counts. Absence,
 * an error or data older than the change is `unknown`, and unknown is never success (law 11).
 */
export const verifyEffect: Effect = (input) =>
  withWorld(input.deps, input.context, { purpose: 'verify' }, async ({ world }) => {
    const { payload } = input.context.plan as PreparedPlan;
    const changed_at_ms = Date.parse(input.context.done[0]?.at ?? input.at());
    const started_ms = input.deps.clock.now();
    const checks: CheckResult[] = [];
    for (const check of payload.plan.verify) {
      // Once a check has failed for certain, the others are looked at once: nothing that they say can mend it.
      const within_ms = checks.some((c) => c.status === 'failed') ? 0 : check.within_s * 1000;
      checks.push(await runCheck(input, world, check, changed_at_ms, started_ms + within_ms));
    }
    return { type: 'verified', at: input.at(), effect_id: input.running.effect_id, checks, rolls_back: true };
  });

async function runCheck(
  input: EffectInput,
  world: World,
  check: Check,
  changed_at_ms: number,
  deadline_ms: number,
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
      const verdict = evaluateExpectation(response.capture.lines, check.expect, changed_at_ms);
      result.status = response.capture.complete || verdict.status !== 'passed' ? verdict.status : 'unknown';
      result.found = verdict.found.slice(0, 500);
      result.evidence_id = response.capture.pointer.evidence_id;
    }
    if (isFinal(check, result.status) || input.deps.clock.now() >= deadline_ms) return result;
    const pause_ms = Math.min(check.every_s * GROWTH ** result.tries, check.every_s * GROWTH_MAX) * 1000;
    const left_ms = Math.max(50, deadline_ms - input.deps.clock.now());
    await sleep(Math.min(pause_ms, left_ms), undefined, { signal: input.signal });
  }
}

/** A pass is final; so is a failure over data that is provably newer than the change: waiting cannot mend it. */
function isFinal(check: Check, status: CheckResult['status']): boolean {
  return status === 'passed' || (status === 'failed' && check.expect.fresh_select !== undefined);
}
