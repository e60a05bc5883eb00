import type { Refusal } from '../../contract/verdict.ts';
import { withoutNames, wordsWithoutNames, type Recogniser } from '../recogniser/recogniser.ts';
import { exactScrub, type ExactScrub } from '../sanitize/exact-scrub.ts';
import type { CompiledRules } from '../sanitize/rules.ts';
import { sanitizeText, sanitizeValue, type Sanitized } from '../sanitize/sanitize.ts';

/**
 * The sanitiser of one session. A server may repeat a credential long after the call that lent it, in a progress
 * message or a log line, so every credential of the session is remembered until the session ends. `text` and `value`
 * know the rules alone; what a server says freely also goes past the recogniser, when the rules ask for one.
 */
export interface RelayScrub {
  learn(secrets: readonly string[]): void;
  text(text: string): { text: string; redactions: number };
  value(value: unknown): Sanitized;
  /** A refusal when names could not be taken out: then nothing of it is passed on. */
  freeValue(value: unknown, signal: AbortSignal | undefined): Promise<Sanitized | Refusal>;
  freeText(text: string, signal: AbortSignal | undefined): Promise<{ text: string; redactions: number }>;
}

/** Credentials of one session: a session of an hour with leases of ten minutes needs far fewer. */
const SECRETS_MAX = 64;
const WITHHELD = '[WITHHELD: policies/redaction.yaml did not load]';

/** @param rulesInForce null while they did not load: then nothing is shown. */
export function relayScrub(
  rulesInForce: () => CompiledRules | null,
  recogniser: Recogniser | null,
): RelayScrub {
  let known: readonly string[] = [];
  let exact: ExactScrub | undefined;
  const text = (words: string): { text: string; redactions: number } => {
    const rules = rulesInForce();
    return rules === null ? { text: WITHHELD, redactions: 0 } : sanitizeText(words, rules, exact);
  };
  const value = (found: unknown): Sanitized => {
    const rules = rulesInForce();
    return rules === null ? { value: {}, redactions: 0 } : sanitizeValue(found, rules, exact);
  };
  return {
    learn(secrets) {
      const fresh = secrets.filter((secret) => !known.includes(secret));
      if (fresh.length === 0) return;
      known = [...known, ...fresh].slice(-SECRETS_MAX);
      exact = exactScrub(known);
    },
    text,
    value,
    freeValue: async (found, signal) => {
      const rules = rulesInForce();
      return rules === null ? value(found) : withoutNames(recogniser, rules, value(found), signal);
    },
    freeText: async (words, signal) => {
      const rules = rulesInForce();
      const clean = text(words);
      return rules === null
        ? clean
        : { ...clean, text: await wordsWithoutNames(recogniser, rules, clean.text, signal) };
    },
  };
}
