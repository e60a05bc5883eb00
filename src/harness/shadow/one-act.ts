import type { SeenChange } from '../../contract/shadow.ts';

/**
 * One act may be seen twice: an object's managedFields show it under the name that the client chose, the audit log shows
 * it with the user, often some seconds later. It counts once, under the key by which it is known already, with the
 * user's name. Pure.
 */

/** managedFields know whole seconds, and a request takes its time. */
const APART_MS_MAX = 3000;
const DELETIONS_APART_MS_MAX = 600_000;
/** What Aegis calls itself: its own writes are never of interest. */
const OWN_CLIENT = 'aegis';

/**
 * `looked`: everything of this look. `seen`: what the incident knows. Acts of programs are left out where neither the
 * plan nor an act that is known already asks for them.
 */
export function oneAct(
  looked: readonly SeenChange[],
  seen: readonly SeenChange[],
  planned_targets: ReadonlySet<string>,
): SeenChange[] {
  const audited = looked.filter((change) => change.authenticated === true);
  if (audited.length === 0) return [...looked];
  const known = new Set(seen.map((change) => change.key));
  const booked = looked.filter((change) => change.authenticated !== true);
  const here = new Set(booked.map((change) => change.key));
  const views = [
    ...booked,
    ...seen.filter((change) => change.authenticated !== true && !here.has(change.key)),
  ];
  const settled = new Map(audited.map((act) => [act, knownAs(act, seen)]));
  const pairs = matched(
    // What was one act with an object's view before takes no second one.
    audited.filter((act) => [undefined, act.key].includes(settled.get(act)?.key)),
    views,
  );
  const taken = new Set([...pairs.values(), ...settled.values()].map((view) => view?.key));
  const merged = audited.map((act) => {
    const before = settled.get(act);
    const view = pairs.get(act) ?? before;
    return view === undefined ? act : union(act, view, before?.key ?? view.key);
  });
  const rest = booked.filter(
    (change) => !taken.has(change.key) && !audited.some((act) => hasDeletedAll(act, change)),
  );
  return [...rest, ...merged].filter(
    (change) =>
      !change.robot ||
      known.has(change.key) ||
      (planned_targets.has(change.target) && change.client !== OWN_CLIENT),
  );
}

/** One request that deleted a collection is many deletions to a watch. */
function hasDeletedAll(act: SeenChange, view: SeenChange): boolean {
  if (act.operation !== 'deletecollection' || view.operation !== 'delete') return false;
  const collection = view.target.slice(0, view.target.lastIndexOf('/'));
  return act.target === `${collection}/-` && apartMs(act, view) <= DELETIONS_APART_MS_MAX;
}

/** The same line of the audit log in an earlier look. */
function knownAs(act: SeenChange, seen: readonly SeenChange[]): SeenChange | undefined {
  return seen.find(
    (change) =>
      change.authenticated === true &&
      (change.key === act.key ||
        (change.target === act.target && change.at === act.at && change.manager === act.manager)),
  );
}

/** Each act of the audit log with at most one other view of it, the surest pairs first. */
function matched(
  audited: readonly SeenChange[],
  views: readonly SeenChange[],
): ReadonlyMap<SeenChange, SeenChange> {
  const possible = audited.flatMap((act) =>
    views.filter((view) => mayBeOne(act, view)).map((view) => ({ act, view })),
  );
  const isOnly = (pair: { act: SeenChange; view: SeenChange }): boolean =>
    possible.every((other) => other === pair || (other.act !== pair.act && other.view.key !== pair.view.key));
  const sure = possible.filter((pair) => isShared(pair.act, pair.view) || isOnly(pair));
  sure.sort((a, b) => rankOf(a.act, a.view) - rankOf(b.act, b.view));
  const pairs = new Map<SeenChange, SeenChange>();
  const taken = new Set<string>();
  for (const { act, view } of sure) {
    if (pairs.has(act) || taken.has(view.key)) continue;
    pairs.set(act, view);
    taken.add(view.key);
  }
  return pairs;
}

function rankOf(act: SeenChange, view: SeenChange): number {
  return apartMs(act, view) + (isShared(act, view) ? 0 : APART_MS_MAX + 1);
}

/** Both name a field of the other. */
function isShared(act: SeenChange, view: SeenChange): boolean {
  return act.fields.some((field) => view.fields.some((other) => within(field, other)));
}

function mayBeOne(act: SeenChange, view: SeenChange): boolean {
  if (act.target !== view.target) return false;
  // Of a deletion only a watch can tell, and it may not know the time.
  if (act.operation === 'delete' || view.operation === 'delete')
    return act.operation === view.operation && apartMs(act, view) <= DELETIONS_APART_MS_MAX;
  if (act.operation === 'create eviction' || apartMs(act, view) > APART_MS_MAX) return false;
  // The API server writes the same word into both.
  if (act.client !== undefined && act.client !== view.manager) return false;
  return isShared(act, view) || !isWhole(act) || !isWhole(view);
}

/** All fields of the act are known. */
function isWhole(change: SeenChange): boolean {
  return change.fields.length > 0 && change.more_fields === 0;
}

function union(act: SeenChange, view: SeenChange, key: string): SeenChange {
  // Either list may name more than was changed: what the patch sets anew, what the manager set before.
  const both = view.fields.filter((field) => act.fields.includes(field));
  const { fields, more_fields } = view.fields.length > 0 ? view : act;
  return {
    ...act,
    key,
    uid: view.uid === '' ? act.uid : view.uid,
    ...(act.operation === 'delete' ? {} : { client: act.client ?? view.client ?? view.manager }),
    generation: Math.max(act.generation, view.generation),
    ...(both.length > 0 ? { fields: both, more_fields: 0 } : { fields, more_fields }),
    values: { ...act.values, ...view.values },
    template: view.template ?? act.template,
  };
}

function apartMs(a: SeenChange, b: SeenChange): number {
  return Math.abs(Date.parse(a.at) - Date.parse(b.at));
}

function within(field: string, path: string): boolean {
  return field === path || field.startsWith(`${path}/`) || path.startsWith(`${field}/`);
}
