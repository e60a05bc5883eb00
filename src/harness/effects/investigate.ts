import { route } from '../../cognition/router.ts';
import { HarnessEvent } from '../events.ts';
import type { HarnessDeps } from '../deps.ts';
import { planLoop } from '../plan-loops.ts';
import { incidentOf } from '../state.ts';
import { isOutage, withWorld } from '../world-session.ts';
import { cognise, looped } from './cognise.ts';
import type { Effect } from './effect.ts';
import { failed } from './effect.ts';

/** TRIAGE: which skills look like this incident. Reads only the skill index. */
export const triageEffect: Effect = (input) =>
  withWorld(input.deps, input.context, { purpose: 'investigate' }, async ({ world }) => {
    const routed = await route(world, incidentOf(input.context), input.signal);
    if (!routed.ok && isOutage(routed.refusal.code)) return failed(input, routed.refusal.reason);
    const ranked = routed.ok ? routed.ranked : [];
    const skills = ranked
      .slice(0, 5)
      .map((r) => ({ skill: r.entry.skill, summary: r.entry.summary, score: r.score }));
    return { type: 'triaged', at: input.at(), effect_id: input.running.effect_id, skills };
  });

/** DIAGNOSING: read-only investigation. A source that was down makes it a retry, not an "inconclusive". */
export const investigateEffect: Effect = (input) =>
  cognise(input, async ({ world, unreachable, signal }) => {
    const findings = await input.deps.cognition.investigate(world, incidentOf(input.context), signal);
    const outage = unreachable();
    if (!findings.conclusive && outage !== null) return failed(input, outage);
    return { type: 'investigated', at: input.at(), effect_id: input.running.effect_id, findings };
  });

/** PLANNING, first half: a draft from the findings. */
export const planEffect: Effect = (input) =>
  cognise(input, async ({ world, unreachable, signal }) => {
    const { findings } = input.context;
    const base = { at: input.at(), effect_id: input.running.effect_id };
    if (findings === null)
      return {
        type: 'plan_failed',
        ...base,
        code: 'no-findings',
        reason: 'There are no findings to plan from.',
        remedy: 'Press Plan again.',
      };
    const incident = incidentOf(input.context);
    const planned = await input.deps.cognition.plan(world, incident, findings, signal);
    if (planned.ok) {
      const circle = planLoop(await eventsOf(input.deps, incident.incident_id), planned.draft);
      return circle === null ? { type: 'drafted', ...base, draft: planned.draft } : looped(input, circle);
    }
    const outage = unreachable();
    if (outage !== null) return failed(input, outage);
    const { code, reason, remedy } = planned.refusal;
    return { type: 'plan_failed', ...base, code, reason, remedy };
  });

/** Most events of an incident that are looked through for plans that came to nothing. */
const EVENTS_MAX = 10_000;

async function eventsOf(
  { store }: Pick<HarnessDeps, 'store'>,
  incident_id: string,
): Promise<readonly HarnessEvent[]> {
  const entries = await store.ledger.read(incident_id, { kinds: ['event'], limit: EVENTS_MAX });
  return entries.map((entry) => HarnessEvent.parse(entry.payload));
}
