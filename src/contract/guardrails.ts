import { z } from 'zod';
import { ApprovalRule } from './approval.ts';
import { Tier } from './scope.ts';
import { ActionClass, ToolName } from './tool.ts';
import { UnattendedLimits } from './unattended.ts';

const ApprovalRow = z.strictObject({
  policy: z.string().default('default'),
  when: z.strictObject({
    action_class: z.array(ActionClass).optional(),
    tier: z.array(Tier).optional(),
    env: z.array(z.string()).optional(),
    /** Every action of the plan uses one of these. */
    tools: z.array(ToolName).min(1).optional(),
    blast_radius_min: z.number().min(0).max(1).optional(),
    blast_radius_max: z.number().min(0).max(1).optional(),
  }),
  /**
   * With `people: 0` the row asks nobody: it counts only in incidents with autonomy `limited`, and only within the bounds
   * of `limited`; else the next row is looked for. Its roles are those who may deny, and who are asked when risk adds people.
   */
  rule: ApprovalRule.refine(
    ({ people, step_up, distinct_roles }) => people > 0 || (!step_up && !distinct_roles),
    'a rule that asks nobody ("people: 0") has neither step_up nor distinct_roles',
  ).refine(({ roles }) => roles.length > 0, 'a rule names at least one role'),
});

/** `policies/guardrails.yaml`: bounds and thresholds that deterministic code applies to every plan. */
export const Guardrails = z
  .strictObject({
    v: z.literal(1),
    /**
     * What an action may touch. A path that no entry of its tool and kind allows raises the class to `raise_to`, and a
     * value outside the bounds refuses the action. Paths are JSON pointers, `*` stands for one segment.
     */
    touch: z
      .array(
        z.strictObject({
          tool: z.string(),
          kind: z.string(),
          path: z.string().startsWith('/'),
          /** Numeric bounds on the new value; quantities ("2g", "512Mi") are compared in bytes. */
          min: z.union([z.string(), z.number()]).optional(),
          max: z.union([z.string(), z.number()]).optional(),
          /** Largest allowed factor between the old and the new value (2 = at most doubled). */
          factor_max: z.number().positive().optional(),
          /**
           * Only for tools that restore from an object's own history: what lies here counts as `write` although parts of
           * it are privileged, because the gateway proves that the value ran before the incident opened.
           */
          restored: z.literal(true).optional(),
        }),
      )
      .max(500),
    /** Paths that are privileged for every tool and kind: images, commands, volumes, identities, RBAC, admission. */
    privileged_paths: z.array(z.string().startsWith('/')).max(200),
    /** Classes that are refused whatever people approve. */
    forbidden_classes: z.array(ActionClass).default(['destroy', 'privileged']),
    risk: z.strictObject({
      /** Above this score a plan is refused; people act by hand. */
      blast_radius_max: z.number().min(0).max(1),
      /** At or above this score two people are needed, whatever the rule says. */
      two_people_at: z.number().min(0).max(1),
    }),
    evidence: z.strictObject({
      /** Oldest age at execution, seconds. */
      max_age_s: z.int().min(10).max(86_400),
      /** `cause` evidence that is gone from its source passes (with a warning) while younger than this. */
      gone_cause_max_age_s: z.int().min(0).max(86_400),
    }),
    /** Bounds of what runs without a person, under autonomy `limited`. A row that asks nobody needs them. */
    limited: UnattendedLimits.optional(),
    /** First row whose `when` matches wins; a plan that matches no row is refused. */
    approval: z.array(ApprovalRow).min(1).max(200),
  })
  .superRefine(({ approval, limited }, ctx) => {
    if (limited === undefined && approval.some(({ rule }) => rule.people === 0))
      ctx.addIssue({
        code: 'custom',
        path: ['limited'],
        message:
          'a row with "people: 0" asks nobody, so "limited" must say how often and how far Aegis may go alone',
      });
  });
export type Guardrails = z.infer<typeof Guardrails>;
