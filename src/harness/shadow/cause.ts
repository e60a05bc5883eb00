import type { SaidAct, ShadowScore } from '../../contract/shadow.ts';

/**
 * Whether the cause that a person named is the one of the plan. Words are compared, not meanings: with enough words of
 * the person in the plan's sentence they agree, with none they differ, and in between nobody can tell. Pure.
 */
const AGREES_SHARE_MIN = 0.5;
const WORD_CHARS_MIN = 4;
const STOP_WORDS = new Set([
  'after',
  'again',
  'because',
  'been',
  'could',
  'from',
  'have',
  'into',
  'that',
  'their',
  'there',
  'this',
  'very',
  'were',
  'when',
  'which',
  'with',
]);

export function causeAgreement(hypothesis: string | null, said: readonly SaidAct[]): ShadowScore['cause'] {
  const named = said.flatMap((act) => (act.cause === null ? [] : [act.cause]));
  const ours = wordsOf(hypothesis ?? '');
  const theirs = new Set(named.flatMap((cause) => [...wordsOf(cause)]));
  if (hypothesis === null || theirs.size === 0) return 'unknown';
  const shared = [...theirs].filter((word) => [...ours].some((own) => sameWord(own, word))).length;
  if (shared === 0) return 'differs';
  return shared / theirs.size >= AGREES_SHARE_MIN ? 'agrees' : 'unknown';
}

/** "rolled back because 2.15.0 crashes" -> what was done, and why. */
export function splitBecause(text: string): { text: string; cause: string | null } {
  const found = /^(.*?)\s*\bbecause\b\s*(?:of\s+)?(.+)$/is.exec(text.trim());
  const cause = found?.[2]?.trim() ?? '';
  return { text: text.trim(), cause: cause === '' ? null : cause.slice(0, 300) };
}

/** Words and version numbers; what is shorter says nothing. */
function wordsOf(text: string): Set<string> {
  const words = text.toLowerCase().match(/[\p{L}\p{N}][\p{L}\p{N}._-]*[\p{L}\p{N}]/gu) ?? [];
  return new Set(
    words.filter((word) => (word.length >= WORD_CHARS_MIN || /\d/.test(word)) && !STOP_WORDS.has(word)),
  );
}

/** "crashes" and "crashing" begin alike. */
function sameWord(a: string, b: string): boolean {
  if (a === b) return true;
  const stem = Math.max(WORD_CHARS_MIN + 1, Math.min(a.length, b.length) - 3);
  return !/\d/.test(a + b) && a.slice(0, stem) === b.slice(0, stem);
}
