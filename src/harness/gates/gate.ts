import type { Approval, ApprovalRule } from '../../contract/approval.ts';
import type { EvidenceRecord, HoldsResult } from '../../contract/evidence.ts';
import type { Guardrails } from '../../contract/guardrails.ts';
import type { IncidentContext } from '../../contract/incident.ts';
import type { GateLine } from '../../contract/notice.ts';
import type { Plan } from '../../contract/plan.ts';
import type { RiskEnvelope } from '../../contract/risk.ts';
import type { Mount } from '../../contract/settings.ts';
import type { Preview } from '../../contract/tool.ts';
import type { Unattended } from '../../contract/unattended.ts';
import type { Refusal } from '../../contract/verdict.ts';
import type { BudgetLine } from '../budget-accounts.ts';

/**
 * Everything the gates look at, gathered by the runner just before. A gate is a pure function of this; all gates are
 * always evaluated and all are shown, so that a person sees every reason at once.
 */
export interface GateFacts {
  /** `prepare`: before people are asked; `clear`: after the approvals, before anything runs. */
  readonly phase: 'prepare' | 'clear';
  readonly now_ms: number;
  readonly incident: IncidentContext;
  readonly plan: Plan;
  readonly mounts: readonly Mount[];
  readonly guardrails: Guardrails;
  /** By local evidence id of the plan. */
  readonly records: ReadonlyMap<string, EvidenceRecord>;
  readonly holds: ReadonlyMap<string, HoldsResult>;
  /** By `effectKey`: the dry run made just now, or why there is none. */
  readonly previews: ReadonlyMap<string, Preview | Refusal>;
  /** By `effectKey`: the effect hash that people were shown; empty in `prepare`. */
  readonly approved_effects: ReadonlyMap<string, string>;
  readonly freezes: readonly {
    readonly scope: string;
    readonly reason: string;
    readonly by: string;
    readonly until_ms: number | null;
    readonly remedy: string;
  }[];
  readonly stopped: boolean;
  readonly risk: RiskEnvelope;
  readonly approval: Approval | null;
  /** Who must approve. */
  readonly rule: ApprovalRule;
  /** Whether it may run without them; null: the incident always asks people. */
  readonly unattended: Unattended | null;
  readonly involved: ReadonlySet<string>;
  /** Roles that each approver holds now, in this team and environment. */
  readonly roles_now: ReadonlyMap<string, readonly string[]>;
  /** Tokens of decisions from outside Slack that were revoked since. */
  readonly revoked_tokens: ReadonlySet<string>;
  /** Digests in force now and in the plan; null: the policy set failed to load. */
  readonly digests: {
    readonly policy_now: string | null;
    readonly policy_plan: string;
    readonly tools_now: string;
    readonly tools_plan: string;
  };
  /** What was spent, of what, and whose it is. */
  readonly budgets: readonly BudgetLine[];
  /** Targets that other incidents hold a lock on: target -> incident id. */
  readonly locks: ReadonlyMap<string, string>;
}

export interface Gate {
  readonly gate: string;
  readonly title: string;
  check(facts: GateFacts): GateResult;
}

export type GateResult =
  | { readonly status: 'passed'; readonly reason: string }
  | { readonly status: 'warning' | 'refused' | 'waiting'; readonly reason: string; readonly remedy: string };

export function passed(reason: string): GateResult {
  return { status: 'passed', reason };
}

export function refused(reason: string, remedy: string): GateResult {
  return { status: 'refused', reason, remedy };
}

/** Result of a gate as a line for cards and ledger. */
export function gateLine(gate: Gate, facts: GateFacts): GateLine {
  const result = gate.check(facts);
  return {
    gate: gate.gate,
    title: gate.title,
    status: result.status,
    reason: result.reason,
    remedy: 'remedy' in result ? result.remedy : '',
  };
}
