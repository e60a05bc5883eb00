import { canonicalJson } from '../../../contract/canonical.ts';
import type { FieldChange } from '../../../contract/tool.ts';
import { eachLeaf, matchesPattern, valueAt } from '../../json-pointer.ts';
import { UpstreamError } from '../../upstream-error.ts';
import { blocked } from '../answer-json.ts';
import type { ApplyAnswer, CallHandle, DriverPreview, Observation, TouchedField } from '../driver.ts';
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

export async function previewFields(
  handle: CallHandle,
  fields: readonly TouchedField[],
  resources: (before: unknown, after: unknown) => DriverPreview['resources'],
): Promise<DriverPreview> {
  const before = await getObject(handle);
  const planned = fields.map((field) => ({
    path: field.path,
    before: shown(before, field.path),
    after: field.after,
  }));
  const { text } = await sendPatch(handle, patchOf(before.metadata.uid, null, planned));
  const after = parseObject(text);
  const changes = planned.map((change) => ({ ...change, after: shown(after, change.path) }));
  const warnings = changes
    .filter((change) => same(change.before, change.after))
    .map((change) => `${change.path} already has this value`);
  return {
    object_uid: before.metadata.uid,
    before,
    after,
    changes,
    side_changes: sideChanges(before, after, fields),
    warnings,
    resources: resources(before, after),
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
  // A test of "absent" does not exist in JSON patch: then the whole object must be the one that was just read.
  const needs_version = changes.some((change) => change.before === null);
  const version = needs_version ? await versionOf(handle, changes) : null;
  if (version === 'changed')
    return { status: 'conflict', message: 'a field that was absent has a value now' };
  try {
    const { text } = await sendPatch(handle, patchOf(precondition.object_uid, version, changes));
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

async function versionOf(handle: CallHandle, changes: readonly FieldChange[]): Promise<string> {
  const object = await getObject(handle);
  const differs = changes.some((change) => !same(shown(object, change.path), change.before));
  return differs ? 'changed' : object.metadata.resourceVersion;
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

function patchOf(uid: string, resource_version: string | null, changes: readonly FieldChange[]): object[] {
  const patch: object[] = [{ op: 'test', path: '/metadata/uid', value: uid }];
  if (resource_version !== null)
    patch.push({ op: 'test', path: '/metadata/resourceVersion', value: resource_version });
  for (const { path, before, after } of changes) {
    if (before !== null) patch.push({ op: 'test', path, value: before });
    if (after !== null) patch.push({ op: before === null ? 'add' : 'replace', path, value: after });
    else if (before !== null) patch.push({ op: 'remove', path });
  }
  return patch;
}

function sideChanges(before: unknown, after: unknown, fields: readonly TouchedField[]): FieldChange[] {
  const own = [...NOISE, ...fields.map((field) => field.path)];
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
function shown(object: unknown, path: string): unknown {
  return valueAt(object, path) ?? null;
}

function same(a: unknown, b: unknown): boolean {
  return canonicalJson(a ?? null) === canonicalJson(b ?? null);
}
