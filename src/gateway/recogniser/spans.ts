import type { RecogniserRules } from '../sanitize/rules.ts';

/** What a recogniser says about a text: Presidio counts code points, as Python does, not UTF-16 units. */
export interface Finding {
  readonly start: number;
  readonly end: number;
  readonly entity_type: string;
  readonly score: number;
}

/** A part of a text that must go, in UTF-16 units. */
export interface NameSpan {
  readonly start: number;
  readonly end: number;
  readonly mark: string;
}

/** Every mark has this shape (`Mark` in sanitize/rules.ts). */
const MARK = /\[REDACTED_[A-Z_]{1,40}\]/g;
/** A name has two letters in a row, or one that is not ASCII; digits, times and marks are never sent. */
const LETTERS = /[A-Za-z]{2}|(?![\0-\u007f])\p{L}/u;
const VISIBLE = /[\p{L}\p{N}]/u;

/** Whether a text can hold a name at all, apart from the marks that stand in it. */
export function mayHoldNames(text: string): boolean {
  return LETTERS.test(text.includes('[REDACTED_') ? text.replaceAll(MARK, ' ') : text);
}

/**
 * Findings of one text as what must go from it: those of the entities asked for, sure enough and not allowed; overlapping
 * ones as one, under the mark of the longest. A mark that stands in the text stays whole: only what lies beside it goes.
 * Null: a finding does not lie in the text, so nothing about it can be believed.
 */
export function spansOf(
  text: string,
  findings: readonly Finding[],
  rules: RecogniserRules,
): readonly NameSpan[] | null {
  if (findings.length === 0) return [];
  const offsets = unitOffsets(text);
  const placed: Placed[] = [];
  for (const { start, end, entity_type, score } of findings) {
    const from = offsets.at(start);
    const to = offsets.at(end);
    if (from === null || to === null || from >= to) return null;
    const mark = rules.marks.get(entity_type);
    if (mark === undefined || score < rules.score_min) continue;
    if (rules.allow.has(text.slice(from, to).trim().toLowerCase())) continue;
    placed.push({ start: from, end: to, mark, score });
  }
  return beside(text, merged(placed));
}

interface Placed extends NameSpan {
  readonly score: number;
}

/** Code points to UTF-16 units; null for a place that the text does not have. */
function unitOffsets(text: string): { at(point: number): number | null } {
  const inside = (point: number, points: number): boolean =>
    Number.isSafeInteger(point) && point >= 0 && point <= points;
  if (!/[\ud800-\udfff]/.test(text)) return { at: (point) => (inside(point, text.length) ? point : null) };
  const units: number[] = [];
  let unit = 0;
  for (const char of text) {
    units.push(unit);
    unit += char.length;
  }
  units.push(unit);
  return { at: (point) => (inside(point, units.length - 1) ? (units[point] as number) : null) };
}

/** Overlapping spans become one. Its mark is that of the longest, then the surest, then the first by name. */
function merged(spans: readonly Placed[]): NameSpan[] {
  const found: { start: number; end: number; best: Placed }[] = [];
  for (const span of spans.toSorted((a, b) => a.start - b.start)) {
    const last = found.at(-1);
    if (last === undefined || span.start >= last.end) {
      found.push({ start: span.start, end: span.end, best: span });
      continue;
    }
    last.end = Math.max(last.end, span.end);
    if (rank(span, last.best) < 0) last.best = span;
  }
  return found.map(({ start, end, best }) => ({ start, end, mark: best.mark }));
}

function rank(a: Placed, b: Placed): number {
  const longer = b.end - b.start - (a.end - a.start);
  if (longer !== 0) return longer;
  if (a.score !== b.score) return b.score - a.score;
  return a.mark === b.mark ? 0 : a.mark < b.mark ? -1 : 1;
}

/** The parts of spans that lie beside the marks of a text, as far as they show anything. */
function beside(text: string, spans: readonly NameSpan[]): readonly NameSpan[] {
  if (spans.length === 0 || !text.includes('[REDACTED_')) return spans;
  const marks = [...text.matchAll(MARK)].map(
    (match) => [match.index, match.index + match[0].length] as const,
  );
  return spans.flatMap(({ start, end, mark }) => {
    const parts: NameSpan[] = [];
    let from = start;
    for (const [mark_start, mark_end] of marks) {
      if (mark_end <= from || mark_start >= end) continue;
      if (mark_start > from) parts.push({ start: from, end: mark_start, mark });
      from = mark_end;
    }
    if (from < end) parts.push({ start: from, end, mark });
    return parts.filter((part) => VISIBLE.test(text.slice(part.start, part.end)));
  });
}

export function withoutSpans(text: string, spans: readonly NameSpan[]): string {
  let out = '';
  let from = 0;
  for (const { start, end, mark } of spans) {
    out += text.slice(from, start) + mark;
    from = end;
  }
  return out + text.slice(from);
}
