import { valueAt } from '../../json-pointer.ts';
import type { PaceField } from '../../rollout-pace.ts';
import { templateMark } from '../../template-mark.ts';

/** Which ReplicaSet of a Deployment's history a rollback means. Pure; whether it may be restored is the pipeline's matter. */
export interface Choice {
  readonly source: unknown;
  readonly current: unknown;
  readonly revision: number;
  readonly newest: number;
}

export interface Wish {
  readonly to_revision?: number | undefined;
  /** Only the first pod, which then must be ready for so long before the controller goes on, in seconds. */
  readonly canary_hold_s?: number | undefined;
  /** How its pods are replaced, put back along with a template. */
  readonly pace?: Readonly<Record<PaceField, number | string | null>> | undefined;
  /** By its mark, whatever its revision is by now: an undo. */
  readonly template?: string | undefined;
}

const REVISION = '/metadata/annotations/deployment.kubernetes.io~1revision';

/** The ReplicaSets whose controller is this Deployment. */
export function ownSets(deployment: unknown, sets: readonly unknown[]): unknown[] {
  const uid = valueAt(deployment, '/metadata/uid');
  return sets.filter((set) => {
    const owners = valueAt(set, '/metadata/ownerReferences');
    return (
      Array.isArray(owners) &&
      (owners as unknown[]).some(
        (owner) => valueAt(owner, '/controller') === true && valueAt(owner, '/uid') === uid,
      )
    );
  });
}

/** A sentence when nothing, or nothing certain, is meant. */
export function chooseRevision(deployment: unknown, sets: readonly unknown[], wish: Wish): Choice | string {
  const own = ownSets(deployment, sets);
  const mark = templateMark(deployment);
  const currents = own.filter((set) => templateMark(set) === mark);
  const current = currents[0];
  if (current === undefined) return 'no ReplicaSet holds the present template yet: its rollout has not begun';
  const newest = Math.max(...own.map(revisionOf));
  if (!currents.some((set) => revisionOf(set) === newest) || revisionOf(deployment) !== newest)
    return `the history does not add up: revision ${newest} is the newest, and the Deployment does not run it`;
  const found = candidates(own, wish, newest);
  if (found.length === 0) return missing(own, wish, newest);
  const marks = new Set(found.map(templateMark));
  if (found.length > 1 && wish.template === undefined)
    return `${found.length} ReplicaSets say that they are revision ${revisionOf(found[0])}`;
  const source = found[0];
  if (marks.has(mark)) return `revision ${revisionOf(source)} is what the Deployment has already`;
  return { source, current, revision: revisionOf(source), newest };
}

function candidates(own: readonly unknown[], wish: Wish, newest: number): unknown[] {
  if (wish.template !== undefined) return own.filter((set) => templateMark(set) === wish.template);
  const older = own.map(revisionOf).filter((revision) => revision > 0 && revision < newest);
  const wanted = wish.to_revision ?? (older.length === 0 ? 0 : Math.max(...older));
  return wanted === 0 ? [] : own.filter((set) => revisionOf(set) === wanted);
}

function missing(own: readonly unknown[], wish: Wish, newest: number): string {
  if (wish.template !== undefined)
    return 'its history holds that template no more (revisionHistoryLimit); people set it by hand';
  if (wish.to_revision === undefined) return 'there is no earlier revision to go back to';
  const known = own
    .map(revisionOf)
    .filter((revision) => revision > 0)
    .sort((a, b) => a - b);
  return `there is no revision ${wish.to_revision}; its history has ${known.join(', ')}, and it runs ${newest}`;
}

function revisionOf(object: unknown): number {
  const text = valueAt(object, REVISION);
  return typeof text === 'string' && /^[1-9]\d{0,14}$/.test(text) ? Number(text) : 0;
}
