import { z } from 'zod';
import { IsoTime } from '../../contract/incident.ts';
import { ComparedPlan, SaidAct, SeenChange, ShadowScore, Unseen } from '../../contract/shadow.ts';

/**
 * Where the watch of one kind in one namespace goes on: `<cluster>/<namespace>/<kind>` -> the version that it has seen.
 * `anew_at`: when it had to begin anew, since the server did not keep what happened before.
 */
export const WatchPositions = z.record(
  z.string().max(300),
  z.strictObject({ version: z.string().max(64), anew_at: IsoTime.nullable() }),
);
export type WatchPositions = z.infer<typeof WatchPositions>;

/** What an incident knows of the people who act in it; part of its snapshot. */
export const Watch = z.strictObject({
  compared: ComparedPlan.nullable(),
  seen: z.array(SeenChange),
  said: z.array(SaidAct),
  unseen: z.array(Unseen),
  positions: WatchPositions.optional(),
  /** Set once, when a shadowed incident ends. */
  score: ShadowScore.nullable(),
});
export type Watch = z.infer<typeof Watch>;
