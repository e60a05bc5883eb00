/**
 * Text with its escapes undone, and where each character of it stood: JSON (also doubly escaped, level by level),
 * percent-encoding, HTML entities, `\x41`, and characters that nobody sees (zero width, colours of a terminal).
 */
export interface Unescaped {
  readonly text: string;
  /** Start and end in the source of a part of `text`. */
  readonly sourceOf: (start: number, end: number) => readonly [number, number];
}

// oxlint-disable-next-line no-control-regex -- the escape character is what is looked for
const ESCAPE =
  /\\u\{([0-9a-fA-F]{1,6})\}|\\u([0-9a-fA-F]{4})|\\x([0-9a-fA-F]{2})|\\([nrtbf"'/\\])|%([0-9a-fA-F]{2})|&#(\d{1,7});|&#[xX]([0-9a-fA-F]{1,6});|&([a-z]{2,8});|[\u200b-\u200f\u2060-\u2064\ufeff\u00ad]+|\u001b\[[0-9;]{0,20}m/g;
const SIGN =
  /\\[ux/nrtbf"'\\]|%[0-9a-fA-F]{2}|&#|&[a-z]{2,8};|[\u200b-\u200f\u2060-\u2064\ufeff\u00ad]+|\u001b\[[0-9;]{0,20}m/;

const SIMPLE: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', b: '\b', f: '\f' };
const ENTITIES: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
  commat: '@',
  colon: ':',
  sol: '/',
  period: '.',
  lowbar: '_',
  equals: '=',
  plus: '+',
  nbsp: ' ',
  dash: '-',
  hyphen: '-',
};

/** False: the text holds no escape of any kind. */
export function isEscaped(text: string): boolean {
  return SIGN.test(text) || isQuoted(text);
}

/** Null: the text holds no escape. */
export function unescaped(text: string): Unescaped | null {
  return SIGN.test(text) ? undo(text, ESCAPE, meaningOf) : null;
}

// Quoted-printable: =40 for a character, = at the end of a line for "goes on".
const QUOTED = /=([0-9A-F]{2})|=\r?\n/g;

/** `=` followed by hex is common elsewhere, so that it takes a sure sign. */
function isQuoted(text: string): boolean {
  return text.includes('=') && /=\r?\n|=3D|=40|(?:=[0-9A-F]{2}){3}/.test(text);
}

/** Null: the text is not quoted-printable. */
export function unquoted(text: string): Unescaped | null {
  if (!isQuoted(text)) return null;
  return undo(text, QUOTED, ([, code]) =>
    code === undefined ? '' : String.fromCharCode(Number.parseInt(code, 16)),
  );
}

function meaningOf(match: RegExpExecArray): string | null {
  const [all, braced, unicode, hex, simple, percent, decimal, hexadecimal, entity] = match;
  if (simple !== undefined) return SIMPLE[simple] ?? simple;
  const code = braced ?? unicode ?? hex ?? percent ?? hexadecimal;
  if (code !== undefined) return fromCode(Number.parseInt(code, 16));
  if (decimal !== undefined) return fromCode(Number(decimal));
  if (entity !== undefined) return ENTITIES[entity] ?? null;
  return all.startsWith('&') ? null : '';
}

function fromCode(code: number): string | null {
  return code <= 0x10_ff_ff ? String.fromCodePoint(code) : null;
}

function undo(text: string, source: RegExp, meaning: (match: RegExpExecArray) => string | null): Unescaped {
  // Where a plain stretch begins, in the plain text and in the source.
  const plain: number[] = [0];
  const raw: number[] = [0];
  const parts: string[] = [];
  let length = 0;
  let from = 0;
  const push = (piece: string): void => {
    parts.push(piece);
    length += piece.length;
  };
  source.lastIndex = 0;
  for (let match = source.exec(text); match !== null; match = source.exec(text)) {
    const meant = meaning(match);
    if (meant === null) continue;
    push(text.slice(from, match.index));
    plain.push(length);
    raw.push(match.index);
    push(meant);
    from = match.index + match[0].length;
    plain.push(length);
    raw.push(from);
  }
  push(text.slice(from));
  const at = (index: number): number => {
    let low = 0;
    let high = plain.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((plain[middle] ?? 0) <= index) low = middle;
      else high = middle - 1;
    }
    const start = raw[low] ?? 0;
    const next = low + 1 < raw.length ? (raw[low + 1] ?? text.length) : text.length;
    return Math.min(start + (index - (plain[low] ?? 0)), next);
  };
  return {
    text: parts.join(''),
    // The end is where the last character's source ends, which may be longer than the character.
    sourceOf: (start, end) => {
      const last = at(end - 1);
      return [at(start), Math.max(last + 1, endOf(last, raw, text.length))];
    },
  };
}

/** The end of the escape that begins at `index`; escapes begin at the odd entries. */
function endOf(index: number, raw: readonly number[], length: number): number {
  let low = 0;
  let high = raw.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((raw[middle] ?? 0) <= index) low = middle;
    else high = middle - 1;
  }
  return low % 2 === 1 ? (raw[low + 1] ?? length) : index + 1;
}
