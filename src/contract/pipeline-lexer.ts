import type { Word } from './pipeline.ts';

/**
 * Cuts a command into words and pipes. Quoting is the shell's: 'literal', "with $variables", and \" \\ \$ inside double
 * quotes. Nothing else of a shell exists here: no substitution, redirection, globbing or second command.
 */
export interface WordToken {
  readonly kind: 'word';
  readonly at: number;
  /** Adjacent literal parts are merged; an empty quoted word has one empty text. */
  readonly parts: readonly Word[];
  /** True when any part was quoted: such a word is never an option. */
  readonly quoted: boolean;
}
export type Token = WordToken | { readonly kind: 'pipe'; readonly at: number };

/** Why a text is not a pipeline: `at` is the 0-based character, `hint` the next step. */
export interface PipelineProblem {
  readonly ok: false;
  readonly reason: string;
  readonly at: number;
  readonly hint: string;
}

export function problem(reason: string, at: number, hint: string): PipelineProblem {
  return { ok: false, reason, at, hint };
}

const COMMAND_CHARS_MAX = 4000;
const VARIABLE = /^\$(?:\{([a-z][a-z0-9_]{0,39})\}|([a-z][a-z0-9_]{0,39}))/i;
const SHELL_ONLY = ';<>()`\\{}';

/** A position in the text and the word that is being collected. */
interface Cursor {
  readonly text: string;
  readonly allow_vars: boolean;
  at: number;
}

export function lex(
  text: string,
  allow_vars: boolean,
): { readonly ok: true; readonly tokens: readonly Token[] } | PipelineProblem {
  if (text.length > COMMAND_CHARS_MAX)
    return problem(
      `the command has ${text.length} characters; the limit is ${COMMAND_CHARS_MAX}`,
      0,
      'shorten the pattern or the path',
    );
  const control = controlCharacter(text);
  if (control >= 0)
    return problem(
      'the command holds a control character',
      control,
      'write the command on one line; search for \\n as text',
    );
  const cursor: Cursor = { text, allow_vars, at: 0 };
  const tokens: Token[] = [];
  while (cursor.at < text.length) {
    const char = text[cursor.at] as string;
    if (char === ' ' || char === '\t') cursor.at++;
    else if (char === '|') {
      if (text[cursor.at + 1] === '|')
        return problem('`||` is not known here', cursor.at, 'use one `|` between two stages');
      tokens.push({ kind: 'pipe', at: cursor.at++ });
    } else {
      const word = lexWord(cursor);
      if ('ok' in word) return word;
      tokens.push(word);
    }
  }
  return { ok: true, tokens };
}

/** Index of the first control character (tab excepted) or line separator, -1 when there is none. */
export function controlCharacter(text: string): number {
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if ((code < 32 && code !== 9) || (code >= 127 && code < 160) || code === 0x2028 || code === 0x2029)
      return index;
  }
  return -1;
}

function lexWord(cursor: Cursor): WordToken | PipelineProblem {
  const at = cursor.at;
  const parts: Word[] = [];
  let quoted = false;
  while (cursor.at < cursor.text.length) {
    const char = cursor.text[cursor.at] as string;
    if (char === ' ' || char === '\t' || char === '|') break;
    if (char === "'" || char === '"') {
      quoted = true;
      const failed = char === "'" ? lexSingle(cursor, parts) : lexDouble(cursor, parts);
      if (failed !== null) return failed;
      continue;
    }
    const failed = lexBare(cursor, char, parts);
    if (failed !== null) return failed;
  }
  if (parts.length === 0) parts.push({ w: 'text', text: '' });
  return { kind: 'word', at, parts, quoted };
}

function lexBare(cursor: Cursor, char: string, parts: Word[]): PipelineProblem | null {
  if (char === '$') return lexVariable(cursor, parts, false);
  if (char === '&' && /[\s&|]|^$/.test(cursor.text[cursor.at + 1] ?? ''))
    return problem(
      'one command at a time: `&` is not known here',
      cursor.at,
      'send the second command as its own read',
    );
  if (SHELL_ONLY.includes(char))
    return problem(
      `\`${char}\` must stand in quotes`,
      cursor.at,
      "put the pattern in single quotes: grep 'a(b|c)' /path",
    );
  append(parts, char);
  cursor.at++;
  return null;
}

function lexSingle(cursor: Cursor, parts: Word[]): PipelineProblem | null {
  const end = cursor.text.indexOf("'", cursor.at + 1);
  if (end < 0) return problem("a ' is not closed", cursor.at, "close the quote with '");
  append(parts, cursor.text.slice(cursor.at + 1, end));
  cursor.at = end + 1;
  return null;
}

function lexDouble(cursor: Cursor, parts: Word[]): PipelineProblem | null {
  const start = cursor.at++;
  append(parts, '');
  while (cursor.at < cursor.text.length) {
    const char = cursor.text[cursor.at] as string;
    const next = cursor.text[cursor.at + 1];
    if (char === '"') {
      cursor.at++;
      return null;
    }
    if (char === '\\' && (next === '\\' || next === '"' || next === '$')) {
      append(parts, next);
      cursor.at += 2;
    } else if (char === '$') {
      const failed = lexVariable(cursor, parts, true);
      if (failed !== null) return failed;
    } else {
      append(parts, char);
      cursor.at++;
    }
  }
  return problem('a " is not closed', start, 'close the quote with "');
}

/** `$name` or `${name}`; a `$` before anything else is text inside double quotes (the end anchor of a pattern). */
function lexVariable(cursor: Cursor, parts: Word[], in_quotes: boolean): PipelineProblem | null {
  const match = VARIABLE.exec(cursor.text.slice(cursor.at, cursor.at + 50));
  if (match === null) {
    if (!in_quotes || '{('.includes(cursor.text[cursor.at + 1] ?? ' '))
      return problem('`$` starts no variable here', cursor.at, "put a literal $ in single quotes: 'failed$'");
    append(parts, '$');
    cursor.at++;
    return null;
  }
  if (!cursor.allow_vars)
    return problem(
      `\`${match[0]}\` looks like a variable, and variables stand only in skills`,
      cursor.at,
      `write the value itself, or put a literal $ in single quotes`,
    );
  parts.push({ w: 'var', name: (match[1] ?? match[2]) as string });
  cursor.at += match[0].length;
  return null;
}

function append(parts: Word[], text: string): void {
  const last = parts.at(-1);
  if (last?.w === 'text') parts[parts.length - 1] = { w: 'text', text: last.text + text };
  else if (text !== '' || parts.length === 0) parts.push({ w: 'text', text });
}
