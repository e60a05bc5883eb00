import { tallyDecisions } from '../../../src/contract/approval.ts';
import { canonicalJson } from '../../../src/contract/canonical.ts';
import { AUTONOMY_LEVELS } from '../../../src/contract/incident.ts';
import type { IncidentState } from '../../../src/contract/incident.ts';
import type { HarnessEvent } from '../../../src/harness/events.ts';
import { MOVES } from '../../../src/harness/moves.ts';
import { madeChanges } from '../../../src/harness/standing.ts';
import { EFFECT_RETRIES_MAX, RECOLLECT_MAX } from '../../../src/harness/state.ts';
import type { EffectKind, MachineContext, Snapshot } from '../../../src/harness/state.ts';
import { ID } from '../fixtures.ts';

/** Which work may be under way in which state. `null`: none; the incident then waits for people or a timer. */
export const MAY_RUN: Readonly<Record<IncidentState, readonly (EffectKind | null)[]>> = {
  IDLE: [null],
  TRIAGE: ['triage', null],
  DIAGNOSING: ['investigate'],
  PLANNING: ['plan', 'prepare'],
  PENDING_APPROVAL: ['clear', null],
  EXECUTING: ['canary', 'bake', 'execute'],
  VERIFYING: ['verify'],
  ROLLING_BACK: ['undo'],
  OBSERVING: ['observe', null],
  // A write that had left when somebody stepped in still reports.
  HALTED: ['canary', 'execute', 'undo', null],
  CLOSED: ['review', null],
};

/** Work that changes the outside: it is never forgotten before it has reported. */
const WRITES: readonly (EffectKind | null)[] = ['canary', 'execute', 'undo'];
const BRAKES: readonly HarnessEvent['type'][] = ['stopped', 'handed_over'];

/** What may never be untrue, each with the sentence of its law. A check gives what it found instead, or null. */
type Check = (from: Snapshot, event: HarnessEvent, to: Snapshot) => string | null;

export const INVARIANTS: Readonly<Record<string, Check>> = {
  'a move is a row of the table': (from, event, to) =>
    MOVES.some((m) => m.from === from.state && m.on === event.type && m.to === to.state)
      ? null
      : `${from.state} on ${event.type} to ${to.state}`,
  'EXECUTING begins only after a clear that passed, over approvals that are enough': entersExecuting,
  'Resume never enters EXECUTING': (_from, event, to) =>
    event.type === 'resumed' && to.state === 'EXECUTING' ? 'it did' : null,
  'at most one effect runs, with the id of the step that began it': (from, _event, to) => {
    const { running, step } = to.context;
    if (running === null || running.effect_id === from.context.running?.effect_id) return null;
    return running.effect_id === `${ID}/${step}/0` ? null : running.effect_id;
  },
  'only the work of a state runs in it': (_from, _event, to) => {
    const kind = to.context.running?.kind ?? null;
    return MAY_RUN[to.state].includes(kind) ? null : `${to.state} runs ${kind}`;
  },
  'a write under way is waited for until it reports': (from, event, to) => {
    const was = from.context.running;
    if (was === null || !WRITES.includes(was.kind) || to.context.running?.effect_id === was.effect_id)
      return null;
    if ('effect_id' in event && event.effect_id === was.effect_id) return null;
    return event.type === 'timer' && event.kind === 'retry' ? null : `${event.type} dropped ${was.effect_id}`;
  },
  'stop and hand-over begin nothing': (from, event, to) =>
    BRAKES.includes(event.type) && begins(from, to)
      ? `${event.type} began ${to.context.running?.kind}`
      : null,
  'a halted incident begins nothing': (from, _event, to) =>
    to.state === 'HALTED' && begins(from, to) ? `began ${to.context.running?.kind}` : null,
  'the same effect is never begun for a change that is done': (from, _event, to) => {
    const { running, done, canaries } = to.context;
    if (running === null || !begins(from, to)) return null;
    const made = running.kind === 'execute' ? done : running.kind === 'canary' ? canaries : [];
    return made.some((d) => d.change_id === running.change_id) ? String(running.change_id) : null;
  },
  'an action that has a canary runs only after that canary passed, and a canary is watched only when it is in force':
    canaryFirst,
  'CLOSED as a success only with checks that all passed': (from, event, to) => {
    if (to.state !== 'CLOSED' || from.state === 'CLOSED') return null;
    const { outcome, running } = to.context;
    if (event.type === 'verified')
      return event.checks.length > 0 && event.checks.every((c) => c.status === 'passed')
        ? null
        : 'a check was not passed';
    if (madeChanges(to.context).length > 0 || WRITES.includes(from.context.running?.kind ?? null))
      return 'something was changed';
    return running === null && outcome?.startsWith('Done') !== true ? null : String(outcome);
  },
  'CLOSED is the end: outcome and time stay, and only the review goes on': (from, _event, to) => {
    if (from.state !== 'CLOSED') return null;
    if (to.state !== 'CLOSED') return `went on to ${to.state}`;
    const same =
      from.context.outcome === to.context.outcome && from.context.closed_at === to.context.closed_at;
    return same ? null : `${from.context.outcome} became ${to.context.outcome}`;
  },
  'closed_at and outcome are there exactly when it is closed': (_from, _event, to) => {
    const closed = to.state === 'CLOSED';
    return closed === (to.context.closed_at !== null) && closed === (to.context.outcome !== null)
      ? null
      : to.state;
  },
  'HALTED says why and what next, and nothing else is halted': (_from, _event, to) => {
    const { halt } = to.context;
    if (to.state !== 'HALTED') return halt === null ? null : 'halt outside HALTED';
    return halt !== null && halt.text.trim() !== '' && halt.next_step.trim() !== ''
      ? null
      : JSON.stringify(halt);
  },
  'whoever is not closed has a way on': wayOn,
  'the status of an approval follows from its decisions': approvalStatus,
  'an approval binds to the plan that is shown': (_from, _event, { context: { approval, plan } }) =>
    approval === null || approval.plan_hash === plan?.payload.plan_hash ? null : approval.approval_id,
  'what is done is a beginning of the plan, in its order': (_from, _event, { context: { done, plan } }) => {
    const planned = plan?.payload.plan.actions.map((a) => a.change_id) ?? [];
    const ran = done.map((d) => d.change_id);
    return ran.every((id, n) => id === planned[n]) ? null : `${ran.join()} of ${planned.join()}`;
  },
  'what is done stays on record until another plan is put to people': (from, event, to) =>
    event.type === 'prepared' || madeChanges(to.context).length >= madeChanges(from.context).length
      ? null
      : event.type,
  'changes are put back newest first, each once, and only after a failure that was shown': rollback,
  'scope, budget and identity are frozen; autonomy never rises; nobody stops being involved': frozen,
  'a step is one event, and time is that of the event': (from, event, to) =>
    to.context.step === from.context.step + 1 && to.context.updated_at === event.at
      ? null
      : `step ${to.context.step}`,
  'time never runs backwards': (from, _event, to) =>
    to.context.updated_at >= from.context.updated_at ? null : to.context.updated_at,
  'retries and re-collections stay within their limits': (_from, _event, { context: c }) =>
    c.retries <= EFFECT_RETRIES_MAX && c.recollections <= RECOLLECT_MAX
      ? null
      : `${c.retries}, ${c.recollections}`,
  'a revision is a draft': (from, event, to) =>
    to.context.revision - from.context.revision === (event.type === 'drafted' ? 1 : 0) ? null : event.type,
};

/** The first law that is broken, in words; null when none is. */
export function brokenLaw(from: Snapshot, event: HarnessEvent, to: Snapshot): string | null {
  for (const [law, check] of Object.entries(INVARIANTS)) {
    const found = check(from, event, to);
    if (found !== null) return `${law}: ${found}`;
  }
  return null;
}

function begins(from: Snapshot, to: Snapshot): boolean {
  const { running } = to.context;
  return running !== null && running.effect_id !== from.context.running?.effect_id;
}

function entersExecuting(from: Snapshot, event: HarnessEvent, to: Snapshot): string | null {
  if (to.state !== 'EXECUTING' || from.state === 'EXECUTING') return null;
  if (event.type !== 'cleared' || event.verdict !== 'passed') return event.type;
  const { approval, plan } = to.context;
  if (approval === null) return 'without an approval';
  if (approval.status !== 'approved' || !satisfied(to.context)) return `approval is ${approval.status}`;
  const nobody = approval.decisions.every((d) => d.decision !== 'approve');
  if (nobody && to.context.incident?.autonomy !== 'limited') return 'nobody approved';
  if (nobody && (approval.runs_from === undefined || event.at < approval.runs_from)) return 'not shown yet';
  return approval.plan_hash === plan?.payload.plan_hash ? null : 'of another plan';
}

function satisfied(c: MachineContext): boolean {
  if (c.approval === null) return false;
  const involved = new Set(c.incident?.involved.map((i) => i.principal));
  return tallyDecisions(c.approval.rule, c.approval.decisions, involved, Date.parse(c.approval.expires_at))
    .satisfied;
}

function approvalStatus(_from: Snapshot, _event: HarnessEvent, to: Snapshot): string | null {
  const { approval } = to.context;
  if (approval === null) return null;
  const denied = approval.decisions.some((d) => d.decision === 'deny');
  const found = `${approval.status} with ${approval.decisions.length} decisions in ${to.state}`;
  switch (approval.status) {
    case 'open':
      return denied || (approval.decisions.length > 0 && satisfied(to.context)) ? found : null;
    case 'approved':
      return !denied && satisfied(to.context) ? null : found;
    case 'denied':
      return denied ? null : found;
    case 'used':
      return to.state === 'PENDING_APPROVAL' ? found : null;
    case 'expired':
    case 'void':
      return ['EXECUTING', 'VERIFYING', 'ROLLING_BACK'].includes(to.state) &&
        madeChanges(to.context).length === 0
        ? found
        : null;
  }
}

function wayOn(_from: Snapshot, _event: HarnessEvent, { state, context: c }: Snapshot): string | null {
  if (state === 'CLOSED' || state === 'HALTED' || state === 'OBSERVING' || c.running !== null) return null;
  if (state === 'TRIAGE') return c.activated ? 'activated, and nothing runs' : null;
  if (state === 'PENDING_APPROVAL' && c.approval?.status === 'approved' && c.approval.runs_from !== undefined)
    return null;
  const over = ['expired', 'void', 'denied', 'open'];
  return state === 'PENDING_APPROVAL' && over.includes(c.approval?.status ?? '')
    ? null
    : `${state} waits for nothing, approval ${c.approval?.status}`;
}

function canaryFirst(from: Snapshot, _event: HarnessEvent, to: Snapshot): string | null {
  const { canaries, running, plan } = to.context;
  if (running === null || !begins(from, to)) return null;
  const planned = plan?.payload.plan.actions.find((a) => a.change_id === running.change_id);
  const tried = canaries.find((k) => k.change_id === running.change_id);
  if (running.kind === 'execute' && planned?.canary !== undefined && tried?.passed !== true)
    return `${running.change_id} runs, its canary ${tried === undefined ? 'never ran' : 'did not pass'}`;
  if (running.kind === 'canary' && planned?.canary === undefined) return `${running.change_id} has none`;
  return running.kind === 'bake' && tried?.outcome.status !== 'done' ? `watches ${running.change_id}` : null;
}

function rollback(from: Snapshot, event: HarnessEvent, to: Snapshot): string | null {
  const { rollback: put_back, running, approval } = to.context;
  const undone = put_back?.undone.map((u) => u.change_id) ?? [];
  const newest_first = madeChanges(to.context)
    .map((d) => d.change_id)
    .toReversed();
  if (!undone.every((id, n) => id === newest_first[n])) return `${undone.join()} of ${newest_first.join()}`;
  if (running?.kind === 'undo' && running.change_id !== newest_first[undone.length] && begins(from, to))
    return `undoes ${running.change_id}`;
  if (to.state !== 'ROLLING_BACK' || from.state === 'ROLLING_BACK') return null;
  if (approval?.status !== 'used') return `approval is ${approval?.status}`;
  const shown =
    (event.type === 'verified' && event.checks.some((c) => c.status === 'failed')) ||
    // Unknown is never success: what was only tried goes back.
    (event.type === 'canary_checked' && !event.checks.every((c) => c.status === 'passed')) ||
    (event.type === 'canary_checked' && event.checks.length === 0) ||
    (event.type === 'executed' && ['failed', 'conflict'].includes(event.outcome.status)) ||
    (event.type === 'resumed' && from.context.halt?.resume_to === 'ROLLING_BACK');
  return shown ? null : `began on ${event.type}`;
}

function frozen(from: Snapshot, _event: HarnessEvent, to: Snapshot): string | null {
  const [was, is] = [from.context.incident, to.context.incident];
  if (was === null || is === null) return null;
  const level = (autonomy: (typeof AUTONOMY_LEVELS)[number]): number => AUTONOMY_LEVELS.indexOf(autonomy);
  if (level(is.autonomy) > level(was.autonomy)) return `autonomy rose to ${is.autonomy}`;
  if (!was.involved.every((w) => is.involved.some((i) => i.principal === w.principal)))
    return 'somebody was forgotten';
  for (const key of Object.keys(was) as (keyof typeof was)[])
    if (
      !['involved', 'alerts', 'autonomy'].includes(key) &&
      was[key] !== is[key] &&
      canonicalJson(was[key]) !== canonicalJson(is[key])
    )
      return key;
  return null;
}
