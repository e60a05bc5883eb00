import { Plan } from '../../contract/plan.ts';
import type { Action } from '../../contract/plan.ts';
import type { Gate } from './gate.ts';
import { passed, refused } from './gate.ts';

/** The frozen plan passes its schema, belongs to this incident, and every id that it names exists. */
export const wellFormedGate: Gate = {
  gate: 'well-formed',
  title: 'Plan is well formed',
  check({ plan, incident }) {
    const parsed = Plan.safeParse(plan);
    if (!parsed.success)
      return refused(
        `The plan breaks its schema: ${parsed.error.issues[0]?.message ?? 'unknown'}.`,
        'Plan again.',
      );
    if (plan.incident_id !== incident.incident_id)
      return refused(`The plan belongs to ${plan.incident_id}.`, 'Plan again in this thread.');
    const ids = new Set(plan.evidence.map((e) => e.id));
    const missing = plan.actions.flatMap((a) => a.preconditions).find((id) => !ids.has(id));
    if (missing !== undefined)
      return refused(`The plan cites evidence "${missing}" that it does not carry.`, 'Plan again.');
    const unheld = plan.actions.map(holdProblem).find((problem) => problem !== null);
    if (unheld !== undefined) return refused(unheld, 'Plan a longer hold, or shorter checks.');
    return passed(`${plan.actions.length} action(s), ${plan.verify.length} check(s)`);
  },
};

/** A rollout that is held after its first pod goes on by itself when the hold is over: by then it must be judged. */
function holdProblem({ change_id, canary }: Action): string | null {
  const hold_s = canary?.params['canary_hold_s'];
  if (canary === undefined || typeof hold_s !== 'number') return null;
  const judged_s = Math.max(canary.bake_s, ...canary.checks.map((check) => check.within_s));
  if (judged_s < hold_s) return null;
  return `The canary of ${change_id} holds for ${hold_s} s and may be judged only after ${judged_s} s: the rest would begin unjudged.`;
}
