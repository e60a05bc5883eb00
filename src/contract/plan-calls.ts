import type { Action, Plan } from './plan.ts';
import type { Phase, Preview } from './tool.ts';

/**
 * The calls that a plan makes, in the order in which they run: each action after its canary. The harness asks approval for
 * their effects in this order, and the gateway proves that approval in the same one. Pure.
 */
export interface PlanCall {
  readonly action: Action;
  readonly phase: 'canary' | 'apply';
  readonly params: Readonly<Record<string, unknown>>;
  /** Its name among the dry runs of the plan. */
  readonly key: string;
}

export function planCalls(plan: Plan): PlanCall[] {
  return plan.actions.flatMap((action) => {
    const { change_id, canary } = action;
    const apply = { action, phase: 'apply', params: action.params, key: effectKey(change_id) } as const;
    if (canary === undefined) return [apply];
    const key = effectKey(change_id, 'canary');
    return [{ action, phase: 'canary', params: canary.params, key } as const, apply];
  });
}

export function effectKey(change_id: string, phase: Phase = 'apply'): string {
  return phase === 'apply' ? change_id : `${change_id}#${phase}`;
}

/** What the approval binds to, in the order of the calls. */
export function effectHashes(plan: Plan, previews: ReadonlyMap<string, Preview>): string[] {
  return planCalls(plan).map(({ key }) => (previews.get(key) as Preview).effect_hash);
}
