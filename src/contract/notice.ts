import { z } from 'zod';
import { ApprovalRule, Decision } from './approval.ts';
import { EvidencePointer } from './evidence.ts';
import { HaltReason, IncidentId, IncidentState, IsoTime, Severity, Sha256 } from './incident.ts';
import { RiskEnvelope } from './risk.ts';
import { Scope } from './scope.ts';
import { ShadowRow, ShadowVerdict } from './shadow.ts';
import { FieldChange } from './tool.ts';

/**
 * What the harness wants people to see. A notice is a desired state of one card (`card_key`), not a message: Slack's
 * outbox renders the newest revision and edits the message in place. All texts are plain; the card decides escaping.
 */
export const Segment = z.discriminatedUnion('t', [
  z.strictObject({ t: z.literal('text'), text: z.string().max(3000) }),
  z.strictObject({ t: z.literal('bold'), text: z.string().max(500) }),
  z.strictObject({ t: z.literal('code'), text: z.string().max(500) }),
  /** A person shown by name; `mention` notifies them (only where the house rules of mentions allow it). */
  z.strictObject({ t: z.literal('person'), principal: z.string(), mention: z.boolean() }),
  z.strictObject({ t: z.literal('time'), at: IsoTime }),
]);
export type Segment = z.infer<typeof Segment>;

export const GateLine = z.strictObject({
  gate: z.string(),
  title: z.string(),
  status: z.enum(['passed', 'refused', 'waiting', 'warning']),
  reason: z.string(),
  remedy: z.string(),
});
export type GateLine = z.infer<typeof GateLine>;

export const CardButton = z.enum([
  'activate',
  'evidence',
  'stop',
  'plan_again',
  'resume',
  'hand_over',
  'postmortem',
]);

/** The root card: one per incident, edited in place. */
export const IncidentNotice = z.strictObject({
  kind: z.literal('incident'),
  incident_id: IncidentId,
  title: z.string(),
  severity: Severity,
  state: IncidentState,
  halt: z
    .strictObject({
      reason: HaltReason,
      text: z.string(),
      next_step: z.string(),
      resume_to: IncidentState.nullable(),
    })
    .nullable(),
  scope: Scope,
  /** "Execute with approval (2 people)", "Shadow: plans only, nothing is executed". */
  mode: z.string(),
  shadow: z.boolean(),
  owner: z.string().nullable(),
  recurrence_of: IncidentId.nullable(),
  alerts: z.strictObject({ firing: z.int(), resolved: z.int() }),
  /** What goes on right now: "Reading driver logs", "Step 1 of 1: …". */
  doing: z.string(),
  cause: z.strictObject({ text: z.string(), confidence: z.number(), evidence_count: z.int() }).nullable(),
  budget: z.strictObject({
    tool_calls: z.int(),
    tool_calls_max: z.int(),
    cost_usd: z.number(),
    cost_usd_max: z.number(),
    /** The budget of the day, shared with others, that is nearest to its end. */
    shared: z.string().max(200).optional(),
  }),
  waiting_for: z.strictObject({ who: z.string(), until: IsoTime.nullable() }).nullable(),
  checks: z.strictObject({ passed: z.int(), total: z.int() }).nullable(),
  /** Set when closed: what was done, how long it took. */
  outcome: z.string().nullable(),
  buttons: z.array(CardButton),
  /** Card key of the approval card, so that "Review plan" can link to it. */
  approval_card: z.string().nullable(),
  /** Sequence number of the step and head of the ledger at that moment. */
  step: z.int(),
  ledger_head: Sha256,
  updated_at: IsoTime,
  simulated: z.boolean(),
});
export type IncidentNotice = z.infer<typeof IncidentNotice>;

/** One message of the thread's timeline; never edited. */
export const TimelineNotice = z.strictObject({
  kind: z.literal('timeline'),
  incident_id: IncidentId,
  topic: z.enum([
    'opened',
    'triage',
    'cause',
    'no_cause',
    'plan',
    'decision',
    'refusal',
    'step',
    'verify',
    'rollback',
    'halted',
    'closed',
    'recorded',
  ]),
  segments: z.array(Segment).min(1).max(40),
  broadcast: z.boolean(),
});
export type TimelineNotice = z.infer<typeof TimelineNotice>;

export const ApprovalNotice = z.strictObject({
  kind: z.literal('approval'),
  incident_id: IncidentId,
  approval_id: z.string(),
  revision: z.int(),
  plan_hash: Sha256,
  effect_hash: Sha256,
  status: z.enum(['open', 'approved', 'denied', 'expired', 'void', 'used']),
  status_text: z.string(),
  scope: Scope,
  actions: z.array(
    z.strictObject({
      change_id: z.string(),
      intent: z.string(),
      target: z.string(),
      tool: z.string(),
      action_class: z.string(),
      diff: z.array(z.string()),
      changes: z.array(FieldChange),
      side_changes: z.array(FieldChange),
      /** What runs first, in a sentence, and what it sets; cards of older plans have none. */
      canary: z.strictObject({ words: z.string(), changes: z.array(FieldChange) }).optional(),
      rollback: z.string(),
      previewed_at: IsoTime,
      warnings: z.array(z.string()),
      /** False for an embedded, non-revocable credential: the card says so. */
      credential_revocable: z.boolean(),
    }),
  ),
  started_by: z.string().nullable(),
  cause: z.string(),
  confidence: z.number(),
  risk: RiskEnvelope,
  gates: z.array(GateLine),
  rule: ApprovalRule,
  decisions: z.array(Decision),
  approvals_given: z.int(),
  /** Set when the rule wants one approval over the link; `url` null: no address is configured, so nobody can give it. */
  step_up: z.strictObject({ given: z.boolean(), url: z.string().nullable() }).optional(),
  /** Names of people or roles who can still approve. */
  who_can: z.string(),
  expires_at: IsoTime,
  /** Set when nobody is asked: it runs from then on, unless somebody denies it or presses Stop. */
  runs_from: IsoTime.optional(),
  evidence: z.array(
    z.strictObject({
      id: z.string(),
      claim: z.string(),
      role: z.enum(['cause', 'precondition']),
      pointer: EvidencePointer,
    }),
  ),
  /** Titles of the checks that follow. */
  checks: z.array(z.string()),
  /** For how long they must hold, seconds after the last change. */
  bake_s: z.int().optional(),
  gaps: z.array(z.string()),
  simulated: z.boolean(),
});
export type ApprovalNotice = z.infer<typeof ApprovalNotice>;

/** Progress of execution and verification: one card edited in place. */
export const ProgressNotice = z.strictObject({
  kind: z.literal('progress'),
  incident_id: IncidentId,
  title: z.string(),
  tasks: z
    .array(
      z.strictObject({
        id: z.string(),
        title: z.string(),
        status: z.enum(['pending', 'in_progress', 'complete', 'error']),
        output: z.string().nullable(),
      }),
    )
    .max(40),
});
export type ProgressNotice = z.infer<typeof ProgressNotice>;

export const PostmortemNotice = z.strictObject({
  kind: z.literal('postmortem'),
  incident_id: IncidentId,
  title: z.string(),
  markdown: z.string().max(60_000),
});
export type PostmortemNotice = z.infer<typeof PostmortemNotice>;

/** The end of a shadowed incident: the plan beside what people did. */
export const ShadowNotice = z.strictObject({
  kind: z.literal('shadow'),
  incident_id: IncidentId,
  verdict: ShadowVerdict,
  /** "People did what the plan says". */
  headline: z.string().max(300),
  /** Sentences on minutes, cause and confidence. */
  lines: z.array(z.string().max(500)).max(10),
  rows: z.array(ShadowRow).max(60),
  /** Step down, when this incident took one. */
  warning: z.string().max(500).nullable(),
  gaps: z.array(z.string().max(300)).max(20),
  /** Where the place stands on the ladder, and what the next step needs. */
  ladder: z.string().max(1000),
  simulated: z.boolean(),
});
export type ShadowNotice = z.infer<typeof ShadowNotice>;

/** A sentence only for the person who acted; every refused click gets one. */
export const PrivateNotice = z.strictObject({
  kind: z.literal('private'),
  incident_id: IncidentId.nullable(),
  workspace: z.string(),
  user: z.string(),
  channel: z.string(),
  thread_ts: z.string().nullable(),
  segments: z.array(Segment).min(1).max(40),
});
export type PrivateNotice = z.infer<typeof PrivateNotice>;

/** A signed checkpoint of the ledger, for the audit channel; never edited. */
export const CheckpointNotice = z.strictObject({
  kind: z.literal('checkpoint'),
  seq: z.int().min(1),
  hash: Sha256,
  at: IsoTime,
  key_id: z.string().max(100),
  /** Chains that have grown since the checkpoint before it. */
  chains: z.int().min(0),
});
export type CheckpointNotice = z.infer<typeof CheckpointNotice>;

export const Notice = z.discriminatedUnion('kind', [
  IncidentNotice,
  TimelineNotice,
  ApprovalNotice,
  ProgressNotice,
  PostmortemNotice,
  ShadowNotice,
  PrivateNotice,
  CheckpointNotice,
]);
export type Notice = z.infer<typeof Notice>;
