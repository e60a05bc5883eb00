import { RE2JS } from 're2js';
import { z } from 'zod';
import { hashOf } from '../../contract/canonical.ts';
import type { Detector } from './detector.ts';
import { DETECTORS, type DetectorName } from './detectors.ts';

/** `policies/redaction.yaml`, strict: an unknown detector or key means the set is not in force. */
const Mark = z.string().regex(/^\[REDACTED_[A-Z_]{1,40}\]$/);
const detectorNames = Object.keys(DETECTORS) as [DetectorName, ...DetectorName[]];

/**
 * Named entities that a recogniser service takes out after the rules. Language and model stand here and not beside the
 * service's address: they change what is taken out, so they belong to the rules hash and to the digest of the policies.
 */
const RecogniserRulesFile = z.strictObject({
  /** Two letters, as the service names its languages. */
  language: z.string().regex(/^[a-z]{2}(?:-[A-Za-z]{2,8})?$/),
  /** What the service runs, as its operator calls it: another model is another set of rules. */
  model: z.string().min(1).max(100),
  score_min: z.number().min(0).max(1),
  entities: z
    .record(z.string().regex(/^[A-Z][A-Z0-9_]{1,59}$/), Mark)
    .refine((entities) => Object.keys(entities).length > 0, 'names no entity; remove the block instead')
    .refine((entities) => Object.keys(entities).length <= 50, 'names more than 50 entities'),
  /** Words that are no names here, whatever the model says: Jenkins, Kafka. Compared whole, without case. */
  allow: z.array(z.string().min(1).max(100)).max(1000).default([]),
});

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
  recogniser: RecogniserRulesFile.optional(),
});
export type RedactionRules = z.infer<typeof RedactionRules>;

/** Changes when a detector's meaning changes, so that evidence of different releases never shares a rules hash. */
const DETECTORS_REVISION = 2;

/** The same for how findings of a recogniser become marks. */
const RECOGNISER_REVISION = 1;

export interface RecogniserRules {
  readonly language: string;
  readonly model: string;
  readonly score_min: number;
  /** Mark by entity type. */
  readonly marks: ReadonlyMap<string, string>;
  /** In lower case. */
  readonly allow: ReadonlySet<string>;
  /** Of everything above: equal hashes take the same out of the same text. */
  readonly hash: string;
}

export interface CompiledRules {
  readonly detectors: readonly { readonly detector: Detector; readonly mark: string }[];
  readonly secret_keys: ReadonlySet<string>;
  readonly rules_hash: string;
  /** Every mark that these rules can leave in a text. */
  readonly marks: readonly string[];
  /** Null: nothing is asked of a recogniser. */
  readonly recogniser: RecogniserRules | null;
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
  const recogniser = rules.recogniser === undefined ? null : compileRecogniser(rules.recogniser);
  const detectors = [...built_in, ...own];
  const marks = [...detectors.map(({ mark }) => mark), ...(recogniser?.marks.values() ?? [])];
  return {
    detectors,
    secret_keys: new Set(rules.secret_keys),
    rules_hash: hashOf({
      v: DETECTORS_REVISION,
      rules,
      ...(recogniser === null ? {} : { recogniser: recogniser.hash }),
    }),
    marks: [...new Set(marks)],
    recogniser,
  };
}

function compileRecogniser(rules: z.infer<typeof RecogniserRulesFile>): RecogniserRules {
  const { language, model, score_min, entities, allow } = rules;
  return {
    language,
    model,
    score_min,
    marks: new Map(Object.entries(entities)),
    allow: new Set(allow.map((word) => word.toLowerCase())),
    hash: hashOf({ v: RECOGNISER_REVISION, rules }),
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
