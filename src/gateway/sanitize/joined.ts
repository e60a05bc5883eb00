import type { DecodeBudget } from './decode.ts';
import { credentialSpans, type Rule } from './hidden-secrets.ts';

/**
 * A secret that was cut: by a shipper that splits long lines, by a caller that writes chunks, or on purpose. Strings that
 * follow each other in a list, and the same field of objects that follow each other (log entries), are looked at joined
 * where a word of one can go on in the next. Only credentials are sought there: two numbers side by side are no card.
 */

/** Characters before a seam that may say what goes on behind it: `password=`. */
const CONTEXT_CHARS = 300;
/** A text of this length was probably cut where it ends: shippers split at 1 KiB, 4 KiB, 16 KiB. */
const CUT_CHARS_MIN = 1000;
/** A flag of a command line whose value is the next argument. */
const SECRET_FLAG = /^--?[\w-]{0,40}(?:password|passwd|passphrase|secret|token|api-?key|access-?key)$/i;
/** Characters of a word on each side of a seam. */
const WORD_CHARS_MAX = 4096;
/** Strings that one secret may be cut into. */
const PIECES_MAX = 64;
const JOINED_CHARS_MAX = 65_536;
/** Lines of a key block that may follow its beginning. */
const KEY_LINES_MAX = 400;
const PIECE_MARK = '[REDACTED_SECRET]';
const KEY_MARK = '[REDACTED_PRIVATE_KEY]';

/** The items, with the parts of a secret that was cut replaced. The same array when there is none. */
export function maskSeams(
  items: readonly unknown[],
  rules: readonly Rule[],
  budget: DecodeBudget,
  hit: () => void,
): readonly unknown[] {
  if (items.length < 2) return items;
  if (typeof items[0] === 'string' || typeof items[1] === 'string') {
    const masked = maskTexts(items, rules, budget, hit);
    return masked ?? items;
  }
  return maskFields(items, rules, budget, hit);
}

function maskFields(
  items: readonly unknown[],
  rules: readonly Rule[],
  budget: DecodeBudget,
  hit: () => void,
): readonly unknown[] {
  let out = items;
  for (const field of fieldsOf(items[0])) {
    const column = items.map((item) => (isObject(item) ? item[field] : undefined));
    const masked = maskTexts(column, rules, budget, hit);
    if (masked === null) continue;
    out = out.map((item, index) =>
      isObject(item) && masked[index] !== column[index] ? { ...item, [field]: masked[index] } : item,
    );
  }
  return out;
}

/** Fields whose text can be the piece of something: names and times of entries are left out by their length. */
function fieldsOf(item: unknown): string[] {
  if (!isObject(item)) return [];
  return Object.keys(item)
    .filter((key) => typeof item[key] === 'string')
    .slice(0, 20);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Null: nothing was cut. */
function maskTexts(
  texts: readonly unknown[],
  rules: readonly Rule[],
  budget: DecodeBudget,
  hit: () => void,
): unknown[] | null {
  let out: unknown[] | null = null;
  const set = (index: number, text: string): void => {
    out ??= [...texts];
    out[index] = text;
  };
  maskKeyLines(texts, set, hit);
  maskFlagValues(texts, set, hit);
  const now = (index: number): unknown => (out ?? texts)[index];
  for (let index = 0; index + 1 < texts.length; ) {
    const chain = chainAt(now, index, texts.length);
    if (chain === null) {
      index += 1;
      continue;
    }
    for (const span of credentialSpans(chain.text, rules, budget)) {
      if (!chain.cut && endsAlone(chain, rules, budget)) break;
      const first = chain.pieces.findIndex((piece) => span.start < piece.at + piece.length);
      const last = chain.pieces.findIndex((piece) => span.end <= piece.at + piece.length);
      if (first === last || first === -1 || last === -1) continue;
      hit();
      for (const piece of chain.pieces.slice(first, last + 1)) {
        const whole = now(piece.index) as string;
        const start = piece.from + Math.max(0, span.start - piece.at);
        const end = piece.from + Math.min(piece.length, span.end - piece.at);
        set(piece.index, whole.slice(0, start) + PIECE_MARK + whole.slice(end));
      }
      break;
    }
    index = Math.max(index + 1, chain.pieces.at(-1)?.index ?? 0);
  }
  return out;
}

/** The first piece is a secret up to its end by itself: what follows on the next line is another word. */
function endsAlone({ text, pieces }: Chain, rules: readonly Rule[], budget: DecodeBudget): boolean {
  const length = pieces[0]?.length ?? 0;
  return credentialSpans(text.slice(0, length), rules, budget).some(({ end }) => end === length);
}

interface Chain {
  /** The strings look like pieces of one text, not like lines. */
  readonly cut: boolean;
  readonly text: string;
  /** Where each piece stands: in the joined text (`at`), and in its own string (`from`). */
  readonly pieces: readonly { readonly index: number; readonly at: number; readonly from: number; readonly length: number }[];
}

/** The last word of a string with what follows it in the next ones, as long as these are one word. */
function chainAt(textAt: (index: number) => unknown, index: number, length: number): Chain | null {
  const first = textAt(index);
  if (typeof first !== 'string' || first === '') return null;
  const second = textAt(index + 1);
  if (typeof second !== 'string' || wordEnd(second) === 0) return null;
  const cut = first.length >= CUT_CHARS_MIN || !/\s/.test(second);
  const from = cut ? Math.min(wordStart(first), Math.max(0, first.length - CONTEXT_CHARS)) : wordStart(first);
  if (from === first.length) return null;
  const pieces = [{ index, at: 0, from, length: first.length - from }];
  let text = first.slice(from);
  for (let next = index + 1; next < length && pieces.length < PIECES_MAX; next += 1) {
    const piece = textAt(next);
    if (typeof piece !== 'string') break;
    const end = wordEnd(piece);
    if (end === 0) break;
    pieces.push({ index: next, at: text.length, from: 0, length: end });
    text += piece.slice(0, end);
    if (end < piece.length || text.length > JOINED_CHARS_MAX) break;
  }
  return pieces.length < 2 || text.length < 12 ? null : { cut, text, pieces };
}

/** Where the last word begins: at most so far back as a secret is long. */
function wordStart(text: string): number {
  let start = text.length;
  const least = Math.max(0, text.length - WORD_CHARS_MAX);
  while (start > least && isWordChar(text.charCodeAt(start - 1))) start -= 1;
  return start;
}

function wordEnd(text: string): number {
  let end = 0;
  const most = Math.min(text.length, WORD_CHARS_MAX);
  while (end < most && isWordChar(text.charCodeAt(end))) end += 1;
  return end;
}

/** Printable and neither a space nor a quote nor a bracket. */
function isWordChar(code: number): boolean {
  return (
    code > 32 &&
    code < 127 &&
    code !== 34 &&
    code !== 39 &&
    code !== 44 &&
    code !== 59 &&
    code !== 60 &&
    code !== 62 &&
    code !== 91 &&
    code !== 93 &&
    code !== 123 &&
    code !== 125
  );
}

function maskFlagValues(
  texts: readonly unknown[],
  set: (index: number, text: string) => void,
  hit: () => void,
): void {
  for (let index = 0; index + 1 < texts.length; index += 1) {
    const flag = texts[index];
    const value = texts[index + 1];
    if (typeof flag !== 'string' || flag.length > 60 || !flag.startsWith('-') || !SECRET_FLAG.test(flag)) continue;
    if (typeof value !== 'string' || value === '' || value.startsWith('-') || value.startsWith('[REDACTED_'))
      continue;
    hit();
    set(index + 1, PIECE_MARK);
  }
}

/** A key block whose lines are strings of their own: everything from its beginning to its end goes. */
function maskKeyLines(
  texts: readonly unknown[],
  set: (index: number, text: string) => void,
  hit: () => void,
): void {
  for (let index = 0; index < texts.length; index += 1) {
    const text = texts[index];
    if (typeof text !== 'string' || !text.includes('PRIVATE KEY')) continue;
    if (!/-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY/.test(text) || /-----END [A-Z0-9 ]{0,30}PRIVATE KEY/.test(text)) continue;
    const end = keyEnd(texts, index);
    if (end === index) continue;
    hit();
    for (let line = index + 1; line <= end; line += 1)
      if (typeof texts[line] === 'string') set(line, KEY_MARK);
    index = end;
  }
}

/** The last line of the block that begins at `start`: its END line, or else the last line that can belong to it. */
function keyEnd(texts: readonly unknown[], start: number): number {
  const most = Math.min(texts.length - 1, start + KEY_LINES_MAX);
  let body = start;
  for (let index = start + 1; index <= most; index += 1) {
    const text = texts[index];
    if (typeof text !== 'string') break;
    if (/-----END [A-Z0-9 ]{0,30}PRIVATE KEY/.test(text)) return index;
    if (body === index - 1 && /(?:^|\s)[A-Za-z0-9+/=]{16,76}\s*$/.test(text)) body = index;
  }
  return body;
}
