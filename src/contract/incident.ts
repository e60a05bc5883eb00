import { z } from 'zod';
import { Name, Scope } from './scope.ts';

export const IncidentId = z.string().regex(/^INC-\d{4}-\d{4}-\d{3,6}$/);
export const IsoTime = z.iso.datetime({ precision: 3 });
export const Sha256 = z.string().regex(/^[0-9a-f]{64}$/);
export const PrincipalId = z.string().regex(/^[a-z0-9][a-z0-9._@-]{0,63}$/);

export const Severity = z.enum(['sev1', 'sev2', 'sev3', 'sev4']);
export type Severity = z.infer<typeof Severity>;

/** How far Aegis may go, lowest first. The effective level is fixed when the incident opens and may only fall. */
export const AUTONOMY_LEVELS = ['read_only', 'suggest', 'approve', 'limited'] as const;
export const Autonomy = z.enum(AUTONOMY_LEVELS);
export type Autonomy = z.infer<typeof Autonomy>;

/** The states of DESIGN section 7. */
export const INCIDENT_STATES = [
  'IDLE',
  'TRIAGE',
  'DIAGNOSING',
  'PLANNING',
  'PENDING_APPROVAL',
  'EXECUTING',
  'VERIFYING',
  'ROLLING_BACK',
  'OBSERVING',
  'HALTED',
  'CLOSED',
] as const;
export const IncidentState = z.enum(INCIDENT_STATES);
export type IncidentState = z.infer<typeof IncidentState>;

/**
 * Why an incident stands still. Three are added to DESIGN's list, since the card must name them: `conflict` (the object
 * changed between approval and apply), `verify_failed` (the change ran and a check says that it did not help) and
 * `rolled_back` (it did not help, and everything was put back).
 */
export const HaltReason = z.enum([
  'budget',
  'loop',
  'stopped',
  'paused',
  'unknown_outcome',
  'inconclusive',
  'denied',
  'dependency',
  'conflict',
  'verify_failed',
  'rolled_back',
]);
export type HaltReason = z.infer<typeof HaltReason>;

export const Alert = z.strictObject({
  name: z.string().min(1).max(200),
  status: z.enum(['firing', 'resolved']),
  fingerprint: z.string().min(1).max(128),
  starts_at: IsoTime,
  ends_at: IsoTime.optional(),
  labels: z.record(z.string().max(200), z.string().max(4000)),
  annotations: z.record(z.string().max(200), z.string().max(4000)),
  generator_url: z.string().max(4000).optional(),
});
export type Alert = z.infer<typeof Alert>;

export const Budget = z.strictObject({
  tokens_max: z.int().min(0),
  tool_calls_max: z.int().min(1),
  cost_usd_max: z.number().min(0),
  minutes_max: z.int().min(1),
  /** Calls that one plan has for its gates, its changes, their checks and putting them back. */
  reserve_calls_max: z.int().min(50).max(100_000).optional(),
});
export type Budget = z.infer<typeof Budget>;

/** Who is involved cannot approve: started it, asked for it, or wrote the applied change. */
export const Involved = z.strictObject({
  principal: PrincipalId,
  role: z.enum(['starter', 'asker', 'author']),
});
export type Involved = z.infer<typeof Involved>;

/** Frozen at opening for an incident that is shadowed; an incident without it is not observed. */
export const ShadowTerms = z.strictObject({
  /** An incident whose alert resolved closes after this long without a re-fire. */
  quiet_s: z.int().min(1).max(86_400),
  /** Longest observation. */
  watch_s: z.int().min(1).max(2_592_000),
  /** Repositories whose commits are watched: those that the environment owned then. Left out where there were none. */
  repositories: z.array(Name).min(1).max(200).optional(),
});
export type ShadowTerms = z.infer<typeof ShadowTerms>;

export const IncidentContext = z.strictObject({
  v: z.literal(1),
  incident_id: IncidentId,
  source: z.strictObject({
    trigger: z.string().min(1).max(64),
    fingerprint: z.string().max(128),
    group_key: z.string().max(2000),
    url: z.string().max(4000).optional(),
  }),
  title: z.string().min(1).max(300),
  severity: Severity,
  scope: Scope,
  /** Service level objective in words, from the catalog, shown on the card. */
  slo: z.string().max(300).optional(),
  on_call: z.array(PrincipalId).max(20),
  /** Recurring window in which writes are allowed, `null` = always. Evaluated by the change-window gate. */
  change_window: z
    .strictObject({
      days: z.array(z.int().min(0).max(6)),
      from: z.string(),
      to: z.string(),
      tz: z.literal('UTC'),
    })
    .nullable(),
  /** Freeze in force at opening, in words; the live freeze is always read from the store. */
  freeze: z.string().max(500).nullable(),
  budget: Budget,
  approval_policy: z.string().min(1).max(64),
  autonomy: Autonomy,
  activation: z.enum(['auto', 'button']),
  shadow: ShadowTerms.optional(),
  involved: z.array(Involved).max(100),
  alerts: z.array(Alert).max(500),
  recurrence_of: IncidentId.nullable(),
  opened_at: IsoTime,
});
export type IncidentContext = z.infer<typeof IncidentContext>;
