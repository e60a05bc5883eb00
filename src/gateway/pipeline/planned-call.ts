import { PlanPayload, type LedgerEntry } from '../../contract/ledger.ts';
import type { Action } from '../../contract/plan.ts';
import type { Permit } from '../../contract/tool.ts';
import type { ChangeOrigin } from '../drivers/driver.ts';

/** What the plan in the ledger says about one call. Pure. */
/**
 * `params: null`: the tool makes the arguments of values, and they are compared where it runs; for an undo those of the
 * before-image in the journal, for an action after its canary those that the two approved effects leave to it.
 */
export function plannedCall(action: Action, permit: Permit): { tool: string; params: unknown } | null {
  if (permit.phase === 'apply')
    return action.canary === undefined ? action : { tool: action.tool, params: null };
  if (permit.phase === 'canary')
    return action.canary === undefined ? null : { tool: action.tool, params: action.canary.params };
  if ('tool' in action.rollback) return action.rollback;
  return 'from' in action.rollback ? { tool: action.tool, params: null } : null;
}

/** The planned action of a permit; null when the ledger holds no plan with its hash. */
export function plannedAction(entries: readonly LedgerEntry[], permit: Permit): Action | null {
  const actions = planEntry(entries, permit)?.payload.plan.actions ?? [];
  return actions.find((action) => action.change_id === permit.change_id) ?? null;
}

/** The plan of a permit as the ledger holds it; null when it holds none with its hash. */
export function plannedIn(entries: readonly LedgerEntry[], permit: Permit): PlanPayload | null {
  return planEntry(entries, permit)?.payload ?? null;
}

/** Where a change comes from; the time is that of the ledger entry, the same whenever it is asked for. */
export function originOf(entries: readonly LedgerEntry[], permit: Permit): ChangeOrigin {
  const { incident_id, change_id, plan_hash } = permit;
  return { incident_id, change_id, plan_hash, planned_at_ms: planEntry(entries, permit)?.at_ms ?? 0 };
}

function planEntry(
  entries: readonly LedgerEntry[],
  { plan_hash, revision }: Permit,
): { readonly payload: PlanPayload; readonly at_ms: number } | null {
  for (const entry of entries) {
    const parsed = entry.kind === 'plan' ? PlanPayload.safeParse(entry.payload) : null;
    if (parsed?.success !== true) continue;
    if (parsed.data.plan_hash === plan_hash && parsed.data.plan.revision === revision)
      return { payload: parsed.data, at_ms: Date.parse(entry.at) };
  }
  return null;
}
