import { actionOf } from '../standing.ts';
import { withWorld } from '../world-session.ts';
import { runChecks } from './checks.ts';
import type { Effect } from './effect.ts';
import { failed } from './effect.ts';

/**
 * EXECUTING, between a canary and its action: its checks, and once more after the bake time. All times count from when the
 * canary left, so that a restart neither bakes twice nor gives a check more time.
 */
export const bakeEffect: Effect = (input) => {
  const change_id = input.running.change_id ?? '';
  const tried = input.context.canaries.find((k) => k.change_id === change_id);
  const canary = actionOf(input.context, change_id)?.canary;
  if (tried === undefined || canary === undefined)
    return Promise.resolve(failed(input, `${change_id} has no canary to watch.`, false));
  const changed_at_ms = Date.parse(tried.at);
  return withWorld(input.deps, input.context, { purpose: 'verify' }, async ({ world }) => {
    const checks = await runChecks(input, world, canary.checks, {
      changed_at_ms,
      from_ms: changed_at_ms,
      baked_at_ms: changed_at_ms + canary.bake_s * 1000,
    });
    const { effect_id } = input.running;
    return { type: 'canary_checked', at: input.at(), effect_id, change_id, checks };
  });
};
