import type { Action } from '../contract/plan.ts';
import type { MachineContext } from './state.ts';

/** Which changes of the plan are in force, and what a rollback would do with them. Pure. */

type Done = MachineContext['done'][number];

/** Every change that was made, oldest first, each once: a canary alone, or the action with what its canary found. */
export function madeChanges(c: MachineContext): Done[] {
  const tried = c.canaries.filter((k) => !c.done.some((d) => d.change_id === k.change_id));
  return [
    ...c.done.map((d) => withOldestImage(c, d)),
    ...tried.map(({ change_id, at, outcome }) => ({ change_id, at, outcome })),
  ];
}

/** Changes that were made and not put back, newest first: the order in which they are undone. */
export function standingChanges(c: MachineContext): Done[] {
  const undone = new Set(c.rollback?.undone.map((u) => u.change_id));
  return madeChanges(c)
    .filter((d) => !undone.has(d.change_id))
    .toReversed();
}

/** The canary of this change is in force, and the action itself did not follow. */
export function isCanaryOnly(c: MachineContext, change_id: string): boolean {
  return c.canaries.some((k) => k.change_id === change_id) && !c.done.some((d) => d.change_id === change_id);
}

/** What the canary found is the older state, as in the journal. */
function withOldestImage(c: MachineContext, done: Done): Done {
  const first = c.canaries.find((k) => k.change_id === done.change_id)?.outcome.before_image ?? null;
  if (first === null) return done;
  const before_image = { ...done.outcome.before_image, ...first };
  return { ...done, outcome: { ...done.outcome, before_image } };
}

export function nextUndo(c: MachineContext): string | null {
  return standingChanges(c)[0]?.change_id ?? null;
}

/**
 * Why these changes are not put back by themselves, or null. A rollback that is known to end half-way is not begun:
 * which half may stand alone is for a person to say.
 */
export function rollbackObstacle(c: MachineContext, changes: readonly Done[]): string | null {
  for (const { change_id, outcome } of changes) {
    const action = actionOf(c, change_id);
    if (outcome.status === 'outcome_unknown') return `nobody can tell whether ${change_id} was applied`;
    if (action === undefined) return `${change_id} is not in the plan`;
    if ('none' in action.rollback) return `${change_id} has no rollback: ${action.rollback.reason}`;
    if ('from' in action.rollback && outcome.before_image === null)
      return `the state before ${change_id} was not recorded`;
  }
  return changes.length === 0 ? 'nothing was changed' : null;
}

export function actionOf(c: MachineContext, change_id: string): Action | undefined {
  return c.plan?.payload.plan.actions.find((a) => a.change_id === change_id);
}
