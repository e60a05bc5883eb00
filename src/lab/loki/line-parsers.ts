/** The json and logfmt parsers of LogQL: labels out of a line. undefined means that the line is not of that form. */
import type { JsonPath } from './logql-ast.ts';

/** Nested keys are joined by `_`; arrays and nulls give no label; numbers keep the text they were written in. */
export function jsonLabels(line: string): Map<string, string> | undefined {
  const value = parsed(line);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const found = new Map<string, string>();
  collect(value, '', found);
  return found;
}

/** What stands at the paths: scalars as text, objects and arrays as JSON, nothing and null as the empty text. */
export function jsonPathLabels(line: string, paths: readonly JsonPath[]): Map<string, string> | undefined {
  const value = parsed(line);
  if (value === undefined) return undefined;
  return new Map(paths.map(({ label, keys }) => [label, textAt(value, keys)]));
}

function textAt(root: unknown, keys: readonly string[]): string {
  let value = root;
  for (const key of keys) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return '';
    value = (value as Record<string, unknown>)[key];
  }
  if (value === null || value === undefined) return '';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** JSON whose numbers are texts as they were written; undefined for what is none. */
function parsed(line: string): unknown {
  const texts = line.replaceAll(/"(?:\\.|[^"\\])*"|-?\d[\d.eE+-]*/g, (token) =>
    token.startsWith('"') ? token : `"${token}"`,
  );
  try {
    JSON.parse(line);
    return JSON.parse(texts) as unknown;
  } catch {
    return undefined;
  }
}

function collect(value: object, prefix: string, found: Map<string, string>): void {
  for (const [key, inner] of Object.entries(value) as [string, unknown][]) {
    const name = prefix === '' ? labelName(key) : `${prefix}_${key.replaceAll(/[^a-zA-Z0-9_]/g, '_')}`;
    if (typeof inner === 'string' || typeof inner === 'boolean') found.set(name, String(inner));
    else if (typeof inner === 'object' && inner !== null && !Array.isArray(inner))
      collect(inner, name, found);
  }
}

function labelName(key: string): string {
  const clean = key.replaceAll(/[^a-zA-Z0-9_]/g, '_');
  return /^\d/.test(clean) ? `_${clean}` : clean;
}

/** `key=value key="quoted value"`; a key without a value gives no label, and what is malformed is skipped. */
export function logfmtLabels(line: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const match of line.matchAll(/([^\s="]+)=(?:"((?:\\.|[^"\\])*)"|([^\s"]*))(?=\s|$)/g)) {
    const value = match[2] === undefined ? (match[3] ?? '') : unescaped(match[2]);
    const name = labelName(match[1] ?? '');
    if (value !== '' && !found.has(name)) found.set(name, value);
  }
  return found;
}

function unescaped(text: string): string {
  try {
    return String(JSON.parse(`"${text}"`));
  } catch {
    return text;
  }
}
