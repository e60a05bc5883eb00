import type { Guardrails } from '../contract/guardrails.ts';
import { EFFECT_MEMORY_MS } from '../contract/approval.ts';
import { levelProblem, judgeUnattended, saidNo } from '../contract/unattended.ts';
import type { Unattended } from '../contract/unattended.ts';
import type { Plan } from '../contract/plan.ts';
import { effectKey } from '../contract/plan-calls.ts';
import type { Preview } from '../contract/tool.ts';
import { isRefusal } from '../contract/verdict.ts';
import type { Refusal } from '../contract/verdict.ts';
import { environmentOf } from './deps.ts';
import type { HarnessDeps } from './deps.ts';
import { othersPlanning } from './same-effect.ts';
import { ladderStanding, placeOf } from './shadow/ladder-facts.ts';
import { incidentOf } from './state.ts';
import type { MachineContext } from './state.ts';

/**
 * May this plan run without a person, by level and caps as they stand now? The gateway looks all of it up again.
 *
 * @returns null when that is no question: the incident asks people whatever its plan is.
 */
export async function readUnattended(
  deps: Pick<HarnessDeps, 'store' | 'settings' | 'clock'>,
  context: MachineContext,
  limited: Guardrails['limited'],
  plan: Plan,
  previews: ReadonlyMap<string, Preview | Refusal>,
): Promise<Unattended | null> {
  const incident = incidentOf(context);
  if (incident.autonomy !== 'limited') return null;
  if (limited === undefined)
    return { may: false, words: 'guardrails.yaml has no section "limited", so nothing runs alone.' };
  const place = placeOf(incident);
  const { cap, lowered } = await ladderStanding(deps, place);
  const level = levelProblem(place, {
    incident: incident.autonomy,
    configured: environmentOf(deps.settings, incident.scope).autonomy,
    earned: cap,
    lowered: lowered?.why ?? null,
  });
  if (level !== null) return { may: false, words: level };
  const no = await anybodysNo(deps, incident.incident_id, plan);
  if (no !== null) return { may: false, words: no };
  const actions = plan.actions.map(({ change_id, target }) => {
    const preview = previews.get(effectKey(change_id));
    const seen = preview !== undefined && !isRefusal(preview);
    return { change_id, target, changes: seen ? preview.changes : [] };
  });
  const past = await deps.store.journal.unattended();
  const { incident_id } = incident;
  return judgeUnattended(limited, { incident_id, ...place, actions }, past, deps.clock.now());
}

async function anybodysNo(
  deps: Pick<HarnessDeps, 'store' | 'clock'>,
  own_id: string,
  plan: Plan,
): Promise<string | null> {
  const since_ms = deps.clock.now() - EFFECT_MEMORY_MS;
  const others = (await othersPlanning(deps, own_id, plan)).map(({ incident_id }) => incident_id);
  for (const id of [own_id, ...others]) {
    const events = await deps.store.ledger.read(id, { kinds: ['event'] });
    const no = saidNo(id, events, id === own_id ? 0 : since_ms);
    if (no !== null) return no;
  }
  return null;
}
