import { RE2JS } from 're2js';
import { z } from 'zod';
import { parseYamlText } from './parse.ts';

/**
 * A three-valued condition over the lines of a captured file, used for hypotheses and for verification.
 * Two forms: `select` reads a value out of a file that is YAML (`max.ratio`, `status.containers[0].state`), `pattern`
 * (RE2) counts matching lines. Absence, an error or data older than the change is `unknown`, and unknown is never success.
 */
export const Expectation = z
  .strictObject({
    select: z.string().min(1).max(300).optional(),
    pattern: z.string().min(1).max(500).optional(),
    op: z.enum(['eq', 'ne', 'lt', 'le', 'gt', 'ge', 'in', 'some', 'none']),
    value: z
      .union([z.string(), z.number(), z.boolean(), z.array(z.union([z.string(), z.number()]))])
      .optional(),
    /** Select of an ISO time in the same file that must be later than the change; otherwise `unknown`. */
    fresh_select: z.string().min(1).max(300).optional(),
    /** With `pattern`, over a stream: only lines count whose own time, at their beginning, is later than the change. */
    fresh_lines: z.literal(true).optional(),
    /** Positive control for `none`: a pattern that must match, which shows that the source really answered. */
    control_pattern: z.string().min(1).max(500).optional(),
  })
  .superRefine((e, ctx) => {
    const lines_op = e.op === 'some' || e.op === 'none';
    if (lines_op !== (e.pattern !== undefined) || lines_op === (e.select !== undefined))
      ctx.addIssue({
        code: 'custom',
        message: 'give `pattern` with some/none, or `select` with a comparison',
      });
    if (!lines_op && e.fresh_lines === true)
      ctx.addIssue({ code: 'custom', message: '`fresh_lines` goes with `pattern`' });
    if (!lines_op && e.value === undefined) ctx.addIssue({ code: 'custom', message: '`value` is missing' });
    if (e.op === 'none' && e.control_pattern === undefined)
      ctx.addIssue({ code: 'custom', message: '`none` looks for absence and needs a `control_pattern`' });
  });
export type Expectation = z.infer<typeof Expectation>;

export interface ExpectationResult {
  readonly status: 'passed' | 'failed' | 'unknown';
  /** What was found, for the card: "0.58", "3 lines", "no such field". */
  readonly found: string;
  /** 1-based first and last line that the answer rests on, when lines are known. */
  readonly lines: { readonly first: number; readonly last: number } | null;
}

/** Decides an expectation over captured lines. `changed_at_ms` is the moment of the change, or null for a hypothesis. */
export function evaluateExpectation(
  lines: readonly string[],
  expectation: Expectation,
  changed_at_ms: number | null,
): ExpectationResult {
  if (expectation.fresh_select !== undefined && changed_at_ms !== null) {
    const time = selectYaml(lines, expectation.fresh_select);
    const at = typeof time === 'string' ? Date.parse(time) : Number.NaN;
    if (!(at > changed_at_ms))
      return { status: 'unknown', found: 'no data newer than the change yet', lines: null };
  }
  if (expectation.pattern === undefined) return evaluateValue(lines, expectation);
  const counted =
    expectation.fresh_lines === true && changed_at_ms !== null
      ? lines.map((line) => (timeOfLine(line) > changed_at_ms ? line : null))
      : lines;
  return evaluateLines(counted, expectation, expectation.pattern);
}

/** `2026-11-23T10:00:00.123456789Z stream | text`; NaN, which is later than nothing, for a line without a time. */
function timeOfLine(line: string): number {
  return Date.parse(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,3})?/.exec(line)?.[0].concat('Z') ?? '');
}

function evaluateLines(
  lines: readonly (string | null)[],
  expectation: Expectation,
  pattern: string,
): ExpectationResult {
  const hits = matchingLines(lines, pattern);
  const span = hits.length === 0 ? null : { first: hits[0] as number, last: hits.at(-1) as number };
  if (expectation.op === 'some') {
    // No line at all, or none newer than the change: that speaks neither for nor against it.
    if (lines.every((line) => line === null))
      return { status: 'unknown', found: 'the source shows no lines to look at', lines: null };
    const status = hits.length > 0 ? 'passed' : 'failed';
    return { status, found: count(hits.length), lines: span };
  }
  if (hits.length > 0) return { status: 'failed', found: count(hits.length), lines: span };
  const control = matchingLines(lines, expectation.control_pattern as string);
  if (control.length === 0)
    return { status: 'unknown', found: 'the source shows nothing to compare with', lines: null };
  return {
    status: 'passed',
    found: 'none',
    lines: { first: control[0] as number, last: control.at(-1) as number },
  };
}

function evaluateValue(lines: readonly string[], expectation: Expectation): ExpectationResult {
  const found = selectYaml(lines, expectation.select as string);
  if (typeof found !== 'string' && typeof found !== 'number' && typeof found !== 'boolean')
    return { status: 'unknown', found: `no value at ${expectation.select}`, lines: null };
  const result = compare(found, expectation.op, expectation.value);
  return { status: result, found: String(found), lines: null };
}

function compare(
  found: string | number | boolean,
  op: Expectation['op'],
  value: Expectation['value'],
): ExpectationResult['status'] {
  const verdict = (ok: boolean) => (ok ? 'passed' : 'failed');
  if (op === 'eq') return verdict(String(found) === String(value));
  if (op === 'ne') return verdict(String(found) !== String(value));
  if (op === 'in') return verdict(Array.isArray(value) && value.some((v) => String(v) === String(found)));
  const [a, b] = [Number(found), Number(value)];
  if (!Number.isFinite(a) || !Number.isFinite(b)) return 'unknown';
  if (op === 'lt') return verdict(a < b);
  if (op === 'le') return verdict(a <= b);
  if (op === 'gt') return verdict(a > b);
  return verdict(a >= b);
}

/** 1-based numbers of the lines that the RE2 pattern matches; null is a line that does not count. @throws on a pattern that RE2 refuses. */
export function matchingLines(lines: readonly (string | null)[], pattern: string): number[] {
  const re = RE2JS.compile(pattern);
  const hits: number[] = [];
  lines.forEach((line, index) => {
    if (line !== null && re.matcher(line).find()) hits.push(index + 1);
  });
  return hits;
}

/** A captured file may be larger than a configuration file, never deeper. */
const RENDERED_LIMITS = { bytes_max: 4_194_304, depth_max: 40, keys_max: 200_000 } as const;

/** Reads `a.b[0].c` out of lines that form one YAML document; undefined when absent or when it is not YAML. */
export function selectYaml(lines: readonly string[], path: string): unknown {
  const parsed = parseYamlText(lines.join('\n'), RENDERED_LIMITS);
  if (!parsed.ok) return undefined;
  let value = parsed.value;
  for (const step of path.split(/\.|\[(\d+)\]/).filter((s) => s !== undefined && s !== '')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step)) return undefined;
    value = (value as Record<string, unknown>)[step];
  }
  return value;
}

function count(n: number): string {
  return n === 1 ? '1 line' : `${n} lines`;
}
