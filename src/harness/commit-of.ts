import type { Approval } from '../contract/approval.ts';
import { hashOf } from '../contract/canonical.ts';
import type { NewLedgerEntry } from '../contract/ledger.ts';
import type { NewEffect, NewTimer, StepCommit } from '../store/store.ts';
import type { HarnessEvent } from './events.ts';
import { cardsOf } from './notices/cards-of.ts';
import type { CardView } from './notices/card-view.ts';
import { scoreEntry, scoresOf } from './shadow/scores.ts';
import { incidentOf, quietMs, RETRY_PAUSES_MS } from './state.ts';
import type { Snapshot } from './state.ts';

/**
 * Everything that one step writes, as one value: ledger entries, effect, timers, cards, read models. Pure: the runner
 * hands it to `store.step.commit`, which writes all of it or nothing.
 */
export function commitOf(
  from: Snapshot,
  event: HarnessEvent,
  to: Snapshot,
  actor: string,
  inbox_ids: readonly string[],
  view: CardView,
): StepCommit {
  const incident = incidentOf(to.context);
  const approval = to.context.approval;
  const scores = scoresOf(from, event, to);
  return {
    incident_id: incident.incident_id,
    expected_step: from.context.step,
    inbox_ids,
    entries: [...entriesOf(from, event, to, actor), ...scores.map(scoreEntry)],
    snapshot: to,
    row: {
      state: to.state,
      identity: identityOf(incident.source, incident.scope),
      open: to.state !== 'CLOSED',
      title: incident.title,
      team: incident.scope.team,
      env: incident.scope.env,
      channel: to.context.channel,
    },
    effects: effectsOf(to),
    ...timersOf(from, event, to),
    cards: cardsOf(from, event, to, view),
    approvals: approval !== null && approval !== from.context.approval ? [approval] : [],
    locks: locksOf(to),
    planned:
      event.type === 'prepared'
        ? event.payload.plan.actions.map(({ tool, target }) => ({ tool, target }))
        : [],
    scores,
  };
}

const CHANGES_TARGETS = new Set<string>(['EXECUTING', 'VERIFYING', 'ROLLING_BACK']);

/**
 * An incident that changes, checks or puts back keeps others away from its targets. One that halted keeps them for the
 * lease while nobody knows what its write did, or while its rollback waits; a person's next step decides.
 */
function locksOf({ state, context }: Snapshot): StepCommit['locks'] {
  if (CHANGES_TARGETS.has(state)) return 'renew';
  const { halt, running } = context;
  const open = running !== null || halt?.reason === 'unknown_outcome' || halt?.resume_to === 'ROLLING_BACK';
  return state === 'HALTED' && open ? 'keep' : 'release';
}

/** (trigger, group_key, team, env, cluster, namespace): what makes two alert groups the same incident. */
export function identityOf(
  source: { trigger: string; group_key: string },
  place: { team: string; env: string; cluster?: string | undefined; namespace?: string | undefined },
): string {
  return hashOf([
    source.trigger,
    source.group_key,
    place.team,
    place.env,
    place.cluster ?? null,
    place.namespace ?? null,
  ]);
}

/** The effect that this step started, if it started one: its id carries the step's number. */
export function effectsOf(to: Snapshot): NewEffect[] {
  const { running, step } = to.context;
  if (running === null || running.effect_id !== `${incidentOf(to.context).incident_id}/${step}/0`) return [];
  return [{ effect_id: running.effect_id, kind: running.kind, payload: { change_id: running.change_id } }];
}

function timersOf(
  from: Snapshot,
  event: HarnessEvent,
  to: Snapshot,
): { arm_timers: NewTimer[]; cancel_timers: string[] } {
  const at = Date.parse(event.at);
  const arm: NewTimer[] = [];
  const cancel: string[] = [];
  if (event.type === 'effect_failed' && to.context.retries > from.context.retries)
    arm.push({ kind: 'retry', due_at_ms: at + (RETRY_PAUSES_MS[from.context.retries] ?? 8000) });
  else if (from.context.retries > 0 && to.context.retries === 0) cancel.push('retry');
  if (event.type === 'prepared' && to.state === 'PENDING_APPROVAL')
    arm.push({ kind: 'approval_expiry', due_at_ms: Date.parse(event.request.expires_at) });
  const { approval } = to.context;
  if (event.type === 'prepared' && approval?.runs_from !== undefined && to.context.running === null)
    arm.push({ kind: 'announced', due_at_ms: Date.parse(approval.runs_from) });
  const waits = (s: Snapshot) =>
    s.context.approval !== null && ['open', 'approved'].includes(s.context.approval.status);
  if (waits(from) && !waits(to)) cancel.push('approval_expiry', 'announced');
  if (to.context.resolved_at !== null && from.context.resolved_at === null)
    arm.push({ kind: 'quiet', due_at_ms: at + quietMs(to.context) });
  if (to.context.resolved_at === null && from.context.resolved_at !== null) cancel.push('quiet');
  if (from.state !== 'DIAGNOSING' && to.state === 'DIAGNOSING')
    arm.push({ kind: 'minutes', due_at_ms: at + incidentOf(to.context).budget.minutes_max * 60_000 });
  if (to.state === 'CLOSED' && from.state !== 'CLOSED')
    cancel.push('minutes', 'quiet', 'approval_expiry', 'announced', 'retry');
  return { arm_timers: arm, cancel_timers: [...new Set(cancel)] };
}

function entriesOf(from: Snapshot, event: HarnessEvent, to: Snapshot, actor: string): NewLedgerEntry[] {
  const entries: NewLedgerEntry[] = [{ kind: 'event', actor, payload: event }];
  if (from.state !== to.state)
    entries.push({
      kind: 'transition',
      actor: 'aegis:harness',
      payload: { from: from.state, to: to.state, reason: event.type },
    });
  entries.push(...kindEntries(event, to));
  entries.push(...approvalEntries(from, event, to));
  return entries;
}

function kindEntries(event: HarnessEvent, to: Snapshot): NewLedgerEntry[] {
  const actor = 'aegis:harness';
  if (event.type === 'drafted')
    return [
      {
        kind: 'draft',
        actor: 'aegis:cognition',
        payload: { findings: to.context.findings, draft: event.draft },
      },
    ];
  if (event.type === 'prepared')
    return [
      { kind: 'plan', actor, payload: event.payload },
      { kind: 'risk', actor: 'aegis:risk', payload: { envelope: event.payload.risk } },
      ...event.previews.map((p): NewLedgerEntry => ({
        kind: 'preview',
        actor: 'aegis:gateway',
        payload: {
          change_id: p.change_id,
          preview: p.preview,
          ...(p.phase === undefined ? {} : { phase: p.phase }),
        },
      })),
    ];
  if (event.type === 'executed' || event.type === 'undone') {
    const { change_id, outcome } = event;
    const phase = event.type === 'executed' ? (event.phase ?? 'apply') : 'undo';
    return [{ kind: 'outcome', actor: 'aegis:gateway', payload: { change_id, phase, outcome } }];
  }
  if (event.type === 'verified' || event.type === 'canary_checked')
    return event.checks.map((check) => ({ kind: 'verify', actor, payload: check }));
  if (event.type === 'reviewed')
    return [
      {
        kind: 'review',
        actor: 'aegis:evolution',
        payload: { title: event.title, markdown_sha256: hashOf(event.markdown) },
      },
    ];
  const refused = refusalOf(event, to);
  return refused === null ? [] : [{ kind: 'refusal', actor, payload: { ...refused, by: null } }];
}

/** What an effect was refused; it is a row of its own beside the event (law 8). */
function refusalOf(
  event: HarnessEvent,
  to: Snapshot,
): { code: string; reason: string; remedy: string; about: string } | null {
  switch (event.type) {
    case 'plan_failed':
    case 'prepare_refused':
      return { code: event.code, reason: event.reason, remedy: event.remedy, about: event.type };
    case 'execute_refused':
    case 'undo_refused': {
      const act = event.type === 'execute_refused' ? 'execute' : 'put back';
      const { code, reason, remedy, change_id } = event;
      return { code, reason, remedy, about: `${act} ${change_id}` };
    }
    case 'cleared': {
      const { verdict, reason, remedy } = event;
      return verdict === 'passed' ? null : { code: verdict, reason, remedy, about: 'clear for execution' };
    }
    case 'out_of_budget':
    case 'looped': {
      const { text, next_step } = to.context.halt ?? { text: '', next_step: '' };
      const code = event.type === 'looped' ? 'going-in-circles' : 'out-of-budget';
      return { code, reason: text, remedy: next_step, about: event.effect_id };
    }
    default:
      return null;
  }
}

function reasonOf(event: HarnessEvent, to: Snapshot): string {
  if (event.type === 'policies_changed') return to.context.status_text;
  return to.context.halt?.text ?? event.type;
}

function approvalEntries(from: Snapshot, event: HarnessEvent, to: Snapshot): NewLedgerEntry[] {
  const approval = to.context.approval;
  if (approval === null) return [];
  const actor = 'aegis:harness';
  if (event.type === 'prepared') {
    const opened = { kind: 'approval', actor, payload: { type: 'opened', request: event.request } } as const;
    if (approval.status === 'open') return [opened];
    return [opened, statusEntry(approval, `Nobody is asked: rule ${approval.rule.name}, autonomy limited.`)];
  }
  const entries: NewLedgerEntry[] = [];
  if (event.type === 'decided') {
    const decision = approval.decisions.at(-1);
    entries.push({
      kind: 'approval',
      actor: `person:${event.by}`,
      payload: {
        type: 'decision',
        approval_id: approval.approval_id,
        plan_hash: approval.plan_hash,
        decision,
      },
    });
  }
  if (from.context.approval !== null && from.context.approval.status !== approval.status)
    entries.push(statusEntry(approval, reasonOf(event, to)));
  return entries;
}

function statusEntry({ approval_id, status }: Approval, reason: string): NewLedgerEntry {
  return {
    kind: 'approval',
    actor: 'aegis:harness',
    payload: { type: 'status', approval_id, status, reason: reason.slice(0, 500) },
  };
}
