import { RE2JS } from 're2js';
import type { FilterStage, Word } from '../contract/pipeline.ts';
import { requiredLiterals } from './pattern-factors.ts';

/** Greps on lines that were redacted before. Every pattern runs on RE2: linear time, whoever wrote it. */
export type GrepStage = Omit<Extract<FilterStage, { cmd: 'grep' }>, 'cmd'>;

/** True when the stage decides each line alone, so that it can run while lines stream in. */
export function isPerLine(grep: GrepStage): boolean {
  return !grep.count && grep.after === 0 && grep.before === 0;
}

export function patternText(words: readonly Word[]): string {
  return words.map((word) => (word.w === 'text' ? word.text : '')).join('');
}

/** Tells for one line whether the stage keeps it (invert included). */
export function lineTest(grep: GrepStage): (line: string) => boolean {
  const found = matcherOf(grep);
  return grep.invert ? (line) => !found(line) : found;
}

function matcherOf(grep: GrepStage): (line: string) => boolean {
  const text = patternText(grep.pattern);
  if (grep.fixed && !grep.ignore_case) return (line) => line.includes(text);
  const re = RE2JS.compile(
    grep.fixed ? RE2JS.quote(text) : text,
    grep.ignore_case ? RE2JS.CASE_INSENSITIVE : 0,
  );
  // Most lines hold none of the literals that a match needs; asking for those first spares the automaton.
  const literals = grep.ignore_case ? null : requiredLiterals(text);
  if (literals === null) return (line) => re.matcher(line).find();
  return (line) => literals.some((literal) => line.includes(literal)) && re.matcher(line).find();
}

/** A whole grep with counts and context, as the command does it: groups are separated by `--`. */
export function grepLines(lines: readonly string[], grep: GrepStage): string[] {
  const keep = lineTest(grep);
  if (grep.count) return [String(lines.filter(keep).length)];
  if (isPerLine(grep)) return lines.filter(keep);
  const shown: string[] = [];
  let next = 0;
  lines.forEach((line, index) => {
    if (!keep(line)) return;
    const from = Math.max(index - grep.before, next);
    if (from > next && shown.length > 0) shown.push('--');
    const to = Math.min(index + grep.after, lines.length - 1);
    for (let at = from; at <= to; at++) shown.push(lines[at] as string);
    next = Math.max(next, to + 1);
  });
  return shown;
}
