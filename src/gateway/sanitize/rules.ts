import { RE2JS } from 're2js';
import { z } from 'zod';
import { hashOf } from '../../contract/canonical.ts';
import type { Detector } from './detector.ts';
import { DETECTORS, type DetectorName } from './detectors.ts';

/** `policies/redaction.yaml`, strict: an unknown detector or key means the set is not in force. */
const Mark = z.string().regex(/^\[REDACTED_[A-Z_]{1,40}\]$/);
const detectorNames = Object.keys(DETECTORS) as [DetectorName, ...DetectorName[]];

export const RedactionRules = z.strictObject({
  v: z.literal(1),
  detectors: z.partialRecord(z.enum(detectorNames), Mark),
  secret_keys: z.array(z.string().regex(/^[a-z0-9]{3,40}$/)).max(200),
  patterns: z
    .array(
      z.strictObject({
        name: z.string().regex(/^[a-z][a-z0-9_]{1,40}$/),
        pattern: z.string().min(3).max(500),
        /** At least one of these texts stands in every match: the pattern is tried only where one occurs. */
        literals: z.array(z.string().min(2).max(100)).min(1).max(20),
        mark: Mark,
      }),
    )
    .max(50),
});
export type RedactionRules = z.infer<typeof RedactionRules>;

/** Changes when a detector's meaning changes, so that evidence of different releases never shares a rules hash. */
const DETECTORS_REVISION = 2;

export interface CompiledRules {
  readonly detectors: readonly { readonly detector: Detector; readonly mark: string }[];
  readonly secret_keys: ReadonlySet<string>;
  readonly rules_hash: string;
}

/**
 * Compiles rules in the fixed order of the detectors (long secrets before what they may contain), patterns last.
 * @throws when RE2 refuses a pattern.
 */
export function compileRules(rules: RedactionRules): CompiledRules {
  const built_in = detectorNames.flatMap((name) => {
    const mark = rules.detectors[name];
    return mark === undefined ? [] : [{ detector: DETECTORS[name], mark }];
  });
  const own = rules.patterns.map((rule) => ({
    detector: re2Detector(rule.pattern, rule.literals),
    mark: rule.mark,
  }));
  return {
    detectors: [...built_in, ...own],
    secret_keys: new Set(rules.secret_keys),
    rules_hash: hashOf({ v: DETECTORS_REVISION, rules }),
  };
}

function re2Detector(pattern: string, literals: readonly string[]): Detector {
  const compiled = RE2JS.compile(pattern);
  return {
    kind: 'personal',
    possible: (text) => literals.some((literal) => text.includes(literal)),
    find: (text, found) => {
      const matcher = compiled.matcher(text);
      while (matcher.find()) if (matcher.end() > matcher.start()) found(matcher.start(), matcher.end());
    },
  };
}
