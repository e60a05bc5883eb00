import type { IncidentState } from '../contract/incident.ts';
import type { EventType } from './events.ts';

/**
 * The table of legal moves: the whole machine as data. `machine.ts` compiles it for xstate, `aegis fsm` draws it, the
 * explorer walks it. Rows of one (from, event) pair are tried in order; the first whose guard holds wins. A pair that
 * is not listed is illegal and becomes a recorded refusal.
 */
export type GuardName =
  | 'auto'
  | 'conclusive'
  | 'may_execute'
  | 'denied_wrong_cause'
  | 'denied'
  | 'clear_passed'
  | 'clear_may_recollect'
  | 'canary_done'
  | 'canary_passed'
  | 'canary_goes_back'
  | 'outcome_done_more'
  | 'outcome_done_last'
  | 'later_step_failed'
  | 'check_failed'
  | 'undone_more'
  | 'all_passed'
  | 'can_retry'
  | 'resolved'
  | 'quiet_is_over'
  | 'shadow_quiet_is_over'
  | 'watch_is_over'
  | 'minutes_are_over'
  | 'back_to_triage'
  | 'back_to_diagnosing'
  | 'back_to_planning'
  | 'back_to_pending'
  | 'back_to_verifying'
  | 'back_to_rolling_back';

export interface Move {
  readonly from: IncidentState;
  readonly on: EventType;
  readonly to: IncidentState;
  readonly when?: GuardName;
}

const OPEN_STATES: readonly IncidentState[] = [
  'TRIAGE',
  'DIAGNOSING',
  'PLANNING',
  'PENDING_APPROVAL',
  'EXECUTING',
  'VERIFYING',
  'ROLLING_BACK',
  'OBSERVING',
];
const BEFORE_EXECUTION: readonly IncidentState[] = ['TRIAGE', 'DIAGNOSING', 'PLANNING', 'PENDING_APPROVAL'];
const WORKING: readonly IncidentState[] = [
  'TRIAGE',
  'DIAGNOSING',
  'PLANNING',
  'PENDING_APPROVAL',
  'EXECUTING',
  'VERIFYING',
  'ROLLING_BACK',
];

export const MOVES: readonly Move[] = [
  { from: 'IDLE', on: 'opened', to: 'TRIAGE' },

  { from: 'TRIAGE', on: 'triaged', to: 'DIAGNOSING', when: 'auto' },
  { from: 'TRIAGE', on: 'triaged', to: 'TRIAGE' },
  { from: 'TRIAGE', on: 'activated', to: 'DIAGNOSING' },

  { from: 'DIAGNOSING', on: 'investigated', to: 'PLANNING', when: 'conclusive' },
  { from: 'DIAGNOSING', on: 'investigated', to: 'HALTED' },

  { from: 'PLANNING', on: 'drafted', to: 'PLANNING' },
  { from: 'PLANNING', on: 'plan_failed', to: 'HALTED' },
  { from: 'PLANNING', on: 'prepared', to: 'PENDING_APPROVAL', when: 'may_execute' },
  { from: 'PLANNING', on: 'prepared', to: 'OBSERVING' },
  { from: 'PLANNING', on: 'prepare_refused', to: 'HALTED' },

  { from: 'PENDING_APPROVAL', on: 'decided', to: 'DIAGNOSING', when: 'denied_wrong_cause' },
  { from: 'PENDING_APPROVAL', on: 'decided', to: 'HALTED', when: 'denied' },
  { from: 'PENDING_APPROVAL', on: 'decided', to: 'PENDING_APPROVAL' },
  { from: 'PENDING_APPROVAL', on: 'cleared', to: 'EXECUTING', when: 'clear_passed' },
  { from: 'PENDING_APPROVAL', on: 'cleared', to: 'DIAGNOSING', when: 'clear_may_recollect' },
  { from: 'PENDING_APPROVAL', on: 'cleared', to: 'HALTED' },
  { from: 'PENDING_APPROVAL', on: 'plan_again', to: 'PLANNING' },
  // What was approved stood under other rules. Only a person's Plan again goes on from there.
  { from: 'PENDING_APPROVAL', on: 'policies_changed', to: 'PENDING_APPROVAL' },
  { from: 'HALTED', on: 'policies_changed', to: 'HALTED' },

  { from: 'EXECUTING', on: 'executed', to: 'EXECUTING', when: 'canary_done' },
  { from: 'EXECUTING', on: 'canary_checked', to: 'EXECUTING', when: 'canary_passed' },
  // Unknown is never success: what was tried is put back, whether a check failed or gave no answer.
  { from: 'EXECUTING', on: 'canary_checked', to: 'ROLLING_BACK', when: 'canary_goes_back' },
  { from: 'EXECUTING', on: 'canary_checked', to: 'HALTED' },
  { from: 'EXECUTING', on: 'executed', to: 'EXECUTING', when: 'outcome_done_more' },
  { from: 'EXECUTING', on: 'executed', to: 'VERIFYING', when: 'outcome_done_last' },
  { from: 'EXECUTING', on: 'executed', to: 'ROLLING_BACK', when: 'later_step_failed' },
  { from: 'EXECUTING', on: 'executed', to: 'HALTED' },
  { from: 'EXECUTING', on: 'execute_refused', to: 'HALTED' },

  { from: 'VERIFYING', on: 'verified', to: 'CLOSED', when: 'all_passed' },
  { from: 'VERIFYING', on: 'verified', to: 'ROLLING_BACK', when: 'check_failed' },
  { from: 'VERIFYING', on: 'verified', to: 'HALTED' },

  // However a rollback ends, a person looks: the trouble that the plan was for is still there.
  { from: 'ROLLING_BACK', on: 'undone', to: 'ROLLING_BACK', when: 'undone_more' },
  { from: 'ROLLING_BACK', on: 'undone', to: 'HALTED' },
  { from: 'ROLLING_BACK', on: 'undo_refused', to: 'HALTED' },

  // Only looking and thinking meets a budget or goes in circles; what has begun to change the world is never cut short.
  ...(['DIAGNOSING', 'PLANNING'] as const).flatMap((from): Move[] => [
    { from, on: 'out_of_budget', to: 'HALTED' },
    { from, on: 'looped', to: 'HALTED' },
  ]),

  { from: 'OBSERVING', on: 'plan_again', to: 'DIAGNOSING' },
  // Shadow: people act and are watched. The look after the quiet time ends it.
  { from: 'OBSERVING', on: 'observed', to: 'CLOSED', when: 'watch_is_over' },
  { from: 'OBSERVING', on: 'observed', to: 'OBSERVING' },
  { from: 'OBSERVING', on: 'effect_failed', to: 'OBSERVING' },
  { from: 'CLOSED', on: 'reviewed', to: 'CLOSED' },

  ...WORKING.flatMap((from): Move[] => [
    { from, on: 'effect_failed', to: from, when: 'can_retry' },
    { from, on: 'effect_failed', to: 'HALTED' },
  ]),
  { from: 'CLOSED', on: 'effect_failed', to: 'CLOSED' },

  // Timers: `judge` has already dropped those whose reason is gone.
  { from: 'DIAGNOSING', on: 'timer', to: 'HALTED', when: 'minutes_are_over' },
  { from: 'PLANNING', on: 'timer', to: 'HALTED', when: 'minutes_are_over' },
  { from: 'OBSERVING', on: 'timer', to: 'OBSERVING', when: 'shadow_quiet_is_over' },
  { from: 'OBSERVING', on: 'timer', to: 'CLOSED', when: 'quiet_is_over' },
  { from: 'HALTED', on: 'timer', to: 'OBSERVING', when: 'shadow_quiet_is_over' },
  { from: 'HALTED', on: 'timer', to: 'CLOSED', when: 'quiet_is_over' },
  ...([...WORKING, 'OBSERVING', 'HALTED'] as const).map((from): Move => ({ from, on: 'timer', to: from })),

  // Alerts: before execution a resolve voids the plan and waits for quiet; later it is only recorded.
  ...BEFORE_EXECUTION.flatMap((from): Move[] => [
    { from, on: 'alerts', to: 'OBSERVING', when: 'resolved' },
    { from, on: 'alerts', to: from },
  ]),
  ...(['EXECUTING', 'VERIFYING', 'ROLLING_BACK', 'OBSERVING', 'HALTED'] as const).map((from): Move => ({
    from,
    on: 'alerts',
    to: from,
  })),

  ...OPEN_STATES.flatMap((from): Move[] => [
    { from, on: 'stopped', to: 'HALTED' },
    { from, on: 'handed_over', to: 'HALTED' },
  ]),

  // A person says what they did by hand, at any time.
  ...[...OPEN_STATES, 'HALTED' as const].map((from): Move => ({ from, on: 'did', to: from })),

  // Results that arrive after a stop are recorded: a write that had left may still report.
  { from: 'HALTED', on: 'executed', to: 'HALTED' },
  { from: 'HALTED', on: 'execute_refused', to: 'HALTED' },
  { from: 'HALTED', on: 'undone', to: 'HALTED' },
  { from: 'HALTED', on: 'undo_refused', to: 'HALTED' },
  { from: 'HALTED', on: 'effect_failed', to: 'HALTED' },
  { from: 'HALTED', on: 'handed_over', to: 'HALTED' },
  { from: 'HALTED', on: 'stopped', to: 'HALTED' },
  { from: 'HALTED', on: 'plan_again', to: 'DIAGNOSING' },

  // Resume never enters EXECUTING: the gates run again first.
  { from: 'HALTED', on: 'resumed', to: 'TRIAGE', when: 'back_to_triage' },
  { from: 'HALTED', on: 'resumed', to: 'DIAGNOSING', when: 'back_to_diagnosing' },
  { from: 'HALTED', on: 'resumed', to: 'PLANNING', when: 'back_to_planning' },
  { from: 'HALTED', on: 'resumed', to: 'PENDING_APPROVAL', when: 'back_to_pending' },
  { from: 'HALTED', on: 'resumed', to: 'VERIFYING', when: 'back_to_verifying' },
  { from: 'HALTED', on: 'resumed', to: 'ROLLING_BACK', when: 'back_to_rolling_back' },
];
