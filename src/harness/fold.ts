import { asksNobody, hasBeenShown, tallyDecisions } from '../contract/approval.ts';
import type { Approval } from '../contract/approval.ts';
import type { IncidentState } from '../contract/incident.ts';
import type { EventOf, HarnessEvent } from './events.ts';
import {
  ANOTHER_ROUND,
  anotherRound,
  halt,
  haltOrStay,
  involve,
  recounted,
  resumeTo,
  start,
  usedUp,
  voided,
  withHalt,
} from './fold-parts.ts';
import { foldCanaryChecked } from './fold-canary.ts';
import { foldLooped, foldOutOfBudget } from './fold-limits.ts';
import { foldCleared, foldExecuted, foldLost, foldVerified } from './fold-results.ts';
import {
  beginRollback,
  brakeRollback,
  foldUndone,
  foldUndoRefused,
  rollbackProgress,
  stopRollback,
  undoNext,
} from './fold-rollback.ts';
import {
  actionTitle,
  canaryWords,
  inForceWords,
  NEXT_AFTER_HAND_OVER,
  NEXT_AFTER_STOP,
  undoAdvice,
} from './halt-texts.ts';
import {
  foldDid,
  foldObserved,
  foldWatchFailed,
  isShadowed,
  watchOn,
  withCompared,
} from './shadow/fold-shadow.ts';
import { isCanaryOnly, madeChanges } from './standing.ts';
import { incidentOf, involvedSet, writes } from './state.ts';
import type { MachineContext, Snapshot } from './state.ts';

/**
 * The context after an event that the table of moves has accepted. Pure: time comes from the event. At most one effect
 * runs per incident; starting one gives it the id `<INC>/<step>/0`.
 */
export function fold(from: Snapshot, to: IncidentState, event: HarnessEvent): MachineContext {
  const before = { ...from.context, step: from.context.step + 1, updated_at: event.at };
  const after = HANDLERS[event.type](before, to, event as never, from.state);
  return to === 'HALTED' || after.halt === null ? after : { ...after, halt: null };
}

type Handler<T extends HarnessEvent['type']> = (
  c: MachineContext,
  to: IncidentState,
  e: EventOf<T>,
  from: IncidentState,
) => MachineContext;

const HANDLERS: { [T in HarnessEvent['type']]: Handler<T> } = {
  opened: (c, _to, e) => start({ ...c, incident: e.context, channel: e.channel }, 'triage'),
  alerts: foldAlerts,
  activated: (c, _to, e) => start({ ...involve(c, e.by), activated: true }, 'investigate'),
  triaged: (c, to, e) => {
    const next = { ...c, skills: e.skills, running: null };
    return to === 'DIAGNOSING' ? start({ ...next, activated: true }, 'investigate') : next;
  },
  investigated: (c, to, e) => {
    const next = { ...c, findings: e.findings };
    if (to === 'PLANNING') return start(next, 'plan');
    return halt(
      next,
      'inconclusive',
      'The evidence does not show a cause.',
      'Read what is missing in the thread, then press Plan again, or take it over by hand.',
      'DIAGNOSING',
    );
  },
  drafted: (c, _to, e) => start({ ...c, draft: e.draft, revision: c.revision + 1 }, 'prepare'),
  plan_failed: (c, _to, e) => halt(c, 'inconclusive', `No plan: ${e.reason}`, e.remedy, 'DIAGNOSING'),
  prepared: (c, to, e) => {
    const plan = { payload: e.payload, previews: e.previews, gates: e.gates };
    const alone = asksNobody(e.request.rule, incidentOf(c).autonomy);
    const approval: Approval = { ...e.request, decisions: [], status: alone ? 'approved' : 'open' };
    // The round that a person granted ends with its plan.
    const round = { ...withCompared(c, e), shared_budget: 'kept' as const };
    if (to === 'OBSERVING') return watchOn({ ...round, plan, approval: null, retries: 0 });
    const next = { ...round, plan, approval, done: [], checks: [], canaries: [], rollback: null };
    return alone && hasBeenShown(approval, e.at)
      ? start(next, 'clear')
      : { ...next, running: null, retries: 0 };
  },
  prepare_refused: (c, _to, e) =>
    e.code === 'budget'
      ? halt(c, 'budget', e.reason, ANOTHER_ROUND, 'PLANNING')
      : halt(c, 'inconclusive', `The plan was refused: ${e.reason}`, e.remedy, 'DIAGNOSING'),
  decided: foldDecision,
  cleared: foldCleared,
  executed: foldExecuted,
  canary_checked: foldCanaryChecked,
  undone: foldUndone,
  undo_refused: foldUndoRefused,
  execute_refused: (c, to, e, from) => {
    if (from === 'HALTED') return { ...c, running: null };
    if (isCanaryOnly(c, e.change_id))
      return stopAfterCanary(c, `${actionTitle(c, e.change_id)} was not run: ${e.reason}`, e.remedy);
    const done = c.done.map((d) => actionTitle(c, d.change_id));
    const before = done.length === 0 ? '' : ` Done before it, and in force: ${done.join(', ')}.`;
    return haltOrStay(
      c,
      to,
      'dependency',
      `${actionTitle(c, e.change_id)} was not run: ${e.reason}${before}`,
      `${e.remedy} Then press Resume: all gates run again. ${undoAdvice(c)}`.trim(),
      'PENDING_APPROVAL',
    );
  },
  verified: foldVerified,
  out_of_budget: foldOutOfBudget,
  looped: foldLooped,
  reviewed: (c, _to, e) => ({
    ...c,
    running: null,
    retries: 0,
    postmortem: { title: e.title, markdown: e.markdown },
  }),
  effect_failed: (c, to, e, from) => {
    if (to === 'HALTED' && e.may_have_run === true && writes(c) && c.running?.kind !== 'undo')
      return foldLost(c, e, from);
    if (to === 'CLOSED' || from === 'HALTED') return { ...c, running: null };
    if (to === 'OBSERVING') return foldWatchFailed(c, e);
    if (to !== 'HALTED') return { ...c, retries: c.retries + 1, status_text: e.reason };
    if (from === 'ROLLING_BACK')
      return stopRollback(c, 'dependency', e.reason, 'Wait until it is reachable.', 'ROLLING_BACK');
    if (from === 'EXECUTING' && c.running?.change_id != null && isCanaryOnly(c, c.running.change_id))
      return stopAfterCanary(c, e.reason, 'Wait until it is reachable.');
    return halt(
      c,
      'dependency',
      e.reason,
      'When it is reachable again, press Resume; nothing that was collected is lost.',
      resumeTo(from),
    );
  },
  timer: foldTimer,
  observed: foldObserved,
  did: foldDid,
  policies_changed: (c, to, e) => {
    const why = `The policies changed (${e.digest_of_plan.slice(0, 8)} is now ${e.digest_now.slice(0, 8)}), so what was approved no longer stands. Press Plan again for a plan under the new rules.`;
    const next = voided(c, why);
    if (to !== 'HALTED' || next.halt === null) return { ...next, running: null, retries: 0 };
    const resume_to = next.halt.resume_to === 'PENDING_APPROVAL' ? null : next.halt.resume_to;
    return { ...next, halt: { ...next.halt, next_step: why, resume_to } };
  },
  stopped: (c, _to, e, from) => {
    const kept = { ...c, running: writeUnderWay(c, from) };
    const reason = e.reason === '' ? '' : ` (${e.reason})`;
    if (from === 'ROLLING_BACK') return brakeRollback(kept, 'stopped', `Stopped by ${e.by}${reason}`);
    const ran =
      madeChanges(c).length === 0 && from !== 'EXECUTING' && !writes(c)
        ? 'Nothing was changed.'
        : `${c.done.length} of ${c.plan?.payload.plan.actions.length ?? 0} steps ran.${putBackWords(c)}${canaryWords(c)} ${undoAdvice(c)}`;
    return {
      ...withHalt(
        voided(kept, 'stopped'),
        'stopped',
        `Stopped by ${e.by}${reason}. ${ran}`,
        NEXT_AFTER_STOP,
        null,
      ),
    };
  },
  resumed: (c, to, e) => {
    const asked = involve({ ...c, ...anotherRound(c), retries: 0, recollections: 0 }, e.by);
    const next = e.recounts === true ? recounted(asked) : asked;
    if (to === 'PENDING_APPROVAL')
      return next.approval?.status === 'approved' ? start(next, 'clear') : { ...next, running: null };
    if (to === 'ROLLING_BACK')
      return next.rollback === null ? beginRollback(next, c.halt?.text ?? '') : undoNext(next);
    return start(
      next,
      ({ TRIAGE: 'triage', PLANNING: 'plan', VERIFYING: 'verify' } as const)[to as 'TRIAGE'] ?? 'investigate',
    );
  },
  plan_again: (c, to, e) => {
    const next = voided(
      involve(
        { ...c, ...anotherRound(c), retries: 0, recollections: 0, resolved_at: null, activated: true },
        e.by,
      ),
      'replaced by a new plan',
    );
    return start(next, to === 'PLANNING' ? 'plan' : 'investigate');
  },
  handed_over: (c, _to, e, from) => {
    const kept = { ...c, running: writeUnderWay(c, from) };
    if (from === 'ROLLING_BACK') return brakeRollback(kept, 'paused', `${e.by} has taken over by hand`);
    return withHalt(
      voided(kept, 'handed over'),
      'paused',
      `${e.by} has taken over by hand.${putBackWords(c)}${canaryWords(c)} ${undoAdvice(c)}`.trim(),
      NEXT_AFTER_HAND_OVER,
      null,
    );
  },
};

/**
 * A write that is under way when a person steps in still reports, so the incident goes on waiting for it; a canary that
 * is only watched is let go at once.
 */
function writeUnderWay(c: MachineContext, from: IncidentState): MachineContext['running'] {
  return writes(c) && WRITING.has(from) ? c.running : null;
}

const WRITING = new Set<IncidentState>(['EXECUTING', 'ROLLING_BACK', 'HALTED']);

/** A canary is in force and its action cannot follow now: the gates cannot be run again over it, so it goes back. */
function stopAfterCanary(c: MachineContext, why: string, remedy: string): MachineContext {
  return halt(
    usedUp(c, 'used'),
    'dependency',
    `${why} ${inForceWords(c)}`,
    `${remedy} Then press Resume: the canary is put back. ${undoAdvice(c)}`.trim(),
    'ROLLING_BACK',
  );
}

/** What an earlier rollback has put back already. */
function putBackWords(c: MachineContext): string {
  return c.rollback === null ? '' : ` ${rollbackProgress(c)}`;
}

function foldAlerts(
  c: MachineContext,
  to: IncidentState,
  e: EventOf<'alerts'>,
  from: IncidentState,
): MachineContext {
  const incident = incidentOf(c);
  const merged = new Map(incident.alerts.map((a) => [`${a.fingerprint} ${a.starts_at}`, a]));
  for (const alert of e.alerts) merged.set(`${alert.fingerprint} ${alert.starts_at}`, alert);
  const next = { ...c, incident: { ...incident, alerts: [...merged.values()].slice(-500) } };
  const all_resolved = next.incident.alerts.every((a) => a.status === 'resolved');
  if (to === 'OBSERVING' && from !== 'OBSERVING')
    return watchOn({ ...voided(next, 'the alert resolved by itself'), resolved_at: e.at });
  if (to === 'OBSERVING' || to === 'HALTED') {
    const stands = { ...next, resolved_at: all_resolved ? (next.resolved_at ?? e.at) : null };
    // Whatever helped has just been done: look at once.
    const helped = to === 'OBSERVING' && stands.resolved_at !== null && next.resolved_at === null;
    return helped && isShadowed(stands) ? watchOn(stands) : stands;
  }
  return next;
}

function foldDecision(c: MachineContext, to: IncidentState, e: EventOf<'decided'>): MachineContext {
  const approval = c.approval as Approval;
  const decision = {
    principal: e.by,
    via: e.via,
    role: e.role,
    decision: e.decision,
    reason: e.reason,
    at: e.at,
    ...(e.token === undefined ? {} : { token: e.token }),
  };
  const decisions = [...approval.decisions, decision];
  if (e.decision === 'deny') {
    const denied = { ...c, approval: { ...approval, decisions, status: 'denied' as const } };
    if (to === 'DIAGNOSING') return start({ ...denied, findings: null }, 'investigate');
    return halt(
      denied,
      'denied',
      `Denied by ${e.by}: ${e.reason}`,
      'Press Plan again when the objection is settled.',
      'PLANNING',
    );
  }
  const { satisfied } = tallyDecisions(
    approval.rule,
    decisions,
    involvedSet(c),
    Date.parse(approval.expires_at),
  );
  const next = {
    ...c,
    approval: { ...approval, decisions, status: satisfied ? ('approved' as const) : ('open' as const) },
  };
  if (satisfied) return start(next, 'clear');
  return { ...next, running: null, retries: 0 };
}

function foldTimer(c: MachineContext, to: IncidentState, e: EventOf<'timer'>): MachineContext {
  if (e.kind === 'retry' && c.running !== null)
    return start(c, c.running.kind, c.running.change_id, c.retries);
  if (e.kind === 'announced') return start(c, 'clear');
  if (e.kind === 'approval_expiry') {
    const running = c.running?.kind === 'clear' ? null : c.running;
    return { ...c, running, approval: c.approval === null ? null : { ...c.approval, status: 'expired' } };
  }
  if (e.kind === 'quiet' && to === 'OBSERVING') return watchOn(c);
  if (e.kind === 'quiet' && to === 'CLOSED')
    return {
      ...c,
      running: null,
      outcome: 'The alert resolved by itself; nothing was changed.',
      closed_at: e.at,
    };
  if (e.kind === 'minutes')
    return halt(
      c,
      'budget',
      `The time budget of ${incidentOf(c).budget.minutes_max} minutes is used up.`,
      'Press Resume to give it another round, or take it over by hand.',
      to === 'HALTED' ? 'DIAGNOSING' : null,
    );
  return c;
}
