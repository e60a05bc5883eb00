/**
 * Who set which field: the `managedFields` bookkeeping of the API server. Fields that a write changed move to the
 * writer's entry and leave all others, as in the real server; values are not compared further.
 */
import type { JsonObject, KubeObject, ManagedFieldsEntry } from './kube-object.ts';
import { copyJson, isObject, kubeTime, sameJson } from './kube-object.ts';

export interface Writer {
  manager: string;
  operation?: 'Update' | 'Apply';
  subresource?: string;
}

/** Lists whose items are identified by a key; every other list is one field. */
const LIST_KEYS: Readonly<Record<string, string>> = {
  containers: 'name',
  initContainers: 'name',
  env: 'name',
  volumes: 'name',
  volumeMounts: 'mountPath',
  ports: 'containerPort',
  conditions: 'type',
  ownerReferences: 'uid',
  imagePullSecrets: 'name',
  secrets: 'name',
  containerStatuses: 'name',
};

const UNTRACKED_META = new Set([
  'managedFields',
  'uid',
  'resourceVersion',
  'generation',
  'creationTimestamp',
  'deletionTimestamp',
  'name',
  'namespace',
  'selfLink',
]);

/** The managedFields of `next`, given what was there before (undefined: it is being created). */
export function trackManager(
  previous: KubeObject | undefined,
  next: KubeObject,
  writer: Writer,
  now_ms: number,
): ManagedFieldsEntry[] {
  const changed = changedFields(tracked(previous), tracked(next));
  const entries = copyJson(previous?.metadata.managedFields ?? []);
  if (changed === undefined) return entries;
  const operation = writer.operation ?? 'Update';
  const isSame = (entry: ManagedFieldsEntry) =>
    entry.manager === writer.manager &&
    entry.operation === operation &&
    entry.subresource === writer.subresource;
  const own = entries.find(isSame);
  const others = entries
    .filter((entry) => !isSame(entry))
    .map((entry) => ({ ...entry, fieldsV1: without(entry.fieldsV1, changed) }))
    .filter((entry) => Object.keys(entry.fieldsV1).length > 0);
  const present = presentFields(changed, tracked(next));
  const entry: ManagedFieldsEntry = {
    manager: writer.manager,
    operation,
    apiVersion: next.apiVersion,
    time: kubeTime(now_ms),
    fieldsType: 'FieldsV1',
    fieldsV1: union(own === undefined ? {} : without(own.fieldsV1, changed), present),
    ...(writer.subresource === undefined ? {} : { subresource: writer.subresource }),
  };
  return Object.keys(entry.fieldsV1).length === 0 ? others : [...others, entry];
}

function tracked(object: KubeObject | undefined): JsonObject {
  if (object === undefined) return {};
  const { apiVersion: _version, kind: _kind, metadata, ...rest } = object;
  const meta = Object.fromEntries(Object.entries(metadata).filter(([key]) => !UNTRACKED_META.has(key)));
  return { metadata: meta, ...rest };
}

/** A FieldsV1 tree of what differs, or undefined when nothing does. */
function changedFields(before: unknown, after: unknown, listKey?: string): JsonObject | undefined {
  if (sameJson(before, after)) return undefined;
  const left = children(before, listKey);
  const right = children(after, listKey);
  if (left === undefined && right === undefined) return {};
  const tree: JsonObject = {};
  for (const key of new Set([...Object.keys(left ?? {}), ...Object.keys(right ?? {})])) {
    const inner = changedFields(
      left?.[key],
      right?.[key],
      key.startsWith('f:') ? LIST_KEYS[key.slice(2)] : undefined,
    );
    if (inner !== undefined) tree[key] = inner;
  }
  return tree;
}

/** The members of a map or keyed list under their FieldsV1 names; undefined for a leaf. */
function children(value: unknown, listKey?: string): JsonObject | undefined {
  if (isObject(value)) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [`f:${key}`, item]));
  }
  if (!Array.isArray(value) || listKey === undefined || !value.every(isObject)) return undefined;
  return Object.fromEntries(value.map((item) => [`k:${JSON.stringify({ [listKey]: item[listKey] })}`, item]));
}

/** Keeps of `tree` what exists in `value`: a removed field is owned by nobody. */
function presentFields(tree: JsonObject, value: unknown, listKey?: string): JsonObject {
  const members = children(value, listKey) ?? {};
  const kept: JsonObject = {};
  for (const [key, inner] of Object.entries(tree)) {
    if (members[key] === undefined) continue;
    kept[key] = presentFields(inner as JsonObject, members[key], LIST_KEYS[key.slice(2)]);
  }
  return kept;
}

function without(tree: JsonObject, removed: JsonObject): JsonObject {
  const kept: JsonObject = {};
  for (const [key, inner] of Object.entries(tree)) {
    const cut = removed[key];
    if (cut === undefined) kept[key] = inner;
    else if (Object.keys(cut as JsonObject).length > 0) {
      const rest = without(inner as JsonObject, cut as JsonObject);
      if (Object.keys(rest).length > 0) kept[key] = rest;
    }
  }
  return kept;
}

function union(a: JsonObject, b: JsonObject): JsonObject {
  const merged: JsonObject = { ...a };
  for (const [key, inner] of Object.entries(b)) {
    merged[key] = union((merged[key] as JsonObject | undefined) ?? {}, inner as JsonObject);
  }
  return merged;
}
