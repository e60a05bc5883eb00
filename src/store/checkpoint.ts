import { z } from 'zod';
import { canonicalJson } from '../contract/canonical.ts';
import type { LedgerEntry } from '../contract/ledger.ts';
import { entryOf } from './chain.ts';
import type { AppendToChain, StoredEntry } from './chain.ts';
import type { Core } from './database.ts';
import type { ChainHead } from './store.ts';
import { appendWitness } from './witness.ts';

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
/** Heads in one checkpoint; more of them follow in the next one. */
const MOVED_MAX = 10_000;

/** The text that the signature covers. */
export function signedText(
  payload: Omit<CheckpointPayload, 'signature'>,
  place: { seq: number; prev_hash: string },
): string {
  const { type, reason, moved, key_id } = payload;
  return canonicalJson({ v: 1, type, reason, moved, key_id, seq: place.seq, prev_hash: place.prev_hash });
}

/** Commits to all heads; null when nothing moved since the last time. */
export function checkpointer(core: Core, append: AppendToChain): (reason: string) => LedgerEntry | null {
  const { db, keys } = core;
  const moved_heads = db.prepare<[string, number], ChainHead>(
    'SELECT chain AS incident_id, seq, hash FROM chain_head WHERE seq > checkpointed_seq AND chain <> ? ORDER BY chain LIMIT ?',
  );
  const mark = db.prepare<[number, string]>('UPDATE chain_head SET checkpointed_seq = ? WHERE chain = ?');
  const extendWitness = witnessExtender(core);
  return (reason) => {
    const entry = core.immediate(() => {
      const moved = moved_heads.all(CHECKPOINT_CHAIN, MOVED_MAX);
      if (moved.length === 0) return null;
      const unsigned = {
        type: 'checkpoint' as const,
        reason: reason.slice(0, 500),
        moved,
        key_id: keys.public_key.key_id,
      };
      const payload = (place: { seq: number; prev_hash: string }) => ({
        ...unsigned,
        signature: keys.sign(signedText(unsigned, place)),
      });
      const [stored] = append(CHECKPOINT_CHAIN, [{ kind: 'event', actor: 'aegis:store', payload }]);
      for (const head of moved) mark.run(head.seq, head.incident_id);
      return stored ?? null;
    });
    extendWitness();
    return entry;
  };
}

/**
 * Copies checkpoints that the witness file does not have yet. After the commit, since a witness of something that was
 * rolled back would be a false alarm, and under the write lock, since two processes must not interleave lines. A crash
 * in between is made good by the next call; a line may come twice, never less than once.
 */
function witnessExtender(core: Core): () => void {
  const { db } = core;
  const unwitnessed = db.prepare<[{ chain: string }], StoredEntry>(
    `SELECT l.* FROM ledger l JOIN chain_head h ON h.chain = l.chain
      WHERE l.chain = @chain AND l.seq > h.checkpointed_seq ORDER BY l.seq`,
  );
  const mark = db.prepare<[number, string]>('UPDATE chain_head SET checkpointed_seq = ? WHERE chain = ?');
  return () =>
    core.immediate(() => {
      const entries = unwitnessed.all({ chain: CHECKPOINT_CHAIN }).map(entryOf);
      const last = entries.at(-1);
      if (last === undefined) return;
      appendWitness(core.home.witness, entries.map(canonicalJson));
      mark.run(last.seq, CHECKPOINT_CHAIN);
    });
}
