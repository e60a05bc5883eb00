import { z } from 'zod';
import { Involved } from '../contract/incident.ts';
import { EFFECT_MEMORY_MS } from '../contract/approval.ts';
import type { Plan } from '../contract/plan.ts';
import type { IncidentRow } from '../store/store.ts';
import type { HarnessDeps } from './deps.ts';
import { incidentOf } from './state.ts';
import type { MachineContext } from './state.ts';

/** What counts here of another incident's snapshot: who took part. */
const OtherSnapshot = z.object({
  context: z.object({ incident: z.object({ involved: z.array(Involved) }) }),
});

/**
 * Who took part in the same effect (tool and target) through another incident within a day, with that incident. Looked up
 * when a decision is taken in and again before anything runs, since the other incident may be the younger one.
 */
export async function involvedThroughEffect(
  deps: Pick<HarnessDeps, 'store' | 'clock'>,
  context: MachineContext,
): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  if (context.plan === null) return found;
  for (const row of await othersPlanning(deps, incidentOf(context).incident_id, context.plan.payload.plan)) {
    const { incident } = OtherSnapshot.parse(row.snapshot).context;
    for (const { principal } of incident.involved) found.set(principal, row.incident_id);
  }
  return found;
}

/** Other incidents that planned one of these effects within a day, each once. */
export async function othersPlanning(
  { store, clock }: Pick<HarnessDeps, 'store' | 'clock'>,
  own_id: string,
  { actions }: Pick<Plan, 'actions'>,
): Promise<readonly IncidentRow[]> {
  const found = new Map<string, IncidentRow>();
  const since_ms = clock.now() - EFFECT_MEMORY_MS;
  for (const { tool, target } of actions)
    for (const row of await store.incidents.planning({ tool, target }, since_ms))
      if (row.incident_id !== own_id) found.set(row.incident_id, row);
  return [...found.values()];
}
