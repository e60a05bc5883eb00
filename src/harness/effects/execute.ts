import type { Action } from '../../contract/plan.ts';
import { isoTime } from '../../contract/ports.ts';
import { journalKey } from '../../contract/tool.ts';
import type { ToolOutcome } from '../../contract/tool.ts';
import { isRefusal } from '../../contract/verdict.ts';
import type { Refusal } from '../../contract/verdict.ts';
import { mintToken } from '../deps.ts';
import type { HarnessEvent } from '../events.ts';
import { incidentOf } from '../state.ts';
import type { PreparedPlan } from '../state.ts';
import { isOutage } from '../world-session.ts';
import type { Effect, EffectInput } from './effect.ts';
import { failed } from './effect.ts';
import { mintPermit } from './permit.ts';

/**
 * EXECUTING: one action. Mints the single-use permit and asks the gateway, which believes none of it. After a crash the
 * journal says whether bytes had left: then the object is looked at, and the write is never run blindly again.
 */
export const executeEffect: Effect = async (input) => {
  const { deps, context, running } = input;
  const { payload } = context.plan as PreparedPlan;
  const action = payload.plan.actions.find((a) => a.change_id === running.change_id) as Action;
  const key = journalKey(incidentOf(context).incident_id, action.change_id, 'apply');
  const { token, token_id } = await mintToken(deps, context, 'write');
  try {
    const earlier = await deps.store.journal.get(key);
    const base = { at: input.at(), effect_id: running.effect_id, change_id: action.change_id };
    if (earlier !== null && earlier.status !== 'accepted') {
      const settled = await deps.gateway.reconcile({ token, journal_key: key }, input.signal);
      // "did-not-run": bytes had not left, or the server refused them; the next try asks for a fresh permit.
      if (isRefusal(settled) && settled.code === 'did-not-run') return failed(input, settled.reason);
      if (isRefusal(settled) && isOutage(settled.code))
        return { ...failed(input, settled.reason), may_have_run: true };
      if (isRefusal(settled)) return refusedToRun(base, settled);
      return await executed(input, base, key, settled.outcome);
    }
    const preview = context.plan?.previews.find((p) => p.change_id === action.change_id);
    const permit = await mintPermit(input, action, {
      phase: 'apply',
      tool: action.tool,
      params: action.params,
      effect_hash: preview?.preview.effect_hash ?? '',
    });
    if (isRefusal(permit)) return refusedToRun(base, permit);
    // No abort signal: once asked, a write is finished or reported unknown; Stop is read by the gateway before dispatch.
    const result = await deps.gateway.execute({
      token,
      permit_id: permit.permit_id,
      tool: action.tool,
      target: action.target,
      params: action.params,
      timeout_ms: action.timeout_s * 1000,
    });
    if (!isRefusal(result)) return await executed(input, base, key, result.outcome);
    if (isOutage(result.code)) return failed(input, result.reason);
    return refusedToRun({ ...base, at: input.at() }, result);
  } finally {
    await deps.store.tokens.revoke(token_id);
  }
};

function refusedToRun(
  base: { at: string; effect_id: string; change_id: string },
  { code, reason, remedy }: Refusal,
): HarnessEvent {
  return { type: 'execute_refused', ...base, code, reason, remedy };
}

/**
 * The outcome with the moment from which the change may be in force. What the world did after that counts for the
 * checks: a job that ran again during an outage or a slow revoke would otherwise look older than its own fix.
 */
async function executed(
  { deps, at }: EffectInput,
  base: { effect_id: string; change_id: string },
  key: string,
  outcome: ToolOutcome,
): Promise<HarnessEvent> {
  const left_ms = (await deps.store.journal.get(key))?.dispatched_at_ms ?? null;
  const changed_at = left_ms === null ? {} : { changed_at: isoTime(left_ms) };
  return { type: 'executed', ...base, at: at(), outcome, ...changed_at, rolls_back: true };
}
