import { investigate } from '../../cognition/investigator.ts';
import { plan } from '../../cognition/planner.ts';
import { route } from '../../cognition/router.ts';
import { incidentOf } from '../state.ts';
import { isOutage, withWorld } from '../world-session.ts';
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
  withWorld(input.deps, input.context, { purpose: 'investigate' }, async ({ world, unreachable }) => {
    const findings = await investigate(world, incidentOf(input.context), input.signal);
    const outage = unreachable();
    if (!findings.conclusive && outage !== null) return failed(input, outage);
    return { type: 'investigated', at: input.at(), effect_id: input.running.effect_id, findings };
  });

/** PLANNING, first half: a draft from the findings. */
export const planEffect: Effect = (input) =>
  withWorld(input.deps, input.context, { purpose: 'investigate' }, async ({ world, unreachable }) => {
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
    const planned = await plan(world, incidentOf(input.context), findings, input.signal);
    if (planned.ok) return { type: 'drafted', ...base, draft: planned.draft };
    const outage = unreachable();
    if (outage !== null) return failed(input, outage);
    const { code, reason, remedy } = planned.refusal;
    return { type: 'plan_failed', ...base, code, reason, remedy };
  });
