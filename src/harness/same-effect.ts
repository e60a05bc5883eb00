import { z } from 'zod';
import { Involved } from '../contract/incident.ts';
import type { HarnessDeps } from './deps.ts';
import { incidentOf } from './state.ts';
import type { MachineContext } from './state.ts';

/** How long taking part in a change follows its effect into other incidents. */
const EFFECT_MEMORY_MS = 24 * 3_600_000;
/** Most incidents of one team and environment that are looked through. */
const INCIDENTS_MAX = 2000;

/** What counts here of another incident's snapshot: who took part, and what its plan does to what. */
const OtherSnapshot = z.object({
  context: z.object({
    incident: z.object({ involved: z.array(Involved) }),
    plan: z
      .object({
        payload: z.object({
          plan: z.object({ actions: z.array(z.object({ tool: z.string(), target: z.string() })) }),
        }),
      })
      .nullable(),
  }),
});

/**
 * Who took part in the same effect (tool and target) through another incident within a day, with that incident: a second
 * incident must not make a stranger of the person who wanted the change in the first one. Looked up when a decision is
 * taken in and again before anything runs, since the other incident may be the younger one.
 */
export async function involvedThroughEffect(
  deps: Pick<HarnessDeps, 'store' | 'clock'>,
  context: MachineContext,
): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  if (context.plan === null) return found;
  const { incident_id, scope } = incidentOf(context);
  const effects = new Set(context.plan.payload.plan.actions.map((a) => `${a.tool} ${a.target}`));
  const since_ms = deps.clock.now() - EFFECT_MEMORY_MS;
  const { team, env } = scope;
  for (const row of await deps.store.incidents.list({ team, env, limit: INCIDENTS_MAX })) {
    if (row.incident_id === incident_id || row.updated_at_ms < since_ms) continue;
    const { incident, plan } = OtherSnapshot.parse(row.snapshot).context;
    if (plan?.payload.plan.actions.some((a) => effects.has(`${a.tool} ${a.target}`)) !== true) continue;
    for (const { principal } of incident.involved) found.set(principal, row.incident_id);
  }
  return found;
}
