import type { z } from 'zod';
import { Settings } from './contract/settings.ts';

/** Most edits between a wrong word and the one that was probably meant. */
const NEAR_EDITS_MAX = 3;

/** What the file said, and on which line: a parsed document. */
interface Source {
  readonly value: unknown;
  readonly line_of: (path: readonly (string | number)[]) => number | null;
}

/** One problem of the configuration as a person reads it: line, place, reason, nearest valid word. */
export function explainIssue(issue: z.core.$ZodIssue, source: Source): string {
  const path = issue.path.filter((p): p is string | number => typeof p !== 'symbol');
  if (issue.code === 'unrecognized_keys') {
    const key = issue.keys[0] ?? '';
    const more = issue.keys.length > 1 ? ` (and ${issue.keys.slice(1).join(', ')})` : '';
    return `${explainPlace([...path, key], source)}: unknown key${more}${meant(nearest(key, knownKeys(path)))}`;
  }
  if (issue.code === 'invalid_union') {
    const inner = closest(issue.errors);
    if (inner !== null) return explainIssue({ ...inner, path: [...issue.path, ...inner.path] }, source);
  }
  const given = valueAt(source.value, path);
  const words = issue.code === 'invalid_value' ? issue.values.map(String) : knownWords(path);
  const near = typeof given === 'string' ? nearest(given, words) : null;
  const known =
    issue.code === 'invalid_union' && words.length > 0 ? `use one of ${words.join(', ')}` : issue.message;
  return `${explainPlace(path, source)}: ${known}${unitOf(path)}${meant(near)}`;
}

/** `line 12: teams.data.environments.prod.mounts[0].cluster`. */
export function explainPlace(path: readonly (string | number)[], source: Source): string {
  const line = source.line_of(path);
  const place = path
    .map((p) => (typeof p === 'number' ? `[${p}]` : p))
    .join('.')
    .replaceAll('.[', '[');
  return `${line === null ? '' : `line ${line}: `}${place || 'file'}`;
}

/** The alternative of a union that was probably meant: the one with the fewest problems; a wrong key says most. */
function closest(errors: readonly (readonly z.core.$ZodIssue[])[]): z.core.$ZodIssue | null {
  const best = errors.toSorted((a, b) => a.length - b.length)[0];
  return best?.find((issue) => issue.code === 'unrecognized_keys') ?? best?.[0] ?? null;
}

const meant = (near: string | null): string => (near === null ? '' : `; did you mean "${near}"?`);

const UNITS: Readonly<Record<string, string>> = {
  ms: 'milliseconds',
  s: 'seconds',
  min: 'minutes',
  usd: 'US dollars',
};

/** Limits carry their unit in the name; who wrote `10m` is told which number to write. */
function unitOf(path: readonly (string | number)[]): string {
  const key = String(path.at(-1) ?? '');
  const unit =
    UNITS[/_(ms|s|min|usd)(_max)?$/.exec(key)?.[1] ?? ''] ?? (key === 'minutes_max' ? 'minutes' : undefined);
  return unit === undefined ? '' : ` (a number of ${unit}, without a unit)`;
}

function valueAt(root: unknown, path: readonly (string | number)[]): unknown {
  return path.reduce<unknown>(
    (node, step) =>
      typeof node === 'object' && node !== null
        ? (node as Record<string | number, unknown>)[step]
        : undefined,
    root,
  );
}

/** The word among `words` that is at most a few edits away (Levenshtein), or null. */
export function nearest(word: string, words: readonly string[]): string | null {
  const scored = words.map((w) => ({ w, edits: distance(word, w) })).toSorted((a, b) => a.edits - b.edits);
  const best = scored[0];
  return best !== undefined && best.edits <= Math.min(NEAR_EDITS_MAX, Math.ceil(word.length / 2))
    ? best.w
    : null;
}

/** Keys that the schema knows at a path; follows objects, records, arrays, options and unions. */
function knownKeys(path: readonly (string | number)[]): string[] {
  let nodes: unknown[] = [Settings];
  for (const step of path) nodes = nodes.flatMap((n) => childOf(n, step));
  return nodes.flatMap((n) => options(n).flatMap((o) => Object.keys(shapeOf(o) ?? {})));
}

/** Words that the schema accepts at a path: literals and choices. */
function knownWords(path: readonly (string | number)[]): string[] {
  let nodes: unknown[] = [Settings];
  for (const step of path) nodes = nodes.flatMap((n) => childOf(n, step));
  return nodes.flatMap((n) =>
    options(n)
      .flatMap((o) => [...((o as Inner).def?.values ?? []), ...Object.keys((o as Inner).def?.entries ?? {})])
      .map(String),
  );
}

interface Inner {
  readonly def?: {
    readonly innerType?: unknown;
    readonly options?: unknown[];
    readonly valueType?: unknown;
    readonly element?: unknown;
    readonly shape?: Record<string, unknown>;
    readonly values?: unknown[];
    readonly entries?: Record<string, unknown>;
  };
}

function options(node: unknown): unknown[] {
  const def = (node as Inner).def;
  if (def?.innerType !== undefined) return options(def.innerType);
  return def?.options === undefined ? [node] : def.options.flatMap(options);
}

function shapeOf(node: unknown): Record<string, unknown> | undefined {
  return (node as Inner).def?.shape;
}

function childOf(node: unknown, step: string | number): unknown[] {
  return options(node).flatMap((o) => {
    const def = (o as Inner).def;
    const child = def?.shape?.[String(step)] ?? def?.valueType ?? def?.element;
    return child === undefined ? [] : [child];
  });
}

function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++)
      next.push(
        Math.min(
          (row[j] as number) + 1,
          (next[j - 1] as number) + 1,
          (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1),
        ),
      );
    row = next;
  }
  return row[b.length] as number;
}
