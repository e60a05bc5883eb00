import { z } from 'zod';
import { hashOf } from './canonical.ts';
import { EvidencePointer } from './evidence.ts';
import { Expectation } from './expectation.ts';
import { IncidentId } from './incident.ts';
import type { RiskEnvelope } from './risk.ts';
import { ActionClass, TargetUri, ToolName } from './tool.ts';
import type { ApprovalRule } from './approval.ts';

/** Local name of a piece of evidence or an alternative inside one draft. */
const LocalId = z.string().regex(/^[a-z][a-z0-9_]{0,39}$/);

const Rollback = z.union([
  z.strictObject({ tool: ToolName, params: z.record(z.string(), z.unknown()) }),
  z.strictObject({ from: z.literal('before_image') }),
  z.strictObject({ none: z.literal(true), reason: z.string().min(1).max(300) }),
]);

const CitedEvidence = z.strictObject({
  id: LocalId,
  /** `precondition` must still hold at execution; `cause` may be gone when it is intact and young. */
  role: z.enum(['cause', 'precondition']),
  pointer: EvidencePointer,
  /** What it shows, one sentence. */
  claim: z.string().min(1).max(300),
});

const CheckDraft = z.strictObject({
  title: z.string().min(1).max(150),
  /** Pipeline whose captured file is judged. */
  read: z.string().min(1).max(4000),
  expect: Expectation,
  within_s: z.int().min(1).max(3600),
  every_s: z.number().min(0.2).max(300),
});
export type CheckDraft = z.infer<typeof CheckDraft>;

/** How long the world is watched after a change before it counts as good, in seconds. */
export const BakeS = z.int().min(1).max(3600);

/**
 * The same tool on the same target with smaller arguments, first. Its own checks must pass, and pass again when it has
 * been in force for `bake_s`; only then the action itself runs. A canary that nothing can judge is no canary.
 */
const CanaryDraft = z.strictObject({
  params: z.record(z.string(), z.unknown()),
  /** What it does, for people: "One pod of settlement-api first". */
  intent: z.string().min(1).max(300),
  bake_s: BakeS,
  checks: z.array(CheckDraft).min(1).max(10),
});

const ActionDraft = z.strictObject({
  tool: ToolName,
  target: TargetUri,
  params: z.record(z.string(), z.unknown()),
  /** A verb on a target: "Raise driver memory of nightly-settlement from 1g to 2g". */
  intent: z.string().min(1).max(300),
  /** Evidence ids of this draft with role `precondition`. */
  preconditions: z.array(LocalId).min(1).max(20),
  rollback: Rollback,
  canary: CanaryDraft.optional(),
  timeout_s: z.int().min(1).max(900),
});

/** What cognition returns: no ids, hashes, classes or approvals; those are the harness's to give. */
export const PlanDraft = z.strictObject({
  hypothesis: z.string().min(1).max(600),
  confidence: z.number().min(0).max(1),
  alternatives: z
    .array(
      z.strictObject({
        hypothesis: z.string().min(1).max(600),
        evidence_against: z.array(LocalId).max(20),
        why_not: z.string().max(300),
      }),
    )
    .max(10),
  /** What could not be seen, and why it matters. */
  gaps: z.array(z.string().min(1).max(300)).max(20),
  evidence: z.array(CitedEvidence).min(1).max(40),
  actions: z.array(ActionDraft).min(1).max(10),
  verify: z.array(CheckDraft).min(1).max(20),
  /** The checks must pass once more when the last change has been in force for this long. */
  bake_s: BakeS.optional(),
  skill: z.strictObject({ name: z.string(), version: z.int() }).nullable(),
});
export type PlanDraft = z.infer<typeof PlanDraft>;

/** What the investigator returns when it has looked: a cause with evidence, or an honest "inconclusive". */
export const Findings = z.strictObject({
  conclusive: z.boolean(),
  cause: z.string().max(600).nullable(),
  confidence: z.number().min(0).max(1),
  hypotheses: z
    .array(
      z.strictObject({
        id: LocalId,
        text: z.string().max(600),
        status: z.enum(['supported', 'refuted', 'open']),
        confidence: z.number().min(0).max(1),
        evidence_for: z.array(LocalId).max(20),
        evidence_against: z.array(LocalId).max(20),
      }),
    )
    .max(20),
  evidence: z.array(CitedEvidence).max(40),
  gaps: z.array(z.string().max(300)).max(20),
  /** Typed values learnt while reading, for the planner (`driver_pod`, `memory`). JSON scalars only. */
  facts: z.record(z.string().max(60), z.union([z.string().max(1000), z.number(), z.boolean()])),
  skill: z.strictObject({ name: z.string(), version: z.int() }).nullable(),
});
export type Findings = z.infer<typeof Findings>;

export const ChangeId = z.string().regex(/^CHG-\d{1,9}$/);

/** Unlike those of the plan's own checks, the ids name their action: both stand in one ledger. */
const CanaryCheck = CheckDraft.extend({ id: z.string().regex(/^a\d{1,2}c\d{1,2}$/) });

export const Action = ActionDraft.extend({
  canary: CanaryDraft.extend({ checks: z.array(CanaryCheck).min(1).max(10) }).optional(),
  id: z.string().regex(/^a\d{1,2}$/),
  /** Never reused, also not across incidents. */
  change_id: ChangeId,
  action_class: ActionClass,
});
export type Action = z.infer<typeof Action>;

export const Check = CheckDraft.extend({ id: z.string().regex(/^v\d{1,2}$/) });
export type Check = z.infer<typeof Check>;
export type AnyCheck = Check | z.infer<typeof CanaryCheck>;

/** The frozen draft. */
export const Plan = PlanDraft.extend({
  schema: z.literal('aegis.plan/v1'),
  incident_id: IncidentId,
  revision: z.int().min(1),
  actions: z.array(Action).min(1).max(10),
  verify: z.array(Check).min(1).max(20),
});
export type Plan = z.infer<typeof Plan>;

export interface PlanHashInput {
  readonly plan: Plan;
  readonly risk: RiskEnvelope;
  readonly approval_rule: ApprovalRule;
  readonly policy_digest: string;
  readonly tool_definitions_digest: string;
}

/** `H({v, plan, risk, approval_rule, policy_digest, tool_definitions_digest})`: everything an approver relies on. */
export function planHashOf(input: PlanHashInput): string {
  return hashOf({ v: 1, ...input });
}
