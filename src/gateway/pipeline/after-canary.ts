import { canonicalJson } from '../../contract/canonical.ts';
import type { FieldChange } from '../../contract/tool.ts';

/**
 * The action after its canary. Its prior state is not looked up: that would take over whatever somebody did since. It
 * follows from the two effects that people approved: each field must show what the canary made of it, and goes to what the
 * action makes of it; a field that only the canary touched goes back to what it was. Pure.
 */
export function changesAfterCanary(
  canary: readonly FieldChange[],
  apply: readonly FieldChange[],
): FieldChange[] {
  const tried = new Map(canary.map((change) => [change.path, change]));
  const wanted = new Map(apply.map((change) => [change.path, change]));
  return [...new Set([...tried.keys(), ...wanted.keys()])].map((path) => {
    const first = tried.get(path);
    const then = wanted.get(path);
    return {
      path,
      before: (first === undefined ? then?.before : first.after) ?? null,
      after: (then === undefined ? first?.before : then.after) ?? null,
    };
  });
}

/** Why the two previews are no canary and action of one change, or null. Pure. */
export function canaryProblem(
  canary: { readonly object_uid: string; readonly changes: readonly FieldChange[] },
  apply: { readonly object_uid: string; readonly changes: readonly FieldChange[] },
): string | null {
  if (canary.object_uid !== apply.object_uid) return 'its canary is of another object';
  const wanted = new Map(apply.changes.map((change) => [change.path, change]));
  const torn = canary.changes.find(({ path, before }) => {
    const same = wanted.get(path);
    return same !== undefined && canonicalJson(same.before ?? null) !== canonicalJson(before ?? null);
  });
  if (torn !== undefined) return `${torn.path} changed between the two dry runs`;
  const left = changesAfterCanary(canary.changes, apply.changes);
  return left.some(({ before, after }) => canonicalJson(before) !== canonicalJson(after))
    ? null
    : 'its canary does all of it already, so there is nothing left to hold back';
}

/** The values that the action after its canary sets, by path: what a tool makes its arguments of. */
export function valuesOf(changes: readonly FieldChange[]): Record<string, unknown> {
  return Object.fromEntries(changes.map(({ path, after }) => [path, after]));
}
