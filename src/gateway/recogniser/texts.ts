import { define, freeName } from '../sanitize/sanitize.ts';
import { mayHoldNames, withoutSpans, type NameSpan } from './spans.ts';

/**
 * The texts of a JSON value that a recogniser is asked about, and the value without what it found. Every string is one
 * text, judged alone. Names of fields are data only when they are not what programs call fields: with a space in them, or
 * letters beyond ASCII.
 */
const FIELD_NAME = /^[\u0021-\u007e]*$/;

export function textsOf(value: unknown): Set<string> {
  const texts = new Set<string>();
  collect(value, texts);
  return texts;
}

function collect(value: unknown, texts: Set<string>): void {
  if (typeof value === 'string') {
    if (mayHoldNames(value)) texts.add(value);
  } else if (Array.isArray(value)) for (const item of value) collect(item, texts);
  else if (typeof value === 'object' && value !== null)
    for (const [key, child] of Object.entries(value)) {
      if (!FIELD_NAME.test(key) && mayHoldNames(key)) texts.add(key);
      collect(child, texts);
    }
}

/** Spans by text; a text that is not there holds none. */
type Found = ReadonlyMap<string, readonly NameSpan[]>;

export function withoutFound(value: unknown, found: Found): { value: unknown; redactions: number } {
  const state = { found, redactions: 0 };
  return { value: walk(value, state), redactions: state.redactions };
}

interface WalkState {
  readonly found: Found;
  redactions: number;
}

function walk(value: unknown, state: WalkState): unknown {
  if (typeof value === 'string') return cleanText(value, state);
  if (Array.isArray(value)) return value.map((item) => walk(item, state));
  if (typeof value !== 'object' || value === null) return value;
  const shown: Record<string, unknown> = {};
  let renamed = false;
  for (const [key, child] of Object.entries(value)) {
    const clean = FIELD_NAME.test(key) ? key : cleanText(key, state);
    renamed ||= clean !== key;
    define(shown, renamed ? freeName(shown, clean) : key, walk(child, state));
  }
  return shown;
}

function cleanText(text: string, state: WalkState): string {
  const spans = state.found.get(text);
  if (spans === undefined || spans.length === 0) return text;
  state.redactions += spans.length;
  return withoutSpans(text, spans);
}
