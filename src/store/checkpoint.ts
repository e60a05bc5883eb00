import { canonicalJson } from '../contract/canonical.ts';
import type { LedgerEntry } from '../contract/ledger.ts';
import { refuse } from '../contract/verdict.ts';
import type { Refusal } from '../contract/verdict.ts';
import { entryOf } from './chain.ts';
import type { AppendToChain, StoredEntry } from './chain.ts';
import type { Core } from './database.ts';
import { CHECKPOINT_CHAIN, REWIND_ACCEPTED, signedText } from './checkpoint-payload.ts';
import { systemEvent } from './freezes.ts';
import type { RewindWatch } from './rewind.ts';
import type { ChainHead } from './store.ts';
import { appendWitness } from './witness.ts';

/** Heads in one checkpoint; more of them follow in the next one. */
const MOVED_MAX = 10_000;

export interface Checkpointer {
  /** Commits to all heads; null when nothing moved since the last time, or while the database is rewound. */
  checkpoint(this: void, reason: string): LedgerEntry | null;
  /** Takes the database as it is for the truth, in the name of a person: from here on the witness file follows it. */
  acceptRewind(this: void, by: string, reason: string): Refusal | 'accepted';
}

export function checkpointer(core: Core, append: AppendToChain, rewound: RewindWatch): Checkpointer {
  const commit = headCommitter(core, append);
  const extendWitness = witnessExtender(core);
  return {
    checkpoint(reason) {
      // A new line would make the file agree with a history that nobody has accepted.
      if (rewound() !== null) return null;
      const entry = core.immediate(() => commit(reason));
      extendWitness();
      return entry;
    },
    acceptRewind(by, reason) {
      const answer = core.immediate(() => {
        const found = rewound();
        if (found === null)
          return refuse('not-rewound', 'Database and witness file agree; there is nothing to accept.', '');
        if (!found.acceptable) return refuse('database-rewound', found.what, found.remedy);
        const { what, witness } = found;
        append('SYSTEM', [systemEvent(by, { type: REWIND_ACCEPTED, what, witness, reason })]);
        commit('rewind accepted');
        return 'accepted';
      });
      if (answer === 'accepted') extendWitness();
      return answer;
    },
  };
}

function headCommitter(core: Core, append: AppendToChain): (reason: string) => LedgerEntry | null {
  const { db, keys } = core;
  const moved_heads = db.prepare<[string, number], ChainHead>(
    'SELECT chain AS incident_id, seq, hash FROM chain_head WHERE seq > checkpointed_seq AND chain <> ? ORDER BY chain LIMIT ?',
  );
  const mark = db.prepare<[number, string]>('UPDATE chain_head SET checkpointed_seq = ? WHERE chain = ?');
  return (reason) => {
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
