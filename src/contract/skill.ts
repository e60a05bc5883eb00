import { z } from 'zod';
import { Expectation } from './expectation.ts';
import { BakeS } from './plan.ts';

/**
 * `aegis.skill/v1`: an expert's procedure as data. `$name` stands for a typed variable and is put into parsed trees
 * (pipeline words, target segments, JSON values), never into text, so a value can not become syntax.
 */
const VarName = z.string().regex(/^[a-z][a-z0-9_]{0,39}$/);

/** Where a variable comes from: a fact of the incident context, an alert label, or a value found by a read. */
export const SkillVar = z.strictObject({
  name: VarName,
  /** `name`: DNS-like word; `quantity`: Kubernetes memory or Spark size; `number`; `path`: VFS path segment(s). */
  type: z.enum(['name', 'quantity', 'number', 'path']),
  from: z.union([
    z.strictObject({ label: z.string().max(100) }),
    z.strictObject({ scope: z.enum(['team', 'env', 'cluster', 'namespace', 'service']) }),
    /** YAML select in the captured file of a read, for example `spec.driver.memory`. */
    z.strictObject({ read: VarName, select: z.string().max(300) }),
    /** First capture group of an RE2 pattern in a read. */
    z.strictObject({ read: VarName, pattern: z.string().max(300) }),
    /** Closed set of pure computations over other variables. */
    z.strictObject({
      compute: z.enum(['double_quantity', 'concat']),
      of: z.array(z.string().max(200)).min(1).max(5),
    }),
  ]),
  default: z.union([z.string().max(200), z.number()]).optional(),
});
export type SkillVar = z.infer<typeof SkillVar>;

export const SkillTrigger = z.strictObject({
  /** All given conditions of one trigger must hold; any trigger suffices. RE2 patterns, unanchored. */
  alert: z.string().max(200).optional(),
  labels: z.record(z.string().max(100), z.string().max(200)).optional(),
  text: z.string().max(200).optional(),
  /** 0..1 base score of this trigger for ranking. */
  score: z.number().min(0).max(1).default(0.5),
});

export const SkillRead = z.strictObject({
  id: VarName,
  run: z.string().min(1).max(2000),
  why: z.string().min(1).max(300),
  /** A read that may fail without ending the investigation becomes a gap. */
  optional: z.boolean().default(false),
});

export const SkillHypothesis = z.strictObject({
  id: VarName,
  cause: z.string().min(1).max(600),
  /** All must pass for `supported`; one `failed` refutes; otherwise open. */
  when: z
    .array(
      z.strictObject({
        read: VarName,
        expect: Expectation,
        claim: z.string().min(1).max(300),
        role: z.enum(['cause', 'precondition']),
      }),
    )
    .min(1)
    .max(10),
  confidence: z.number().min(0).max(1),
});

const SkillCheck = z.strictObject({
  title: z.string().max(150),
  read: z.string().max(2000),
  expect: Expectation,
  within_s: z.int().min(1).max(3600),
  every_s: z.number().min(0.2).max(300),
});
export type SkillCheck = z.infer<typeof SkillCheck>;

export const SkillPlan = z.strictObject({
  /** The hypothesis that must be supported for this plan. */
  hypothesis: VarName,
  actions: z
    .array(
      z.strictObject({
        tool: z.string(),
        target: z.string().max(500),
        params: z.record(z.string(), z.unknown()),
        intent: z.string().max(300),
        rollback: z.union([
          z.strictObject({ from: z.literal('before_image') }),
          z.strictObject({ tool: z.string(), params: z.record(z.string(), z.unknown()) }),
          z.strictObject({ none: z.literal(true), reason: z.string() }),
        ]),
        /** The same tool with smaller arguments first, judged by checks of its own. */
        canary: z
          .strictObject({
            params: z.record(z.string(), z.unknown()),
            intent: z.string().max(300),
            bake_s: BakeS,
            checks: z.array(SkillCheck).min(1).max(10),
          })
          .optional(),
        timeout_s: z.int().min(1).max(900),
      }),
    )
    .min(1)
    .max(10),
  verify: z.array(SkillCheck).min(1).max(20),
  /** The checks must pass once more when the last change has been in force for this long. */
  bake_s: BakeS.optional(),
});

export const Skill = z.strictObject({
  schema: z.literal('aegis.skill/v1'),
  skill: z.string().regex(/^[a-z][a-z0-9_]{0,63}$/),
  version: z.int().min(1),
  summary: z.string().min(1).max(300),
  tags: z.array(z.string().max(40)).max(20),
  triggers: z.array(SkillTrigger).min(1).max(20),
  vars: z.array(SkillVar).max(40),
  reads: z.array(SkillRead).min(1).max(30),
  hypotheses: z.array(SkillHypothesis).min(1).max(10),
  plans: z.array(SkillPlan).max(10),
  guardrails: z.strictObject({
    require_evidence: z.boolean(),
    max_retries: z.int().min(0).max(5),
    allow_write: z.literal(false),
  }),
  provenance: z.strictObject({
    author: z.string().max(100),
    source: z.string().max(300),
    reviewed_by: z.string().max(100).optional(),
  }),
});
export type Skill = z.infer<typeof Skill>;

/** One line of `skills/_index.json`: all that is loaded at start. */
export const SkillIndexEntry = z.strictObject({
  skill: z.string(),
  version: z.int(),
  /** Relative to `/context/skills/`, for example `spark/spark_driver_oom.skill.yaml`. */
  path: z.string(),
  summary: z.string(),
  tags: z.array(z.string()),
  triggers: z.array(SkillTrigger),
  sha256: z.string(),
});
export type SkillIndexEntry = z.infer<typeof SkillIndexEntry>;

export const SkillIndex = z.strictObject({ v: z.literal(1), skills: z.array(SkillIndexEntry).max(2000) });
export type SkillIndex = z.infer<typeof SkillIndex>;
