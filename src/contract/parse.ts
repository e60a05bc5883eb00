import { LineCounter, parseDocument } from 'yaml';

/**
 * The one door for YAML and JSON from outside (configuration, skills, policies, webhooks, tool results). Limits come
 * first: bytes before parsing, then depth, keys and aliases. Duplicate keys, custom tags and several documents are refused.
 */
export interface ParseLimits {
  readonly bytes_max: number;
  readonly depth_max: number;
  readonly keys_max: number;
}

export const DEFAULT_PARSE_LIMITS: ParseLimits = { bytes_max: 1_048_576, depth_max: 40, keys_max: 50_000 };

export type Parsed =
  | {
      readonly ok: true;
      readonly value: unknown;
      readonly line_of: (path: readonly (string | number)[]) => number | null;
    }
  | { readonly ok: false; readonly reason: string; readonly line: number | null };

/** Parses JSON text within limits. */
export function parseJsonText(text: string, limits: ParseLimits = DEFAULT_PARSE_LIMITS): Parsed {
  const bytes = Buffer.byteLength(text);
  if (bytes > limits.bytes_max)
    return { ok: false, reason: `${bytes} bytes; the limit is ${limits.bytes_max}`, line: null };
  try {
    const value: unknown = JSON.parse(text);
    const reason = valueProblem(value, limits);
    return reason === null ? { ok: true, value, line_of: () => null } : { ok: false, reason, line: null };
  } catch (error) {
    return { ok: false, reason: `not JSON: ${(error as Error).message}`, line: null };
  }
}

/** Parses one YAML 1.2 document within limits; `line_of` gives the 1-based line of a path for error messages. */
export function parseYamlText(text: string, limits: ParseLimits = DEFAULT_PARSE_LIMITS): Parsed {
  const bytes = Buffer.byteLength(text);
  if (bytes > limits.bytes_max)
    return { ok: false, reason: `${bytes} bytes; the limit is ${limits.bytes_max}`, line: null };
  const counter = new LineCounter();
  const doc = parseDocument(text, {
    lineCounter: counter,
    uniqueKeys: true,
    strict: true,
    merge: false,
    logLevel: 'silent',
  });
  const problem = doc.errors[0] ?? doc.warnings[0];
  if (problem !== undefined) {
    const first_line = problem.message.split('\n')[0] as string;
    return { ok: false, reason: `not YAML: ${first_line}`, line: problem.linePos?.[0].line ?? null };
  }
  let value: unknown;
  try {
    value = doc.toJS({ maxAliasCount: 0 });
  } catch {
    return { ok: false, reason: 'aliases (*name) are not allowed here', line: null };
  }
  const reason = valueProblem(value, limits);
  if (reason !== null) return { ok: false, reason, line: null };
  const line_of = (path: readonly (string | number)[]): number | null => {
    for (let length = path.length; length > 0; length--) {
      const node = doc.getIn(path.slice(0, length), true) as { range?: [number, number, number] } | undefined;
      if (node?.range !== undefined) return counter.linePos(node.range[0]).line;
    }
    return null;
  };
  return { ok: true, value, line_of };
}

/** Why a value that is already parsed is refused (depth, keys); null when it may pass. */
export function valueProblem(root: unknown, limits: ParseLimits): string | null {
  let keys = 0;
  const stack: { value: unknown; depth: number }[] = [{ value: root, depth: 0 }];
  while (stack.length > 0) {
    const { value, depth } = stack.pop() as { value: unknown; depth: number };
    if (typeof value !== 'object' || value === null) continue;
    if (depth >= limits.depth_max) return `nested deeper than ${limits.depth_max} levels`;
    const children: unknown[] = Object.values(value);
    keys += children.length;
    if (keys > limits.keys_max) return `more than ${limits.keys_max} keys`;
    for (const child of children) stack.push({ value: child, depth: depth + 1 });
  }
  return null;
}
