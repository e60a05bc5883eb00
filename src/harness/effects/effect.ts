import type { HarnessDeps } from '../deps.ts';
import type { EventOf, HarnessEvent } from '../events.ts';
import type { MachineContext, Running } from '../state.ts';

/** One effect at work. It returns the event that it causes; exceptions become `effect_failed`. */
export interface EffectInput {
  readonly deps: HarnessDeps;
  readonly context: MachineContext;
  readonly running: Running;
  /** Fires on stop, hand-over and shutdown. */
  readonly signal: AbortSignal;
  /** ISO time of now for the event. */
  readonly at: () => string;
}

export type Effect = (input: EffectInput) => Promise<HarnessEvent>;

/** A dependency did not answer: the machine tries again within its limits. */
export function failed(input: EffectInput, reason: string, retryable = true): EventOf<'effect_failed'> {
  return {
    type: 'effect_failed',
    at: input.at(),
    effect_id: input.running.effect_id,
    reason: reason.slice(0, 1000),
    retryable,
  };
}
