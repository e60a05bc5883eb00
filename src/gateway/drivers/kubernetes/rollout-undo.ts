import { z } from 'zod';
import type { FieldChange } from '../../../contract/tool.ts';
import { valueAt } from '../../json-pointer.ts';
import { CANARY_HOLD_S_MAX, holdValues, PACE_FIELDS, PACE_PATHS } from '../../rollout-pace.ts';
import { bareTemplate, templateMark } from '../../template-mark.ts';
import { UpstreamError } from '../../upstream-error.ts';
import { blocked, malformed } from '../answer-json.ts';
import {
  writeTool,
  type ApplyAnswer,
  type CallHandle,
  type DriverPreview,
  type Observation,
  type Precondition,
  type Restoration,
  type TouchedField,
} from '../driver.ts';
import { holdObstacle } from './canary-hold.ts';
import { getObject, kindOf, listAll, objectPath, parseObject, type KubeObject } from './objects.ts';
import { podTemplateResources } from './pod-template-resources.ts';
import { chooseRevision, ownSets, type Choice, type Wish } from './rollout-history.ts';
import { patchOf, placesIn, same, shown, sideChanges } from './spec-patch.ts';

/**
 * `kubectl rollout undo`: the pod template of an earlier ReplicaSet, whole. In plans and approvals a template stands as
 * its mark (a hash), so the effect is bound byte for byte and no text of it is copied; people see it in the diff.
 */
const TEMPLATE = '/spec/template';
const SETS = '/apis/apps/v1';

const UndoArgs = z
  .strictObject({
    to_revision: z.int().min(1).optional(),
    canary_hold_s: z.int().min(1).max(CANARY_HOLD_S_MAX).optional(),
    pace: z
      .strictObject({
        min_ready_s: z.int().min(0).nullable(),
        max_surge: z.union([z.int().min(0), z.string().max(10)]).nullable(),
        max_unavailable: z.union([z.int().min(0), z.string().max(10)]).nullable(),
      })
      .optional(),
    template: z
      .string()
      .regex(/^sha256:[0-9a-f]{64}$/)
      .optional(),
  })
  .refine(
    ({ to_revision, template }) => to_revision === undefined || template === undefined,
    'a revision or a template, not both',
  )
  .refine(
    ({ template, pace, canary_hold_s }) =>
      (pace === undefined || template !== undefined) &&
      (canary_hold_s === undefined || template === undefined),
    'pace goes with a template, canary_hold_s with a revision',
  );

export const K8S_ROLLOUT_UNDO = writeTool<Wish>({
  name: 'k8s.rollout_undo',
  system: 'k8s',
  description:
    'Goes back to the pod template of an earlier revision of a Deployment, the previous one unless to_revision names it. canary_hold_s lets only the first pod change until it has been ready for so long.',
  base_class: 'write',
  target_kinds: ['deployment'],
  input: UndoArgs,
  dry_run: 'server',
  timeout_ms_max: 60_000,
  result_bytes_max: 4 * 1024 * 1024,
  conditional: true,
  restores: true,
  touched: (wish) => [{ path: TEMPLATE, after: wish.template ?? null }, ...paceOf(wish)],
  approvedFor: (wish, _place, { changes }) => {
    const fields = new Map(paceOf(wish).map(({ path, after }) => [path, after]));
    const template = changes.find(({ path }) => path === TEMPLATE);
    return (
      template !== undefined &&
      (wish.template === undefined || template.after === wish.template) &&
      changes.length === fields.size + 1 &&
      changes.every(
        ({ path, after }) => path === TEMPLATE || (fields.has(path) && same(fields.get(path), after)),
      )
    );
  },
  undo: (values) => {
    const pace = PACE_FIELDS.some((field) => Object.hasOwn(values, PACE_PATHS[field]))
      ? { pace: Object.fromEntries(PACE_FIELDS.map((field) => [field, values[PACE_PATHS[field]] ?? null])) }
      : {};
    return { template: values[TEMPLATE], ...pace };
  },
  preview: previewUndo,
  observe: observeUndo,
  apply: applyUndo,
});

/** What a wish sets besides the template. */
function paceOf({ canary_hold_s, pace }: Wish): TouchedField[] {
  if (canary_hold_s !== undefined)
    return Object.entries(holdValues(canary_hold_s)).map(([path, after]) => ({ path, after }));
  if (pace === undefined) return [];
  return PACE_FIELDS.map((field) => ({ path: PACE_PATHS[field], after: pace[field] }));
}

async function previewUndo(handle: CallHandle, wish: Wish): Promise<DriverPreview> {
  const before = await getObject(handle);
  const unheld = wish.canary_hold_s === undefined ? null : holdObstacle(before, wish.canary_hold_s);
  if (unheld !== null) throw blocked(unheld);
  if (valueAt(before, '/spec/paused') === true)
    throw blocked('the Deployment is paused: a rollback would begin only when it is resumed');
  const choice = chooseRevision(before, await setsOf(handle, before), wish);
  if (typeof choice === 'string') throw blocked(choice);
  const source = await getSet(handle, nameOf(choice.source));
  const wanted = templateMark(source);
  if (wanted === null || wanted !== templateMark(choice.source))
    throw blocked('the ReplicaSet changed while it was looked at');
  const pace = paceOf(wish).map(({ path, after }) => ({ path, before: shown(before, path), after }));
  const changes = [{ path: TEMPLATE, before: templateMark(before), after: wanted }, ...pace];
  const { text } = await sendTemplate(handle, before, source, changes);
  const after = parseObject(text);
  if (
    templateMark(after) !== wanted ||
    pace.some(({ path, after: asked }) => !same(shown(after, path), asked))
  )
    throw blocked(
      'the server makes another template of it (an admission webhook or a default): a person must look at it',
    );
  return {
    object_uid: before.metadata.uid,
    before,
    after,
    changes,
    side_changes: sideChanges(before, after, changes),
    warnings: [aboutSource(choice, source)],
    resources: podTemplateResources(before, after),
    restoration: { owner: before, source, current: choice.current },
  };
}

async function observeUndo(handle: CallHandle): Promise<Observation> {
  const object = await getIfThere(handle, objectPath(handle.target, kindOf(handle.target)));
  if (object === null) return { object_uid: null, values: {} };
  const mark = templateMark(object);
  const change = handle.precondition?.changes.find(({ path }) => path === TEMPLATE);
  // What will be restored is looked at only while it can still be restored.
  const restoration = change?.before === mark ? await restorationOf(handle, object, change.after) : null;
  return { object_uid: object.metadata.uid, values: valuesNow(handle, object), restoration };
}

async function applyUndo(handle: CallHandle): Promise<ApplyAnswer> {
  const { precondition } = handle;
  const change = precondition?.changes.find(({ path }) => path === TEMPLATE);
  if (precondition === null || change === undefined) throw blocked('a rollback needs the approved templates');
  const seen = await looked(async () => {
    const object = await getObject(handle);
    return { object, restoration: await restorationOf(handle, object, change.after) };
  });
  if (seen === null) return { status: 'conflict', message: 'the Deployment is gone' };
  const { object, restoration } = seen;
  const now = valuesNow(handle, object);
  if (
    object.metadata.uid !== precondition.object_uid ||
    !precondition.changes.every(({ path, before }) => same(now[path], before))
  )
    return { status: 'conflict', message: 'the Deployment shows another template or another pace now' };
  if (restoration === null)
    return { status: 'conflict', message: 'the history does not hold the approved template any more' };
  try {
    const { text } = await sendTemplate(handle, object, restoration.source, precondition.changes);
    const after = parseObject(text);
    return {
      status: 'done',
      result: { resource_version: after.metadata.resourceVersion, template: templateMark(after) },
    };
  } catch (error) {
    if (error instanceof UpstreamError && (await isConflict(handle, error, precondition)))
      return { status: 'conflict', message: error.info.message };
    throw error;
  }
}

/** A look sends no change, whatever its own fate; `null`: the object is gone. */
async function looked<T>(look: () => Promise<T>): Promise<T | null> {
  try {
    return await look();
  } catch (error) {
    if (!(error instanceof UpstreamError)) throw error;
    if (error.info.problem === 'not-found') return null;
    throw new UpstreamError({ ...error.info, sent: 'no' });
  }
}

async function isConflict(
  handle: CallHandle,
  error: UpstreamError,
  { changes }: Precondition,
): Promise<boolean> {
  const { problem } = error.info;
  if (problem === 'conflict' || problem === 'not-found') return true;
  if (problem !== 'invalid') return false;
  const { values } = await observeUndo(handle);
  return !changes.every(({ path, before }) => same(values[path], before));
}

/** The fields of the approved change as an object shows them, the template by its mark. */
function valuesNow({ precondition }: CallHandle, object: KubeObject): Record<string, unknown> {
  const paths = precondition?.changes.map(({ path }) => path) ?? [TEMPLATE];
  return Object.fromEntries(
    paths.map((path) => [path, path === TEMPLATE ? templateMark(object) : shown(object, path)]),
  );
}

/**
 * One patch, so the controller never sees the template without its pace. The server compares the whole template that was
 * there with the one that was looked at, and every field of the pace with its prior value.
 */
function sendTemplate(
  handle: CallHandle,
  object: KubeObject,
  source: unknown,
  changes: readonly FieldChange[],
): Promise<{ text: string }> {
  const pace = changes.filter(({ path }) => path !== TEMPLATE);
  const stays = changes.some(({ path, before, after }) => path === TEMPLATE && same(before, after));
  return handle.http.request({
    method: 'PATCH',
    path: objectPath(handle.target, kindOf(handle.target)),
    query: { fieldManager: 'aegis' },
    body: [
      ...patchOf(object.metadata.uid, pace, placesIn(object, pace)),
      { op: 'test', path: TEMPLATE, value: valueAt(object, TEMPLATE) },
      ...(stays ? [] : [{ op: 'replace', path: TEMPLATE, value: bareTemplate(source) }]),
    ],
    content_type: 'application/json-patch+json',
  });
}

async function restorationOf(
  handle: CallHandle,
  object: KubeObject,
  wanted: unknown,
): Promise<Restoration | null> {
  const own = ownSets(object, await setsOf(handle, object));
  const held = own.find((set) => templateMark(set) === wanted);
  const current = own.find((set) => templateMark(set) === templateMark(object));
  if (held === undefined || current === undefined) return null;
  const source = await getSet(handle, nameOf(held));
  return templateMark(source) === wanted ? { owner: object, source, current } : null;
}

/** The ReplicaSets that the Deployment's selector finds. */
function setsOf(handle: CallHandle, deployment: KubeObject): Promise<unknown[]> {
  const labels = Object.entries(valueAt(deployment, '/spec/selector/matchLabels') ?? {});
  const selector = labels.map(([key, value]) => `${key}=${String(value)}`).join(',');
  const path = `${SETS}/namespaces/${encodeURIComponent(handle.target.namespace)}/replicasets`;
  const query: Record<string, string> = selector === '' ? {} : { labelSelector: selector };
  return listAll(handle, path, query, 'ReplicaSets match its selector');
}

async function getSet(handle: CallHandle, name: string): Promise<KubeObject> {
  const namespace = encodeURIComponent(handle.target.namespace);
  const path = `${SETS}/namespaces/${namespace}/replicasets/${encodeURIComponent(name)}`;
  const { text } = await handle.http.request({ method: 'GET', path });
  return parseObject(text);
}

async function getIfThere(handle: CallHandle, path: string): Promise<KubeObject | null> {
  try {
    return parseObject((await handle.http.request({ method: 'GET', path })).text);
  } catch (error) {
    if (error instanceof UpstreamError && error.info.problem === 'not-found') return null;
    throw error;
  }
}

function nameOf(object: unknown): string {
  const name = valueAt(object, '/metadata/name');
  if (typeof name !== 'string') throw malformed('a ReplicaSet has no name');
  return name;
}

function aboutSource({ revision, newest }: Choice, source: KubeObject): string {
  const made = valueAt(source, '/metadata/creationTimestamp');
  return `goes back from revision ${newest} to revision ${revision}: ReplicaSet ${nameOf(source)}, made ${String(made)}`;
}
