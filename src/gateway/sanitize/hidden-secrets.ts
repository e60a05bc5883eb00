import { decodeRun, type DecodeBudget } from './decode.ts';
import type { Detector } from './detector.ts';
import { encodedRuns, type EncodedRun } from './encoded-runs.ts';
import { unescaped, unquoted, type Unescaped } from './escapes.ts';

/**
 * Secrets that stand in a text encoded: base64 and base64url at any alignment and wrapped, hex, packed with gzip or zlib
 * inside these, escaped for JSON, URLs, HTML or mail, and these inside each other. What must go is the encoded run as a
 * whole: nothing that was decoded is ever handed out.
 */
export interface Span {
  readonly start: number;
  readonly end: number;
  readonly mark: string;
}

/** Runs inside each other: three encodings, and one of the text that carries them. */
const RUNS_MAX = 4;
/** Levels of escaping on the way: each program that quotes the words of another adds one, some add two. */
const ESCAPES_MAX = 7;

/** Nothing shorter hides a secret: a@b.co with each character escaped is longer. */
const HIDING_CHARS_MIN = 8;

/** For what is packed or nested beyond the bounds: nobody can say that it holds no secret. */
export const UNREADABLE_MARK = '[REDACTED_BLOB]';
/** Groups of a run that must look like text before it is taken for one that hides more. */
const SHARE_OF_TEXT = 0.9;

export interface Rule {
  readonly detector: Detector;
  readonly mark: string;
}

interface Search {
  readonly rules: readonly Rule[];
  readonly budget: DecodeBudget;
}

/** How deep a text lies. */
interface Depth {
  readonly runs: number;
  readonly escapes: number;
}
const SURFACE: Depth = { runs: 0, escapes: 0 };

/**
 * Spans of `text`, sorted, none inside another. The text itself, as it stands, is not searched here; `escaped` is false
 * when it is known to hold no escape.
 */
export function hiddenSpans(
  text: string,
  rules: readonly Rule[],
  budget: DecodeBudget,
  escaped: boolean,
): Span[] {
  return text.length < HIDING_CHARS_MIN ? [] : merged(views(text, SURFACE, escaped, { rules, budget }));
}

/** Spans of the text as it stands and of everything that it hides; of binary data only what cannot be chance. */
function allSpans(text: string, depth: Depth, is_text: boolean, search: Search): Span[] {
  const spans: Span[] = [];
  for (const { detector, mark } of search.rules) {
    if ((!is_text && detector.kind === 'personal') || !detector.possible(text)) continue;
    detector.find(text, (start, end) => spans.push({ start, end, mark }));
  }
  return [...spans, ...views(text, depth, is_text, search)];
}

function views(text: string, depth: Depth, escaped: boolean, search: Search): Span[] {
  const spans: Span[] = [];
  const through = (plain: Unescaped | null): void => {
    if (plain === null || plain.text.length === 0 || depth.escapes >= ESCAPES_MAX) return;
    const inside = depth.runs + depth.escapes > 0;
    if (inside && plain.text.length > search.budget.chars_left) {
      spans.push({ start: 0, end: text.length, mark: UNREADABLE_MARK });
      return;
    }
    search.budget.chars_left -= inside ? plain.text.length : 0;
    const below = { ...depth, escapes: depth.escapes + 1 };
    for (const { start, end, mark } of allSpans(plain.text, below, true, search)) {
      const [from, to] = plain.sourceOf(start, end);
      spans.push({ start: from, end: to, mark });
    }
  };
  if (escaped) {
    through(unescaped(text));
    through(unquoted(text));
  }
  const { runs, wrapped } = encodedRuns(text);
  for (const run of runs) {
    const mark = hiddenIn(text, run, depth, search);
    if (mark !== null) spans.push({ start: run.start, end: run.end, mark });
  }
  for (const { start, end } of wrapped) {
    const joined = text.slice(start, end).replaceAll(/\s+/g, '');
    for (const run of encodedRuns(joined).runs) {
      const mark = hiddenIn(joined, run, depth, search);
      if (mark !== null) spans.push({ start, end, mark });
    }
  }
  return spans;
}

/** The mark for a run that hides something, or null. */
function hiddenIn(text: string, run: EncodedRun, depth: Depth, search: Search): string | null {
  const like_text = run.share >= SHARE_OF_TEXT;
  if (depth.runs >= RUNS_MAX) return like_text && run.end - run.start >= 64 ? UNREADABLE_MARK : null;
  const decoded = decodeRun(text, run, search.budget);
  if (decoded === 'blocked') return UNREADABLE_MARK;
  if (decoded === null) return null;
  const below = { ...depth, runs: depth.runs + 1 };
  return allSpans(decoded.text, below, decoded.is_text, search)[0]?.mark ?? null;
}

/** Spans of credentials in a text that was put together for the search, as it stands and hidden. */
export function credentialSpans(text: string, rules: readonly Rule[], budget: DecodeBudget): Span[] {
  return merged(allSpans(text, SURFACE, false, { rules, budget }));
}

/** False: the text holds no credential, neither as it stands nor hidden. Cheap. */
export function mayHoldCredential(text: string, rules: readonly Rule[]): boolean {
  return (
    rules.some(({ detector }) => detector.kind === 'credential' && detector.possible(text)) ||
    encodedRuns(text).runs.length > 0
  );
}

/** All spans of a text together with some that are known from elsewhere. */
export function spansWith(
  text: string,
  known: readonly Span[],
  rules: readonly Rule[],
  budget: DecodeBudget,
): Span[] {
  return merged([...known, ...allSpans(text, SURFACE, true, { rules, budget })]);
}

/** Sorted, and overlapping spans as one; the one that begins first (or reaches further) gives its mark. */
function merged(found: readonly Span[]): Span[] {
  const spans = found.filter(({ start, end }) => end > start);
  if (spans.length < 2) return spans;
  spans.sort((a, b) => a.start - b.start || b.end - a.end);
  const out: Span[] = [];
  for (const span of spans) {
    const last = out.at(-1);
    if (last !== undefined && span.start < last.end) {
      if (span.end > last.end) out[out.length - 1] = { ...last, end: span.end };
    } else out.push(span);
  }
  return out;
}
