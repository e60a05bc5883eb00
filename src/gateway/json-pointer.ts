/** RFC 6901 pointers over plain JSON. Pure. */

function pointerSegments(pointer: string): string[] {
  if (pointer === '') return [];
  return pointer
    .slice(1)
    .split('/')
    .map((segment) => segment.replaceAll('~1', '/').replaceAll('~0', '~'));
}

function joinPointer(pointer: string, segment: string | number): string {
  return `${pointer}/${String(segment).replaceAll('~', '~0').replaceAll('/', '~1')}`;
}

/** The value at a pointer; `undefined` when any step is missing. Never follows the prototype. */
export function valueAt(root: unknown, pointer: string): unknown {
  let value = root;
  for (const segment of pointerSegments(pointer)) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, segment)) return undefined;
    value = (value as Record<string, unknown>)[segment];
  }
  return value;
}

/** Calls `visit` for each leaf (scalar, empty object or empty list) with its pointer. */
export function eachLeaf(
  value: unknown,
  visit: (pointer: string, leaf: unknown) => void,
  pointer = '',
): void {
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value);
    if (entries.length > 0) {
      for (const [key, child] of entries) eachLeaf(child, visit, joinPointer(pointer, key));
      return;
    }
  }
  visit(pointer, value);
}

/**
 * `*` in the pattern stands for exactly one segment, `**` at its end for one or more. `within`: the pattern may also be
 * a prefix of the path.
 */
export function matchesPattern(pattern: string, path: string, mode: 'exact' | 'within'): boolean {
  if (pattern.endsWith('/**')) return matchesPattern(pattern.slice(0, -1), path, 'within');
  const wanted = pointerSegments(pattern);
  const given = pointerSegments(path);
  if (mode === 'exact' ? wanted.length !== given.length : wanted.length > given.length) return false;
  return wanted.every((segment, index) => segment === '*' || segment === given[index]);
}

/** True when the path lies above the pattern: replacing it would replace what the pattern names. */
export function isAbovePattern(path: string, pattern: string): boolean {
  const wanted = pointerSegments(pattern);
  const given = pointerSegments(path);
  return (
    given.length < wanted.length &&
    given.every((segment, index) => wanted[index] === '*' || wanted[index] === segment)
  );
}
