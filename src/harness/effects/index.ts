import type { EffectKind } from '../state.ts';
import { bakeEffect } from './bake.ts';
import { clearEffect } from './clear.ts';
import type { Effect } from './effect.ts';
import { canaryEffect, executeEffect } from './execute.ts';
import { investigateEffect, planEffect, triageEffect } from './investigate.ts';
import { observeEffect } from './observe.ts';
import { prepareEffect } from './prepare.ts';
import { reviewEffect } from './review.ts';
import { undoEffect } from './undo.ts';
import { verifyEffect } from './verify.ts';

/** Every kind of work that a step can start. */
export const EFFECTS: Readonly<Record<EffectKind, Effect>> = {
  triage: triageEffect,
  investigate: investigateEffect,
  plan: planEffect,
  prepare: prepareEffect,
  clear: clearEffect,
  canary: canaryEffect,
  bake: bakeEffect,
  execute: executeEffect,
  verify: verifyEffect,
  undo: undoEffect,
  review: reviewEffect,
  observe: observeEffect,
};
