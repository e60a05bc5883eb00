import { parseDocument, stringify } from 'yaml';
import { lineText } from './line-text.ts';

/**
 * State files are YAML with one value a line, keys in a stable order and text made safe, so that a cited line keeps its
 * meaning and can be found again by its path when the state is read later.
 */
export function yamlLines(value: unknown): string[] {
  const text = stringify(safe(value), {
    lineWidth: 0,
    blockQuote: false,
    aliasDuplicateObjects: false,
    indent: 2,
    indentSeq: true,
    nullStr: 'null',
    version: '1.2',
  });
  return text.replace(/\n$/, '').split('\n');
}

/** Keys sorted at every level; for parts of an object whose order means nothing. */
export function sortedDeep(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortedDeep);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, child]) => [key, sortedDeep(child)]));
}

/** Members without a value are left out. */
export function present(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined && value !== null && value !== ''),
  );
}

/**
 * The field that each line shows, as `containers[0].terminated.reason`; null for a line that shows none. Null instead of
 * an array when the lines are not one YAML document.
 */
export function yamlPaths(lines: readonly string[]): (string | null)[] | null {
  const doc = parseDocument(lines.join('\n'), { logLevel: 'silent' });
  if (doc.errors.length > 0) return null;
  const starts: number[] = [];
  let offset = 0;
  for (const line of lines) {
    starts.push(offset);
    offset += line.length + 1;
  }
  const lineAt = (at: number) => {
    let line = 0;
    while (line + 1 < starts.length && (starts[line + 1] as number) <= at) line++;
    return line;
  };
  const paths: (string | null)[] = lines.map(() => null);
  const visit = (node: unknown, path: string): void => {
    const { items } = node as { items?: readonly unknown[] };
    if (!Array.isArray(items)) return;
    items.forEach((item: unknown, index) => {
      const { key, value } = item as {
        key?: { value: unknown; range: [number, number, number] };
        value?: unknown;
      };
      const child =
        key === undefined ? `${path}[${index}]` : `${path}${path === '' ? '' : '.'}${String(key.value)}`;
      const range = key?.range ?? (item as { range?: [number, number, number] }).range;
      // The deepest field that starts on a line is the one that the line shows.
      if (range !== undefined && range !== null) paths[lineAt(range[0])] = child;
      visit(key === undefined ? item : value, child);
    });
  };
  visit(doc.contents, '');
  return paths;
}

function safe(value: unknown): unknown {
  if (typeof value === 'string') return lineText(value);
  if (Array.isArray(value)) return value.map(safe);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, child]) => [lineText(key), safe(child)]));
}
