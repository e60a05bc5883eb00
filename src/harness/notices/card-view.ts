import type { Snapshot } from '../state.ts';

/** What the pure cards need from outside the snapshot. */
export interface CardView {
  readonly ledger_head: string;
  /** Gateway calls that the investigation has used so far. */
  readonly tool_calls: number;
  /** What it has cost so far; left out: nothing. */
  readonly cost_usd?: number;
  /** The budget of the day, shared with others, that is nearest to its end, in words. */
  readonly shared_budget?: string | null;
  /** `unsafe_endpoints` is on: every card says SIMULATED. */
  readonly simulated: boolean;
  /** Names of people who could still approve, in words. */
  readonly approvers: string;
  /** Where the place stands on the ladder, for a step that scores something. */
  readonly ladder?: string | null;
  /** Address of this server for people (`http.public_url`). */
  readonly public_url?: string | undefined;
}

export function rootKey(incident_id: string): string {
  return `root:${incident_id}`;
}

/** One card per plan: keyed by the approval, or by the plan's revision when nothing can be approved (shadow). */
export function approvalKey(incident_id: string, snapshot: Snapshot): string | null {
  if (snapshot.context.approval !== null) return `approval:${snapshot.context.approval.approval_id}`;
  return snapshot.context.plan === null
    ? null
    : `plan:${incident_id}:${snapshot.context.plan.payload.plan.revision}`;
}
