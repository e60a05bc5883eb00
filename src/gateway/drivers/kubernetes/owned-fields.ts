import { parseJsonText } from '../../../contract/parse.ts';

/**
 * `managedFields` as pointers: which fields of an object one writer owns, and what stands there. The format (`f:` a
 * field, `k:` a list item by its keys, `v:` and `i:` an item of a set, `.` the thing itself) is that of
 * https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management. Pure.
 */
export interface OwnedField {
  /** List items by name, as in plans: `/spec/template/spec/containers/app/image`. */
  readonly path: string;
  readonly value: unknown;
}

/** The leaves below these roots; everything else (status, labels) is no act of a person on what runs. */
const ROOTS = ['f:spec', 'f:data'];
/** Deeper trees do not exist in real objects. */
const DEPTH_MAX = 40;

export function ownedFields(fieldsV1: unknown, object: unknown): OwnedField[] {
  const found: OwnedField[] = [];
  if (!isMap(fieldsV1)) return found;
  for (const root of ROOTS) walk(fieldsV1[root], member(object, root), `/${root.slice(2)}`, found, 0);
  return found;
}

function walk(tree: unknown, value: unknown, path: string, found: OwnedField[], depth: number): void {
  if (!isMap(tree) || depth > DEPTH_MAX) return;
  const inner = Object.keys(tree).filter((key) => key.startsWith('f:') || key.startsWith('k:'));
  if (inner.length === 0) {
    // kubectl writes `null` there with every template; it is no change of anything.
    if (!path.endsWith('/metadata/creationTimestamp')) found.push({ path, value });
    return;
  }
  for (const key of inner)
    walk(tree[key], member(value, key), `${path}/${escaped(nameOf(key))}`, found, depth + 1);
}

/** The child that a key of the tree stands for; `undefined` when the object does not have it any more. */
function member(value: unknown, key: string): unknown {
  if (key.startsWith('f:'))
    return isMap(value) && Object.hasOwn(value, key.slice(2)) ? value[key.slice(2)] : undefined;
  const keys = keysOf(key);
  if (!Array.isArray(value) || keys === null) return undefined;
  return value.find((item) => isMap(item) && Object.entries(keys).every(([name, is]) => item[name] === is));
}

/** `k:{"name":"app"}` -> `app`; several keys are joined. */
function nameOf(key: string): string {
  if (key.startsWith('f:')) return key.slice(2);
  const keys = keysOf(key);
  return keys === null ? key.slice(2) : Object.values(keys).map(String).join(',');
}

function keysOf(key: string): Record<string, unknown> | null {
  const parsed = parseJsonText(key.slice(2));
  return parsed.ok && isMap(parsed.value) ? parsed.value : null;
}

function escaped(segment: string): string {
  return segment.replaceAll('~', '~0').replaceAll('/', '~1');
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
