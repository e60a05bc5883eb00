import type { Action, Plan } from '../contract/plan.ts';
import type { Preview } from '../contract/tool.ts';
import type { PreparedPlan } from './state.ts';

/** The calls that a plan makes, in the order in which they run: each action after its canary. Pure. */
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

export function effectKey(change_id: string, phase?: 'canary' | 'apply'): string {
  return phase === 'canary' ? `${change_id}#canary` : change_id;
}

/** The dry run that people were shown. */
export function shownPreview(
  plan: PreparedPlan | null,
  change_id: string,
  phase?: 'canary',
): PreparedPlan['previews'][number] | undefined {
  return plan?.previews.find((p) => p.change_id === change_id && p.phase === phase);
}

/** What the approval binds to, in the order of the calls. */
export function effectHashes(plan: Plan, previews: ReadonlyMap<string, Preview>): string[] {
  return planCalls(plan).map(({ key }) => (previews.get(key) as Preview).effect_hash);
}
