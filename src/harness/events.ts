import { z } from 'zod';
import { ApprovalRequest, Decision, Role } from '../contract/approval.ts';
import { Alert, IncidentContext, IncidentId, IsoTime, PrincipalId } from '../contract/incident.ts';
import { PlanPayload, VerifyPayload } from '../contract/ledger.ts';
import { GateLine } from '../contract/notice.ts';
import { DenyBecause } from '../contract/person-token.ts';
import { Findings, PlanDraft } from '../contract/plan.ts';
import { Preview, ToolOutcome } from '../contract/tool.ts';
import { ChangedEvidenceList } from './changed-lines.ts';
import { Did, Observed } from './shadow/shadow-events.ts';

/**
 * What happens to an incident, as facts. These are the `event` entries of the ledger: replay folds them and nothing
 * else, so each carries all that the machine needs (who, when, with which role), and no clock is read while folding.
 */
const base = { at: IsoTime };
const person = { ...base, by: PrincipalId };
const result = { ...base, effect_id: z.string().max(200) };
/**
 * The failure that this event may tell is answered with a rollback. Events of older ledgers do not say it: they halted,
 * and must replay as they were.
 */
const rolls_back = z.literal(true).optional();

export const SkillHint = z.strictObject({ skill: z.string(), summary: z.string(), score: z.number() });

export const HarnessEvent = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('opened'), ...base, context: IncidentContext, channel: z.string() }),
  z.strictObject({
    type: z.literal('alerts'),
    ...base,
    status: z.enum(['firing', 'resolved']),
    alerts: z.array(Alert).max(500),
  }),
  z.strictObject({ type: z.literal('activated'), ...person }),
  z.strictObject({ type: z.literal('triaged'), ...result, skills: z.array(SkillHint).max(10) }),
  z.strictObject({ type: z.literal('investigated'), ...result, findings: Findings }),
  z.strictObject({ type: z.literal('drafted'), ...result, draft: PlanDraft }),
  z.strictObject({
    type: z.literal('plan_failed'),
    ...result,
    code: z.string(),
    reason: z.string(),
    remedy: z.string(),
  }),
  z.strictObject({
    type: z.literal('prepared'),
    ...result,
    payload: PlanPayload,
    previews: z
      .array(
        z.strictObject({
          change_id: z.string(),
          phase: z.literal('canary').optional(),
          previewed_at: IsoTime,
          credential_revocable: z.boolean(),
          preview: Preview,
        }),
      )
      .max(20),
    gates: z.array(GateLine).max(30),
    request: ApprovalRequest,
  }),
  z.strictObject({
    type: z.literal('prepare_refused'),
    ...result,
    gates: z.array(GateLine).max(30),
    code: z.string(),
    reason: z.string(),
    remedy: z.string(),
  }),
  z.strictObject({
    type: z.literal('decided'),
    ...person,
    approval_id: z.string(),
    revision: z.int(),
    plan_hash: z.string(),
    decision: z.enum(['approve', 'deny', 'withdraw']),
    via: z.enum(['slack', 'cli', 'link']),
    role: Role,
    reason: z.string().max(500),
    because: DenyBecause.nullable(),
    /** Another incident in which this person took part in the same effect: then an approval does not count. */
    same_effect_in: IncidentId.optional(),
    token: Decision.shape.token,
  }),
  z.strictObject({
    type: z.literal('cleared'),
    ...result,
    verdict: z.enum(['passed', 'evidence_changed', 'conflict', 'refused']),
    gates: z.array(GateLine).max(30),
    reason: z.string().max(1000),
    remedy: z.string().max(1000),
    /** With `evidence_changed`: which cited lines are not what they were. */
    changed: ChangedEvidenceList.optional(),
  }),
  z.strictObject({
    type: z.literal('executed'),
    ...result,
    change_id: z.string(),
    /** Left out for the change itself. */
    phase: z.literal('canary').optional(),
    outcome: ToolOutcome,
    /** When the write left: earlier than `at`, which is when its outcome was known, by an outage or a slow revoke. */
    changed_at: IsoTime.optional(),
    rolls_back,
  }),
  z.strictObject({
    type: z.literal('execute_refused'),
    ...result,
    change_id: z.string(),
    code: z.string(),
    reason: z.string(),
    remedy: z.string(),
  }),
  /** What the checks of a canary said, the last time after it had been in force for its bake time. */
  z.strictObject({
    type: z.literal('canary_checked'),
    ...result,
    change_id: z.string(),
    checks: z.array(VerifyPayload).max(10),
  }),
  z.strictObject({
    type: z.literal('verified'),
    ...result,
    checks: z.array(VerifyPayload).max(20),
    rolls_back,
  }),
  /** The undo of one change came to an end. */
  z.strictObject({
    type: z.literal('undone'),
    ...result,
    change_id: z.string(),
    outcome: ToolOutcome,
    /** `yes`: the object shows its state before the change; `changed_since`: it did, and shows another one by now. */
    put_back: z.enum(['yes', 'changed_since', 'no']),
  }),
  z.strictObject({
    type: z.literal('undo_refused'),
    ...result,
    change_id: z.string(),
    code: z.string(),
    reason: z.string(),
    remedy: z.string(),
  }),
  z.strictObject({ type: z.literal('reviewed'), ...result, title: z.string(), markdown: z.string() }),
  /** Cognition met the end of a budget: the incident's own, or that of a day which it shares with others. */
  z.strictObject({
    type: z.literal('out_of_budget'),
    ...result,
    whose: z.enum(['incident', 'team', 'trigger', 'all']),
    /** The team or trigger; empty for the others. */
    name: z.string().max(100),
    unit: z.enum(['investigations', 'calls', 'tokens', 'cost_usd']),
    used: z.number(),
    max: z.number(),
    /** The UTC day that is used up; null for the incident's own budget. */
    day: z.iso.date().nullable(),
  }),
  /** Cognition went in circles: what repeated, and how often. */
  z.strictObject({
    type: z.literal('looped'),
    ...result,
    pattern: z.enum(['same_read', 'near_read', 'nothing_new', 'same_plan', 'oscillation']),
    what: z.string().max(500),
    times: z.int(),
  }),
  /** An effect could not do its work: a dependency is down. Retried within limits, then HALTED. */
  z.strictObject({
    type: z.literal('effect_failed'),
    ...result,
    reason: z.string().max(1000),
    retryable: z.boolean(),
    /** A write had left, and nobody can be asked how it ended. */
    may_have_run: z.literal(true).optional(),
  }),
  z.strictObject({
    type: z.literal('timer'),
    ...base,
    kind: z.enum(['retry', 'approval_expiry', 'announced', 'quiet', 'minutes']),
    armed_step: z.int(),
  }),
  /** Another policy set is in force than the one that the plan of this approval was made under. */
  z.strictObject({
    type: z.literal('policies_changed'),
    ...base,
    approval_id: z.string(),
    digest_of_plan: z.string(),
    digest_now: z.string(),
  }),
  z.strictObject({ type: z.literal('stopped'), ...person, reason: z.string().max(500) }),
  z.strictObject({
    type: z.literal('resumed'),
    ...person,
    /** Who resumes is involved from then on, so approvals are counted again. Events of older ledgers do not say it. */
    recounts: z.literal(true).optional(),
  }),
  z.strictObject({ type: z.literal('plan_again'), ...person }),
  z.strictObject({ type: z.literal('handed_over'), ...person }),
  Observed,
  Did,
]);
export type HarnessEvent = z.infer<typeof HarnessEvent>;
export type EventType = HarnessEvent['type'];
export type EventOf<T extends EventType> = Extract<HarnessEvent, { type: T }>;
