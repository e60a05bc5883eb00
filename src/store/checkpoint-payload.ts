import { z } from 'zod';
import { canonicalJson } from '../contract/canonical.ts';

/**
 * A checkpoint names every head that moved since the one before it. Checkpoints are chained, so the newest one commits
 * to all heads; its Ed25519 signature covers its place in the chain too. A copy of each goes to the witness file, which
 * people can ship elsewhere: a database that was rewound or rewritten no longer agrees with it.
 */
export const CheckpointPayload = z.strictObject({
  type: z.literal('checkpoint'),
  reason: z.string(),
  moved: z.array(z.strictObject({ incident_id: z.string(), seq: z.int(), hash: z.string() })),
  key_id: z.string(),
  signature: z.string(),
});
export type CheckpointPayload = z.infer<typeof CheckpointPayload>;

export const CHECKPOINT_CHAIN = 'CHECKPOINT';
/** The SYSTEM event by which people take a database that went back for the truth. */
export const REWIND_ACCEPTED = 'rewind_accepted';

/** The text that the signature covers. */
export function signedText(
  payload: Omit<CheckpointPayload, 'signature'>,
  place: { seq: number; prev_hash: string },
): string {
  const { type, reason, moved, key_id } = payload;
  return canonicalJson({ v: 1, type, reason, moved, key_id, seq: place.seq, prev_hash: place.prev_hash });
}
