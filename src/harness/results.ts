import type { EventType } from './events.ts';
import type { EffectKind } from './state.ts';

/** What each kind of work can report. Anything else under its effect id is not its result and is refused. */
export const RESULTS: Readonly<Record<EffectKind, readonly EventType[]>> = {
  triage: ['triaged', 'effect_failed'],
  investigate: ['investigated', 'out_of_budget', 'looped', 'effect_failed'],
  plan: ['drafted', 'plan_failed', 'out_of_budget', 'looped', 'effect_failed'],
  prepare: ['prepared', 'prepare_refused', 'out_of_budget', 'looped', 'effect_failed'],
  clear: ['cleared', 'effect_failed'],
  canary: ['executed', 'execute_refused', 'effect_failed'],
  bake: ['canary_checked', 'effect_failed'],
  execute: ['executed', 'execute_refused', 'effect_failed'],
  verify: ['verified', 'effect_failed'],
  undo: ['undone', 'undo_refused', 'effect_failed'],
  review: ['reviewed', 'effect_failed'],
  observe: ['observed', 'effect_failed'],
};
