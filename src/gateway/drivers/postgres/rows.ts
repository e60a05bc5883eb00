import type { FieldChange } from '../../../contract/tool.ts';
import type { SqlRows } from '../driver.ts';
import { blocked } from '../answer-json.ts';

/** Rows that `observe` shows, by key, and what differs between two looks. Pure. */
export type Row = Readonly<Record<string, string | null>>;
export type Rows = ReadonlyMap<string, Row>;

export const ROW_COUNT = '/row_count';

/** @throws UpstreamError `blocked` when the key does not name one row. */
export function rowsByKey({ columns, rows }: SqlRows, key: readonly string[]): Rows {
  const found = new Map<string, Row>();
  for (const cells of rows) {
    const row = Object.fromEntries(columns.map(({ name }, index) => [name, cells[index] ?? null]));
    const name = keyText(
      key,
      key.map((column) => row[column] ?? null),
    );
    if (found.has(name)) throw blocked(`the key ${key.join(', ')} names more than one row (${name})`);
    found.set(name, row);
  }
  return found;
}

/**
 * `id=42`: the key as people read it. Nothing is encoded beyond a separator, and `=` stands before the value, so that
 * the redaction sees an address as one. @throws UpstreamError `blocked` for a key without a value.
 */
export function keyText(key: readonly string[], values: readonly (string | null)[]): string {
  if (values.includes(null)) throw blocked('a column of the key is null, so it names no row');
  const parts = values.map(
    (value, index) => `${key[index]}=${(value as string).replaceAll(/[\\,]/g, String.raw`\$&`)}`,
  );
  return parts.join(',');
}

/** `/rows/id=42/state`. */
export function cellPath(key: string, column: string): string {
  return `/rows/${escape(key)}/${escape(column)}`;
}

function escape(segment: string): string {
  return segment.replaceAll('~', '~0').replaceAll('/', '~1');
}

/** Cells that differ, and the number of rows when that differs too; sorted, so that two runs compare. */
export function differencesOf(before: Rows, after: Rows): FieldChange[] {
  const changes: FieldChange[] = [];
  for (const key of [...new Set([...before.keys(), ...after.keys()])].toSorted()) {
    const [was, is] = [before.get(key) ?? {}, after.get(key) ?? {}];
    for (const column of [...new Set([...Object.keys(was), ...Object.keys(is)])].toSorted()) {
      const change = { path: cellPath(key, column), before: was[column] ?? null, after: is[column] ?? null };
      if (change.before !== change.after) changes.push(change);
    }
  }
  if (before.size !== after.size) changes.push({ path: ROW_COUNT, before: before.size, after: after.size });
  return changes;
}

export function changedKeys(before: Rows, after: Rows): string[] {
  const differs = (key: string): boolean =>
    JSON.stringify(before.get(key) ?? null) !== JSON.stringify(after.get(key) ?? null);
  return [...new Set([...before.keys(), ...after.keys()])].filter(differs).toSorted();
}

/** Rows as the diff shows them. */
export function shownRows(table: string, rows: Rows): Record<string, unknown> {
  return { [table]: Object.fromEntries([...rows].toSorted(([a], [b]) => (a < b ? -1 : 1))) };
}
