import type { PathExpr, Word } from './pipeline.ts';
import { lex, problem, type PipelineProblem } from './pipeline-lexer.ts';

/**
 * VFS paths as trees: absolute, ASCII, no empty or relative segments, at most 40 segments, parameters sorted by name.
 * What a segment may hold is decided here once, for typed text and for bound values alike.
 */
const SEGMENTS_MAX = 40;
const PARAMS_MAX = 20;
const SEGMENT_CHARS = /^[A-Za-z0-9._:@+,~=-]*$/;
const PARAM_NAME = /^[a-z][a-z0-9_]{0,39}$/;
const PARAM_CHARS = /^[A-Za-z0-9._:+-]*$/;

export type ParsedPath = { readonly ok: true; readonly path: PathExpr } | PipelineProblem;

/** Parses a path on its own (for `ls`). One trailing `/` is accepted there. */
export function parsePath(text: string, options: { readonly allow_vars: boolean }): ParsedPath {
  const lexed = lex(text, options.allow_vars);
  if (!lexed.ok) return lexed;
  const [token, ...rest] = lexed.tokens;
  if (token?.kind !== 'word' || rest.length > 0)
    return problem('give one path', 0, 'a path has no spaces and no |');
  const last = token.parts.at(-1) as Word;
  const trimmed = last.w === 'text' && last.text.length > 1 && /[^/]\/$/.test(last.text);
  const parts = trimmed
    ? [...token.parts.slice(0, -1), { ...last, text: last.text.slice(0, -1) }]
    : token.parts;
  return pathOfWords(parts, token.at);
}

/** Builds the tree from the words of one token. */
export function pathOfWords(parts: readonly Word[], at: number): ParsedPath {
  const first = parts[0];
  if (first?.w !== 'text' || !first.text.startsWith('/'))
    return problem('a path starts with /', at, 'for example /teams/<team>/<env>/logs/<file>.log');
  const [path_words, query_words] = splitOnce(parts, '?');
  const segments = splitAll(path_words, '/').slice(1);
  const root = segments.length === 1 && isEmpty(segments[0] as Word[]);
  if (segments.length > SEGMENTS_MAX)
    return problem(`more than ${SEGMENTS_MAX} path segments`, at, 'name a shorter path');
  for (const segment of root ? [] : segments) {
    const reason = segmentProblem(segment);
    if (reason !== null)
      return problem(reason, at, 'write the path from the root, one plain name between two slashes');
  }
  const params = query_words === null ? [] : paramsOf(query_words, at);
  if ('ok' in params) return params;
  return { ok: true, path: { segments: root ? [] : segments, params } };
}

/** Why these words cannot be one path segment; null when they can. Variables count as a valid piece of text. */
export function segmentProblem(words: readonly Word[]): string | null {
  const text = sample(words);
  if (text === '') return 'a path segment is empty';
  if (text === '.' || text === '..') return `\`${text}\` is not allowed in a path`;
  if (text.length > 253) return 'a path segment is longer than 253 characters';
  return SEGMENT_CHARS.test(text) ? null : `\`${clip(text)}\` holds a character that paths cannot have`;
}

/** Why these words cannot be a parameter's value; null when they can. */
export function paramProblem(words: readonly Word[]): string | null {
  const text = sample(words);
  if (text === '' || text.length > 200) return 'a path parameter needs a value of at most 200 characters';
  return PARAM_CHARS.test(text) ? null : `\`${clip(text)}\` cannot be the value of a path parameter`;
}

function paramsOf(words: readonly Word[], at: number): PathExpr['params'] | PipelineProblem {
  const params: PathExpr['params'] = [];
  for (const pair of splitAll(words, '&')) {
    const [name_words, value] = splitOnce(pair, '=');
    const name = name_words.map((word) => (word.w === 'text' ? word.text : '$')).join('');
    if (!PARAM_NAME.test(name) || value === null)
      return problem('a path parameter is not name=value', at, 'for example ?window=15m');
    const reason = paramProblem(value);
    if (reason !== null) return problem(reason, at, 'for example ?window=15m&limit=200');
    if (params.some((param) => param.name === name))
      return problem(`parameter ${name} is given twice`, at, 'give it once');
    params.push({ name, value });
  }
  if (params.length > PARAMS_MAX) return problem(`more than ${PARAMS_MAX} path parameters`, at, 'give fewer');
  return params.sort((a, b) => (a.name < b.name ? -1 : 1));
}

function isEmpty(words: readonly Word[]): boolean {
  return words.every((word) => word.w === 'text' && word.text === '');
}

function sample(words: readonly Word[]): string {
  return words.map((word) => (word.w === 'text' ? word.text : 'x')).join('');
}

function clip(text: string): string {
  return text.length <= 60 ? text : `${text.slice(0, 60)}…`;
}

/** Splits words at each separator in literal text; variables never hold one. */
function splitAll(words: readonly Word[], separator: string): Word[][] {
  const pieces: Word[][] = [[]];
  for (const word of words) {
    if (word.w === 'var') {
      (pieces.at(-1) as Word[]).push(word);
      continue;
    }
    word.text.split(separator).forEach((text, index) => {
      if (index > 0) pieces.push([]);
      if (text !== '') (pieces.at(-1) as Word[]).push({ w: 'text', text });
    });
  }
  return pieces;
}

function splitOnce(words: readonly Word[], separator: string): [Word[], Word[] | null] {
  const index = words.findIndex((word) => word.w === 'text' && word.text.includes(separator));
  if (index < 0) return [[...words], null];
  const text = (words[index] as { text: string }).text;
  const cut = text.indexOf(separator);
  const piece = (part: string): Word[] => (part === '' ? [] : [{ w: 'text', text: part }]);
  return [
    [...words.slice(0, index), ...piece(text.slice(0, cut))],
    [...piece(text.slice(cut + separator.length)), ...words.slice(index + 1)],
  ];
}
