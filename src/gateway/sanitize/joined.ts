import type { DecodeBudget } from './decode.ts';
import { credentialSpans, mayHoldCredential, type Rule, type Span } from './hidden-secrets.ts';

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
const JOINED_CHARS_MAX = 8192;
/** Lines of a key block that may follow its beginning. */
const KEY_LINES_MAX = 400;
const KEY_BEGIN = /-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY/;
const KEY_END = /-----END [A-Z0-9 ]{0,30}PRIVATE KEY/;
const PIECE_MARK = '[REDACTED_SECRET]';
const KEY_MARK = '[REDACTED_PRIVATE_KEY]';

/** What must go from each of these strings because of its neighbours, by index. Other items are no strings. */
export function seamSpans(
  texts: readonly unknown[],
  rules: readonly Rule[],
  budget: DecodeBudget,
): ReadonlyMap<number, readonly Span[]> {
  const spans = new Map<number, Span[]>();
  const add = (index: number, span: Span): void => {
    const known = spans.get(index);
    if (known === undefined) spans.set(index, [span]);
    else known.push(span);
  };
  addKeyLines(texts, add);
  addFlagValues(texts, add);
  // One look at all seams together: in most lists none of them can hold anything.
  if (!mayHoldCredential(seamText(texts), rules)) return spans;
  for (let index = 0; index + 1 < texts.length;) {
    const chain = chainAt(texts, index);
    const crossing = chain === null ? 'impossible' : crossingSpan(chain, rules, budget);
    if (chain === null) index += 1;
    else if (crossing === 'impossible') index = chain.pieces.at(-1)?.index ?? index + 1;
    else if (crossing === null) index += 1;
    else {
      const { span, pieces } = crossing;
      for (const piece of pieces)
        add(piece.index, {
          start: piece.from + Math.max(0, span.start - piece.at),
          end: piece.from + Math.min(piece.length, span.end - piece.at),
          mark: PIECE_MARK,
        });
      index = pieces.at(-1)?.index ?? index + 1;
    }
  }
  return spans;
}

/** The words at all seams, as text. */
function seamText(texts: readonly unknown[]): string {
  const words: string[] = [];
  for (let index = 0; index + 1 < texts.length;) {
    const chain = chainAt(texts, index);
    if (chain !== null) words.push(chain.text);
    index = Math.max(index + 1, chain?.pieces.at(-1)?.index ?? 0);
  }
  return words.join('\n');
}

/** Numbers of pieces that are tried: what follows the last piece of a secret may hide that it ended there. */
const PIECE_COUNTS: readonly number[] = [2, 3, 4, 5, 6, 7, 8, 12, 16, 32, PIECES_MAX];

/** The first credential that begins in one piece and ends in a later one; `impossible`: the whole chain holds none. */
function crossingSpan(
  chain: Chain,
  rules: readonly Rule[],
  budget: DecodeBudget,
): Crossing | 'impossible' | null {
  if (!mayHoldCredential(chain.text, rules)) return 'impossible';
  if ((!chain.cut || chain.flag) && endsAlone(chain, rules, budget)) return null;
  let best: Crossing | null = null;
  for (const count of PIECE_COUNTS) {
    const part = chain.pieces.slice(0, count);
    const last = part.at(-1);
    if (last === undefined) return best;
    const end = last.at + last.length;
    const found = crossingIn(chain.text.slice(0, end), part, rules, budget);
    // A secret that reaches the end of a piece may go on in the next one, if that is a piece and not a line.
    const longer =
      best === null ||
      (found !== null &&
        last.whole &&
        found.span.start === best.span.start &&
        found.span.end > best.span.end);
    if (longer) best = found;
    if (count >= chain.pieces.length || (best !== null && (!longer || best.span.end < end))) return best;
  }
  return best;
}

interface Crossing {
  readonly span: Span;
  readonly pieces: Chain['pieces'];
}

function crossingIn(
  text: string,
  pieces: Chain['pieces'],
  rules: readonly Rule[],
  budget: DecodeBudget,
): Crossing | null {
  for (const span of credentialSpans(text, rules, budget)) {
    const first = pieces.findIndex((piece) => span.start < piece.at + piece.length);
    const last = pieces.findIndex((piece) => span.end <= piece.at + piece.length);
    if (first !== -1 && first < last) return { span, pieces: pieces.slice(first, last + 1) };
  }
  return null;
}

/** The first piece is a secret up to its end by itself: what follows on the next line is another word. */
function endsAlone({ text, pieces }: Chain, rules: readonly Rule[], budget: DecodeBudget): boolean {
  const length = pieces[0]?.length ?? 0;
  return credentialSpans(text.slice(0, length), rules, budget).some(({ end }) => end === length);
}

interface Chain {
  /** The strings look like pieces of one text, not like lines. */
  readonly cut: boolean;
  /** The second is a flag of a command line. */
  readonly flag: boolean;
  readonly text: string;
  /** Where each piece stands: in the joined text (`at`), and in its own string (`from`). */
  readonly pieces: readonly {
    readonly index: number;
    readonly at: number;
    readonly from: number;
    readonly length: number;
    /** The string holds nothing else. */
    readonly whole: boolean;
  }[];
}

/** The last word of a string with what follows it in the next ones, as long as these are one word. */
function chainAt(texts: readonly unknown[], index: number): Chain | null {
  const first = texts[index];
  if (typeof first !== 'string' || first === '') return null;
  const second = texts[index + 1];
  if (typeof second !== 'string' || wordEnd(second) === 0) return null;
  const cut = first.length >= CUT_CHARS_MIN || !/\s/.test(second);
  const from = cut ? Math.min(wordStart(first), Math.max(0, first.length - CONTEXT_CHARS)) : wordStart(first);
  if (from === first.length) return null;
  const pieces = [{ index, at: 0, from, length: first.length - from, whole: from === 0 }];
  let text = first.slice(from);
  for (let next = index + 1; next < texts.length && pieces.length < PIECES_MAX; next += 1) {
    const piece = texts[next];
    if (typeof piece !== 'string') break;
    const end = wordEnd(piece);
    if (end === 0) break;
    pieces.push({ index: next, at: text.length, from: 0, length: end, whole: end === piece.length });
    text += piece.slice(0, end);
    if (end < piece.length || text.length > JOINED_CHARS_MAX) break;
  }
  return pieces.length < 2 || text.length < 12
    ? null
    : { cut, flag: /^--?[a-z][a-z-]{0,30}(?:=|$)/i.test(second), text, pieces };
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

function addFlagValues(texts: readonly unknown[], add: (index: number, span: Span) => void): void {
  for (let index = 0; index + 1 < texts.length; index += 1) {
    const flag = texts[index];
    const value = texts[index + 1];
    if (typeof flag !== 'string' || flag.length > 60 || !flag.startsWith('-') || !SECRET_FLAG.test(flag))
      continue;
    if (typeof value !== 'string' || value === '' || value.startsWith('-') || value.startsWith('[REDACTED_'))
      continue;
    add(index + 1, { start: 0, end: value.length, mark: PIECE_MARK });
  }
}

/** A key block whose lines are strings of their own: everything from its beginning to its end goes. */
function addKeyLines(texts: readonly unknown[], add: (index: number, span: Span) => void): void {
  for (let index = 0; index < texts.length; index += 1) {
    const text = texts[index];
    if (typeof text !== 'string' || !text.includes('PRIVATE KEY')) continue;
    if (!KEY_BEGIN.test(text) || KEY_END.test(text)) continue;
    const end = keyEnd(texts, index);
    for (let line = index + 1; line <= end; line += 1) {
      const body = texts[line];
      if (typeof body === 'string') add(line, { start: 0, end: body.length, mark: KEY_MARK });
    }
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
    if (KEY_END.test(text)) return index;
    if (body === index - 1 && /(?:^|\s)[A-Za-z0-9+/=]{16,76}\s*$/.test(text)) body = index;
  }
  return body;
}
