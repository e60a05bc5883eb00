import { LineRange, lineRange } from './evidence.ts';
import type { FilterStage, PathExpr, Pipeline, SourceStage, TimeBound, Window } from './pipeline.ts';
import { lex, problem, type PipelineProblem, type Token, type WordToken } from './pipeline-lexer.ts';
import { pathOfWords } from './pipeline-path.ts';
import { patternProblem } from './pipeline-pattern.ts';

/**
 * Text of the read language -> tree. It refuses with the place and the next step; it never guesses. Patterns are RE2
 * and are compiled here once, so that a tree always holds a pattern that runs.
 */
export type ParsedPipeline = { readonly ok: true; readonly pipeline: Pipeline } | PipelineProblem;

const LINES_MAX = 100_000;
const CONTEXT_LINES_MAX = 1000;
const FILTERS_MAX = 10;
const USAGE = {
  read: 'read <path> [--lines 10-20] [--since 1h] [--until 10m]',
  head: 'head [-n 50] <path> [--since 1h] [--until 10m]',
  tail: 'tail [-n 50] <path> [--since 1h] [--until 10m]',
  grep: 'grep [-i] [-v] [-F] [-c] [-A n] [-B n] <pattern> <path> [--since 1h] [--until 10m]',
  find: 'find <path> [-name <glob>]',
  diff: 'diff <path> <path>',
} as const;
type SourceName = keyof typeof USAGE;
const FILTER_USAGE = {
  head: 'head -n 50',
  tail: 'tail -n 50',
  grep: 'grep [-i] [-v] [-F] [-c] [-A n] [-B n] <pattern>',
} as const;

/** Options that take a value, and plain flags, by command. */
const VALUE_OPTIONS: Record<string, readonly string[]> = {
  read: ['--lines'],
  head: ['-n'],
  tail: ['-n'],
  grep: ['-A', '-B', '-C'],
  find: ['-name'],
  diff: [],
};
const FLAGS: Record<string, readonly string[]> = { grep: ['-i', '-v', '-F', '-c', '-E'] };
const WINDOW_OPTIONS = ['--since', '--until'];

interface Parts {
  readonly command: string;
  readonly at: number;
  readonly positional: readonly WordToken[];
  readonly values: ReadonlyMap<string, WordToken>;
  readonly flags: ReadonlySet<string>;
  readonly usage: string;
}

export function parsePipeline(text: string, options: { readonly allow_vars: boolean }): ParsedPipeline {
  const lexed = lex(text, options.allow_vars);
  if (!lexed.ok) return lexed;
  const stages = splitStages(lexed.tokens);
  const empty = stages.find((stage) => stage.words.length === 0);
  if (empty !== undefined) return problem('a stage is empty', empty.at, `for example: ${USAGE.tail}`);
  const [first, ...rest] = stages as [Stage, ...Stage[]];
  const source = parseSource(first.words);
  if ('ok' in source) return source;
  if (rest.length > FILTERS_MAX)
    return problem(`more than ${FILTERS_MAX} filters`, text.length, 'join the patterns with |');
  const filters: FilterStage[] = [];
  for (const stage of rest) {
    const filter = parseFilter(stage.words);
    if ('ok' in filter) return filter;
    filters.push(filter);
  }
  return { ok: true, pipeline: { source, filters } };
}

interface Stage {
  readonly at: number;
  readonly words: WordToken[];
}

function splitStages(tokens: readonly Token[]): Stage[] {
  const stages: Stage[] = [{ at: 0, words: [] }];
  for (const token of tokens) {
    if (token.kind === 'pipe') stages.push({ at: token.at, words: [] });
    else (stages.at(-1) as Stage).words.push(token);
  }
  return stages;
}

function parseSource(words: readonly WordToken[]): SourceStage | PipelineProblem {
  const name = literal(words[0] as WordToken) ?? '';
  if (!Object.hasOwn(USAGE, name)) return unknownCommand(name, words[0] as WordToken, Object.keys(USAGE));
  const command = name as SourceName;
  const windowed = command !== 'find';
  const parts = sortWords(command, words, windowed, USAGE[command]);
  if ('ok' in parts) return parts;
  const window = windowOf(parts);
  if ('ok' in window) return window;
  if (command === 'grep') return grepSource(parts, window);
  if (command === 'diff') return diffSource(parts, window);
  const path = onePath(parts, 0);
  if ('ok' in path) return path;
  if (command === 'find') return findSource(parts, path);
  if (command === 'read') return readSource(parts, path, window);
  const n = countOf(parts, '-n', 10, 1, LINES_MAX);
  return typeof n === 'number' ? { cmd: command, path, window, n } : n;
}

function parseFilter(words: readonly WordToken[]): FilterStage | PipelineProblem {
  const name = literal(words[0] as WordToken) ?? '';
  if (!Object.hasOwn(FILTER_USAGE, name))
    return unknownCommand(name, words[0] as WordToken, Object.keys(FILTER_USAGE));
  const command = name as keyof typeof FILTER_USAGE;
  const parts = sortWords(command, words, false, FILTER_USAGE[command]);
  if ('ok' in parts) return parts;
  if (command === 'grep') {
    if (parts.positional.length !== 1)
      return wrongArguments(parts, 'one pattern; only the first stage names a file');
    const grep = grepOf(parts);
    return 'ok' in grep ? grep : { cmd: 'grep', ...grep };
  }
  if (parts.positional.length > 0) return wrongArguments(parts, 'no file; only the first stage names one');
  const n = countOf(parts, '-n', 10, 1, LINES_MAX);
  return typeof n === 'number' ? { cmd: command, n } : n;
}

function grepSource(parts: Parts, window: Window): SourceStage | PipelineProblem {
  if (parts.positional.length !== 2) return wrongArguments(parts, 'a pattern and a path');
  const grep = grepOf(parts);
  if ('ok' in grep) return grep;
  const path = onePath(parts, 1);
  return 'ok' in path ? path : { cmd: 'grep', ...grep, path, window };
}

function diffSource(parts: Parts, window: Window): SourceStage | PipelineProblem {
  if (parts.positional.length !== 2) return wrongArguments(parts, 'two paths');
  const [left, right] = [pathAt(parts, 0), pathAt(parts, 1)];
  if ('ok' in left) return left;
  return 'ok' in right ? right : { cmd: 'diff', left, right, window };
}

function findSource(parts: Parts, path: PathExpr): SourceStage | PipelineProblem {
  const name = parts.values.get('-name');
  if (name === undefined) return { cmd: 'find', path };
  const text = name.parts.map((word) => (word.w === 'text' ? word.text : 'x')).join('');
  if (text.includes('/') || text === '' || text.length > 300)
    return problem('-name takes a file name, not a path', name.at, 'for example -name "*.log"');
  return { cmd: 'find', path, name: [...name.parts] };
}

function readSource(parts: Parts, path: PathExpr, window: Window): SourceStage | PipelineProblem {
  const token = parts.values.get('--lines');
  if (token === undefined) return { cmd: 'read', path, window };
  const range = literal(token) ?? '';
  if (!LineRange.safeParse(range).success || lineRange(range).first > lineRange(range).last)
    return problem(`\`${range}\` is not a range of lines`, token.at, 'for example --lines 120-140');
  return { cmd: 'read', path, window, lines: range };
}

type Grep = Omit<Extract<FilterStage, { cmd: 'grep' }>, 'cmd'>;

function grepOf(parts: Parts): Grep | PipelineProblem {
  const token = parts.positional[0] as WordToken;
  const fixed = parts.flags.has('-F');
  const reason = patternProblem(token.parts, fixed);
  if (reason !== null)
    return problem(
      reason,
      token.at,
      'patterns are RE2: no look-around, no back-references; -F takes the text as it is',
    );
  const around = countOf(parts, '-C', 0, 0, CONTEXT_LINES_MAX);
  if (typeof around !== 'number') return around;
  const after = countOf(parts, '-A', around, 0, CONTEXT_LINES_MAX);
  const before = countOf(parts, '-B', around, 0, CONTEXT_LINES_MAX);
  if (typeof after !== 'number') return after;
  if (typeof before !== 'number') return before;
  const flag = (name: string) => parts.flags.has(name);
  return {
    pattern: [...token.parts],
    ignore_case: flag('-i'),
    invert: flag('-v'),
    fixed,
    count: flag('-c'),
    after,
    before,
  };
}

/** Sorts the words of a stage into options, flags and positional words. Quoted words are never options. */
function sortWords(
  command: string,
  words: readonly WordToken[],
  windowed: boolean,
  usage: string,
): Parts | PipelineProblem {
  const valued = [...(VALUE_OPTIONS[command] as string[]), ...(windowed ? WINDOW_OPTIONS : [])];
  const flags_known = FLAGS[command] ?? [];
  const positional: WordToken[] = [];
  const values = new Map<string, WordToken>();
  const flags = new Set<string>();
  for (let index = 1; index < words.length; index++) {
    const word = words[index] as WordToken;
    const text = word.quoted ? null : literal(word);
    if (text === null || !text.startsWith('-') || text === '-') {
      positional.push(word);
      continue;
    }
    const attached = splitOption(text, valued);
    if (attached !== null) {
      const value = attached.value === null ? words[++index] : textToken(attached.value, word.at);
      if (value === undefined) return problem(`${attached.name} needs a value`, word.at, `usage: ${usage}`);
      if (values.has(attached.name))
        return problem(`${attached.name} is given twice`, word.at, `usage: ${usage}`);
      values.set(attached.name, value);
    } else if (/^-[A-Za-z]+$/.test(text) && flagsOf(text).every((flag) => flags_known.includes(flag)))
      for (const flag of flagsOf(text)) flags.add(flag);
    else
      return problem(
        `${command} has no option ${text}`,
        word.at,
        `usage: ${usage}; a pattern that starts with - stands in quotes`,
      );
  }
  return { command, at: (words[0] as WordToken).at, positional, values, flags, usage };
}

/** `-iv` is `-i -v`. */
function flagsOf(text: string): string[] {
  return text
    .slice(1)
    .split('')
    .map((letter) => `-${letter}`);
}

/** `-n 50`, `-n50`, `-50`, `--since 1h`, `--since=1h`. */
function splitOption(text: string, valued: readonly string[]): { name: string; value: string | null } | null {
  if (valued.includes(text)) return { name: text, value: null };
  const long = /^(--[a-z]+)=(.*)$/.exec(text);
  if (long !== null && valued.includes(long[1] as string))
    return { name: long[1] as string, value: long[2] as string };
  const short = /^(-[A-Za-z])(\d+)$/.exec(text);
  if (short !== null && valued.includes(short[1] as string))
    return { name: short[1] as string, value: short[2] as string };
  return /^-\d+$/.test(text) && valued.includes('-n') ? { name: '-n', value: text.slice(1) } : null;
}

function windowOf(parts: Parts): Window | PipelineProblem {
  const window: Window = {};
  for (const [option, key] of [
    ['--since', 'since'],
    ['--until', 'until'],
  ] as const) {
    const token = parts.values.get(option);
    if (token === undefined) continue;
    const bound = timeBound(literal(token) ?? '');
    if (bound === null)
      return problem(
        `${option} is not a time`,
        token.at,
        'give an age (90s, 15m, 1h, 2d) or a UTC time (2026-11-23T16:00:00Z)',
      );
    window[key] = bound;
  }
  return window;
}

const UNIT_S: Record<string, number> = { d: 86_400, h: 3600, m: 60, s: 1 };

/** `1h30m` (an age) or an ISO time in UTC; null when it is neither. */
export function timeBound(text: string): TimeBound | null {
  if (/^(\d{1,6}[dhms])+$/.test(text)) {
    let ago_s = 0;
    for (const [, n, unit] of text.matchAll(/(\d+)([dhms])/g))
      ago_s += Number(n) * (UNIT_S[unit as string] as number);
    return ago_s <= 366 * 86_400 ? { ago_s } : null;
  }
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z$/.test(text)) return null;
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? null : { at: new Date(ms).toISOString() };
}

function countOf(
  parts: Parts,
  option: string,
  otherwise: number,
  min: number,
  max: number,
): number | PipelineProblem {
  const token = parts.values.get(option);
  if (token === undefined) return otherwise;
  const text = literal(token) ?? '';
  const n = /^\d{1,7}$/.test(text) ? Number(text) : -1;
  return n >= min && n <= max
    ? n
    : problem(`${option} takes a number from ${min} to ${max}`, token.at, `usage: ${parts.usage}`);
}

function onePath(parts: Parts, index: number): PathExpr | PipelineProblem {
  if (parts.positional.length !== index + 1)
    return wrongArguments(parts, index === 0 ? 'one path' : 'a pattern and a path');
  return pathAt(parts, index);
}

function pathAt(parts: Parts, index: number): PathExpr | PipelineProblem {
  const token = parts.positional[index] as WordToken;
  const parsed = pathOfWords(token.parts, token.at);
  return parsed.ok ? parsed.path : parsed;
}

function wrongArguments(parts: Parts, expected: string): PipelineProblem {
  return problem(`${parts.command} takes ${expected}`, parts.at, `usage: ${parts.usage}`);
}

function unknownCommand(name: string, token: WordToken, known: readonly string[]): PipelineProblem {
  const word = name.length <= 40 ? name : `${name.slice(0, 40)}…`;
  return problem(`\`${word}\` is not a command here`, token.at, `use one of: ${known.join(', ')}`);
}

function literal(token: WordToken): string | null {
  const [only, ...rest] = token.parts;
  return only?.w === 'text' && rest.length === 0 ? only.text : null;
}

function textToken(text: string, at: number): WordToken {
  return { kind: 'word', at, parts: [{ w: 'text', text }], quoted: false };
}
