import { hasBeenShown, tallyDecisions } from '../contract/approval.ts';
import type { Approval, Decision } from '../contract/approval.ts';
import { refuse } from '../contract/verdict.ts';
import type { Refusal } from '../contract/verdict.ts';
import type { EventOf, HarnessEvent } from './events.ts';
import { RESULTS } from './results.ts';
import { incidentOf, involvedSet, quietMs, writes } from './state.ts';
import type { EffectKind, Snapshot } from './state.ts';

/**
 * Refusals before the table of moves is asked: each rule that a person can run into has its own sentence. Pure; the
 * roles of the person were looked up when the act was taken in and stand in the event.
 *
 * @returns null when nothing speaks against the event.
 */
export function judge(snapshot: Snapshot, event: HarnessEvent): Refusal | null {
  switch (event.type) {
    case 'decided':
      return judgeDecision(snapshot, event);
    case 'timer':
      return judgeTimer(snapshot, event);
    case 'plan_again':
      return judgePlanAgain(snapshot);
    case 'resumed':
      return judgeResume(snapshot);
    case 'policies_changed':
      return judgePoliciesChanged(snapshot, event);
    case 'activated':
      return snapshot.state === 'TRIAGE' && !snapshot.context.activated ? null : alreadyActivated(snapshot);
    case 'did':
      return snapshot.state === 'CLOSED'
        ? refuse(
            'closed',
            `${idOf(snapshot)} is closed, and its report is written.`,
            'Say it in the thread for those who read it.',
          )
        : null;
    case 'stopped':
      return snapshot.state === 'CLOSED'
        ? refuse('closed', `${idOf(snapshot)} is closed; nothing runs.`, 'Nothing to do.')
        : null;
    default:
      return 'effect_id' in event ? judgeResult(snapshot, event) : null;
  }
}

/** A result counts only for the effect that the incident waits for, and only what that kind of work can report. */
function judgeResult(
  snapshot: Snapshot,
  event: Extract<HarnessEvent, { effect_id: string }>,
): Refusal | null {
  const { running } = snapshot.context;
  if (running?.effect_id !== event.effect_id)
    return refuse(
      'stale-effect',
      `Result of ${event.effect_id} came after the incident had moved on.`,
      'Nothing to do; it is recorded.',
    );
  const other_change = 'change_id' in event && event.change_id !== running.change_id;
  if (fitsKind(running.kind, event) && !other_change) return null;
  const about = other_change ? ` about ${event.change_id}` : '';
  return refuse(
    'illegal-move',
    `${idOf(snapshot)} waits for ${words(running.kind)}${running.change_id === null ? '' : ` of ${running.change_id}`}: "${words(event.type)}"${about} is not its result.`,
    'Press Stop and read the ledger of the incident: something answered that was not asked.',
  );
}

/** Only what such work can report; an action never counts as its canary, nor a canary as its action. */
function fitsKind(kind: EffectKind, event: HarnessEvent): boolean {
  if (event.type === 'executed') return kind === (event.phase ?? 'execute');
  return RESULTS[kind].includes(event.type);
}

function judgeTimer(snapshot: Snapshot, event: EventOf<'timer'>): Refusal | null {
  const { context, state } = snapshot;
  const at = Date.parse(event.at);
  const fresh = {
    retry: context.running !== null && context.retries > 0 && state !== 'HALTED',
    approval_expiry:
      context.approval !== null &&
      ['open', 'approved'].includes(context.approval.status) &&
      at >= Date.parse(context.approval.expires_at) &&
      state !== 'EXECUTING',
    announced:
      state === 'PENDING_APPROVAL' &&
      context.running === null &&
      context.approval?.status === 'approved' &&
      context.approval.runs_from !== undefined &&
      hasBeenShown(context.approval, event.at),
    // What is closed stays as it was closed, and a write under way may still change something.
    quiet:
      state !== 'CLOSED' &&
      !writes(context) &&
      context.resolved_at !== null &&
      at >= Date.parse(context.resolved_at) + quietMs(context),
    minutes: state === 'DIAGNOSING' || state === 'PLANNING',
  }[event.kind];
  return fresh
    ? null
    : refuse('stale-timer', `Timer ${event.kind} no longer has a reason.`, 'Nothing to do; it is recorded.');
}

/** Counts only for the approval that waits, or was given and not used. */
function judgePoliciesChanged({ context }: Snapshot, event: EventOf<'policies_changed'>): Refusal | null {
  const { approval } = context;
  const stands = approval !== null && ['open', 'approved'].includes(approval.status);
  if (stands && approval.approval_id === event.approval_id) return null;
  return refuse(
    'stale-effect',
    `${event.approval_id} no longer waits when the policies changed.`,
    'Nothing to do; it is recorded.',
  );
}

function judgePlanAgain(snapshot: Snapshot): Refusal | null {
  const { state, context } = snapshot;
  if (writes(context))
    return refuse(
      'write-under-way',
      `${idOf(snapshot)} has a step under way (${String(context.running?.change_id)}); nobody knows yet how it ends.`,
      'Its end is told in the thread. Press Plan again then.',
    );
  if (state === 'OBSERVING' || state === 'HALTED') return null;
  const over = context.approval !== null && ['expired', 'void', 'denied'].includes(context.approval.status);
  if (state === 'PENDING_APPROVAL' && over) return null;
  return refuse(
    'plan-not-over',
    `${idOf(snapshot)} has a plan under way (${words(state)}).`,
    'Stop it first, or wait for its result.',
  );
}

function judgeResume(snapshot: Snapshot): Refusal | null {
  if (snapshot.state !== 'HALTED')
    return refuse(
      'not-halted',
      `${idOf(snapshot)} is not halted (${words(snapshot.state)}).`,
      'Nothing to resume.',
    );
  if ((snapshot.context.halt?.resume_to ?? null) === null)
    return refuse(
      'no-resume',
      `${idOf(snapshot)} cannot go on from here: ${snapshot.context.halt?.text ?? ''}`,
      snapshot.context.halt?.next_step ?? 'Plan again.',
    );
  return null;
}

function alreadyActivated(snapshot: Snapshot): Refusal {
  return refuse(
    'already-active',
    `${idOf(snapshot)} is already being worked on (${words(snapshot.state)}).`,
    'Follow the thread; the root card shows where it stands.',
  );
}

function judgeDecision(snapshot: Snapshot, event: EventOf<'decided'>): Refusal | null {
  const approval = snapshot.context.approval;
  const unknown = refuse(
    'unknown-approval',
    `${event.approval_id} is not the open approval of ${idOf(snapshot)}.`,
    'Use the newest approval card in the thread.',
  );
  if (approval === null) return unknown;
  if (approval.revision !== event.revision)
    return refuse(
      'stale-revision',
      `That card shows plan revision ${event.revision}; revision ${approval.revision} replaced it.`,
      'Use the newest approval card in the thread.',
    );
  if (approval.approval_id !== event.approval_id) return unknown;
  if (approval.plan_hash !== event.plan_hash)
    return refuse(
      'wrong-plan-hash',
      'That card shows another plan than the one that waits for approval.',
      'Use the newest approval card in the thread.',
    );
  if (snapshot.state !== 'PENDING_APPROVAL' || !['open', 'approved'].includes(approval.status))
    return refuse(
      'approval-over',
      `${approval.approval_id} is ${overWords(approval.status, snapshot.state)}.`,
      'Nothing to decide here any more.',
    );
  if (Date.parse(event.at) > Date.parse(approval.expires_at))
    return refuse(
      'approval-expired',
      `${approval.approval_id} expired at ${approval.expires_at}; nothing ran.`,
      'Press Plan again for a fresh plan.',
    );
  return judgePerson(snapshot, event);
}

function judgePerson(snapshot: Snapshot, event: EventOf<'decided'>): Refusal | null {
  const { context } = snapshot;
  const approval = context.approval as NonNullable<typeof context.approval>;
  const { approvals } = tallyDecisions(
    approval.rule,
    approval.decisions,
    involvedSet(context),
    Date.parse(approval.expires_at),
  );
  const mine = approvals.findIndex((d) => d.principal === event.by);
  if (event.decision === 'withdraw')
    return mine >= 0
      ? null
      : refuse(
          'nothing-to-withdraw',
          'You have not approved this plan.',
          'Deny it, or press Stop, if it must not run.',
        );
  if (!approval.rule.roles.includes(event.role))
    return refuse(
      'wrong-role',
      `Deciding on this plan needs ${listOr(approval.rule.roles)}; you are ${event.role}.`,
      `Ask one of ${listOr(approval.rule.roles)}.`,
    );
  const involved = incidentOf(context).involved.find((i) => i.principal === event.by);
  if (involved !== undefined) {
    const why = {
      starter: 'started this incident',
      asker: 'asked for this run',
      author: 'wrote the change that it undoes',
    }[involved.role];
    const remedy =
      event.decision === 'deny'
        ? 'Press Stop if it must not run.'
        : `One of ${listOr(approval.rule.roles)} who is not involved can.`;
    return refuse('self-approval', `You ${why}, so you cannot ${event.decision} it yourself.`, remedy);
  }
  if (event.decision === 'deny') return null;
  if (event.same_effect_in !== undefined)
    return refuse(
      'same-effect',
      `You took part in ${event.same_effect_in}, which plans the same change of the same object, so you cannot approve it here.`,
      `One of ${listOr(approval.rule.roles)} who is involved in neither can.`,
    );
  if (mine >= 0)
    return refuse(
      'same-person',
      `You already gave approval ${mine + 1} of ${approval.rule.people}.`,
      'The next one must come from another person.',
    );
  if (approval.status === 'approved')
    return refuse(
      'approval-over',
      'This plan already has all its approvals.',
      'Nothing to decide here any more.',
    );
  const hats = judgeVia(approval, approvals, event);
  if (hats !== null) return hats;
  if (approval.rule.distinct_roles && approvals.some((d) => d.role === event.role))
    return refuse(
      'same-role',
      `An approval by ${event.role} is already there; this rule wants another role.`,
      `Ask one of ${listOr(approval.rule.roles.filter((r) => r !== event.role))}.`,
    );
  return null;
}

/** Which way an approval may come: at most one of N from outside Slack, and under step-up one over the link. */
function judgeVia(approval: Approval, given: readonly Decision[], event: EventOf<'decided'>): Refusal | null {
  const { rule, approval_id } = approval;
  const outside = given.find((d) => d.via !== 'slack');
  if (event.via !== 'slack' && outside !== undefined)
    return refuse(
      'two-hats',
      `${outside.principal} already approved outside Slack (${outside.via}); at most one of ${rule.people} may, since two tokens can lie in one drawer.`,
      'Give this approval in Slack, with the card in the thread.',
    );
  if (!rule.step_up || event.via === 'link' || given.some((d) => d.via === 'link')) return null;
  const step_up = 'Use the step-up link on the approval card, with your own token.';
  if (event.via === 'cli')
    return refuse(
      'step-up-needed',
      `The one approval of ${approval_id} from outside Slack must come over its step-up link.`,
      step_up,
    );
  return given.length + 1 < rule.people
    ? null
    : refuse(
        'step-up-needed',
        rule.people === 1
          ? `${approval_id} must be approved over its step-up link.`
          : `${approval_id} needs an approval over its step-up link; the others are given.`,
        step_up,
      );
}

function overWords(status: string, state: string): string {
  if (status === 'approved' || status === 'used')
    return state === 'HALTED' ? 'halted after its approvals' : 'approved and under way';
  return (
    {
      denied: 'denied',
      expired: 'expired; nothing ran',
      void: 'void, since what it approved has changed',
      open: `not open (${words(state)})`,
    }[status] ?? status
  );
}

function idOf(snapshot: Snapshot): string {
  return snapshot.context.incident?.incident_id ?? 'This incident';
}

/** `PENDING_APPROVAL` -> "pending approval". */
export function words(state: string): string {
  return state.toLowerCase().replaceAll('_', ' ');
}

export function listOr(items: readonly string[]): string {
  return items.length === 0 ? 'nobody' : items.join(' or ');
}
