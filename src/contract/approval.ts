import { z } from 'zod';
import { IncidentId, IsoTime, PrincipalId, Sha256 } from './incident.ts';
import type { Autonomy } from './incident.ts';

export const Role = z.string().regex(/^[a-z][a-z0-9-]{0,39}$/);

export const ApprovalRule = z.strictObject({
  name: z.string().min(1).max(64),
  /** How many distinct people must approve. 0 only under `limited` autonomy. */
  people: z.int().min(0).max(4),
  /** A decision counts only from a person who holds one of these roles in the incident's team and environment. */
  roles: z.array(Role).max(10),
  /** Each approval must use another role. */
  distinct_roles: z.boolean(),
  /** One approval must come over a second channel with its own login. */
  step_up: z.boolean(),
  expires_after_s: z.int().min(30).max(86_400),
});
export type ApprovalRule = z.infer<typeof ApprovalRule>;

/** A rule that asks nobody counts under `limited` only; anywhere else nobody's approval is never enough. */
export function asksNobody(rule: Pick<ApprovalRule, 'people'>, autonomy: Autonomy): boolean {
  return rule.people === 0 && autonomy === 'limited';
}

export const ApprovalId = z.string().regex(/^APR-\d{1,9}$/);

export const Decision = z.strictObject({
  principal: PrincipalId,
  via: z.enum(['slack', 'cli', 'link']),
  /** The role that the decision counts under. */
  role: Role,
  decision: z.enum(['approve', 'deny', 'withdraw']),
  reason: z.string().max(500),
  at: IsoTime,
  /** Outside Slack: which token it was made with, and the hash of what was signed. */
  token: z.strictObject({ token_id: z.string(), statement_sha256: Sha256 }).optional(),
});
export type Decision = z.infer<typeof Decision>;

/** A plan that asks nobody has been shown for as long as it must be. */
export function hasBeenShown(
  { runs_from }: { readonly runs_from?: string | undefined },
  at: string,
): boolean {
  return runs_from === undefined || Date.parse(at) >= Date.parse(runs_from);
}

export const ApprovalStatus = z.enum(['open', 'approved', 'denied', 'expired', 'void', 'used']);
export type ApprovalStatus = z.infer<typeof ApprovalStatus>;

/** Payload of the ledger entry that opens an approval; decisions are later entries that name `approval_id`. */
export const ApprovalRequest = z.strictObject({
  approval_id: ApprovalId,
  incident_id: IncidentId,
  revision: z.int().min(1),
  plan_hash: Sha256,
  effect_hash: Sha256,
  rule: ApprovalRule,
  opened_at: IsoTime,
  expires_at: IsoTime,
  /** When nobody is asked: it does not run before this moment. */
  runs_from: IsoTime.optional(),
});
export type ApprovalRequest = z.infer<typeof ApprovalRequest>;

export const Approval = ApprovalRequest.extend({
  decisions: z.array(Decision).max(100),
  status: ApprovalStatus,
});
export type Approval = z.infer<typeof Approval>;

/**
 * How long taking part in a change follows its effect (tool and target) into other incidents: a second incident must
 * not make a stranger of the person who wanted the change in the first one. Harness and gateway look back as far.
 */
export const EFFECT_MEMORY_MS = 24 * 3_600_000;

/**
 * Counts decisions under a rule. Pure, so that the harness (when it shows the card), the gateway (when it is asked to
 * act) and the offline verifier reach the same answer from ledger entries. A later `withdraw` cancels a person's own
 * approval; one `deny` ends the plan; decisions after the expiry or by involved people never count.
 */
export function tallyDecisions(
  rule: ApprovalRule,
  decisions: readonly Decision[],
  involved: ReadonlySet<string>,
  expires_at_ms: number,
): { approvals: Decision[]; denied: Decision | null; satisfied: boolean } {
  const standing = new Map<string, Decision>();
  let denied: Decision | null = null;
  for (const decision of decisions) {
    if (Date.parse(decision.at) > expires_at_ms || !rule.roles.includes(decision.role)) continue;
    if (decision.decision === 'deny') denied ??= decision;
    else if (decision.decision === 'withdraw') standing.delete(decision.principal);
    else if (!involved.has(decision.principal) && !standing.has(decision.principal))
      standing.set(decision.principal, decision);
  }
  const approvals = [...standing.values()];
  // At most one of N may come from outside Slack: tokens lie in files, and two of them may lie in one drawer.
  const outside = approvals.filter((d) => d.via !== 'slack').length;
  const people = approvals.length - Math.max(0, outside - 1);
  const roles = new Set(approvals.map((d) => d.role));
  const satisfied =
    denied === null &&
    people >= rule.people &&
    (!rule.distinct_roles || roles.size >= rule.people) &&
    (!rule.step_up || approvals.some((d) => d.via === 'link'));
  return { approvals, denied, satisfied };
}
