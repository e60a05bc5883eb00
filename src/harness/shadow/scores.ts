import type { NewLedgerEntry } from '../../contract/ledger.ts';
import type { Score } from '../../contract/shadow.ts';
import type { HarnessEvent } from '../events.ts';
import { incidentOf } from '../state.ts';
import type { Snapshot } from '../state.ts';

/** What one step adds to the record that autonomy is earned with. Pure. */
export function scoresOf(from: Snapshot, event: HarnessEvent, to: Snapshot): Score[] {
  const score = to.context.shadow?.score ?? null;
  if (score !== null && (from.context.shadow?.score ?? null) === null) {
    const { verdict, wrong_and_confident, lead_ms } = score;
    const skill = to.context.shadow?.compared?.skill ?? null;
    return [{ ...base(to, skill), kind: 'shadow', verdict, wrong_and_confident, lead_ms }];
  }
  const skill = from.context.plan?.payload.plan.skill?.name ?? null;
  const plain = { ...base(to, skill), wrong_and_confident: false, lead_ms: null };
  if (event.type === 'decided' && event.decision === 'deny' && event.because === 'wrong_cause')
    return [{ ...plain, kind: 'denied', verdict: 'failed' }];
  if (event.type !== 'verified' || event.checks.length === 0) return [];
  // A check without an answer says nothing for or against the plan.
  if (event.checks.some((check) => check.status === 'failed'))
    return [{ ...plain, kind: 'run', verdict: 'failed' }];
  return event.checks.every((check) => check.status === 'passed')
    ? [{ ...plain, kind: 'run', verdict: 'helped' }]
    : [];
}

export function scoreEntry(score: Score): NewLedgerEntry {
  return { kind: 'review', actor: 'aegis:harness', payload: { type: 'score', score } };
}

function base(to: Snapshot, skill: string | null) {
  const { incident_id, scope, autonomy } = incidentOf(to.context);
  return {
    incident_id,
    step: to.context.step,
    team: scope.team,
    env: scope.env,
    service: scope.service ?? '-',
    skill: skill ?? '-',
    autonomy,
    at: to.context.updated_at,
  };
}
