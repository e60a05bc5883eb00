/**
 * Names what is wrong with text that does not parse. The grammar only says where it got stuck; Prometheus's lexer and
 * parser speak in their own words, so the tokens are read again here to say the same for the usual mistakes.
 */
import { parseError, type PromqlError } from './promql-error.ts';

interface Token {
  readonly from: number;
  readonly to: number;
  readonly text: string;
  readonly kind: 'identifier' | 'number' | 'duration' | 'string' | 'punctuation';
}

const KEYWORDS = new Set([
  'by',
  'without',
  'on',
  'ignoring',
  'group_left',
  'group_right',
  'offset',
  'bool',
  'and',
  'or',
  'unless',
]);
const TOKEN =
  /\s+|#[^\n]*|[a-zA-Z_:][a-zA-Z0-9_:]*|(?:\d+(?:ms|[smhdwy]))+|0x[0-9a-fA-F]*|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|==|=~|!=|!~|>=|<=|[-+*/%^(){}[\],<>=:@]/y;

/** `stuck` is where the grammar found its first error. */
export function describeSyntaxError(query: string, stuck: number): PromqlError {
  if (query.trim() === '') return parseError(query, 0, 'no expression found in input');
  const { tokens, error } = tokenize(query);
  const bad = tokens.find(
    (token) => token.to > stuck && (token.from >= stuck || token.kind === 'identifier'),
  );
  const unknown = unknownFunction(query, tokens, stuck);
  if (unknown !== undefined && (error === undefined || unknown.from < error.at)) {
    return parseError(query, unknown.from, `unknown function with name "${unknown.text}"`);
  }
  if (error !== undefined && (bad === undefined || error.at <= bad.from))
    return parseError(query, error.at, error.message);
  if (bad === undefined) return atEnd(query, tokens);
  return parseError(query, bad.from, `unexpected ${describeToken(bad)}`);
}

function describeToken(token: Token): string {
  if (token.kind === 'string') return `string ${JSON.stringify(token.text)}`;
  if (KEYWORDS.has(token.text)) return `<${token.text}>`;
  return token.kind === 'punctuation' ? JSON.stringify(token.text) : `${token.kind} "${token.text}"`;
}

function unknownFunction(query: string, tokens: readonly Token[], stuck: number): Token | undefined {
  const index = tokens.findIndex(
    (token) => token.kind === 'identifier' && query.slice(token.to).trimStart().startsWith('('),
  );
  const token = tokens[index];
  if (token === undefined || KEYWORDS.has(token.text)) return undefined;
  return token.to <= stuck && /^\s*$/.test(query.slice(token.to, stuck)) ? token : undefined;
}

function atEnd(query: string, tokens: readonly Token[]): PromqlError {
  const count = (text: string): number => tokens.filter((token) => token.text === text).length;
  if (count('(') > count(')')) return parseError(query, query.length, 'unclosed left parenthesis');
  if (tokens.at(-1)?.text === 'offset') {
    return parseError(query, query.length, 'unexpected end of input in offset, expected duration');
  }
  return parseError(query, query.length, 'unexpected end of input');
}

interface Scan {
  readonly tokens: readonly Token[];
  readonly error: { readonly at: number; readonly message: string } | undefined;
}

/** Reads tokens until the lexer of Prometheus would stop, and says why it would. */
function tokenize(query: string): Scan {
  const tokens: Token[] = [];
  let braces = false;
  let brackets = false;
  let depth = 0;
  for (let at = 0; at < query.length;) {
    const char = query[at] ?? '';
    const token = readToken(query, at);
    if (typeof token === 'string')
      return {
        tokens,
        error: {
          at,
          message:
            braces && token.startsWith('unexpected character:')
              ? token.replace(':', ' inside braces:')
              : token,
        },
      };
    at = token.to;
    if (/^[\s#]/.test(char)) continue;
    if (braces && token.kind !== 'string' && /^[0-9.]/.test(char)) {
      return { tokens, error: { at: token.from, message: `unexpected character inside braces: '${char}'` } };
    }
    if (char === ')' && depth === 0)
      return { tokens, error: { at: token.to, message: "unexpected right parenthesis ')'" } };
    if (brackets && token.kind === 'number') {
      return { tokens, error: { at: token.from, message: `bad duration syntax: "${token.text}"` } };
    }
    depth += Number(char === '(') - Number(char === ')');
    braces = char === '{' || (braces && char !== '}');
    brackets = char === '[' || (brackets && char !== ']');
    tokens.push(token);
  }
  const at = query.length;
  if (braces) return { tokens, error: { at, message: 'unexpected end of input inside braces' } };
  if (brackets)
    return {
      tokens,
      error: {
        at,
        message: tokens.at(-1)?.text === '[' ? 'missing unit character in duration' : 'unclosed left bracket',
      },
    };
  return { tokens, error: undefined };
}

function readToken(query: string, at: number): Token | string {
  const char = query[at] ?? '';
  if (char === '"' || char === "'" || char === '`') return readString(query, at, char);
  TOKEN.lastIndex = at;
  const match = TOKEN.exec(query);
  if (match === null) {
    return char === '!'
      ? `unexpected character after '!': '${query[at + 1] ?? ''}'`
      : `unexpected character: '${char}'`;
  }
  const text = match[0];
  if (text === '!~' && !query.slice(0, at).includes('{')) return "unexpected character after '!': '~'";
  return { from: at, to: at + text.length, text, kind: kindOf(text) };
}

function kindOf(text: string): Token['kind'] {
  if (/^[a-zA-Z_:]/.test(text) && text !== ':') return 'identifier';
  if (/^\d.*[smhdwy]$/.test(text)) return 'duration';
  return /^[\d.]/.test(text) ? 'number' : 'punctuation';
}

function readString(query: string, at: number, quote: string): Token | string {
  for (let index = at + 1; index < query.length; index += 1) {
    const char = query[index];
    if (char === '\\' && quote !== '`') index += 1;
    else if (char === '\n' && quote !== '`') break;
    else if (char === quote)
      return { from: at, to: index + 1, text: query.slice(at, index + 1), kind: 'string' };
  }
  return quote === '`' ? 'unterminated raw string' : 'unterminated quoted string';
}
