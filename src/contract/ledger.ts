import { z } from 'zod';
import { Approval, ApprovalId, ApprovalRequest, ApprovalRule, ApprovalStatus, Decision } from './approval.ts';
import type { Spend } from './budgets.ts';
import { hashOf } from './canonical.ts';
import { IncidentId, IsoTime, Sha256 } from './incident.ts';
import { Plan } from './plan.ts';
import { RiskEnvelope } from './risk.ts';
import { ActionClass, Phase, Preview, ToolName, ToolOutcome } from './tool.ts';

/**
 * The ledger: one hash chain per incident, one chain `SYSTEM`, one `CHECKPOINT` chain that commits to all heads.
 * Order is `seq` (1-based, no gaps); `at` informs and never runs backwards inside a chain.
 */
export const LEDGER_KINDS = [
  'event',
  'transition',
  'refusal',
  'read',
  'draft',
  'plan',
  'risk',
  'preview',
  'approval',
  'permit',
  'call',
  'outcome',
  'verify',
  'cost',
  'notice',
  'feedback',
  'review',
] as const;
export const LedgerKind = z.enum(LEDGER_KINDS);
export type LedgerKind = z.infer<typeof LedgerKind>;

export const ChainName = z.union([IncidentId, z.literal('SYSTEM'), z.literal('CHECKPOINT')]);

export const LedgerEntry = z.strictObject({
  v: z.literal(1),
  /** The chain: an incident id, `SYSTEM` or `CHECKPOINT`. */
  incident_id: ChainName,
  seq: z.int().min(1),
  at: IsoTime,
  kind: LedgerKind,
  /** `person:<principal>`, `aegis:<room>`, `system:<name>`; never a secret, never an e-mail. */
  actor: z.string().min(1).max(100),
  payload: z.record(z.string(), z.unknown()),
  prev_hash: Sha256,
  hash: Sha256,
});
export type LedgerEntry = z.infer<typeof LedgerEntry>;

/** An entry before the store gives it seq, time and hashes. */
export type NewLedgerEntry = Pick<LedgerEntry, 'kind' | 'actor' | 'payload'> & {
  /** Counted in the transaction that writes the entry. */
  readonly spend?: Spend;
};

/** `prev_hash` of the first entry of a chain: binds the chain's name. */
export function genesisHash(chain: string): string {
  return hashOf({ v: 1, genesis: chain });
}

export function entryHash(entry: Omit<LedgerEntry, 'hash'>): string {
  return hashOf({
    v: entry.v,
    incident_id: entry.incident_id,
    seq: entry.seq,
    at: entry.at,
    kind: entry.kind,
    actor: entry.actor,
    payload: entry.payload,
    prev_hash: entry.prev_hash,
  });
}

/** Payloads by kind. `event` payloads belong to the harness (`{type, ...}`); replay folds them and nothing else. */
export const TransitionPayload = z.strictObject({
  from: z.string(),
  to: z.string(),
  reason: z.string().max(600),
});
export const RefusalPayload = z.strictObject({
  code: z.string(),
  reason: z.string(),
  remedy: z.string(),
  /** Principal who was refused, null when Aegis refused itself. */
  by: z.string().nullable(),
  /** What was attempted: `approval.approve APR-3`, `execute CHG-7`. */
  about: z.string().max(300),
});
export const Cost = z.strictObject({ tokens: z.int().min(0), usd: z.number().min(0), ms: z.int().min(0) });
export const ReadPayload = z.strictObject({
  evidence_id: z.string(),
  path: z.string(),
  query: z.string(),
  mount: z.string(),
  source_query: z.string(),
  sha256: Sha256,
  bytes: z.int(),
  line_count: z.int(),
  redactions: z.int(),
  intent: z.string(),
  cost: Cost,
});
export const PlanPayload = z.strictObject({
  plan: Plan,
  risk: RiskEnvelope,
  rule: ApprovalRule,
  policy_digest: Sha256,
  tool_definitions_digest: Sha256,
  plan_hash: Sha256,
  effect_hash: Sha256,
});
export type PlanPayload = z.infer<typeof PlanPayload>;
export const PreviewPayload = z.strictObject({
  change_id: z.string(),
  preview: Preview,
  /** Left out for the change itself. */
  phase: Phase.optional(),
});
export const ApprovalPayload = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('opened'), request: ApprovalRequest }),
  z.strictObject({
    type: z.literal('decision'),
    approval_id: ApprovalId,
    plan_hash: Sha256,
    decision: Decision,
  }),
  z.strictObject({
    type: z.literal('status'),
    approval_id: ApprovalId,
    status: ApprovalStatus,
    reason: z.string().max(500),
  }),
]);
export type ApprovalPayload = z.infer<typeof ApprovalPayload>;
/** Written by the gateway before (`before`) and after (`after`) each call; no `before` row, no call. */
export const CallPayload = z.strictObject({
  phase: z.enum(['before', 'after']),
  call_id: z.string(),
  door: z.enum(['read', 'preview', 'execute']),
  tool: ToolName,
  target: z.string(),
  action_class: ActionClass,
  principal: z.string(),
  args: z.record(z.string(), z.unknown()),
  why: z.string().max(500),
  policy_digest: Sha256,
  trace_id: z.string(),
  journal_key: z.string().nullable(),
  journal_phase: Phase.nullable(),
  permit_id: z.string().nullable(),
  /** The call that did the work, when an identical read was under way already and both share its answer. */
  shared_with: z.string().optional(),
  /** Only in `after`. The accessor or lease id names the credential; the credential itself is never written. */
  credential: z
    .strictObject({
      engine: z.string(),
      accessor: z.string().nullable(),
      revocable: z.boolean(),
      revoked: z.boolean(),
    })
    .nullable(),
  status: z.enum(['accepted', 'done', 'failed', 'refused', 'conflict', 'outcome_unknown']),
  summary: z.string().max(1000),
  redactions: z.int().min(0),
  cost: Cost.nullable(),
});
export type CallPayload = z.infer<typeof CallPayload>;
export const OutcomePayload = z.strictObject({ change_id: z.string(), phase: Phase, outcome: ToolOutcome });
export const VerifyPayload = z.strictObject({
  check_id: z.string(),
  title: z.string(),
  status: z.enum(['passed', 'failed', 'unknown']),
  found: z.string().max(500),
  evidence_id: z.string().nullable(),
  tries: z.int().min(0),
});

/**
 * Re-derives an approval from ledger entries of one incident (never from a table row that somebody could edit):
 * the `opened` request, then decisions that name it and its plan hash, then status changes in order.
 */
export function approvalFromLedger(entries: readonly LedgerEntry[], approval_id: string): Approval | null {
  let approval: Approval | null = null;
  for (const entry of entries) {
    if (entry.kind !== 'approval') continue;
    const payload = ApprovalPayload.parse(entry.payload);
    if (payload.type === 'opened' && payload.request.approval_id === approval_id)
      approval = { ...payload.request, decisions: [], status: 'open' };
    else if (approval === null || payload.type === 'opened' || payload.approval_id !== approval_id) continue;
    else if (payload.type === 'decision' && payload.plan_hash === approval.plan_hash)
      approval.decisions.push(payload.decision);
    else if (payload.type === 'status') approval.status = payload.status;
  }
  return approval;
}
