import { PreviewPayload, type LedgerEntry, type PlanPayload } from '../../contract/ledger.ts';
import { effectKey, planCalls } from '../../contract/plan-calls.ts';
import { combinedEffectHash, effectHashOf, type Permit, type Preview } from '../../contract/tool.ts';
import { isRefusal, refuse, type Refusal } from '../../contract/verdict.ts';
import type { Precondition } from '../drivers/driver.ts';
import { canaryProblem, changesAfterCanary } from './after-canary.ts';

/** Which previewed effect a permit may bring about, from the incident's ledger. Pure. */
export interface ApprovedEffect {
  readonly precondition: Omit<Precondition, 'origin'>;
  /** For an action that follows its canary: the effect that the canary must have had. */
  readonly after_canary: string | null;
  /** What each action of the plan was approved to bring about, by change id; empty for an undo. */
  readonly approved: ReadonlyMap<string, Preview>;
}

const COMBINATIONS_MAX = 256;

/** The preview with the permit's effect, and proof that it is part of the combined effect that people approved. */
export function approvedEffect(
  entries: readonly LedgerEntry[],
  permit: Permit,
  plan: PlanPayload,
): ApprovedEffect | Refusal {
  const previews = previewsOf(entries);
  if (isRefusal(previews)) return previews;
  if (permit.phase === 'undo') {
    const found = [...previews.values()].flat().find((preview) => fits(preview, permit));
    return found === undefined
      ? unpreviewed()
      : { precondition: stateOf(found), after_canary: null, approved: new Map() };
  }
  const own = effectKey(permit.change_id, permit.phase);
  const found = previews.get(own)?.find((preview) => fits(preview, permit));
  if (found === undefined) return unpreviewed();
  const parts = planCalls(plan.plan).map(({ key }) => key);
  const chosen = approvedCombination(parts, new Map([...previews, [own, [found]]]), plan.effect_hash);
  if (chosen === null) return mismatch('The previewed effect is not the one that people approved.');
  const approved = new Map(
    plan.plan.actions.map(({ change_id }) => [change_id, chosen.get(effectKey(change_id)) as Preview]),
  );
  const canary = chosen.get(effectKey(permit.change_id, 'canary'));
  if (permit.phase === 'canary' || canary === undefined)
    return { precondition: stateOf(found), after_canary: null, approved };
  const problem = canaryProblem(canary, found);
  if (problem !== null) return mismatch(`${permit.change_id}: ${problem}.`);
  return {
    precondition: {
      object_uid: found.object_uid,
      changes: changesAfterCanary(canary.changes, found.changes),
    },
    after_canary: canary.effect_hash,
    approved,
  };
}

/** By part. An undo is previewed when it is made: those stand apart and are part of no approval. */
function previewsOf(entries: readonly LedgerEntry[]): Map<string, Preview[]> | Refusal {
  const found = new Map<string, Preview[]>();
  for (const entry of entries) {
    if (entry.kind !== 'preview') continue;
    const parsed = PreviewPayload.safeParse(entry.payload);
    if (!parsed.success || effectHashOf(parsed.data.preview) !== parsed.data.preview.effect_hash)
      return mismatch(`The preview in ledger entry ${entry.seq} does not hash to its effect.`);
    const { change_id, preview, phase } = parsed.data;
    const key = effectKey(change_id, phase);
    found.set(key, [...(found.get(key) ?? []), preview]);
  }
  return found;
}

/** One preview for each part whose effects together are what people approved. */
function approvedCombination(
  parts: readonly string[],
  previews: ReadonlyMap<string, readonly Preview[]>,
  effect_hash: string,
): Map<string, Preview> | null {
  let combinations: Preview[][] = [[]];
  for (const part of parts) {
    const options = distinct(previews.get(part) ?? []);
    combinations = combinations
      .flatMap((head) => options.map((preview) => [...head, preview]))
      .slice(0, COMBINATIONS_MAX);
  }
  const match = combinations.find(
    (chosen) => combinedEffectHash(chosen.map((preview) => preview.effect_hash)) === effect_hash,
  );
  if (match === undefined || match.length !== parts.length) return null;
  return new Map(match.map((preview, at) => [parts[at] as string, preview]));
}

function distinct(previews: readonly Preview[]): Preview[] {
  return [...new Map(previews.map((preview) => [preview.effect_hash, preview])).values()];
}

function fits(preview: Preview, permit: Permit): boolean {
  return preview.effect_hash === permit.effect_hash && preview.target === permit.target;
}

function stateOf({ object_uid, changes }: Preview): Omit<Precondition, 'origin'> {
  return { object_uid, changes };
}

function unpreviewed(): Refusal {
  return mismatch('No preview in the ledger has the effect that the permit names.');
}

function mismatch(reason: string): Refusal {
  return refuse('effect-mismatch', reason, 'Preview again and ask for approval again.');
}
