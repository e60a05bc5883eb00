import type { HaltReason, IncidentState } from '../contract/incident.ts';
import { incidentOf } from './state.ts';
import type { EffectKind, MachineContext } from './state.ts';

/** The small changes of a context that the folds are made of. Pure. */

export function start(
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

export function firstAction(c: MachineContext): string | null {
  return c.plan?.payload.plan.actions[c.done.length]?.change_id ?? null;
}

export function involve(c: MachineContext, principal: string): MachineContext {
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

export function halt(
  c: MachineContext,
  reason: HaltReason,
  text: string,
  next_step: string,
  resume_to: IncidentState | null,
): MachineContext {
  return { ...withHalt(c, reason, text, next_step, resume_to), running: null, retries: 0 };
}

export function haltOrStay(
  c: MachineContext,
  to: IncidentState,
  reason: HaltReason,
  text: string,
  next_step: string,
  resume_to: IncidentState,
): MachineContext {
  return to === 'HALTED' ? halt(c, reason, text, next_step, resume_to) : c;
}

export function withHalt(
  c: MachineContext,
  reason: HaltReason,
  text: string,
  next_step: string,
  resume_to: IncidentState | null,
): MachineContext {
  return { ...c, halt: { reason, text, next_step, resume_to } };
}

/** Approvals that what they approved no longer stands for. */
export function voided(c: MachineContext, why: string): MachineContext {
  if (c.approval === null || !['open', 'approved'].includes(c.approval.status)) return c;
  return { ...c, approval: { ...c.approval, status: 'void' }, status_text: why };
}

export function usedUp(c: MachineContext, status: 'used'): MachineContext {
  return c.approval === null ? c : { ...c, approval: { ...c.approval, status } };
}

/** Where a halted state goes on after its dependency is back. A running write is never resumed blindly. */
export function resumeTo(from: IncidentState): IncidentState | null {
  if (from === 'EXECUTING') return 'PENDING_APPROVAL';
  return (
    (['TRIAGE', 'DIAGNOSING', 'PLANNING', 'PENDING_APPROVAL', 'VERIFYING'] as const).find(
      (s) => s === from,
    ) ?? null
  );
}

export const ANOTHER_ROUND =
  'Press Resume to give it another round of the same size, or take it over by hand.';

/** A person who goes on after the budget was spent grants it once more. */
export function anotherRound(c: MachineContext): Pick<MachineContext, 'rounds' | 'shared_budget'> {
  if (c.shared_budget === 'spent') return { rounds: c.rounds, shared_budget: 'granted' };
  return { rounds: c.halt?.reason === 'budget' ? c.rounds + 1 : c.rounds, shared_budget: 'kept' };
}
