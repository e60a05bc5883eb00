import { Plan } from '../../contract/plan.ts';
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
    return passed(`${plan.actions.length} action(s), ${plan.verify.length} check(s)`);
  },
};
