import { RE2JS } from 're2js';
import type { Word } from './pipeline.ts';

/**
 * Patterns of the read language: RE2 only, at most 1000 characters. In a template a variable may stand only where its
 * escaped value is plain text: not after a backslash, in a class, in a repeat count or in a group's head.
 */
const PATTERN_CHARS_MAX = 1000;

/** Why these words are no usable pattern; null when they are. */
export function patternProblem(words: readonly Word[], fixed: boolean): string | null {
  const text = words.map((word) => (word.w === 'text' ? word.text : 'x')).join('');
  if (text === '') return 'the pattern is empty';
  if (text.length > PATTERN_CHARS_MAX)
    return `the pattern has ${text.length} characters; the limit is ${PATTERN_CHARS_MAX}`;
  if (fixed) return null;
  try {
    RE2JS.compile(text);
  } catch (error) {
    return `the pattern is not RE2: ${(error as Error).message}`;
  }
  return misplacedVariable(words);
}

/** The pattern with each value as literal text; a repeat after a variable repeats the whole value. */
export function escapePatternValue(value: string, next: Word | undefined): string {
  const escaped = value.replaceAll(/[\\.+*?()|[\]{}^$]/g, String.raw`\$&`);
  return next?.w === 'text' && /^[*+?{]/.test(next.text) ? `(?:${escaped})` : escaped;
}

function misplacedVariable(words: readonly Word[]): string | null {
  let before = '';
  for (const word of words) {
    if (word.w === 'text') before += word.text;
    else if (!standsInText(before))
      return `$${word.name} stands inside pattern syntax, where its value could change the pattern`;
    else before += 'x';
  }
  return null;
}

function standsInText(before: string): boolean {
  let in_class = false;
  let index = 0;
  while (index < before.length) {
    const char = before[index] as string;
    if (char === '\\') {
      if (before[index + 1] === 'Q' || index + 1 === before.length) return false;
      index++;
    } else if (in_class) in_class = char !== ']';
    else if (char === '[') {
      in_class = true;
      // A `]` right after `[` or `[^` is a member, not the end.
      if (before[index + 1] === '^') index++;
      if (before[index + 1] === ']') index++;
    }
    index++;
  }
  return (
    !in_class &&
    !/\{[^}]*$/.test(before) &&
    !/\(\?[^:)]*$/.test(before) &&
    !/\\[pPx0-7][0-9a-fA-F]{0,2}$/.test(before)
  );
}
