/** Literals of PromQL: strings with Go escapes, numbers, durations, and how values are printed. */

const UNITS_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
  y: 31_536_000_000,
};

/** Prometheus duration text (`1h30m`), units descending and each at most once; undefined when it is none. */
export function durationMs(text: string): number | undefined {
  const match = /^(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?$/.exec(text);
  if (match === null || text === '') return undefined;
  const units = ['y', 'w', 'd', 'h', 'm', 's', 'ms'];
  return units.reduce((sum, unit, index) => sum + Number(match[index + 1] ?? 0) * (UNITS_MS[unit] ?? 0), 0);
}

/** undefined for text that is not a PromQL number (the newer grammar also parses durations there). */
export function numberValue(text: string): number | undefined {
  const clean = text.toLowerCase().replace(/^\+/, '');
  if (/^-?inf$/.test(clean)) return clean.startsWith('-') ? -Infinity : Infinity;
  if (/^-?nan$/.test(clean)) return Number.NaN;
  if (/^-?0x[0-9a-f]+$/.test(clean)) return clean.startsWith('-') ? -Number(clean.slice(1)) : Number(clean);
  if (!/^-?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/.test(clean)) return undefined;
  const value = Number(clean);
  return Number.isFinite(value) ? value : undefined;
}

const ESCAPES: Readonly<Record<string, string>> = {
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  '\\': '\\',
};

/** The text of a quoted literal, or undefined when quotes or escapes are not right. Backticks take no escapes. */
export function unquote(literal: string): string | undefined {
  const quote = literal[0] ?? '';
  if (literal.length < 2 || literal.at(-1) !== quote) return undefined;
  const inner = literal.slice(1, -1);
  if (quote === '`') return inner;
  if (inner.includes('\n')) return undefined;
  let text = '';
  for (let index = 0; index < inner.length;) {
    const piece = unescapeAt(inner, index, quote);
    if (piece === undefined) return undefined;
    text += piece.text;
    index += piece.length;
  }
  return text;
}

function unescapeAt(
  inner: string,
  index: number,
  quote: string,
): { text: string; length: number } | undefined {
  const char = inner[index] ?? '';
  if (char === quote) return undefined;
  if (char !== '\\') return { text: char, length: 1 };
  const next = inner[index + 1] ?? '';
  const simple = next === quote ? quote : ESCAPES[next];
  if (simple !== undefined) return { text: simple, length: 2 };
  const rest = inner.slice(index);
  const coded = /^\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3}))/.exec(rest);
  if (coded === null) return undefined;
  const code =
    coded[4] === undefined ? parseInt(coded[1] ?? coded[2] ?? coded[3] ?? '', 16) : parseInt(coded[4], 8);
  return code > 0x10ffff ? undefined : { text: String.fromCodePoint(code), length: coded[0].length };
}

/** A sample value in a vector or matrix: shortest digits, exponent below 1e-6 and from 1e21 on. */
export function formatSample(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf';
  return Object.is(value, -0) ? '-0' : String(value).replace(/e([+-])(\d)$/, 'e$10$2');
}

/** A scalar result: shortest digits, never an exponent. */
export function formatScalar(value: number): string {
  const text = formatSample(value);
  const match = /^(-?)(\d)(?:\.(\d+))?e([+-]\d+)$/.exec(text);
  if (match === null) return text;
  const [, sign = '', lead = '', fraction = '', exponentText = '0'] = match;
  const exponent = Number(exponentText);
  const digits = lead + fraction;
  if (exponent < 0) return `${sign}0.${'0'.repeat(-exponent - 1)}${digits}`;
  return sign + digits.padEnd(exponent + 1, '0');
}
