import { isShared, usedUp } from '../budget-accounts.ts';
import type { BudgetLine } from '../budget-accounts.ts';
import { beginInvestigation, readBudgets } from '../budget-facts.ts';
import type { EventOf, HarnessEvent } from '../events.ts';
import { guardWorld } from '../guarded-world.ts';
import type { Breach } from '../loop-detector.ts';
import { withWorld } from '../world-session.ts';
import type { ReadSession } from '../world-session.ts';
import type { EffectInput } from './effect.ts';

export interface CognitionSession extends Pick<ReadSession, 'world' | 'unreachable'> {
  /** Fires on stop, hand-over and shutdown, and when cognition goes on reading after it was refused. */
  readonly signal: AbortSignal;
}

/**
 * Lets cognition work within its limits: an investigation is charged before anything is read, each read is refused once
 * a budget is used up or it goes in circles, and the effect then ends with the event that says so, whatever cognition
 * makes of it. A result that stands in spite of an empty purse is kept: nothing more has to be read for it.
 */
export async function cognise(
  input: EffectInput,
  work: (read: CognitionSession) => Promise<HarnessEvent>,
): Promise<HarnessEvent> {
  const { deps, context, running } = input;
  // A retry goes on with the investigation that was charged: an outage must not use up the day of those after it.
  if (running.kind === 'investigate' && context.retries === 0) {
    const full = await beginInvestigation(deps, context, running.effect_id);
    if (full !== null)
      return outOfBudget(input, full.budget, { unit: 'investigations', used: full.max, max: full.max });
  }
  return withWorld(deps, context, { purpose: 'investigate' }, async (read) => {
    const guard = guardWorld(read.world, () => payingBudgets(input));
    const signal = AbortSignal.any([input.signal, guard.signal]);
    const ended = new Promise<null>((resolve) => {
      guard.signal.addEventListener('abort', () => resolve(null), { once: true });
    });
    const event = await Promise.race([
      work({ world: guard.world, unreachable: read.unreachable, signal }).catch((error: unknown) => {
        if (guard.limit() === null) throw error;
        return null;
      }),
      ended,
    ]);
    const limit = guard.limit();
    if (limit === null && event !== null) return event;
    if (limit?.kind === 'loop') return looped(input, limit.breach);
    if (event !== null && stands(event)) return event;
    const over = limit === null ? null : usedUp(limit.line);
    if (limit === null || over === null) throw new Error('cognition ended without a result');
    return outOfBudget(input, limit.line, over);
  });
}

/** The budgets that stop cognition; those of the day do not stop the round that a person granted. */
async function payingBudgets({ deps, context }: EffectInput): Promise<readonly BudgetLine[]> {
  const granted = context.shared_budget === 'granted';
  const lines = await readBudgets(deps, context);
  return lines.filter((line) => line.whose === 'incident' || (isShared(line) && !granted));
}

function stands(event: HarnessEvent): boolean {
  return event.type === 'drafted' || (event.type === 'investigated' && event.findings.conclusive);
}

export function looped({ at, running }: EffectInput, { pattern, what, times }: Breach): HarnessEvent {
  return {
    type: 'looped',
    at: at(),
    effect_id: running.effect_id,
    pattern,
    what: what.slice(0, 500),
    times,
  };
}

function outOfBudget(
  { at, running }: EffectInput,
  { whose, name, account }: Omit<BudgetLine, 'spent'>,
  over: Pick<EventOf<'out_of_budget'>, 'unit' | 'used' | 'max'>,
): HarnessEvent {
  return {
    type: 'out_of_budget',
    at: at(),
    effect_id: running.effect_id,
    whose: whose === 'reserve' ? 'incident' : whose,
    name,
    ...over,
    day: account.day,
  };
}
