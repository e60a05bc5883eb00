import type { PreparedPlan } from '../state.ts';
import { withWorld } from '../world-session.ts';
import { runChecks } from './checks.ts';
import type { Effect } from './effect.ts';

/** VERIFYING: whether the plan helped, and still does after its bake time. */
export const verifyEffect: Effect = (input) =>
  withWorld(input.deps, input.context, { purpose: 'verify' }, async ({ world }) => {
    const { done } = input.context;
    const { plan } = (input.context.plan as PreparedPlan).payload;
    const last_at_ms = Date.parse(done.at(-1)?.at ?? input.at());
    const checks = await runChecks(input, world, plan.verify, {
      changed_at_ms: Date.parse(done[0]?.at ?? input.at()),
      from_ms: input.deps.clock.now(),
      baked_at_ms: plan.bake_s === undefined ? null : last_at_ms + plan.bake_s * 1000,
    });
    return { type: 'verified', at: input.at(), effect_id: input.running.effect_id, checks, rolls_back: true };
  });
