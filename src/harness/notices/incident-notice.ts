import type { IncidentNotice } from '../../contract/notice.ts';
import { actionTitle, modeWords } from '../halt-texts.ts';
import { madeChanges, nextUndo, standingChanges } from '../standing.ts';
import { isShadowed } from '../shadow/fold-shadow.ts';
import { lengthWords } from '../shadow/report-words.ts';
import { incidentOf, quietMs, writes } from '../state.ts';
import type { MachineContext, Snapshot } from '../state.ts';
import { approvalKey } from './card-view.ts';
import type { CardView } from './card-view.ts';

/** The root card of an incident as data. Pure. */
export function incidentNotice(snapshot: Snapshot, view: CardView): IncidentNotice {
  const c = snapshot.context;
  const incident = incidentOf(c);
  return {
    kind: 'incident',
    incident_id: incident.incident_id,
    title: incident.title,
    severity: incident.severity,
    state: snapshot.state,
    halt: c.halt,
    scope: incident.scope,
    mode: modeWords(c),
    shadow: incident.autonomy === 'suggest' || incident.autonomy === 'read_only',
    owner: incident.on_call[0] ?? null,
    recurrence_of: incident.recurrence_of,
    alerts: {
      firing: incident.alerts.filter((a) => a.status === 'firing').length,
      resolved: incident.alerts.filter((a) => a.status === 'resolved').length,
    },
    doing: doing(snapshot),
    cause:
      c.findings?.cause == null
        ? null
        : {
            text: c.findings.cause,
            confidence: c.findings.confidence,
            evidence_count: c.findings.evidence.length,
          },
    budget: {
      tool_calls: view.tool_calls,
      tool_calls_max: incident.budget.tool_calls_max * c.rounds,
      cost_usd: view.cost_usd ?? 0,
      cost_usd_max: incident.budget.cost_usd_max * c.rounds,
      ...(view.shared_budget == null ? {} : { shared: view.shared_budget }),
    },
    waiting_for: waitingFor(snapshot, view),
    checks:
      snapshot.state === 'VERIFYING' || c.checks.length > 0
        ? {
            passed: c.checks.filter((k) => k.status === 'passed').length,
            total: c.plan?.payload.plan.verify.length ?? c.checks.length,
          }
        : null,
    outcome: c.outcome,
    buttons: buttons(snapshot),
    approval_card: approvalKey(incident.incident_id, snapshot),
    step: c.step,
    ledger_head: view.ledger_head,
    updated_at: c.updated_at,
    simulated: view.simulated,
  };
}

function waitingFor(snapshot: Snapshot, view: CardView): IncidentNotice['waiting_for'] {
  const c = snapshot.context;
  if (waitsForActivation(snapshot)) return { who: 'somebody to press Activate', until: null };
  if (snapshot.state === 'PENDING_APPROVAL' && c.approval?.status === 'open')
    return { who: approvalsLeft(c, view), until: c.approval.expires_at };
  return null;
}

function waitsForActivation({ state, context }: Snapshot): boolean {
  return state === 'TRIAGE' && !context.activated && incidentOf(context).activation !== 'auto';
}

function approvalsLeft(c: MachineContext, view: CardView): string {
  const given = new Set(c.approval?.decisions.filter((d) => d.decision === 'approve').map((d) => d.principal))
    .size;
  const left = Math.max(1, (c.approval?.rule.people ?? 1) - given);
  return `${left === 1 ? 'one' : left} of ${view.approvers}`;
}

function doing(snapshot: Snapshot): string {
  const c = snapshot.context;
  if (c.retries > 0) return `Trying again (${c.retries}): ${c.status_text}`;
  switch (snapshot.state) {
    case 'IDLE':
    case 'TRIAGE':
      return c.skills[0] === undefined
        ? 'Reading the alert'
        : `Looks like ${c.skills[0].skill}: ${c.skills[0].summary}`;
    case 'DIAGNOSING':
      return 'Collecting evidence, read-only';
    case 'PLANNING':
      return c.running?.kind === 'prepare' ? 'Checking the plan: risk, dry run, gates' : 'Writing a plan';
    case 'PENDING_APPROVAL':
      return pendingWords(c);
    case 'EXECUTING':
      return executingWords(c);
    case 'VERIFYING':
      return 'Checking that it helped';
    case 'ROLLING_BACK':
      return rollbackWords(c);
    case 'OBSERVING':
      return observingWords(c);
    case 'HALTED':
      return c.halt?.text ?? 'Halted';
    case 'CLOSED':
      return c.outcome ?? 'Closed';
  }
}

function executingWords(c: MachineContext): string {
  const action = c.plan?.payload.plan.actions[c.done.length];
  const step = `Step ${Math.min(c.done.length + 1, steps(c))} of ${steps(c)}: ${action?.intent ?? ''}`;
  const canary = action?.canary;
  if (canary === undefined || c.running?.kind === 'execute') return step;
  return c.running?.kind === 'bake'
    ? `${step}. Watching its canary for ${canary.bake_s} s: ${canary.intent}`
    : `${step}. Its canary first: ${canary.intent}`;
}

function rollbackWords(c: MachineContext): string {
  const change_id = nextUndo(c);
  const left = standingChanges(c).length;
  const what = change_id === null ? '' : ` ${actionTitle(c, change_id)}`;
  return `${c.rollback?.because ?? ''} Putting back${what}; ${left} of ${madeChanges(c).length} left`;
}

function observingWords(c: MachineContext): string {
  if (c.resolved_at !== null && isShadowed(c))
    return `The alert resolved; the shadow report follows after ${lengthWords(quietMs(c))} of quiet`;
  if (c.resolved_at !== null)
    return madeChanges(c).length === 0
      ? 'The alert resolved by itself; closing after five quiet minutes'
      : 'The alert resolved; what was changed before is in force, so a person closes this';
  if (isShadowed(c) && c.running === null)
    return 'Nobody is watched any more; the longest observation is over';
  return c.plan === null ? 'People act, Aegis watches' : 'Plan posted; people act';
}

function pendingWords(c: MachineContext): string {
  if (c.running?.kind === 'clear')
    return `${c.approval?.rule.people === 0 ? 'Nobody is asked' : 'Approved'}: checking every gate again before anything runs`;
  if (c.approval?.status === 'approved' && c.approval.runs_from !== undefined)
    return `Nobody is asked: it runs at ${c.approval.runs_from.slice(11, 19)} UTC unless somebody denies it or presses Stop`;
  if (c.approval?.status === 'expired') return 'The approval expired; nothing ran';
  if (c.approval?.status === 'void') return c.status_text;
  return 'Waiting for approval';
}

function steps(c: MachineContext): number {
  return c.plan?.payload.plan.actions.length ?? 0;
}

function buttons(snapshot: Snapshot): IncidentNotice['buttons'] {
  const c = snapshot.context;
  const list: IncidentNotice['buttons'] = [];
  if (waitsForActivation(snapshot)) list.push('activate');
  if ((c.findings?.evidence.length ?? 0) > 0) list.push('evidence');
  if (snapshot.state === 'HALTED' && c.halt?.resume_to != null) list.push('resume');
  const over = c.approval !== null && ['expired', 'void', 'denied'].includes(c.approval.status);
  if (
    (snapshot.state === 'HALTED' && !writes(c)) ||
    snapshot.state === 'OBSERVING' ||
    (snapshot.state === 'PENDING_APPROVAL' && over)
  )
    list.push('plan_again');
  if (snapshot.state === 'CLOSED') return c.postmortem === null ? list : [...list, 'postmortem'];
  if (snapshot.state !== 'HALTED') list.push('stop', 'hand_over');
  else if (c.halt?.reason === 'budget' || c.halt?.reason === 'loop') list.push('hand_over');
  return list;
}
