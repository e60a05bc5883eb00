import { describe, expect, it } from 'vitest';
import type { Autonomy } from '../../src/contract/incident.ts';
import type { EventOf, HarnessEvent } from '../../src/harness/events.ts';
import { step } from '../../src/harness/machine.ts';
import { approvalNotice } from '../../src/harness/notices/approval-notice.ts';
import { incidentNotice } from '../../src/harness/notices/incident-notice.ts';
import { incidentOf } from '../../src/harness/state.ts';
import { at, decide, incidentContext, outcome, runningId, take, walkTo } from './fixtures.ts';

const VIEW = { ledger_head: '0'.repeat(64), tool_calls: 0, simulated: true, approvers: 'Dan' };

function refusalCode(snapshot: ReturnType<typeof walkTo>, event: HarnessEvent): string {
  const stepped = step(snapshot, event);
  return stepped.ok ? `accepted into ${stepped.snapshot.state}` : stepped.refusal.code;
}

describe('a decision on a plan', () => {
  const pending = walkTo('PENDING_APPROVAL');
  const change = (c: Partial<EventOf<'decided'>>) => decide(pending, 'dan', 'approve', 6, c);

  it.each([
    ['the asker', decide(pending, 'maya', 'approve', 6), 'self-approval'],
    ['the asker who denies', decide(pending, 'maya', 'deny', 6), 'self-approval'],
    ['one who took part elsewhere', change({ same_effect_in: 'INC-2026-1123-009' }), 'same-effect'],
    ['another revision', change({ revision: 7 }), 'stale-revision'],
    ['an older card', change({ revision: 7, approval_id: 'APR-99' }), 'stale-revision'],
    ['another plan hash', change({ plan_hash: 'f'.repeat(64) }), 'wrong-plan-hash'],
    ['an approval of another incident', change({ approval_id: 'APR-99' }), 'unknown-approval'],
    ['a role that the rule does not ask for', change({ role: 'viewer' }), 'wrong-role'],
    ['a click after the expiry', decide(pending, 'dan', 'approve', 5 + 901), 'approval-expired'],
    ['a withdrawal of nothing', decide(pending, 'dan', 'withdraw', 6), 'nothing-to-withdraw'],
  ])('of %s is refused with its own sentence', (_who, event, code) => {
    expect(refusalCode(pending, event)).toBe(code);
  });

  it.each([
    ['starter', 'You started this incident, so you cannot approve it yourself.'],
    ['asker', 'You asked for this run, so you cannot approve it yourself.'],
    ['author', 'You wrote the change that it undoes, so you cannot approve it yourself.'],
  ] as const)('of oneself as the %s is told why', (role, reason) => {
    const incident = { ...incidentOf(pending.context), involved: [{ principal: 'dan', role }] };
    const mine = { ...pending, context: { ...pending.context, incident } };
    expect(step(mine, change({}))).toMatchObject({ ok: false, refusal: { code: 'self-approval', reason } });
  });

  it('stays possible for one who took part elsewhere when it is a denial', () => {
    const denied = decide(pending, 'dan', 'deny', 6, { same_effect_in: 'INC-2026-1123-009' });
    expect(take(pending, denied).context.approval?.status).toBe('denied');
  });

  it('counts a person once, and the second person completes it', () => {
    const one = take(pending, decide(pending, 'dan', 'approve', 6));
    expect(one.state).toBe('PENDING_APPROVAL');
    expect(one.context.running).toBeNull();
    expect(refusalCode(one, decide(one, 'dan', 'approve', 7))).toBe('same-person');
    const two = take(one, decide(one, 'ines', 'approve', 8));
    expect(two.context.approval?.status).toBe('approved');
    expect(two.context.running?.kind).toBe('clear');
    expect(refusalCode(two, decide(two, 'omar', 'approve', 9))).toBe('approval-over');
  });

  it('can be withdrawn until the first step, which stops the clearing', () => {
    const clearing = walkTo('CLEARING');
    const withdrawn = take(clearing, decide(clearing, 'dan', 'withdraw', 8));
    expect(withdrawn.context.running).toBeNull();
    expect(withdrawn.context.approval?.status).toBe('open');
    const executing = walkTo('EXECUTING');
    expect(refusalCode(executing, decide(executing, 'dan', 'withdraw', 9))).toBe('approval-over');
  });

  it('a denial ends the plan: wrong cause investigates again, anything else halts', () => {
    const wrong = take(pending, decide(pending, 'dan', 'deny', 6, { because: 'wrong_cause' }));
    expect(wrong.state).toBe('DIAGNOSING');
    const risky = take(pending, decide(pending, 'dan', 'deny', 6));
    expect(risky.context.halt).toMatchObject({ reason: 'denied', resume_to: 'PLANNING' });
    expect(risky.context.approval?.status).toBe('denied');
  });

  it('is void when other policies are in force, and says so; Plan again is what is left', () => {
    const changed = (s: ReturnType<typeof walkTo>, approval_id = s.context.approval?.approval_id ?? '') =>
      ({
        type: 'policies_changed',
        at: at(7),
        approval_id,
        digest_of_plan: 'a'.repeat(64),
        digest_now: 'b'.repeat(64),
      }) as const;
    for (const waiting of [pending, walkTo('CLEARING')]) {
      const voided = take(waiting, changed(waiting));
      expect(voided.state).toBe('PENDING_APPROVAL');
      expect(voided.context.approval?.status).toBe('void');
      expect(voided.context.running).toBeNull();
      expect(approvalNotice(voided, VIEW)).toMatchObject({
        status: 'void',
        status_text: expect.stringMatching(/policies changed .* Press Plan again/),
      });
      expect(incidentNotice(voided, VIEW).buttons).toContain('plan_again');
      expect(refusalCode(voided, decide(voided, 'omar', 'approve', 8))).toBe('approval-over');
      expect(refusalCode(voided, changed(voided))).toBe('stale-effect');
      expect(take(voided, { type: 'plan_again', at: at(9), by: 'maya' }).state).toBe('PLANNING');
    }
    expect(refusalCode(pending, changed(pending, 'APR-99'))).toBe('stale-effect');
    const executing = walkTo('EXECUTING');
    expect(refusalCode(executing, changed(executing))).toBe('illegal-move');
    const refused = take(executing, {
      type: 'execute_refused',
      at: at(9),
      effect_id: runningId(executing),
      change_id: executing.context.running?.change_id ?? '',
      code: 'policy-changed',
      reason: 'The policies changed since the plan was approved.',
      remedy: 'Plan again.',
    });
    const halted = take(refused, changed(refused));
    expect(halted.context.approval?.status).toBe('void');
    expect(halted.context.halt).toMatchObject({
      resume_to: null,
      next_step: expect.stringContaining('Press Plan again'),
    });
  });

  it('expires by timer and then only a button makes a new plan', () => {
    const early = step(pending, { type: 'timer', at: at(100), kind: 'approval_expiry', armed_step: 1 });
    expect(early).toMatchObject({ ok: false, refusal: { code: 'stale-timer' } });
    const expired = take(pending, { type: 'timer', at: at(5 + 900), kind: 'approval_expiry', armed_step: 1 });
    expect(expired.context.approval?.status).toBe('expired');
    expect(refusalCode(expired, decide(expired, 'dan', 'approve', 906))).toBe('approval-over');
    expect(take(expired, { type: 'plan_again', at: at(910), by: 'dan' }).state).toBe('PLANNING');
  });
});

describe('a plan that asks nobody', () => {
  const preparedAlone = (shown_s: number, autonomy: Autonomy = 'limited') =>
    walkTo('PENDING_APPROVAL', { autonomy }, 1, ({ payload, request, ...event }) => {
      const rule = { ...request.rule, people: 0 };
      const runs_from = at(5 + shown_s);
      return { ...event, payload: { ...payload, rule }, request: { ...request, rule, runs_from } };
    });
  const announced = (seconds: number) =>
    ({ type: 'timer', at: at(seconds), kind: 'announced', armed_step: 1 }) as const;
  const shown = preparedAlone(30);

  it('is shown first, and runs its gates when that time is over, not before', () => {
    expect(shown).toMatchObject({
      state: 'PENDING_APPROVAL',
      context: { approval: { status: 'approved', decisions: [] }, running: null },
    });
    expect(step(shown, announced(34))).toMatchObject({ ok: false, refusal: { code: 'stale-timer' } });
    expect(take(shown, announced(36)).context.running).toMatchObject({ kind: 'clear' });
  });

  it('runs them at once where the policies give no time', () => {
    expect(preparedAlone(0).context.running).toMatchObject({ kind: 'clear' });
  });

  it('can be denied while it is shown by whoever could have approved, and by nobody else', () => {
    const denied = take(shown, decide(shown, 'dan', 'deny', 10));
    expect(denied).toMatchObject({ state: 'HALTED', context: { halt: { reason: 'denied' } } });
    expect(step(denied, announced(36))).toMatchObject({ ok: false, refusal: { code: 'stale-timer' } });
    expect(refusalCode(shown, decide(shown, 'dan', 'deny', 10, { role: 'viewer' }))).toBe('wrong-role');
    expect(refusalCode(shown, decide(shown, 'dan', 'approve', 10))).toBe('approval-over');
  });

  it('does not outlive a stop or the end of the alert', () => {
    const stopped = take(shown, { type: 'stopped', at: at(10), by: 'lena', reason: 'no' });
    expect(step(stopped, announced(36))).toMatchObject({ ok: false, refusal: { code: 'stale-timer' } });
    const [alert] = incidentContext().alerts;
    const resolved = take(shown, {
      type: 'alerts',
      at: at(10),
      status: 'resolved',
      alerts: alert === undefined ? [] : [{ ...alert, status: 'resolved' }],
    });
    expect(resolved.state).toBe('OBSERVING');
    expect(step(resolved, announced(36))).toMatchObject({ ok: false, refusal: { code: 'stale-timer' } });
  });

  it('asks people after all in an incident that is not limited', () => {
    expect(preparedAlone(0, 'approve').context).toMatchObject({
      approval: { status: 'open' },
      running: null,
    });
  });
});

describe('after the approvals', () => {
  it('a changed object is a conflict: nothing ran, approvals are void, the field is named', () => {
    const s = walkTo('EXECUTING');
    const conflict = {
      ...outcome('conflict'),
      conflict_fields: [{ path: '/spec/driver/memory', before: '1g', after: '3g' }],
    };
    const halted = take(s, {
      type: 'executed',
      at: at(9),
      effect_id: runningId(s),
      change_id: s.context.running?.change_id ?? '',
      outcome: conflict,
    });
    expect(halted.context.halt?.reason).toBe('conflict');
    expect(halted.context.halt?.text).toContain('/spec/driver/memory is now "3g"');
    expect(halted.context.approval?.status).toBe('void');
    expect(halted.context.done).toEqual([]);
  });

  it('a write that was done in part halts, and says what to undo and nothing that cannot be undone', () => {
    const s = walkTo('EXECUTING');
    const halted = take(s, {
      type: 'executed',
      at: at(9),
      effect_id: runningId(s),
      change_id: s.context.running?.change_id ?? '',
      outcome: {
        ...outcome('failed'),
        summary: '3 of 5 pods evicted',
        partial: true,
        before_image: { '/spec/unschedulable': false, '/pods/spark-jobs/web-1': 'uid-1' },
      },
    });
    expect(halted.context.halt?.text).toContain('3 of 5 pods evicted');
    expect(halted.context.halt?.next_step).toContain('set /spec/unschedulable back to false');
    expect(halted.context.halt?.next_step).not.toContain('/pods/');
    expect(halted.context.done).toHaveLength(1);
    const whole = take(s, {
      type: 'executed',
      at: at(9),
      effect_id: runningId(s),
      change_id: s.context.running?.change_id ?? '',
      outcome: outcome('failed'),
    });
    expect(whole.context.done).toEqual([]);
  });

  it('changed evidence is collected again at most twice, then a person must look', () => {
    let s = walkTo('CLEARING');
    s = { ...s, context: { ...s.context, recollections: 2 } };
    const halted = take(s, {
      type: 'cleared',
      at: at(9),
      effect_id: runningId(s),
      verdict: 'evidence_changed',
      gates: [],
      reason: 'line 3 changed',
      remedy: 'look',
    });
    expect(halted.state).toBe('HALTED');
  });

  it('a failed check halts and says what to undo by hand', () => {
    const s = walkTo('VERIFYING');
    const check = {
      check_id: 'v1',
      title: 'no OOMKill',
      status: 'failed' as const,
      found: 'OOMKilled',
      evidence_id: null,
      tries: 3,
    };
    const halted = take(s, { type: 'verified', at: at(30), effect_id: runningId(s), checks: [check] });
    expect(halted.context.halt?.reason).toBe('verify_failed');
    expect(halted.context.halt?.next_step).toContain('set /spec/driver/memory back to "1g"');
  });

  it('a check without an answer is never success', () => {
    const s = walkTo('VERIFYING');
    const check = {
      check_id: 'v1',
      title: 'job completed',
      status: 'unknown' as const,
      found: 'Loki did not answer',
      evidence_id: null,
      tries: 3,
    };
    expect(
      take(s, { type: 'verified', at: at(30), effect_id: runningId(s), checks: [check] }).context.halt
        ?.reason,
    ).toBe('inconclusive');
  });

  it('a stop during a write keeps waiting for its result and records it', () => {
    const s = walkTo('EXECUTING');
    const stopped = take(s, { type: 'stopped', at: at(9), by: 'dan', reason: 'wrong job' });
    expect(stopped.state).toBe('HALTED');
    const told = take(stopped, {
      type: 'executed',
      at: at(10),
      effect_id: runningId(s),
      change_id: s.context.running?.change_id ?? '',
      outcome: outcome(),
    });
    expect(told.context.done).toHaveLength(1);
    expect(told.context.halt?.reason).toBe('stopped');
    expect(step(told, { type: 'resumed', at: at(11), by: 'dan' })).toMatchObject({
      ok: false,
      refusal: { code: 'no-resume' },
    });
  });

  it('a spent budget halts, and a person who resumes grants one more round', () => {
    const s = walkTo('CLEARING');
    const gates = [
      {
        gate: 'budget',
        title: 'Budget',
        status: 'refused' as const,
        reason: '83 of 70 calls are used',
        remedy: 'r',
      },
    ];
    const halted = take(s, {
      type: 'cleared',
      at: at(9),
      effect_id: runningId(s),
      verdict: 'refused',
      gates,
      reason: '83 of 70 calls are used',
      remedy: 'r',
    });
    expect(halted.context.halt).toMatchObject({ reason: 'budget', resume_to: 'PENDING_APPROVAL' });
    const resumed = take(halted, { type: 'resumed', at: at(10), by: 'dan' });
    expect(resumed.context.rounds).toBe(2);
    expect(resumed.context.running?.kind).toBe('clear');
  });
});
