import { AUTONOMY_LEVELS } from '../contract/incident.ts';
import type { EventOf, HarnessEvent } from './events.ts';
import type { GuardName } from './moves.ts';
import { isShadowQuietOver, isWatchOver } from './shadow/fold-shadow.ts';
import { madeChanges, nextUndo, rollbackObstacle, standingChanges } from './standing.ts';
import { EFFECT_RETRIES_MAX, incidentOf, RECOLLECT_MAX } from './state.ts';
import type { MachineContext } from './state.ts';

type Guard = (context: MachineContext, event: HarnessEvent) => boolean;

/** The conditions of the table of moves. Pure and total: an event of another type never holds. */
export const GUARDS: Readonly<Record<GuardName, Guard>> = {
  auto: (c) => c.activated || incidentOf(c).activation === 'auto',
  conclusive: (_c, e) => e.type === 'investigated' && e.findings.conclusive,
  may_execute: (c) => AUTONOMY_LEVELS.indexOf(incidentOf(c).autonomy) >= AUTONOMY_LEVELS.indexOf('approve'),
  denied_wrong_cause: (_c, e) => e.type === 'decided' && e.decision === 'deny' && e.because === 'wrong_cause',
  denied: (_c, e) => e.type === 'decided' && e.decision === 'deny',
  clear_passed: (_c, e) => e.type === 'cleared' && e.verdict === 'passed',
  clear_may_recollect: (c, e) =>
    e.type === 'cleared' && e.verdict === 'evidence_changed' && c.recollections < RECOLLECT_MAX,
  canary_done: (_c, e) => e.type === 'executed' && e.phase === 'canary' && e.outcome.status === 'done',
  canary_passed: (_c, e) => e.type === 'canary_checked' && allPassed(e.checks),
  canary_goes_back: (c, e) => e.type === 'canary_checked' && rollbackObstacle(c, standingChanges(c)) === null,
  outcome_done_more: (c, e) =>
    e.type === 'executed' && e.outcome.status === 'done' && c.done.length + 1 < actionCount(c),
  outcome_done_last: (c, e) =>
    e.type === 'executed' && e.outcome.status === 'done' && c.done.length + 1 >= actionCount(c),
  later_step_failed: (c, e) =>
    e.type === 'executed' &&
    e.rolls_back === true &&
    (e.outcome.status === 'failed' || e.outcome.status === 'conflict') &&
    standingChanges(c).length > 0 &&
    rollbackObstacle(c, standingAfter(c, e)) === null,
  check_failed: (c, e) =>
    e.type === 'verified' &&
    e.rolls_back === true &&
    e.checks.some((check) => check.status === 'failed') &&
    rollbackObstacle(c, standingChanges(c)) === null,
  undone_more: (c, e) => e.type === 'undone' && e.put_back === 'yes' && standingChanges(c).length > 1,
  all_passed: (_c, e) => e.type === 'verified' && allPassed(e.checks),
  can_retry: (c, e) => e.type === 'effect_failed' && e.retryable && c.retries < EFFECT_RETRIES_MAX,
  resolved: (_c, e) =>
    e.type === 'alerts' && e.status === 'resolved' && e.alerts.every((a) => a.status === 'resolved'),
  quiet_is_over: (c, e) => e.type === 'timer' && e.kind === 'quiet' && madeChanges(c).length === 0,
  shadow_quiet_is_over: (c, e) => e.type === 'timer' && e.kind === 'quiet' && isShadowQuietOver(c, e.at),
  watch_is_over: (c, e) => e.type === 'observed' && isWatchOver(c, e),
  minutes_are_over: (_c, e) => e.type === 'timer' && e.kind === 'minutes',
  back_to_triage: (c) => c.halt?.resume_to === 'TRIAGE',
  back_to_diagnosing: (c) => c.halt?.resume_to === 'DIAGNOSING',
  back_to_planning: (c) => c.halt?.resume_to === 'PLANNING',
  back_to_pending: (c) => c.halt?.resume_to === 'PENDING_APPROVAL',
  back_to_rolling_back: (c) => c.halt?.resume_to === 'ROLLING_BACK' && nextUndo(c) !== null,
  back_to_verifying: (c) => c.halt?.resume_to === 'VERIFYING',
};

/** With a step that was done in part: what it did stands. */
function standingAfter(c: MachineContext, e: EventOf<'executed'>): MachineContext['done'] {
  if (e.outcome.partial !== true) return standingChanges(c);
  return [...standingChanges(c), { change_id: e.change_id, at: e.at, outcome: e.outcome }];
}

function allPassed(checks: readonly { readonly status: string }[]): boolean {
  return checks.length > 0 && checks.every((check) => check.status === 'passed');
}

function actionCount(context: MachineContext): number {
  return context.plan?.payload.plan.actions.length ?? 0;
}
