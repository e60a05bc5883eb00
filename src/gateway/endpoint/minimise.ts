/**
 * What an agent is shown of a result that is larger than it can use: its shape. Names of fields, how much of each there
 * is, and the first items of every list; never half a value. The whole stands behind a pointer, as lines. Pure.
 */
export interface Minimised {
  readonly minimised: true;
  /** Of the whole result, as it can be read by pointer. */
  readonly bytes: number;
  readonly line_count: number;
  /** Per field: how many items, characters or fields it holds. */
  readonly counts: Readonly<Record<string, number>>;
  /** The first items of each list, whole, as far as they fit. */
  readonly first: Readonly<Record<string, readonly unknown[]>>;
}

const FIELDS_MAX = 50;
const FIRST_ITEMS_MAX = 5;
/** Characters of an item that is still shown whole. */
const ITEM_CHARS_MAX = 2000;
/** Of one line behind a pointer; what is longer goes on in the next line. */
const LINE_CHARS_MAX = 2000;
/** A list of a result that is no object. */
const WHOLE = 'result';

/** The result as lines that a pointer can name: indented JSON, long lines folded. */
export function resultLines(result: unknown): string[] {
  return JSON.stringify(result, null, 1)
    .split('\n')
    .flatMap((line) => (line.length <= LINE_CHARS_MAX ? [line] : fold(line)));
}

export function minimise(result: unknown, lines: readonly string[]): Minimised {
  const plain = typeof result === 'object' && result !== null && !Array.isArray(result);
  const fields = (plain ? Object.entries(result) : [[WHOLE, result] as const]).slice(0, FIELDS_MAX);
  const lists = fields.flatMap(([name, value]) =>
    Array.isArray(value) ? [[name, firstOf(value)] as const] : [],
  );
  return {
    minimised: true,
    bytes: Buffer.byteLength(JSON.stringify(result)),
    line_count: lines.length,
    counts: Object.fromEntries(fields.map(([name, value]) => [name, sizeOf(value)])),
    first: Object.fromEntries(lists.filter(([, items]) => items.length > 0)),
  };
}

function firstOf(items: readonly unknown[]): unknown[] {
  const shown: unknown[] = [];
  for (const item of items.slice(0, FIRST_ITEMS_MAX)) {
    if (JSON.stringify(item).length > ITEM_CHARS_MAX) break;
    shown.push(item);
  }
  return shown;
}

function sizeOf(value: unknown): number {
  if (Array.isArray(value) || typeof value === 'string') return value.length;
  return typeof value === 'object' && value !== null ? Object.keys(value).length : 1;
}

function fold(line: string): string[] {
  const parts: string[] = [];
  // By characters and not by code units: a fold never cuts one in two.
  const characters = Array.from(line);
  for (let at = 0; at < characters.length; at += LINE_CHARS_MAX)
    parts.push(characters.slice(at, at + LINE_CHARS_MAX).join(''));
  return parts;
}
