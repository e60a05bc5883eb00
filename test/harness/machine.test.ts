import { describe, expect, it } from 'vitest';
import { INCIDENT_STATES } from '../../src/contract/incident.ts';
import { HarnessEvent } from '../../src/harness/events.ts';
import { mermaidOfMoves } from '../../src/harness/fsm.ts';
import { step } from '../../src/harness/machine.ts';
import { MOVES } from '../../src/harness/moves.ts';
import type { Snapshot } from '../../src/harness/state.ts';
import { incidentNotice } from '../../src/harness/notices/incident-notice.ts';
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
const [ALERT] = incidentContext().alerts;
const RESOLVED = { ...(ALERT as NonNullable<typeof ALERT>), status: 'resolved' as const };

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
      { from: 'EXECUTING', on: 'canary_checked', to: 'ROLLING_BACK', when: 'canary_goes_back' },
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

  it('takes from a kind of work only what it can report, about the change that it works on', () => {
    const planning = walkTo('PLANNING');
    const early = preparedEvent(runningId(planning), 1, 9);
    expect(step(planning, early)).toMatchObject({
      ok: false,
      refusal: { code: 'illegal-move', reason: expect.stringContaining('waits for plan') as string },
    });
    const executing = walkTo('EXECUTING');
    const other = { at: at(9), effect_id: runningId(executing), change_id: 'CHG-999', outcome: outcome() };
    expect(step(executing, { type: 'executed', ...other })).toMatchObject({
      ok: false,
      refusal: { reason: expect.stringContaining('about CHG-999 is not its result') as string },
    });
  });

  it('makes no new plan while a write that was stopped is under way: its end is waited for and kept', () => {
    const executing = walkTo('EXECUTING');
    const stopped = take(executing, { type: 'stopped', at: at(9), by: 'dan', reason: '' });
    const again = { type: 'plan_again', at: at(10), by: 'dan' } as const;
    expect(step(stopped, again)).toMatchObject({ ok: false, refusal: { code: 'write-under-way' } });
    expect(incidentNotice(stopped, VIEW).buttons).not.toContain('plan_again');
    const twice = take(stopped, { type: 'stopped', at: at(10), by: 'ines', reason: '' });
    expect(twice.context.halt?.text).not.toContain('Nothing was changed');
    const change_id = executing.context.running?.change_id ?? '';
    const effect_id = runningId(executing);
    const told = take(twice, { type: 'executed', at: at(11), effect_id, change_id, outcome: outcome() });
    expect(told.context.done).toHaveLength(1);
    expect(take(told, again).state).toBe('DIAGNOSING');
  });

  it('does not close by itself over a write that is under way, nor over changes that are in force', () => {
    const resolved: HarnessEvent = { type: 'alerts', at: at(11), status: 'resolved', alerts: [RESOLVED] };
    const quiet = { type: 'timer', at: at(400), kind: 'quiet', armed_step: 1 } as const;
    const executing = walkTo('EXECUTING');
    const stopped = take(executing, { type: 'stopped', at: at(9), by: 'dan', reason: '' });
    expect(step(take(stopped, resolved), quiet)).toMatchObject({
      ok: false,
      refusal: { code: 'stale-timer' },
    });

    const change_id = executing.context.running?.change_id ?? '';
    const effect_id = runningId(executing);
    const changed = take(stopped, { type: 'executed', at: at(10), effect_id, change_id, outcome: outcome() });
    expect(take(take(changed, resolved), quiet).state).toBe('HALTED');
    const again = take(changed, { type: 'plan_again', at: at(10), by: 'dan' });
    const observing = take(take(again, resolved), quiet);
    expect(observing.state).toBe('OBSERVING');
    expect(incidentNotice(observing, VIEW).doing).toContain('a person closes this');
  });

  it('stays as it was closed when the timer of a resolved alert comes late', () => {
    let s = take(walkTo('PENDING_APPROVAL'), {
      type: 'alerts',
      at: at(6),
      status: 'resolved',
      alerts: [RESOLVED],
    });
    s = take(s, { type: 'timer', at: at(306), kind: 'quiet', armed_step: 1 });
    expect(s.state).toBe('CLOSED');
    const late = step(s, { type: 'timer', at: at(307), kind: 'quiet', armed_step: 1 });
    expect(late).toMatchObject({ ok: false, refusal: { code: 'stale-timer' } });
  });

  it('counts approvals again when one of their givers resumes: another person can complete them', () => {
    const halted = take(walkTo('CLEARING'), {
      type: 'effect_failed',
      at: at(8),
      effect_id: runningId(walkTo('CLEARING')),
      reason: 'Kubernetes answered 500',
      retryable: false,
    });
    const resumed = take(halted, { type: 'resumed', at: at(9), by: 'dan', recounts: true });
    expect([resumed.state, resumed.context.approval?.status]).toEqual(['PENDING_APPROVAL', 'open']);
    expect(resumed.context.running).toBeNull();
    const completed = take(resumed, decide(resumed, 'omar', 'approve', 10));
    expect([completed.context.approval?.status, completed.context.running?.kind]).toEqual([
      'approved',
      'clear',
    ]);
    // Ledgers from before they were counted again replay as they were.
    const older = take(halted, { type: 'resumed', at: at(9), by: 'dan' });
    expect(older.context.running?.kind).toBe('clear');
  });

  it('a write that left and whose server stays silent ends as unknown, also after a stop: a person looks', () => {
    const executing = walkTo('EXECUTING');
    const change_id = executing.context.running?.change_id ?? '';
    const silent = (s: Snapshot, retryable: boolean): HarnessEvent => ({
      type: 'effect_failed',
      at: at(20),
      effect_id: runningId(s),
      reason: 'Kubernetes does not answer.',
      retryable,
      may_have_run: true,
    });
    expect(take(executing, silent(executing, true)).state).toBe('EXECUTING');
    const given_up = take(executing, silent(executing, false));
    expect(given_up.context.halt).toMatchObject({
      reason: 'unknown_outcome',
      text: expect.stringContaining(`${change_id} (Raise driver memory to 2g): nobody can tell`) as string,
      next_step: expect.stringMatching(/^Look at the object before anything else/) as string,
      resume_to: null,
    });
    const stopped = take(executing, { type: 'stopped', at: at(9), by: 'dan', reason: '' });
    const told = take(stopped, silent(stopped, true));
    expect(told.context.halt?.text).toMatch(/Stopped by dan.*nobody can tell whether it was applied/);
    expect(told.context.done).toMatchObject([{ change_id, outcome: { status: 'outcome_unknown' } }]);
    // Not closed as "nothing was changed" when the alert goes away.
    const quiet = take(told, { type: 'alerts', at: at(21), status: 'resolved', alerts: [RESOLVED] });
    expect(take(quiet, { type: 'timer', at: at(400), kind: 'quiet', armed_step: 1 }).state).toBe('HALTED');
  });
});
