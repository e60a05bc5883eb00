import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalJson } from '../../src/contract/canonical.ts';
import { INCIDENT_STATES } from '../../src/contract/incident.ts';
import { commitOf } from '../../src/harness/commit-of.ts';
import { HarnessEvent } from '../../src/harness/events.ts';
import { mermaidOfMoves } from '../../src/harness/fsm.ts';
import { replayEvents, step } from '../../src/harness/machine.ts';
import { MOVES } from '../../src/harness/moves.ts';
import { emptySnapshot, Snapshot } from '../../src/harness/state.ts';
import {
  at,
  decide,
  draft,
  findings,
  incidentContext,
  outcome,
  preparedEvent,
  runningId,
  take,
  walkTo,
} from './fixtures.ts';

const VIEW = { ledger_head: '0'.repeat(64), tool_calls: 0, simulated: true, approvers: 'Dan' };

const UNDO_ENDS = [
  ['done', 'yes'],
  ['conflict', 'changed_since'],
  ['failed', 'no'],
  ['conflict', 'no'],
  ['outcome_unknown', 'no'],
] as const;

/** One event of every kind and variant, fitting the snapshot as well as it can. */
function possibleEvents(s: Snapshot, offset_s: number): HarnessEvent[] {
  const base = { at: at(offset_s), effect_id: runningId(s) };
  const alert = incidentContext().alerts[0] as NonNullable<ReturnType<typeof incidentContext>['alerts'][0]>;
  const check = { check_id: 'v1', title: 't', found: 'x', evidence_id: null, tries: 1 };
  const change_id = s.context.running?.change_id ?? 'CHG-1';
  return [
    { type: 'opened', at: at(offset_s), context: incidentContext(), channel: 'C1' },
    { type: 'alerts', at: at(offset_s), status: 'resolved', alerts: [{ ...alert, status: 'resolved' }] },
    { type: 'alerts', at: at(offset_s), status: 'firing', alerts: [alert] },
    { type: 'activated', at: at(offset_s), by: 'maya' },
    { type: 'triaged', ...base, skills: [] },
    { type: 'investigated', ...base, findings: findings(true) },
    { type: 'investigated', ...base, findings: findings(false) },
    { type: 'drafted', ...base, draft: draft() },
    { type: 'plan_failed', ...base, code: 'x', reason: 'r', remedy: 'm' },
    preparedEvent(runningId(s), Math.max(1, s.context.revision), offset_s),
    preparedEvent(runningId(s), Math.max(1, s.context.revision), offset_s, undefined, 3),
    { type: 'prepare_refused', ...base, gates: [], code: 'x', reason: 'r', remedy: 'm' },
    ...['dan', 'ines', 'maya'].flatMap((by) =>
      (['approve', 'deny', 'withdraw'] as const).map((d) => decide(s, by, d, offset_s)),
    ),
    decide(s, 'dan', 'deny', offset_s, { because: 'wrong_cause' }),
    ...(['passed', 'evidence_changed', 'conflict', 'refused'] as const).map((verdict): HarnessEvent => ({
      type: 'cleared',
      ...base,
      verdict,
      gates: [],
      reason: 'r',
      remedy: 'm',
    })),
    ...(['done', 'failed', 'conflict', 'outcome_unknown'] as const).map((status): HarnessEvent => ({
      type: 'executed',
      ...base,
      change_id,
      outcome: outcome(status),
      rolls_back: true,
    })),
    ...UNDO_ENDS.map(([status, put_back]): HarnessEvent => ({
      type: 'undone',
      ...base,
      change_id,
      outcome: outcome(status),
      put_back,
    })),
    { type: 'undo_refused', ...base, change_id, code: 'frozen', reason: 'r', remedy: 'm' },
    { type: 'execute_refused', ...base, change_id, code: 'x', reason: 'r', remedy: 'm' },
    ...(['passed', 'failed', 'unknown'] as const).map((status): HarnessEvent => ({
      type: 'verified',
      ...base,
      checks: [{ ...check, status }],
      rolls_back: true,
    })),
    { type: 'reviewed', ...base, title: 't', markdown: 'm' },
    ...(['incident', 'team'] as const).map((whose): HarnessEvent => ({
      type: 'out_of_budget',
      ...base,
      whose,
      name: whose === 'team' ? 'data' : '',
      unit: 'calls',
      used: 60,
      max: 60,
      day: whose === 'team' ? '2026-11-23' : null,
    })),
    { type: 'looped', ...base, pattern: 'same_read', what: 'read /x', times: 5 },
    { type: 'effect_failed', ...base, reason: 'down', retryable: true },
    { type: 'effect_failed', ...base, reason: 'down', retryable: false },
    ...(['retry', 'approval_expiry', 'quiet', 'minutes'] as const).map((kind): HarnessEvent => ({
      type: 'timer',
      at: at(offset_s),
      kind,
      armed_step: 1,
    })),
    {
      type: 'policies_changed',
      at: at(offset_s),
      approval_id: s.context.approval?.approval_id ?? 'APR-1',
      digest_of_plan: 'a'.repeat(64),
      digest_now: 'b'.repeat(64),
    },
    { type: 'stopped', at: at(offset_s), by: 'maya', reason: '' },
    { type: 'resumed', at: at(offset_s), by: 'maya' },
    { type: 'plan_again', at: at(offset_s), by: 'maya' },
    { type: 'handed_over', at: at(offset_s), by: 'maya' },
  ];
}

/** Events that interrupt: taken now and then, so that walks still get to the end. */
const DISTURBING = new Set([
  'alerts',
  'stopped',
  'handed_over',
  'effect_failed',
  'timer',
  'policies_changed',
]);

function leadsOn(event: HarnessEvent, stepped: ReturnType<typeof step>): boolean {
  if (!stepped.ok || stepped.snapshot.state === 'HALTED') return false;
  return event.type !== 'decided' || event.decision === 'approve';
}

/** What may never be untrue, whatever happened. */
function checkInvariants(from: Snapshot, event: HarnessEvent, to: Snapshot): void {
  Snapshot.parse(to);
  if (to.state === 'EXECUTING' && from.state !== 'EXECUTING') {
    expect(from.state).toBe('PENDING_APPROVAL');
    expect(event.type).toBe('cleared');
    const approval = to.context.approval;
    const people = new Set(
      approval?.decisions.filter((d) => d.decision === 'approve').map((d) => d.principal),
    );
    const involved = new Set(to.context.incident?.involved.map((i) => i.principal));
    expect([...people].filter((p) => !involved.has(p)).length).toBeGreaterThanOrEqual(
      approval?.rule.people ?? 99,
    );
    expect(approval?.decisions.some((d) => d.decision === 'deny')).toBe(false);
    expect(approval?.status).toBe('approved');
    expect(approval?.plan_hash).toBe(to.context.plan?.payload.plan_hash);
  }
  checkRollback(from, event, to);
  if (to.state === 'CLOSED' && event.type === 'verified')
    expect(event.checks.every((c) => c.status === 'passed')).toBe(true);
  if (to.state === 'HALTED') expect(to.context.halt?.next_step).toBeTruthy();
  if (to.state !== 'HALTED') expect(to.context.halt).toBeNull();
  expect(to.context.step).toBe(from.context.step + 1);
}

/** Law 11: only what was shown to fail rolls back, and it goes through what was done, newest first, each once. */
function checkRollback(from: Snapshot, event: HarnessEvent, to: Snapshot): void {
  const { done, rollback, running } = to.context;
  const undone = rollback?.undone.map((u) => u.change_id) ?? [];
  if (to.context.done === from.context.done && rollback !== null)
    expect(undone).toEqual(
      done
        .map((d) => d.change_id)
        .toReversed()
        .slice(0, undone.length),
    );
  if (running?.kind === 'undo') expect(undone).not.toContain(running.change_id);
  if (to.state !== 'ROLLING_BACK') return;
  expect(running?.kind).toBe('undo');
  expect(to.context.approval?.status).toBe('used');
  if (from.state === 'VERIFYING')
    expect(event.type === 'verified' && event.checks.some((c) => c.status === 'failed')).toBe(true);
  else if (from.state === 'EXECUTING')
    expect(event.type === 'executed' && ['failed', 'conflict'].includes(event.outcome.status)).toBe(true);
  else if (from.state === 'HALTED') expect(event.type).toBe('resumed');
  else expect(from.state).toBe('ROLLING_BACK');
}

describe('the machine', () => {
  it('walks the story from alert to closed', () => {
    const s = walkTo('CLOSED');
    expect(s.state).toBe('CLOSED');
    expect(s.context.outcome).toContain('1 of 1 checks passed');
    expect(s.context.running?.kind).toBe('review');
  });

  it('lists only states and events that exist, and reaches every state that this version uses', () => {
    const types = new Set(HarnessEvent.options.map((o) => o.shape.type.value));
    for (const move of MOVES) {
      expect(INCIDENT_STATES).toContain(move.from);
      expect(types).toContain(move.on);
    }
    const reached = new Set(MOVES.map((m) => m.to));
    expect([...INCIDENT_STATES].filter((s) => s !== 'IDLE' && !reached.has(s))).toEqual([]);
    expect(mermaidOfMoves()).toContain('PENDING_APPROVAL --> EXECUTING: cleared [clear_passed]');
  });

  it('only ever enters EXECUTING from PENDING_APPROVAL after the gates passed', () => {
    expect(MOVES.filter((m) => m.to === 'EXECUTING' && m.from !== 'EXECUTING')).toEqual([
      { from: 'PENDING_APPROVAL', on: 'cleared', to: 'EXECUTING', when: 'clear_passed' },
    ]);
  });

  it('only ever leaves ROLLING_BACK for HALTED: no rollback closes an incident by itself', () => {
    expect(
      MOVES.filter((m) => m.from === 'ROLLING_BACK' && m.to !== 'HALTED' && m.to !== 'ROLLING_BACK'),
    ).toEqual([]);
    expect(MOVES.filter((m) => m.to === 'ROLLING_BACK' && m.from !== 'ROLLING_BACK')).toEqual([
      { from: 'EXECUTING', on: 'executed', to: 'ROLLING_BACK', when: 'later_step_failed' },
      { from: 'VERIFYING', on: 'verified', to: 'ROLLING_BACK', when: 'check_failed' },
      { from: 'HALTED', on: 'resumed', to: 'ROLLING_BACK', when: 'back_to_rolling_back' },
    ]);
  });

  it('answers an event that does not belong to the state with a refusal and changes nothing', () => {
    const s = walkTo('DIAGNOSING');
    const refused = step(s, {
      type: 'cleared',
      at: at(9),
      effect_id: runningId(s),
      verdict: 'passed',
      gates: [],
      reason: '',
      remedy: '',
    });
    expect(refused).toMatchObject({ ok: false, refusal: { code: 'illegal-move' } });
  });

  it('ignores the result of an effect that the incident no longer waits for', () => {
    const s = walkTo('DIAGNOSING');
    const late = step(s, {
      type: 'investigated',
      at: at(9),
      effect_id: `${s.context.incident?.incident_id}/1/0`,
      findings: findings(),
    });
    expect(late).toMatchObject({ ok: false, refusal: { code: 'stale-effect' } });
  });

  it('explores random histories: no illegal state, and replay of the accepted events equals the live state', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(200), fc.integer({ min: 0, max: 400 })), { minLength: 1, maxLength: 60 }),
        (choices) => {
          let s = emptySnapshot();
          const accepted: HarnessEvent[] = [];
          let offset = 0;
          for (const [choice, pause] of choices) {
            offset += pause;
            const events = possibleEvents(s, offset);
            const event = events[choice % events.length] as HarnessEvent;
            const stepped = step(s, event);
            if (!stepped.ok) continue;
            checkInvariants(s, event, stepped.snapshot);
            commitOf(s, event, stepped.snapshot, 'aegis:test', [], VIEW);
            accepted.push(event);
            s = stepped.snapshot;
          }
          expect(canonicalJson(replayEvents(accepted))).toBe(canonicalJson(s));
        },
      ),
      { numRuns: 400 },
    );
  });

  it('prefers events that are legal, so that random walks get deep: every state is seen', () => {
    const seen = new Set<string>();
    fc.assert(
      fc.property(fc.array(fc.nat(1000), { minLength: 40, maxLength: 40 }), (choices) => {
        let s = emptySnapshot();
        choices.forEach((choice, n) => {
          const legal = possibleEvents(s, n * 5)
            .map((event) => ({ event, stepped: step(s, event) }))
            .filter((e) => e.stepped.ok);
          const forward = legal.filter((e) => !DISTURBING.has(e.event.type) && leadsOn(e.event, e.stepped));
          const pool = choice % 5 === 0 || forward.length === 0 ? legal : forward;
          const chosen = pool[Math.floor(choice / 5) % Math.max(1, pool.length)];
          if (chosen === undefined || !chosen.stepped.ok) return;
          checkInvariants(s, chosen.event, chosen.stepped.snapshot);
          s = chosen.stepped.snapshot;
          seen.add(s.state);
        });
      }),
      { numRuns: 60, seed: 20261123 },
    );
    expect([...seen].toSorted()).toEqual([
      'CLOSED',
      'DIAGNOSING',
      'EXECUTING',
      'HALTED',
      'OBSERVING',
      'PENDING_APPROVAL',
      'PLANNING',
      'ROLLING_BACK',
      'TRIAGE',
      'VERIFYING',
    ]);
  });

  it('tries a failed effect again within its limit, then halts and can go on from the same place', () => {
    let s = walkTo('DIAGNOSING');
    for (let n = 0; n < 4; n++) {
      s = take(s, {
        type: 'effect_failed',
        at: at(10 + n),
        effect_id: runningId(s),
        reason: 'Kubernetes answered 500',
        retryable: true,
      });
      expect(s.state).toBe('DIAGNOSING');
      s = take(s, { type: 'timer', at: at(10 + n), kind: 'retry', armed_step: 1 });
    }
    s = take(s, {
      type: 'effect_failed',
      at: at(20),
      effect_id: runningId(s),
      reason: 'Kubernetes answered 500',
      retryable: true,
    });
    expect(s.context.halt).toMatchObject({ reason: 'dependency', resume_to: 'DIAGNOSING' });
    s = take(s, { type: 'resumed', at: at(21), by: 'dan' });
    expect(s.state).toBe('DIAGNOSING');
    expect(s.context.running?.kind).toBe('investigate');
  });

  it('in shadow a plan is posted and nothing can be approved', () => {
    let s = walkTo('PLANNING', { autonomy: 'suggest' });
    s = take(s, { type: 'drafted', at: at(4), effect_id: runningId(s), draft: draft() });
    s = take(s, preparedEvent(runningId(s), s.context.revision, 5));
    expect(s.state).toBe('OBSERVING');
    expect(s.context.approval).toBeNull();
    expect(step(s, decide(s, 'dan', 'approve', 6))).toMatchObject({ ok: false });
  });
});
