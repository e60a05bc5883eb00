import { canonicalJson } from '../../../contract/canonical.ts';
import type { FieldChange } from '../../../contract/tool.ts';
import { eachLeaf, matchesPattern } from '../../json-pointer.ts';
import { UpstreamError } from '../../upstream-error.ts';
import { blocked } from '../answer-json.ts';
import type { ApplyAnswer, CallHandle, DriverPreview, Observation, TouchedField } from '../driver.ts';
import { locateField, type FieldPlace } from './field-path.ts';
import { getObject, kindOf, objectPath, parseObject, type KubeObject } from './objects.ts';

/** Fields of an object changed by JSON patch, each under a `test` of its prior value: the server does the comparing. */
const FIELD_MANAGER = 'aegis';
/** What every write changes by itself; showing it would bury the change. */
const NOISE = [
  '/metadata/managedFields',
  '/metadata/resourceVersion',
  '/metadata/generation',
  '/metadata/uid',
];
const SIDE_CHANGES_MAX = 200;
/** Lists whose items a path may name: only the object tells at which position they are. */
const NAMED_LISTS = /\/containers\//;

/** What a tool knows about its kind beyond the fields. Pure. */
export interface PreviewRules {
  readonly resources: (before: unknown, after: unknown) => DriverPreview['resources'];
  /** Why this object is not changed like that, in a sentence. */
  readonly refuses?: (before: unknown, paths: readonly string[]) => string | null;
  readonly warns?: (before: unknown) => string[];
}

export async function previewFields(
  handle: CallHandle,
  fields: readonly TouchedField[],
  rules: PreviewRules,
): Promise<DriverPreview> {
  const before = await getObject(handle);
  const refusal =
    rules.refuses?.(
      before,
      fields.map((field) => field.path),
    ) ?? null;
  if (refusal !== null) throw blocked(refusal);
  const planned = fields.map((field) => ({
    path: field.path,
    before: shown(before, field.path),
    after: field.after,
  }));
  const { text } = await sendPatch(handle, patchOf(before.metadata.uid, planned, placesIn(before, planned)));
  const after = parseObject(text);
  const changes = planned.map((change) => ({ ...change, after: shown(after, change.path) }));
  // What the server makes of a value is what people would approve: then it must be what the plan says.
  for (const [index, { path, after: made }] of changes.entries()) {
    const asked = fields[index]?.after ?? null;
    if (!same(made, asked))
      throw blocked(
        `the server writes ${JSON.stringify(asked)} at ${path} as ${JSON.stringify(made)}: plan that`,
      );
  }
  const warnings = changes
    .filter((change) => same(change.before, change.after))
    .map((change) => `${change.path} already has this value`);
  return {
    object_uid: before.metadata.uid,
    before,
    after,
    changes,
    side_changes: sideChanges(before, after, fields),
    warnings: [...(rules.warns?.(before) ?? []), ...warnings],
    resources: rules.resources(before, after),
  };
}

export async function observeFields(
  handle: CallHandle,
  fields: readonly TouchedField[],
): Promise<Observation> {
  let object: KubeObject;
  try {
    object = await getObject(handle);
  } catch (error) {
    if (error instanceof UpstreamError && error.info.problem === 'not-found')
      return { object_uid: null, values: {} };
    throw error;
  }
  const values = Object.fromEntries(fields.map(({ path }) => [path, shown(object, path)]));
  return { object_uid: object.metadata.uid, values };
}

export async function applyFields(handle: CallHandle, fields: readonly TouchedField[]): Promise<ApplyAnswer> {
  const { precondition } = handle;
  if (precondition === null) throw blocked('a write needs the approved prior state');
  const approved = new Map(precondition.changes.map((change) => [change.path, change]));
  const changes = fields.map((field) => {
    const change = approved.get(field.path);
    if (change === undefined) throw blocked(`${field.path} is not part of the approved preview`);
    return { path: field.path, before: change.before, after: field.after };
  });
  const places = await placesNow(handle, changes);
  if (places === 'changed') return { status: 'conflict', message: 'a field shows another value now' };
  try {
    const { text } = await sendPatch(handle, patchOf(precondition.object_uid, changes, places));
    const object = parseObject(text);
    return {
      status: 'done',
      result: { resource_version: object.metadata.resourceVersion, values: valuesOf(object, fields) },
    };
  } catch (error) {
    if (error instanceof UpstreamError && (await isConflict(handle, error, precondition.object_uid, changes)))
      return { status: 'conflict', message: error.info.message };
    throw error;
  }
}

/** 409 says so; 422 is a failed `test` or an invalid value, and only the object tells which. */
async function isConflict(
  handle: CallHandle,
  error: UpstreamError,
  uid: string,
  changes: readonly FieldChange[],
): Promise<boolean> {
  if (error.info.problem === 'conflict') return true;
  if (error.info.problem === 'not-found') return true;
  if (error.info.problem !== 'invalid') return false;
  const now = await observeFields(handle, changes);
  return now.object_uid !== uid || changes.some((change) => !same(now.values[change.path], change.before));
}

type Places = ReadonlyMap<string, FieldPlace>;

export function placesIn(object: unknown, changes: readonly FieldChange[]): Places {
  return new Map(changes.map(({ path }) => [path, locateField(object, path)]));
}

/**
 * Where the fields are now. The object is looked at only when the paths alone do not say it: for absent fields and for
 * fields of named list items. A look that fails has sent no change, whatever its own fate.
 */
async function placesNow(handle: CallHandle, changes: readonly FieldChange[]): Promise<Places | 'changed'> {
  if (changes.every(({ path, before }) => before !== null && !NAMED_LISTS.test(path))) return new Map();
  let object: KubeObject;
  try {
    object = await getObject(handle);
  } catch (error) {
    if (!(error instanceof UpstreamError)) throw error;
    if (error.info.problem === 'not-found') return 'changed';
    throw new UpstreamError({ ...error.info, sent: 'no' });
  }
  const differs = changes.some(({ path, before }) => !same(shown(object, path), before));
  return differs ? 'changed' : placesIn(object, changes);
}

function sendPatch(handle: CallHandle, patch: readonly object[]): Promise<{ text: string }> {
  return handle.http.request({
    method: 'PATCH',
    path: objectPath(handle.target, kindOf(handle.target)),
    query: { fieldManager: FIELD_MANAGER },
    body: patch,
    content_type: 'application/json-patch+json',
  });
}

/**
 * All tests first, then the changes. A test of "absent" does not exist in JSON patch: the map that lacks the field must
 * be the one that was read.
 */
export function patchOf(uid: string, changes: readonly FieldChange[], places: Places): object[] {
  const tests: object[] = [{ op: 'test', path: '/metadata/uid', value: uid }];
  const edits: object[] = [];
  const created = new Set<string>();
  for (const { path, before, after } of changes) {
    const place = places.get(path);
    const pointer = place?.pointer ?? path;
    for (const { pointer: at, value } of place?.names ?? []) tests.push({ op: 'test', path: at, value });
    if (before !== null) {
      tests.push({ op: 'test', path: pointer, value: before });
      edits.push(
        after === null ? { op: 'remove', path: pointer } : { op: 'replace', path: pointer, value: after },
      );
      continue;
    }
    const anchor = place?.anchor ?? null;
    if (anchor === null) throw blocked(`${path}: the object has no such list item`);
    tests.push({ op: 'test', path: anchor.pointer, value: anchor.value });
    if (after === null) continue;
    for (const map of place?.missing ?? []) {
      if (!created.has(map)) edits.push({ op: 'add', path: map, value: {} });
      created.add(map);
    }
    edits.push({ op: 'add', path: pointer, value: after });
  }
  return [...tests, ...edits];
}

/** What the server changes besides the fields that were asked for. */
export function sideChanges(before: unknown, after: unknown, fields: readonly TouchedField[]): FieldChange[] {
  const places = fields.flatMap(({ path }) => [locateField(before, path), locateField(after, path)]);
  const own = [...NOISE, ...places.map((place) => place.pointer)];
  const was = leavesOf(before);
  const will = leavesOf(after);
  const changes: FieldChange[] = [];
  for (const path of new Set([...was.keys(), ...will.keys()])) {
    if (own.some((prefix) => matchesPattern(prefix, path, 'within'))) continue;
    const change = { path, before: was.get(path) ?? null, after: will.get(path) ?? null };
    if (!same(change.before, change.after)) changes.push(change);
  }
  return changes.slice(0, SIDE_CHANGES_MAX);
}

function leavesOf(value: unknown): Map<string, unknown> {
  const leaves = new Map<string, unknown>();
  eachLeaf(value, (path, leaf) => leaves.set(path, leaf));
  return leaves;
}

function valuesOf(object: unknown, fields: readonly TouchedField[]): Record<string, unknown> {
  return Object.fromEntries(fields.map(({ path }) => [path, shown(object, path)]));
}

/** A JSON value; an absent field is `null`, as in the contract. */
export function shown(object: unknown, path: string): unknown {
  return locateField(object, path).value ?? null;
}

export function same(a: unknown, b: unknown): boolean {
  return canonicalJson(a ?? null) === canonicalJson(b ?? null);
}
