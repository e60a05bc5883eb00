/**
 * Names what is wrong with text that does not parse, in the form of Loki's yacc parser: the token it did not expect and,
 * where Loki's own tests show it, what it expected instead.
 */
import { parseError, parseErrorAt, type LokiError } from './loki-error.ts';

interface Token {
  readonly from: number;
  readonly to: number;
  readonly text: string;
}

const TOKEN =
  /\s+|#[^\n]*|[a-zA-Z_][a-zA-Z0-9_]*|(?:\d+(?:\.\d*)?(?:ns|us|µs|ms|[smhdwy]))+|\d+(?:\.\d*)?[KMGT]i?B|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|--[a-z-]+|==|=~|!=|!~|>=|<=|\|=|\|~|\|>|!>|[-+*/%^(){}[\],<>=|:.]/y;

const RESERVED = new Set(
  'by without on ignoring group_left group_right bool and or unless json logfmt unpack pattern regexp line_format label_format unwrap offset ip decolorize drop keep sum avg min max count topk bottomk stddev stdvar sort sort_desc rate count_over_time bytes_over_time bytes_rate vector label_replace absent_over_time'.split(
    ' ',
  ),
);

/** `stuck` is where the grammar found its first error. */
export function describeSyntaxError(query: string, stuck: number): LokiError {
  if (query.trim() === '') return parseError('syntax error: unexpected $end');
  const { tokens, error } = tokenize(query);
  const bad = tokens.find((token) => token.to > stuck);
  if (error !== undefined && (bad === undefined || error.at <= bad.to))
    return parseErrorAt(query, error.at, error.message);
  const at = bad === undefined ? query.length : bad.from;
  const before = tokens.filter((token) => token.to <= at).at(-1)?.text ?? '';
  const open = inSelector(query.slice(0, at));
  return parseErrorAt(
    query,
    at,
    `syntax error: unexpected ${bad === undefined ? '$end' : nameOf(bad.text)}${expecting(before, open)}`,
  );
}

function expecting(before: string, selector: boolean): string {
  if (selector && ['=', '!=', '=~', '!~'].includes(before)) return ', expecting STRING';
  if (selector && /^["`]/.test(before)) return ', expecting } or ,';
  if (!selector && ['|=', '!=', '|~', '!~'].includes(before)) return ', expecting STRING or ip';
  return '';
}

function inSelector(text: string): boolean {
  const bare = text.replaceAll(/"(?:\\.|[^"\\])*"|`[^`]*`/g, '');
  return bare.lastIndexOf('{') > bare.lastIndexOf('}');
}

function nameOf(text: string): string {
  if (/^["`]/.test(text)) return 'STRING';
  if (/^[a-zA-Z_]/.test(text)) return RESERVED.has(text) ? text : 'IDENTIFIER';
  if (/^\d.*B$/.test(text)) return 'BYTES';
  if (/^[\d.].*[a-zµ]$/.test(text)) return 'DURATION';
  return /^[\d.]+/.test(text) ? 'NUMBER' : text;
}

interface Scan {
  readonly tokens: readonly Token[];
  readonly error: { readonly at: number; readonly message: string } | undefined;
}

function tokenize(query: string): Scan {
  const tokens: Token[] = [];
  for (let at = 0; at < query.length;) {
    const char = query[at] ?? '';
    const end = char === '"' || char === '`' ? stringEnd(query, at, char) : tokenEnd(query, at);
    if (end === 'literal not terminated') return { tokens, error: { at, message: end } };
    if (typeof end === 'string')
      return { tokens: [...tokens, { from: at, to: at + 1, text: char }], error: undefined };
    if (!/^[\s#]/.test(char)) tokens.push({ from: at, to: end, text: query.slice(at, end) });
    at = end;
  }
  return { tokens, error: undefined };
}

function tokenEnd(query: string, at: number): number | 'unknown' {
  TOKEN.lastIndex = at;
  const match = TOKEN.exec(query);
  return match === null ? 'unknown' : at + match[0].length;
}

function stringEnd(query: string, at: number, quote: string): number | 'literal not terminated' {
  for (let index = at + 1; index < query.length; index += 1) {
    const char = query[index];
    if (char === '\\' && quote === '"') index += 1;
    else if (char === '\n' && quote === '"') break;
    else if (char === quote) return index + 1;
  }
  return 'literal not terminated';
}
