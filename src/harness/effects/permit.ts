import { hashOf } from '../../contract/canonical.ts';
import type { Action } from '../../contract/plan.ts';
import type { Permit, Phase } from '../../contract/tool.ts';
import { isRefusal } from '../../contract/verdict.ts';
import type { Refusal } from '../../contract/verdict.ts';
import { incidentOf } from '../state.ts';
import type { PreparedPlan } from '../state.ts';
import type { EffectInput } from './effect.ts';

/** A permit that is not used within this time is void. */
const PERMIT_TTL_MS = 60_000;

/** The single call that a permit is for. */
export interface PermittedCall {
  readonly phase: Phase;
  readonly tool: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly effect_hash: string;
}

/** Mints the single-use right to one call on the target of a planned action. */
export async function mintPermit(
  { deps, context }: EffectInput,
  action: Action,
  call: PermittedCall,
): Promise<Permit | Refusal> {
  const { payload } = context.plan as PreparedPlan;
  const permit: Permit = {
    permit_id: deps.ids.next('prm'),
    incident_id: incidentOf(context).incident_id,
    change_id: action.change_id,
    phase: call.phase,
    revision: payload.plan.revision,
    plan_hash: payload.plan_hash,
    effect_hash: call.effect_hash,
    tool: call.tool,
    target: action.target,
    args_hash: hashOf(call.params),
    expires_at_ms: deps.clock.now() + PERMIT_TTL_MS,
  };
  // All targets of the plan at once: a second step that finds its object taken would leave the first one standing alone.
  const minted = await deps.store.journal.mintPermit(
    permit,
    { kind: 'permit', actor: 'aegis:harness', payload: { permit } },
    payload.plan.actions.map(({ target }) => target),
  );
  return isRefusal(minted) ? minted : permit;
}
