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
/** Hex digits in a row: ten characters of text. */
const HEX_PAIRS_MIN = 8;

const BASE64 = 1;
const FIRST = 2;
const SECOND = 4;
const THIRD = 8;
const HEX = 16;
/** A hex digit that begins a printable ASCII character. */
const HIGH = 32;

const CLASS = classes();

function classes(): Uint8Array {
  const table = new Uint8Array(256);
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
  for (const [value, char] of [...alphabet].entries()) add(char, value);
  add('-', 62);
  add('_', 63);
  for (const digit of '0123456789abcdefABCDEF') {
    const value = Number.parseInt(digit, 16);
    const code = digit.charCodeAt(0);
    table[code] = (table[code] ?? 0) | HEX | (value >= 2 && value <= 7 ? HIGH : 0);
  }
  return table;
}

function classAt(text: string, index: number): number {
  return CLASS[text.charCodeAt(index)] ?? 0;
}

/** Runs that are worth decoding, from left to right; each alignment is an entry of its own. */
export function encodedRuns(text: string): EncodedRun[] {
  const runs: EncodedRun[] = [];
  const { length } = text;
  let done = 0;
  // Every run of 16 covers one of each 16 neighbouring places: most characters are never looked at.
  for (let probe = RUN_CHARS_MIN - 1; probe < length; ) {
    if ((classAt(text, probe) & BASE64) === 0) {
      probe += RUN_CHARS_MIN;
      continue;
    }
    let start = probe;
    while (start > done && (classAt(text, start - 1) & BASE64) !== 0) start -= 1;
    let end = probe + 1;
    while (end < length && (classAt(text, end) & BASE64) !== 0) end += 1;
    if (end - start >= RUN_CHARS_MIN) lookAt(text, start, end, runs);
    done = end;
    probe = end + RUN_CHARS_MIN;
  }
  return runs;
}

function lookAt(text: string, start: number, end: number, runs: EncodedRun[]): void {
  let hex_only = true;
  for (let index = start; index < end && hex_only; index += 1)
    hex_only = (classAt(text, index) & HEX) !== 0;
  if (hex_only) {
    if (end - start >= 2 * HEX_PAIRS_MIN) lookAtHex(text, start, end, runs);
    return;
  }
  const good = [0, 0, 0, 0];
  const best = [0, 0, 0, 0];
  const total = [0, 0, 0, 0];
  for (let index = start; index + 2 < end; index += 1) {
    const lane = (index - start) & 3;
    const fits =
      (classAt(text, index) & FIRST) !== 0 &&
      (classAt(text, index + 1) & SECOND) !== 0 &&
      (classAt(text, index + 2) & THIRD) !== 0;
    if (!fits) {
      good[lane] = 0;
      continue;
    }
    good[lane] = (good[lane] ?? 0) + 1;
    total[lane] = (total[lane] ?? 0) + 1;
    if ((good[lane] ?? 0) > (best[lane] ?? 0)) best[lane] = good[lane] ?? 0;
  }
  const tail = paddingAfter(text, end);
  const groups = Math.max(1, Math.floor((end - start) / 4));
  for (const offset of [0, 1, 2, 3])
    if ((best[offset] ?? 0) >= GROUPS_MIN)
      runs.push({ start, end: tail, encoding: 'base64', offset, share: (total[offset] ?? 0) / groups });
  const packed = packedAt(text, start, end);
  if (packed !== null) runs.push({ start, end: tail, encoding: 'base64', offset: packed - start, share: 0 });
}

/** Where gzip data begins inside a run, or zlib data at its start. */
function packedAt(text: string, start: number, end: number): number | null {
  const gzip = text.slice(start, end).indexOf('H4sI');
  if (gzip !== -1) return start + gzip;
  return isZlib(text, start) ? start : null;
}

function lookAtHex(text: string, start: number, end: number, runs: EncodedRun[]): void {
  for (const offset of [0, 1]) {
    let good = 0;
    let best = 0;
    let total = 0;
    for (let index = start + offset; index + 1 < end; index += 2) {
      if ((classAt(text, index) & HIGH) === 0 && !isLineEnd(text, index)) {
        good = 0;
        continue;
      }
      good += 1;
      total += 1;
      if (good > best) best = good;
    }
    const magic = offset === 0 && /^(?:1f8b08|78(?:01|5e|9c|da))/i.test(text.slice(start, start + 6));
    if (best >= HEX_PAIRS_MIN || magic)
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

/** The first two bytes of zlib data, in base64. */
function isZlib(text: string, start: number): boolean {
  return /^e(?:J[w-z]|N[o-r]|A[E-H]|F[4-7])/.test(text.slice(start, start + 3));
}
