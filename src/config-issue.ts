import type { z } from 'zod';
import { Settings } from './contract/settings.ts';

/** Most edits between a wrong word and the one that was probably meant. */
const NEAR_EDITS_MAX = 3;

/** One problem of the configuration as a person reads it: line, place, reason, nearest valid word. */
export function explainIssue(
  issue: z.core.$ZodIssue,
  line_of: (path: readonly (string | number)[]) => number | null,
): string {
  const path = issue.path.filter((p): p is string | number => typeof p !== 'symbol');
  if (issue.code === 'unrecognized_keys') {
    const key = issue.keys[0] ?? '';
    const line = line_of([...path, key]) ?? line_of(path);
    const near = nearest(key, knownKeys(path));
    return `${at(line)}${dotted([...path, key])}: unknown key${near === null ? '' : `; did you mean "${near}"?`}`;
  }
  if (issue.code === 'invalid_union' && issue.errors.length > 0) {
    const best = issue.errors.toSorted((a, b) => a.length - b.length)[0]?.[0];
    if (best !== undefined) return explainIssue({ ...best, path: [...issue.path, ...best.path] }, line_of);
  }
  const near =
    issue.code === 'invalid_value' && typeof issue.input === 'string'
      ? nearest(issue.input, issue.values.map(String))
      : null;
  return `${at(line_of(path))}${dotted(path) || 'file'}: ${issue.message}${near === null ? '' : `; did you mean "${near}"?`}`;
}

/** The word among `words` that is at most a few edits away (Levenshtein), or null. */
export function nearest(word: string, words: readonly string[]): string | null {
  const scored = words.map((w) => ({ w, edits: distance(word, w) })).toSorted((a, b) => a.edits - b.edits);
  const best = scored[0];
  return best !== undefined && best.edits <= Math.min(NEAR_EDITS_MAX, Math.ceil(word.length / 2))
    ? best.w
    : null;
}

function at(line: number | null): string {
  return line === null ? '' : `line ${line}: `;
}

function dotted(path: readonly (string | number)[]): string {
  return path
    .map((p) => (typeof p === 'number' ? `[${p}]` : p))
    .join('.')
    .replaceAll('.[', '[');
}

/** Keys that the schema knows at a path; follows objects, records, arrays, options and unions. */
function knownKeys(path: readonly (string | number)[]): string[] {
  let nodes: unknown[] = [Settings];
  for (const step of path) nodes = nodes.flatMap((n) => childOf(n, step));
  return nodes.flatMap((n) => options(n).flatMap((o) => Object.keys(shapeOf(o) ?? {})));
}

interface Inner {
  readonly def?: {
    readonly innerType?: unknown;
    readonly options?: unknown[];
    readonly valueType?: unknown;
    readonly element?: unknown;
    readonly shape?: Record<string, unknown>;
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
