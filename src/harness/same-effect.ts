import { z } from 'zod';
import { Involved } from '../contract/incident.ts';
import { EFFECT_MEMORY_MS } from '../contract/approval.ts';
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
  const { incident_id } = incidentOf(context);
  const since_ms = deps.clock.now() - EFFECT_MEMORY_MS;
  for (const { tool, target } of context.plan.payload.plan.actions)
    for (const row of await deps.store.incidents.planning({ tool, target }, since_ms)) {
      if (row.incident_id === incident_id) continue;
      const { incident } = OtherSnapshot.parse(row.snapshot).context;
      for (const { principal } of incident.involved) found.set(principal, row.incident_id);
    }
  return found;
}
