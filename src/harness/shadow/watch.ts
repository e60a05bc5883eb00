import { z } from 'zod';
import { ComparedPlan, SaidAct, SeenChange, ShadowScore, Unseen } from '../../contract/shadow.ts';

/** What an incident knows of the people who act in it; part of its snapshot. */
export const Watch = z.strictObject({
  compared: ComparedPlan.nullable(),
  seen: z.array(SeenChange),
  said: z.array(SaidAct),
  unseen: z.array(Unseen),
  /** Set once, when a shadowed incident ends. */
  score: ShadowScore.nullable(),
});
export type Watch = z.infer<typeof Watch>;
