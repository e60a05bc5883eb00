import { valueAt } from '../../json-pointer.ts';
import type { OwnedField } from './owned-fields.ts';

/**
 * The body of a PATCH as pointers: which fields it sets, with list items by name as in plans. An audit event does not say
 * which kind of patch it was: a list is a JSON patch (RFC 6902), an object a merge, strategic merge or apply patch. Pure.
 */

/** Everything else (metadata, status) is no act on what runs. */
const ROOTS = ['/spec', '/data'];
/** Deeper trees do not exist in real objects. */
const DEPTH_MAX = 40;

export function patchedFields(patch: unknown): OwnedField[] {
  const found: OwnedField[] = [];
  if (Array.isArray(patch)) for (const operation of patch as unknown[]) operationFields(operation, found);
  else walk(patch, '', found, 0);
  const unique = new Map(found.map((field) => [field.path, field]));
  return [...unique.values()].filter(({ path }) =>
    ROOTS.some((root) => path === root || path.startsWith(`${root}/`)),
  );
}

/** `test` and what is moved away change nothing where they point to; a place in a list is not known by its number. */
function operationFields(operation: unknown, found: OwnedField[]): void {
  const path = valueAt(operation, '/path');
  const op = valueAt(operation, '/op');
  if (typeof path !== 'string' || !path.startsWith('/') || op === 'test') return;
  const list = /^(.*?)\/(?:\d+|-)(?:\/.*)?$/.exec(path)?.[1];
  if (list !== undefined) found.push({ path: list, value: undefined });
  else if (op === 'add' || op === 'replace') walk(valueAt(operation, '/value'), path, found, 0);
  else found.push({ path, value: undefined });
}

function walk(value: unknown, path: string, found: OwnedField[], depth: number): void {
  const children = depth > DEPTH_MAX ? [] : childrenOf(value);
  if (children.length === 0) {
    // kubectl writes `null` there with every template; it is no change of anything.
    if (!path.endsWith('/metadata/creationTimestamp')) found.push({ path, value });
    return;
  }
  for (const [name, child] of children) walk(child, `${path}/${escaped(name)}`, found, depth + 1);
}

/** Members of an object, and items of a list whose items all have a name; `$…` are a strategic patch's directives. */
function childrenOf(value: unknown): [string, unknown][] {
  if (isMap(value)) return Object.entries(value).filter(([name]) => !name.startsWith('$'));
  if (!Array.isArray(value)) return [];
  const items = (value as unknown[]).map((item): [string, unknown] | null => {
    const name = valueAt(item, '/name');
    if (typeof name !== 'string' || !isMap(item)) return null;
    const { name: _key, ...rest } = item;
    return [name, rest];
  });
  return items.every((item) => item !== null) ? items : [];
}

function escaped(segment: string): string {
  return segment.replaceAll('~', '~0').replaceAll('/', '~1');
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
