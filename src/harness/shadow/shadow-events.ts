import { z } from 'zod';
import { IsoTime, PrincipalId } from '../../contract/incident.ts';
import { SeenChange, Unseen } from '../../contract/shadow.ts';
import { WatchPositions } from './watch.ts';

/** What an incident learns of the people who act in it, as events of its ledger. */

/** One look, or several that saw nothing new. */
export const Observed = z.strictObject({
  type: z.literal('observed'),
  at: IsoTime,
  effect_id: z.string().max(200),
  /** Changes that were not known before; those of programs only where the plan wanted to change something. */
  changes: z.array(SeenChange).max(100),
  /** What the last look could not see. */
  unseen: z.array(Unseen).max(20),
  /** Where the watches go on, where there are any. */
  positions: WatchPositions.optional(),
  /** The look after the quiet time: the incident ends with it. */
  final: z.boolean(),
  /** The longest observation is over. */
  over: z.boolean(),
});

/** A person says what they did by hand. */
export const Did = z.strictObject({
  type: z.literal('did'),
  at: IsoTime,
  by: PrincipalId,
  text: z.string().min(1).max(500),
  cause: z.string().max(300).nullable(),
});
