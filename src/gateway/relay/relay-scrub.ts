import { exactScrub, type ExactScrub } from '../sanitize/exact-scrub.ts';
import type { CompiledRules } from '../sanitize/rules.ts';
import { sanitizeText, sanitizeValue, type Sanitized } from '../sanitize/sanitize.ts';

/**
 * The sanitiser of one session. A server may repeat a credential long after the call that lent it, in a progress
 * message or a log line, so every credential of the session is remembered until the session ends.
 */
export interface RelayScrub {
  learn(secrets: readonly string[]): void;
  text(text: string): { text: string; redactions: number };
  value(value: unknown): Sanitized;
}

/** Credentials of one session: a session of an hour with leases of ten minutes needs far fewer. */
const SECRETS_MAX = 64;
const WITHHELD = '[WITHHELD: policies/redaction.yaml did not load]';

/** @param rulesInForce null while they did not load: then nothing is shown. */
export function relayScrub(rulesInForce: () => CompiledRules | null): RelayScrub {
  let known: readonly string[] = [];
  let exact: ExactScrub | undefined;
  return {
    learn(secrets) {
      const fresh = secrets.filter((secret) => !known.includes(secret));
      if (fresh.length === 0) return;
      known = [...known, ...fresh].slice(-SECRETS_MAX);
      exact = exactScrub(known);
    },
    text(text) {
      const rules = rulesInForce();
      return rules === null ? { text: WITHHELD, redactions: 0 } : sanitizeText(text, rules, exact);
    },
    value(value) {
      const rules = rulesInForce();
      return rules === null ? { value: {}, redactions: 0 } : sanitizeValue(value, rules, exact);
    },
  };
}
