import { actionTitle, canaryTitle } from '../halt-texts.ts';
import { isCanaryOnly, standingChanges } from '../standing.ts';
import type { MachineContext } from '../state.ts';

/**
 * A plan that stopped half-way, told exactly: what is in force, what nobody can tell, what was put back, what never ran.
 * Null when nothing was changed, or everything is back. Pure.
 */
export function standingWords(c: MachineContext): string | null {
  const standing = standingChanges(c).toReversed();
  if (standing.length === 0) return null;
  const name = (change_id: string): string => {
    const title = isCanaryOnly(c, change_id) ? canaryTitle(c, change_id) : actionTitle(c, change_id);
    return title.replace(/^The canary/, 'the canary');
  };
  const of = (unknown: boolean): string[] =>
    standing
      .filter(({ outcome }) => (outcome.status === 'outcome_unknown') === unknown)
      .map(({ change_id }) => name(change_id));
  const undone = (c.rollback?.undone ?? []).map(({ change_id }) => actionTitle(c, change_id));
  const touched = new Set([...c.done, ...c.canaries].map(({ change_id }) => change_id));
  const never = (c.plan?.payload.plan.actions ?? []).filter((action) => !touched.has(action.change_id));
  const parts = [
    ['In force', of(false)],
    ['Nobody can tell', of(true)],
    ['Put back', undone],
    ['Not run', never.map(({ change_id }) => actionTitle(c, change_id))],
  ] as const;
  return parts
    .filter(([, names]) => names.length > 0)
    .map(([words, names]) => `${words}: ${names.join(', ')}.`)
    .join(' ');
}
