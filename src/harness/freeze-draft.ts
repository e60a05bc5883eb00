import type { ActionClass } from '../contract/tool.ts';
import { Plan } from '../contract/plan.ts';
import type { PlanDraft } from '../contract/plan.ts';

/**
 * Gives a draft what only the harness may give: revision, ids, change ids, classes. Pure; the result passes the plan's
 * schema or this throws (the draft has already passed its own).
 */
export function freezeDraft(input: {
  readonly draft: PlanDraft;
  readonly incident_id: string;
  readonly revision: number;
  readonly change_ids: readonly string[];
  readonly classes: readonly ActionClass[];
}): Plan {
  const { draft } = input;
  return Plan.parse({
    ...draft,
    schema: 'aegis.plan/v1',
    incident_id: input.incident_id,
    revision: input.revision,
    actions: draft.actions.map((action, n) => ({
      ...action,
      ...(action.canary === undefined ? {} : { canary: withIds(action.canary, n + 1) }),
      id: `a${n + 1}`,
      change_id: input.change_ids[n],
      action_class: input.classes[n],
    })),
    verify: draft.verify.map((check, n) => ({ ...check, id: `v${n + 1}` })),
  });
}

function withIds(canary: NonNullable<PlanDraft['actions'][number]['canary']>, n: number): unknown {
  return { ...canary, checks: canary.checks.map((check, at) => ({ ...check, id: `a${n}c${at + 1}` })) };
}
