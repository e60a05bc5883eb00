/**
 * Finds the parts of a text that can be base64 or hex of other text, without decoding anything. Base64 of ASCII shows:
 * in each group of four characters the first lies in I..f and the next two are restricted too, so that one random group
 * in ten passes and three in a row hardly ever.
 */
export interface EncodedRun {
  readonly start: number;
  readonly end: number;
  readonly encoding: 'base64' | 'hex';
  /** Characters of the run before what can be decoded: another word may be glued to its front. */
  readonly offset: number;
  /** Share of the groups at this alignment that can be text, 0..1. */
  readonly share: number;
}

/** Shorter runs hold less than any secret that is worth the name. */
const RUN_CHARS_MIN = 16;
const GROUPS_MIN = 3;
/** Pairs of hex digits in a row. */
const PAIRS_MIN = 8;
/** A line of base64 that goes on in the next one is at least so long. */
const WRAPPED_CHARS_MIN = 40;

const BASE64 = 1;
const FIRST = 2;
const SECOND = 4;
const THIRD = 8;
const HEX = 16;
/** A hex digit that begins a printable ASCII character. */
const HIGH = 32;

const CLASS = classes();

/** As many entries as there are UTF-16 code units, so that no look-up needs a test. */
function classes(): Uint8Array {
  const table = new Uint8Array(65_536);
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
  const add = (char: string, value: number): void => {
    let flags = BASE64;
    // First byte: printable, or tab and line ends.
    if ((value >= 8 && value <= 31) || value === 2 || value === 3) flags |= FIRST;
    const high = value & 15;
    if ((high >= 2 && high <= 7) || high === 0) flags |= SECOND;
    if ((value & 3) <= 1) flags |= THIRD;
    table[char.charCodeAt(0)] = flags;
  };
  for (let value = 0; value < alphabet.length; value += 1) add(alphabet.charAt(value), value);
  add('-', 62);
  add('_', 63);
  for (const digit of '0123456789abcdefABCDEF') {
    const value = Number.parseInt(digit, 16);
    const code = digit.charCodeAt(0);
    table[code] = (table[code] as number) | HEX | (value >= 2 && value <= 7 ? HIGH : 0);
  }
  return table;
}

function classAt(text: string, index: number): number {
  return CLASS[text.charCodeAt(index)] as number;
}

export interface Runs {
  /** Runs that are worth decoding, from left to right; each alignment is an entry of its own. */
  readonly runs: readonly EncodedRun[];
  /** Runs that go on over line ends, as mail and PEM break them. */
  readonly wrapped: readonly { readonly start: number; readonly end: number }[];
}

export function encodedRuns(text: string): Runs {
  const runs: EncodedRun[] = [];
  const wrapped: { start: number; end: number }[] = [];
  const { length } = text;
  let done = 0;
  // Every run of 16 covers one of each 16 neighbouring places: most characters are never looked at.
  for (let probe = RUN_CHARS_MIN - 1; probe < length;) {
    if ((classAt(text, probe) & BASE64) === 0) {
      probe += RUN_CHARS_MIN;
      continue;
    }
    let start = probe;
    while (start > done && (classAt(text, start - 1) & BASE64) !== 0) start -= 1;
    let end = probe + 1;
    while (end < length && (classAt(text, end) & BASE64) !== 0) end += 1;
    if (end - start >= RUN_CHARS_MIN) lookAt(text, start, end, runs);
    if (end - start >= WRAPPED_CHARS_MIN && start >= (wrapped.at(-1)?.end ?? 0)) {
      const last = wrappedEnd(text, end);
      if (last > end) wrapped.push({ start, end: paddingAfter(text, last) });
    }
    done = end;
    probe = end + RUN_CHARS_MIN;
  }
  return { runs, wrapped };
}

/** The end of the last line that continues the run, or `end` when none does. */
function wrappedEnd(text: string, end: number): number {
  let last = end;
  for (;;) {
    let next = last;
    if (text[next] === '\r') next += 1;
    if (text[next] !== '\n') return last;
    next += 1;
    while (text[next] === ' ' || text[next] === '\t') next += 1;
    const start = next;
    while (next < text.length && (classAt(text, next) & BASE64) !== 0) next += 1;
    if (next === start) return last;
    last = next;
    if (next - start < WRAPPED_CHARS_MIN) return last;
  }
}

function lookAt(text: string, start: number, end: number, runs: EncodedRun[]): void {
  let index = start;
  while (index < end && (classAt(text, index) & HEX) !== 0) index += 1;
  if (index === end) lookAtHex(text, start, end, runs);
  else lookAtBase64(text, start, end, runs);
}

function lookAtBase64(text: string, start: number, end: number, runs: EncodedRun[]): void {
  const tail = paddingAfter(text, end);
  const groups = Math.max(1, (end - start) >> 2);
  for (let offset = 0; offset < 4; offset += 1) {
    let row = 0;
    let best = 0;
    let total = 0;
    for (let index = start + offset; index + 2 < end; index += 4) {
      if (
        (classAt(text, index) & FIRST) !== 0 &&
        (classAt(text, index + 1) & SECOND) !== 0 &&
        (classAt(text, index + 2) & THIRD) !== 0
      ) {
        row += 1;
        total += 1;
        if (row > best) best = row;
      } else row = 0;
    }
    if (best >= GROUPS_MIN)
      runs.push({ start, end: tail, encoding: 'base64', offset, share: total / groups });
  }
  const packed = packedAt(text, start, end);
  if (packed !== null) runs.push({ start, end: tail, encoding: 'base64', offset: packed - start, share: 0 });
}

/** Where gzip data begins inside a run, or zlib data at its start. */
function packedAt(text: string, start: number, end: number): number | null {
  const gzip = text.slice(start, end).indexOf('H4sI');
  if (gzip !== -1) return start + gzip;
  return text[start] === 'e' && /^e(?:J[w-z]|N[o-r]|A[E-H]|F[4-7])/.test(text.slice(start, start + 3))
    ? start
    : null;
}

function lookAtHex(text: string, start: number, end: number, runs: EncodedRun[]): void {
  for (let offset = 0; offset < 2; offset += 1) {
    let row = 0;
    let best = 0;
    let total = 0;
    for (let index = start + offset; index + 1 < end; index += 2) {
      if ((classAt(text, index) & HIGH) === 0 && !isLineEnd(text, index)) {
        row = 0;
        continue;
      }
      row += 1;
      total += 1;
      if (row > best) best = row;
    }
    const packed = offset === 0 && /^(?:1f8b08|78(?:01|5e|9c|da))/i.test(text.slice(start, start + 6));
    if (best >= PAIRS_MIN || packed)
      runs.push({ start, end, encoding: 'hex', offset, share: total / Math.max(1, (end - start) >> 1) });
  }
}

/** 09, 0a or 0d. */
function isLineEnd(text: string, index: number): boolean {
  return text[index] === '0' && /[9ad]/i.test(text[index + 1] ?? '');
}

function paddingAfter(text: string, end: number): number {
  let tail = end;
  while (tail < end + 2 && text[tail] === '=') tail += 1;
  return tail;
}
