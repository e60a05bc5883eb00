import { tallyDecisions } from '../contract/approval.ts';
import type { Approval } from '../contract/approval.ts';
import type { HaltReason, IncidentState } from '../contract/incident.ts';
import type { EventOf, HarnessEvent } from './events.ts';
import { actionTitle, undoAdvice } from './halt-texts.ts';
import { incidentOf, involvedSet } from './state.ts';
import type { EffectKind, MachineContext, Snapshot } from './state.ts';

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
    const approval: Approval = { ...e.request, decisions: [], status: 'open' };
    if (to === 'OBSERVING') return { ...c, plan, approval: null, running: null, retries: 0 };
    return { ...c, plan, approval, running: null, retries: 0, done: [], checks: [] };
  },
  prepare_refused: (c, _to, e) =>
    halt(c, 'inconclusive', `The plan was refused: ${e.reason}`, e.remedy, 'DIAGNOSING'),
  decided: foldDecision,
  cleared: foldCleared,
  executed: foldExecuted,
  execute_refused: (c, to, e, from) => {
    if (from === 'HALTED') return { ...c, running: null };
    const text = `${actionTitle(c, e.change_id)} was not run: ${e.reason}`;
    return haltOrStay(
      c,
      to,
      'dependency',
      text,
      `${e.remedy} Then press Resume: all gates run again.`,
      'PENDING_APPROVAL',
    );
  },
  verified: foldVerified,
  reviewed: (c, _to, e) => ({
    ...c,
    running: null,
    retries: 0,
    postmortem: { title: e.title, markdown: e.markdown },
  }),
  effect_failed: (c, to, e, from) => {
    if (to === 'CLOSED' || from === 'HALTED') return { ...c, running: null };
    if (to !== 'HALTED') return { ...c, retries: c.retries + 1, status_text: e.reason };
    return halt(
      c,
      'dependency',
      e.reason,
      'When it is reachable again, press Resume; nothing that was collected is lost.',
      resumeTo(from),
    );
  },
  timer: foldTimer,
  stopped: (c, _to, e, from) => {
    const kept = { ...c, running: from === 'EXECUTING' || from === 'HALTED' ? c.running : null };
    const ran =
      c.done.length === 0 && from !== 'EXECUTING'
        ? 'Nothing was changed.'
        : `${c.done.length} of ${c.plan?.payload.plan.actions.length ?? 0} steps ran. ${undoAdvice(c)}`;
    const reason = e.reason === '' ? '' : ` (${e.reason})`;
    return {
      ...withHalt(
        voided(kept, 'stopped'),
        'stopped',
        `Stopped by ${e.by}${reason}. ${ran}`,
        'Press Plan again to start over, or take it over by hand.',
        null,
      ),
    };
  },
  resumed: (c, to, e) => {
    const next = involve({ ...c, retries: 0, recollections: 0 }, e.by);
    if (to === 'PENDING_APPROVAL')
      return next.approval?.status === 'approved' ? start(next, 'clear') : { ...next, running: null };
    return start(
      next,
      ({ TRIAGE: 'triage', PLANNING: 'plan', VERIFYING: 'verify' } as const)[to as 'TRIAGE'] ?? 'investigate',
    );
  },
  plan_again: (c, to, e) => {
    const next = voided(
      involve({ ...c, retries: 0, recollections: 0, resolved_at: null, activated: true }, e.by),
      'replaced by a new plan',
    );
    return start(next, to === 'PLANNING' ? 'plan' : 'investigate');
  },
  handed_over: (c, _to, e) =>
    withHalt(
      voided({ ...c, running: null }, 'handed over'),
      'paused',
      `${e.by} has taken over by hand. ${undoAdvice(c)}`.trim(),
      'Press Plan again when Aegis should look once more.',
      null,
    ),
};

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
    return { ...voided(next, 'the alert resolved by itself'), running: null, resolved_at: e.at };
  if (to === 'OBSERVING' || to === 'HALTED')
    return { ...next, resolved_at: all_resolved ? (next.resolved_at ?? e.at) : null };
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

function foldCleared(c: MachineContext, to: IncidentState, e: EventOf<'cleared'>): MachineContext {
  const plan = c.plan === null ? null : { ...c.plan, gates: e.gates };
  const next = { ...c, plan };
  if (to === 'EXECUTING') return start(next, 'execute', firstAction(next));
  if (to === 'DIAGNOSING')
    return start({ ...voided(next, e.reason), recollections: c.recollections + 1 }, 'investigate');
  if (e.verdict === 'refused')
    return halt(
      next,
      'dependency',
      `Not run: ${e.reason}`,
      `${e.remedy} Then press Resume: all gates run again.`,
      'PENDING_APPROVAL',
    );
  const reason: HaltReason = e.verdict === 'conflict' ? 'conflict' : 'inconclusive';
  return halt(voided(next, e.reason), reason, `Not run: ${e.reason}`, e.remedy, 'DIAGNOSING');
}

function foldExecuted(
  c: MachineContext,
  to: IncidentState,
  e: EventOf<'executed'>,
  from: IncidentState,
): MachineContext {
  const ran = e.outcome.status === 'done' || e.outcome.status === 'outcome_unknown';
  const next = {
    ...c,
    done: ran
      ? [...c.done, { change_id: e.change_id, at: e.changed_at ?? e.at, outcome: e.outcome }]
      : c.done,
  };
  if (to === 'EXECUTING') return start(next, 'execute', firstAction(next));
  if (to === 'VERIFYING') return start(closed_approval(next, 'used'), 'verify');
  if (from === 'HALTED')
    return {
      ...next,
      running: null,
      halt:
        c.halt === null
          ? null
          : { ...c.halt, text: `${c.halt.text} The step under way ended: ${e.outcome.summary}` },
    };
  const title = actionTitle(c, e.change_id);
  if (e.outcome.status === 'conflict') {
    const fields = e.outcome.conflict_fields
      .map((f) => `${f.path} is now ${JSON.stringify(f.after)}, approved was ${JSON.stringify(f.before)}`)
      .join('; ');
    return halt(
      voided(next, e.outcome.summary),
      'conflict',
      `${title}: not run, the object changed after the approval. ${fields}`,
      'Press Resume: Aegis looks again and makes a new plan.',
      'DIAGNOSING',
    );
  }
  if (e.outcome.status === 'outcome_unknown')
    return halt(
      closed_approval(next, 'used'),
      'unknown_outcome',
      `${title}: nobody can tell whether it was applied. ${e.outcome.summary}`,
      `Look at the object before anything else. ${undoAdvice(next)}`,
      null,
    );
  return halt(
    closed_approval(next, 'used'),
    'dependency',
    `${title} failed: ${e.outcome.summary}`,
    `${undoAdvice(next)} Press Plan again for a fresh look.`.trim(),
    null,
  );
}

function foldVerified(c: MachineContext, to: IncidentState, e: EventOf<'verified'>): MachineContext {
  const next = { ...c, checks: e.checks };
  const passed = e.checks.filter((check) => check.status === 'passed').length;
  if (to === 'CLOSED') {
    const intents = c.plan?.payload.plan.actions.map((a) => a.intent).join('; ') ?? '';
    return start(
      { ...next, outcome: `Done: ${intents}. ${passed} of ${e.checks.length} checks passed.`, closed_at: e.at },
      'review',
    );
  }
  const bad =
    e.checks.find((check) => check.status === 'failed') ??
    e.checks.find((check) => check.status === 'unknown');
  const failed = bad?.status === 'failed';
  const text =
    bad === undefined
      ? 'No check gave an answer.'
      : `Check "${bad.title}" ${failed ? 'failed' : 'gave no answer'}: ${bad.found}.`;
  return halt(
    next,
    failed ? 'verify_failed' : 'inconclusive',
    text,
    `${undoAdvice(c)} Or press Resume to check again.`.trim(),
    'VERIFYING',
  );
}

function foldTimer(c: MachineContext, to: IncidentState, e: EventOf<'timer'>): MachineContext {
  if (e.kind === 'retry' && c.running !== null)
    return start(c, c.running.kind, c.running.change_id, c.retries);
  if (e.kind === 'approval_expiry') {
    const running = c.running?.kind === 'clear' ? null : c.running;
    return { ...c, running, approval: c.approval === null ? null : { ...c.approval, status: 'expired' } };
  }
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

function start(
  c: MachineContext,
  kind: EffectKind,
  change_id: string | null = null,
  retries = 0,
): MachineContext {
  return {
    ...c,
    retries,
    running: { effect_id: `${incidentOf(c).incident_id}/${c.step}/0`, kind, change_id },
  };
}

function firstAction(c: MachineContext): string | null {
  return c.plan?.payload.plan.actions[c.done.length]?.change_id ?? null;
}

function involve(c: MachineContext, principal: string): MachineContext {
  const incident = incidentOf(c);
  if (incident.involved.some((i) => i.principal === principal)) return c;
  return {
    ...c,
    incident: {
      ...incident,
      involved: [...incident.involved, { principal, role: 'asker' as const }].slice(-100),
    },
  };
}

function halt(
  c: MachineContext,
  reason: HaltReason,
  text: string,
  next_step: string,
  resume_to: IncidentState | null,
): MachineContext {
  return { ...withHalt(c, reason, text, next_step, resume_to), running: null, retries: 0 };
}

function haltOrStay(
  c: MachineContext,
  to: IncidentState,
  reason: HaltReason,
  text: string,
  next_step: string,
  resume_to: IncidentState,
): MachineContext {
  return to === 'HALTED' ? halt(c, reason, text, next_step, resume_to) : c;
}

function withHalt(
  c: MachineContext,
  reason: HaltReason,
  text: string,
  next_step: string,
  resume_to: IncidentState | null,
): MachineContext {
  return { ...c, halt: { reason, text, next_step, resume_to } };
}

/** Approvals that what they approved no longer stands for. */
function voided(c: MachineContext, why: string): MachineContext {
  if (c.approval === null || !['open', 'approved'].includes(c.approval.status)) return c;
  return { ...c, approval: { ...c.approval, status: 'void' }, status_text: why };
}

function closed_approval(c: MachineContext, status: 'used'): MachineContext {
  return c.approval === null ? c : { ...c, approval: { ...c.approval, status } };
}

/** Where a halted state goes on after its dependency is back. A running write is never resumed blindly. */
function resumeTo(from: IncidentState): IncidentState | null {
  if (from === 'EXECUTING') return 'PENDING_APPROVAL';
  return (
    (['TRIAGE', 'DIAGNOSING', 'PLANNING', 'PENDING_APPROVAL', 'VERIFYING'] as const).find(
      (s) => s === from,
    ) ?? null
  );
}
