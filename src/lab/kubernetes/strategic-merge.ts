/** Strategic merge patch for the built-in kinds: lists with a merge key are merged item by item, with directives. */
import type { JsonObject } from '../world/kube-object.ts';
import { isObject } from '../world/kube-object.ts';
import { badRequest } from './status.ts';

/** `patchMergeKey` of the lists that the served kinds have (k8s.io/api struct tags). Others are replaced whole. */
const MERGE_KEYS: Readonly<Record<string, readonly string[]>> = {
  containers: ['name'],
  initContainers: ['name'],
  ephemeralContainers: ['name'],
  env: ['name'],
  volumes: ['name'],
  volumeMounts: ['mountPath'],
  volumeDevices: ['devicePath'],
  ports: ['containerPort', 'port'],
  imagePullSecrets: ['name'],
  secrets: ['name'],
  hostAliases: ['ip'],
  conditions: ['type'],
  topologySpreadConstraints: ['topologyKey'],
  ownerReferences: ['uid'],
};
const PRIMITIVE_MERGE = new Set(['finalizers']);

export function strategicMerge(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) throw badRequest('error decoding patch: the patch must be a JSON object');
  return mergeObject(isObject(target) ? target : {}, patch);
}

function mergeObject(target: JsonObject, patch: JsonObject): JsonObject {
  const directive = patch['$patch'];
  if (directive === 'replace') return withoutDirectives(patch);
  if (directive === 'delete') return {};
  if (directive !== undefined && directive !== 'merge')
    throw badRequest(`Unknown patch type found: ${JSON.stringify(directive)}`);
  const result: JsonObject = { ...target };
  const retained = patch['$retainKeys'];
  if (Array.isArray(retained)) {
    for (const key of Object.keys(result)) if (!retained.includes(key)) delete result[key];
  }
  for (const [key, value] of Object.entries(patch)) {
    if (key.startsWith('$deleteFromPrimitiveList/')) {
      const name = key.slice('$deleteFromPrimitiveList/'.length);
      const removed = Array.isArray(value) ? value : [];
      const list = result[name];
      if (Array.isArray(list)) result[name] = list.filter((item) => !removed.includes(item));
    } else if (!key.startsWith('$')) mergeField(result, key, value);
  }
  for (const [key, order] of Object.entries(patch)) {
    if (!key.startsWith('$setElementOrder/') || !Array.isArray(order)) continue;
    const name = key.slice('$setElementOrder/'.length);
    if (Array.isArray(result[name])) result[name] = reorder(name, result[name], order);
  }
  return result;
}

function mergeField(result: JsonObject, key: string, value: unknown): void {
  if (value === null) delete result[key];
  else if (isObject(value)) result[key] = mergeObject(isObject(result[key]) ? result[key] : {}, value);
  else if (Array.isArray(value))
    result[key] = mergeList(key, Array.isArray(result[key]) ? result[key] : [], value);
  else result[key] = value;
}

function mergeList(name: string, target: readonly unknown[], patch: readonly unknown[]): unknown[] {
  if (PRIMITIVE_MERGE.has(name)) return [...target, ...patch.filter((item) => !target.includes(item))];
  const items = patch.filter(isObject);
  const key = mergeKey(name, items);
  if (key === undefined) {
    return patch.map((item) => (isObject(item) ? withoutDirectives(item) : item));
  }
  const isReplaced = items.some((item) => item['$patch'] === 'replace' && Object.keys(item).length === 1);
  let merged: unknown[] = isReplaced ? [] : [...target];
  for (const item of items) {
    if (item['$patch'] === 'replace' && Object.keys(item).length === 1) continue;
    if (item[key] === undefined)
      throw badRequest(`map: ${JSON.stringify(item)} does not contain declared merge key: ${key}`);
    const index = merged.findIndex((other) => isObject(other) && other[key] === item[key]);
    if (item['$patch'] === 'delete') merged = merged.filter((_other, position) => position !== index);
    else if (index >= 0) merged[index] = mergeObject(merged[index] as JsonObject, item);
    else merged.push(withoutDirectives(mergeObject({}, item)));
  }
  return merged;
}

function mergeKey(name: string, items: readonly JsonObject[]): string | undefined {
  const keys = MERGE_KEYS[name];
  return keys?.find((key) => items.some((item) => item[key] !== undefined)) ?? keys?.[0];
}

function reorder(name: string, list: readonly unknown[], order: readonly unknown[]): unknown[] {
  const key = mergeKey(name, order.filter(isObject));
  const rank = (item: unknown) =>
    order.findIndex((wanted) =>
      key !== undefined && isObject(wanted) && isObject(item) ? wanted[key] === item[key] : wanted === item,
    );
  // Items that the order does not name keep their place after the ones before them.
  return [...list].sort((a, b) => (rank(a) < 0 || rank(b) < 0 ? 0 : rank(a) - rank(b)));
}

function withoutDirectives(value: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(value).filter(([key]) => !key.startsWith('$')));
}
