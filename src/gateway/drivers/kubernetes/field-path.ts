/**
 * Where a field is inside an object. Paths name list items as people do (`/spec/template/spec/containers/app/image`);
 * the server counts them. A name is approved, a position is not: whoever writes makes the server compare the name.
 */
export interface FieldPlace {
  /** The pointer as the server reads it, list items by position. */
  readonly pointer: string;
  /** `undefined` when the object has no such field. */
  readonly value: unknown;
  /** The names of the list items on the way, each at its pointer. */
  readonly names: readonly { readonly pointer: string; readonly value: string }[];
  /** For an absent field: the nearest map that exists, and the maps to create below it, outermost first. */
  readonly anchor: { readonly pointer: string; readonly value: object } | null;
  readonly missing: readonly string[];
}

export function locateField(object: unknown, path: string): FieldPlace {
  const segments = path.slice(1).split('/');
  const names: { pointer: string; value: string }[] = [];
  let value = object;
  let pointer = '';
  for (const [depth, segment] of segments.entries()) {
    if (Array.isArray(value)) {
      const index = value.findIndex((item) => nameOf(item) === unescaped(segment));
      if (index < 0) return { pointer: path, value: undefined, names, anchor: null, missing: [] };
      pointer = `${pointer}/${index}`;
      names.push({ pointer: `${pointer}/name`, value: unescaped(segment) });
      value = value[index];
      continue;
    }
    if (typeof value !== 'object' || value === null)
      return { pointer: path, value: undefined, names, anchor: null, missing: [] };
    if (!Object.hasOwn(value, unescaped(segment)))
      return absentBelow(value, pointer, segments.slice(depth), names);
    pointer = `${pointer}/${segment}`;
    value = (value as Record<string, unknown>)[unescaped(segment)];
  }
  return { pointer, value, names, anchor: null, missing: [] };
}

function absentBelow(
  value: object,
  pointer: string,
  rest: readonly string[],
  names: FieldPlace['names'],
): FieldPlace {
  const missing = rest.slice(0, -1).map((_segment, index) => below(pointer, rest.slice(0, index + 1)));
  return { pointer: below(pointer, rest), value: undefined, names, anchor: { pointer, value }, missing };
}

function below(pointer: string, segments: readonly string[]): string {
  return [pointer, ...segments].join('/');
}

function nameOf(item: unknown): unknown {
  return typeof item === 'object' && item !== null ? (item as { name?: unknown }).name : undefined;
}

function unescaped(segment: string): string {
  return segment.replaceAll('~1', '/').replaceAll('~0', '~');
}
