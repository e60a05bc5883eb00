import { canonicalJson } from '../contract/canonical.ts';
import type { LedgerEntry } from '../contract/ledger.ts';
import { isoTime } from '../contract/ports.ts';
import type { PersonGrant } from '../contract/person-token.ts';
import { refuse } from '../contract/verdict.ts';
import type { Refusal } from '../contract/verdict.ts';
import { entryOf } from './chain.ts';
import type { AppendToChain, StoredEntry } from './chain.ts';
import type { Core } from './database.ts';
import { CHECKPOINT_CHAIN, REWIND_ACCEPTED, signedText } from './checkpoint-payload.ts';
import { systemEvent } from './freezes.ts';
import type { Rewind, RewindWatch } from './rewind.ts';
import type { ChainHead } from './store.ts';
import { appendWitness } from './witness.ts';

/** Heads in one checkpoint; more of them follow in the next one. */
const MOVED_MAX = 10_000;

export interface Checkpointer {
  /** Commits to all heads; null when nothing moved since the last time, or while the database is rewound. */
  checkpoint(this: void, reason: string): LedgerEntry | null;
  /**
   * Takes the database as it is for the truth, in the names of two people: from here on the witness file follows it. The
   * first one is only written down, and counts for exactly this disagreement.
   */
  acceptRewind(this: void, by: PersonGrant, reason: string): Refusal | RewindAnswer;
}

export interface RewindAnswer {
  readonly accepted: boolean;
  /** Who has accepted so far. */
  readonly people: readonly string[];
}

const PEOPLE_FOR_REWIND = 2;
/** An acceptance that nobody joined is forgotten after this time: by then the database is another one. */
const ACCEPTANCE_MS = 24 * 3_600_000;
const ACCEPTANCE = 'rewind_acceptance';

export function checkpointer(core: Core, append: AppendToChain, rewound: RewindWatch): Checkpointer {
  const commit = headCommitter(core, append);
  const extendWitness = witnessExtender(core);
  const acceptedBy = acceptances(core);
  return {
    checkpoint(reason) {
      // A new line would make the file agree with a history that nobody has accepted.
      if (rewound() !== null) return null;
      const entry = core.immediate(() => commit(reason));
      extendWitness();
      return entry;
    },
    acceptRewind(by, reason) {
      const answer = core.immediate((): Refusal | RewindAnswer => {
        const found = rewound();
        if (found === null)
          return refuse('not-rewound', 'Database and witness file agree; there is nothing to accept.', '');
        const refusal = found.acceptable
          ? staleToken(by, found)
          : refuse('database-rewound', found.what, found.remedy);
        if (refusal !== null) return refusal;
        const { what, witness } = found;
        const before = acceptedBy(found);
        if (before.includes(by.principal))
          return refuse(
            'same-person',
            `${by.principal} has accepted this already; it takes two people.`,
            'Another person runs the same command with their own token.',
          );
        const people = [...before, by.principal];
        const { principal, token_id } = by;
        append('SYSTEM', [systemEvent(principal, { type: ACCEPTANCE, token_id, what, witness, reason })]);
        const accepted = people.length >= PEOPLE_FOR_REWIND;
        if (accepted) {
          append('SYSTEM', [
            systemEvent(principal, { type: REWIND_ACCEPTED, what, witness, reason, people }),
          ]);
          commit('rewind accepted');
        }
        return { accepted, people };
      });
      if ('accepted' in answer && answer.accepted) extendWitness();
      return answer;
    },
  };
}

/**
 * A database that went back may hold a token that was revoked since: only tokens that are younger than the newest
 * checkpoint of the lost history count here.
 */
function staleToken(by: PersonGrant, found: Rewind): Refusal | null {
  const since_ms = found.witness === null ? 0 : Date.parse(found.witness.at);
  if (by.minted_at_ms >= since_ms) return null;
  return refuse(
    'token-too-old',
    `The token ${by.token_id} is as old as the restored database, which cannot know whether it was revoked since.`,
    `Have a new one minted: aegis token mint --person ${by.principal}.`,
  );
}

/** Who has accepted this very disagreement lately, from the SYSTEM chain. */
function acceptances(core: Core): (found: Rewind) => string[] {
  const find = core.db.prepare<[string, string, string, string], { principal: string }>(
    `SELECT DISTINCT payload ->> '$.by' AS principal FROM ledger WHERE chain = 'SYSTEM' AND kind = 'event' AND at >= ?
        AND json_valid(payload) AND payload ->> '$.type' = ? AND payload ->> '$.what' = ?
        AND coalesce(payload ->> '$.witness.hash', '') = ? ORDER BY seq`,
  );
  return ({ what, witness }) => {
    const since = isoTime(core.clock.now() - ACCEPTANCE_MS);
    return find.all(since, ACCEPTANCE, what, witness?.hash ?? '').map((row) => row.principal);
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
