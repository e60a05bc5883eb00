import type { Action } from '../../contract/plan.ts';
import { journalKey } from '../../contract/tool.ts';
import type { ToolOutcome } from '../../contract/tool.ts';
import { isRefusal, refuse } from '../../contract/verdict.ts';
import type { Refusal } from '../../contract/verdict.ts';
import { imageOfChange } from '../../gateway/change-image.ts';
import type { JournalRow } from '../../store/authority.ts';
import { mintToken } from '../deps.ts';
import type { EventOf, HarnessEvent } from '../events.ts';
import { actionOf } from '../standing.ts';
import { incidentOf } from '../state.ts';
import { isOutage } from '../world-session.ts';
import type { Effect, EffectInput } from './effect.ts';
import { failed } from './effect.ts';
import { mintPermit } from './permit.ts';

/**
 * ROLLING_BACK: one change is put back to what was observed right before it, through the same door as the change. The
 * object must still show exactly what the change made of it; whatever somebody else did since is theirs (law 5).
 */
export const undoEffect: Effect = async (input) => {
  const { deps, context, running } = input;
  const change_id = running.change_id ?? '';
  const action = actionOf(context, change_id);
  if (action === undefined)
    return refusedToUndo(
      input,
      refuse('no-such-change', `The plan has no change ${change_id}.`, 'Look at the object by hand.'),
    );
  const { incident_id } = incidentOf(context);
  const { token, token_id } = await mintToken(deps, context, 'write');
  const call: UndoCall = {
    input,
    action,
    token,
    made_key: await madeKey(deps, incident_id, change_id),
    undo_key: journalKey(incident_id, change_id, 'undo'),
  };
  try {
    // After a crash the journal says whether bytes had left: then the object is looked at, and nothing is sent again.
    const earlier = await deps.store.journal.get(call.undo_key);
    return earlier === null || earlier.status === 'accepted'
      ? await putBack(call)
      : await lookAfter(call, null);
  } finally {
    await deps.store.tokens.revoke(token_id);
  }
};

async function madeKey(
  { store }: EffectInput['deps'],
  incident_id: string,
  change_id: string,
): Promise<string> {
  const apply = journalKey(incident_id, change_id, 'apply');
  const canary = journalKey(incident_id, change_id, 'canary');
  const [applied, tried] = [await store.journal.get(apply), await store.journal.get(canary)];
  return !stands(applied) && stands(tried) ? canary : apply;
}

function stands(row: JournalRow | null): boolean {
  return row?.status === 'done' || row?.outcome?.partial === true;
}

interface UndoCall {
  readonly input: EffectInput;
  readonly action: Action;
  readonly token: string;
  /** The call that the object shows: the action, or its canary when that stands alone. */
  readonly made_key: string;
  readonly undo_key: string;
}

async function putBack(call: UndoCall): Promise<HarnessEvent> {
  const { input, action, token } = call;
  const { deps } = input;
  const wanted = await callOf(call);
  if (isRefusal(wanted)) return refusedToUndo(input, wanted);
  // First the dry run, then the look: whoever changes the object after the look meets the precondition of the dry run.
  const previewed = await deps.gateway.preview(
    {
      token,
      tool: wanted.tool,
      target: action.target,
      params: wanted.params,
      change_id: action.change_id,
      why: `put back ${action.change_id}`,
    },
    input.signal,
  );
  const changed = await changedSince(call);
  if (changed !== null) return changed;
  if (isRefusal(previewed)) return notNow(input, previewed);
  await deps.store.ledger.append(incidentOf(input.context).incident_id, [
    {
      kind: 'preview',
      actor: 'aegis:gateway',
      payload: { change_id: action.change_id, preview: previewed.preview, phase: 'undo' },
    },
  ]);
  const { effect_hash } = previewed.preview;
  const permit = await mintPermit(input, action, { phase: 'undo', ...wanted, effect_hash });
  if (isRefusal(permit)) return refusedToUndo(input, permit);
  // No abort signal: once asked, a write is finished or reported unknown; Stop is read by the gateway before dispatch.
  const result = await deps.gateway.execute({
    token,
    permit_id: permit.permit_id,
    tool: wanted.tool,
    target: action.target,
    params: wanted.params,
    timeout_ms: action.timeout_s * 1000,
  });
  if (isRefusal(result)) return notNow(input, result);
  return result.outcome.status === 'done'
    ? await lookAfter(call, result.outcome)
    : undone(input, result.outcome, 'no');
}

/** Tool and arguments of the undo, as the plan says; the before-image is that of the journal. */
async function callOf({
  input,
  action,
}: UndoCall): Promise<{ tool: string; params: Readonly<Record<string, unknown>> } | Refusal> {
  const { rollback } = action;
  if ('tool' in rollback) return rollback;
  const { incident_id } = incidentOf(input.context);
  const before_image = await imageOfChange(input.deps.store.journal, incident_id, action.change_id);
  if ('none' in rollback || before_image === null)
    return refuse(
      'no-rollback',
      'none' in rollback
        ? `it has no rollback: ${rollback.reason}`
        : 'the state before the change is not recorded.',
      'Put it back by hand.',
    );
  const params = input.deps.gateway.undoArguments({ tool: action.tool, before_image });
  return isRefusal(params) ? params : { tool: action.tool, params };
}

/** The event that ends this undo when the object does not show what the change made of it; null when it does. */
async function changedSince({ input, token, made_key }: UndoCall): Promise<HarnessEvent | null> {
  const row = await input.deps.store.journal.get(made_key);
  // Done in part: the object shows no state that was approved, and only what the undo itself touches is compared.
  if (row?.outcome?.partial === true) return null;
  const shown = await input.deps.gateway.reconcile({ token, journal_key: made_key }, input.signal);
  if (isRefusal(shown)) return notNow(input, shown);
  return shown.outcome.status === 'done'
    ? null
    : undone(input, { ...shown.outcome, status: 'conflict' }, 'no');
}

/** Shows that the object has its earlier state again. `done`: the outcome that the gateway gave a moment ago. */
async function lookAfter(call: UndoCall, done: ToolOutcome | null): Promise<HarnessEvent> {
  const { input, token, undo_key } = call;
  const { deps } = input;
  const settled = await deps.gateway.reconcile({ token, journal_key: undo_key }, input.signal);
  if (isRefusal(settled)) return notNow(input, settled);
  if (settled.outcome.status === 'done') return undone(input, done ?? settled.outcome, 'yes');
  const row = await deps.store.journal.get(undo_key);
  return undone(input, settled.outcome, row?.status === 'done' ? 'changed_since' : 'no');
}

function undone(
  { at, running }: EffectInput,
  outcome: ToolOutcome,
  put_back: EventOf<'undone'>['put_back'],
): HarnessEvent {
  const change_id = running.change_id ?? '';
  return { type: 'undone', at: at(), effect_id: running.effect_id, change_id, outcome, put_back };
}

function notNow(input: EffectInput, refusal: Refusal): HarnessEvent {
  return isOutage(refusal.code) ? failed(input, refusal.reason) : refusedToUndo(input, refusal);
}

function refusedToUndo({ at, running }: EffectInput, { code, reason, remedy }: Refusal): HarnessEvent {
  const change_id = running.change_id ?? '';
  return { type: 'undo_refused', at: at(), effect_id: running.effect_id, change_id, code, reason, remedy };
}
