import type { Action } from '../../contract/plan.ts';
import { isoTime } from '../../contract/ports.ts';
import { journalKey } from '../../contract/tool.ts';
import type { ToolOutcome } from '../../contract/tool.ts';
import { isRefusal } from '../../contract/verdict.ts';
import type { Refusal } from '../../contract/verdict.ts';
import { changesAfterCanary, valuesOf } from '../../gateway/pipeline/after-canary.ts';
import { mintToken } from '../deps.ts';
import type { HarnessEvent } from '../events.ts';
import { shownPreview } from '../shown-preview.ts';
import { incidentOf } from '../state.ts';
import type { PreparedPlan } from '../state.ts';
import { isOutage } from '../world-session.ts';
import type { Effect, EffectInput } from './effect.ts';
import { failed } from './effect.ts';
import { mintPermit } from './permit.ts';

/**
 * EXECUTING: one action, or its canary. Mints the single-use permit and asks the gateway, which believes none of it. After a crash the
 * journal says whether bytes had left: then the object is looked at, and the write is never run blindly again.
 */
export const executeEffect: Effect = (input) => run(input, 'apply');

/** The same for the smaller call that goes first. */
export const canaryEffect: Effect = (input) => run(input, 'canary');

async function run(input: EffectInput, phase: 'canary' | 'apply'): Promise<HarnessEvent> {
  const { deps, context, running } = input;
  const { payload } = context.plan as PreparedPlan;
  const action = payload.plan.actions.find((a) => a.change_id === running.change_id) as Action;
  const key = journalKey(incidentOf(context).incident_id, action.change_id, phase);
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
      return await executed(input, { ...base, phase }, key, settled.outcome);
    }
    const params = paramsOf(input, action, phase);
    if (isRefusal(params)) return refusedToRun(base, params);
    const shown = shownPreview(context.plan, action.change_id, phase === 'canary' ? phase : undefined);
    const permit = await mintPermit(input, action, {
      phase,
      tool: action.tool,
      params,
      effect_hash: shown?.preview.effect_hash ?? '',
    });
    if (isRefusal(permit)) return refusedToRun(base, permit);
    // No abort signal: once asked, a write is finished or reported unknown; Stop is read by the gateway before dispatch.
    const result = await deps.gateway.execute({
      token,
      permit_id: permit.permit_id,
      tool: action.tool,
      target: action.target,
      params,
      timeout_ms: action.timeout_s * 1000,
    });
    if (!isRefusal(result)) return await executed(input, { ...base, phase }, key, result.outcome);
    if (isOutage(result.code)) return failed(input, result.reason);
    return refusedToRun({ ...base, at: input.at() }, result);
  } finally {
    await deps.store.tokens.revoke(token_id);
  }
}

/** As planned; after a canary what the two approved effects leave to do, as the tool makes its arguments of values. */
function paramsOf(
  { deps, context }: EffectInput,
  { tool, change_id, canary, params }: Action,
  phase: 'canary' | 'apply',
): Readonly<Record<string, unknown>> | Refusal {
  if (canary === undefined) return params;
  if (phase === 'canary') return canary.params;
  const tried = shownPreview(context.plan, change_id, 'canary')?.preview.changes ?? [];
  const wanted = shownPreview(context.plan, change_id)?.preview.changes ?? [];
  return deps.gateway.undoArguments({ tool, before_image: valuesOf(changesAfterCanary(tried, wanted)) });
}

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
  { phase, ...base }: { effect_id: string; change_id: string; phase: 'canary' | 'apply' },
  key: string,
  outcome: ToolOutcome,
): Promise<HarnessEvent> {
  const left_ms = (await deps.store.journal.get(key))?.dispatched_at_ms ?? null;
  const changed_at = left_ms === null ? {} : { changed_at: isoTime(left_ms) };
  const part = phase === 'canary' ? { phase } : {};
  return { type: 'executed', ...base, at: at(), ...part, outcome, ...changed_at, rolls_back: true };
}
