import type { FilterStage, Pipeline } from '../contract/pipeline.ts';
import { lineRange } from '../contract/evidence.ts';
import { grepLines, isPerLine, patternText, type GrepStage } from './grep.ts';
import { isShownMark } from './line-text.ts';
import { requiredLiterals } from './pattern-factors.ts';

/**
 * Predicate pushdown as pure data. A pipeline means something over the redacted file; a source sees raw text. So a
 * source may only pre-filter with a superset: literals that every match must hold and that can come neither from a
 * redaction mark, nor from an escape, nor from the time and stream in front of the line. All filters run again here.
 */
export interface LogicalPlan {
  /** Filters that decide line by line, in order. */
  readonly greps: readonly GrepStage[];
  /** The first or last `n` lines that pass all `greps`; null when all of them are needed. */
  readonly take: { readonly end: 'first' | 'last'; readonly n: number } | null;
  /** What follows, over the lines taken. */
  readonly rest: readonly RestStage[];
}

export type RestStage =
  FilterStage | { readonly cmd: 'lines'; readonly first: number; readonly last: number };

type FileSource = Exclude<Pipeline['source'], { cmd: 'find' | 'diff' }>;

export function logicalPlan(source: FileSource, filters: readonly FilterStage[]): LogicalPlan {
  const stages: RestStage[] = [...sourceStages(source), ...filters];
  const greps: GrepStage[] = [];
  while (stages[0]?.cmd === 'grep' && isPerLine(stages[0]))
    greps.push(stages.shift() as GrepStage & { cmd: 'grep' });
  const next = stages[0];
  if (next?.cmd === 'head' || next?.cmd === 'tail') {
    stages.shift();
    return { greps, take: { end: next.cmd === 'head' ? 'first' : 'last', n: next.n }, rest: stages };
  }
  if (next?.cmd === 'lines') return { greps, take: { end: 'first', n: next.last }, rest: stages };
  return { greps, take: null, rest: stages };
}

function sourceStages(source: FileSource): RestStage[] {
  if (source.cmd === 'grep') return [source];
  if (source.cmd !== 'read') return [{ cmd: source.cmd, n: source.n }];
  if (source.lines === undefined) return [];
  return [{ cmd: 'lines', ...lineRange(source.lines) }];
}

export function applyRest(lines: readonly string[], rest: readonly RestStage[]): string[] {
  let now = [...lines];
  for (const stage of rest) {
    if (stage.cmd === 'grep') now = grepLines(now, stage);
    else if (stage.cmd === 'head') now = now.slice(0, stage.n);
    else if (stage.cmd === 'tail') now = now.slice(-stage.n);
    else now = now.slice(stage.first - 1, stage.last);
  }
  return now;
}

// ---------------------------------------------------------------- what a source may be asked to filter

/** Lines that hold at least one of `literals`; `probe` names those that could also stand in the name of a stream. */
export interface SourceFilter {
  readonly literals: readonly string[];
  readonly ignore_case: boolean;
  readonly probe: readonly string[];
}

export type Pushability =
  { readonly pushed: true; readonly filter: SourceFilter } | { readonly pushed: false; readonly why: string };

/** Marks of the shipped redaction rules. Composition adds the marks in force: a site may have others. */
export const SHIPPED_MARKS: readonly string[] = [
  'PRIVATE_KEY',
  'CREDENTIAL',
  'CREDENTIALS',
  'TOKEN',
  'JWT',
  'CLOUD_KEY',
  'SECRET',
  'EMAIL',
  'CARD',
  'ACCOUNT',
  'SSN',
  'PHONE',
  'IP',
  'BLOB',
].map((kind) => `[REDACTED_${kind}]`);

/** Decides for one filter; `marks` are the redaction marks that may stand in lines. */
export function pushability(grep: GrepStage, marks: readonly string[]): Pushability {
  if (grep.invert) return { pushed: false, why: 'a negation over redactable text' };
  const text = patternText(grep.pattern);
  const required = grep.fixed ? [text] : requiredLiterals(text);
  if (required === null) return { pushed: false, why: 'no fixed text that every match holds' };
  const literals: string[] = [];
  const probe: string[] = [];
  for (const literal of required) {
    const placed = placeLiteral(literal, grep.ignore_case, marks);
    if ('why' in placed) return { pushed: false, why: placed.why };
    literals.push(placed.literal);
    if (placed.in_stream) probe.push(placed.literal);
  }
  return {
    pushed: true,
    filter: { literals: [...new Set(literals)], ignore_case: grep.ignore_case, probe: [...new Set(probe)] },
  };
}

type Placed = { readonly literal: string; readonly in_stream: boolean } | { readonly why: string };

/** The part of a literal that must stand in the raw text, or why there is none. */
function placeLiteral(whole: string, fold: boolean, marks: readonly string[]): Placed {
  if (/[^\t\u0020-\u007e\u00a0-\ud7ff\ue000-\uffff]/.test(whole) || isShownMark(whole))
    return { why: 'text that escapes could produce' };
  if (fold && /[^\t\u0020-\u007e]/.test(whole)) return { why: 'letters beyond ASCII without regard to case' };
  // An `n` in front may be the second half of an escaped newline; spaces at the ends may belong to the line's head.
  const literal = whole
    .trim()
    .replace(fold ? /^n/i : /^n/, '')
    .trim();
  if (literal.length < 2) return { why: 'less than two fixed characters' };
  if (literal.includes('|')) return { why: 'the separator between stream and text' };
  if (marks.some((mark) => overlaps(literal.toLowerCase(), mark.toLowerCase())))
    return { why: 'text that could match a redaction mark' };
  const first_word = literal.split(' ', 1)[0] as string;
  if (/^[-0-9:.TZ]+$/i.test(literal) || /^[-0-9:.T]*Z$/i.test(first_word))
    return { why: 'text that could match the time of a line' };
  return placeInStream(literal, fold);
}

/** Stream names are `pod/container` in lower case. */
function placeInStream(literal: string, fold: boolean): Placed {
  const possible = fold ? /^[A-Za-z0-9._?/-]+$/ : /^[a-z0-9._?/-]+$/;
  if (!possible.test(literal)) return { literal, in_stream: false };
  const slashes = literal.split('/').length - 1;
  if (slashes > 1) return { literal, in_stream: false };
  if (slashes === 1 || literal.includes('?')) return { why: 'text that could match the stream of a line' };
  return { literal, in_stream: true };
}

/** True when an occurrence of `literal` could share a character with `mark`. */
function overlaps(literal: string, mark: string): boolean {
  if (mark.includes(literal) || literal.includes(mark)) return true;
  for (let size = 1; size < Math.min(literal.length, mark.length); size++)
    if (literal.endsWith(mark.slice(0, size)) || literal.startsWith(mark.slice(-size))) return true;
  return false;
}
