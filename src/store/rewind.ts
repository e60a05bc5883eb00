import { statSync } from 'node:fs';
import type { LedgerEntry } from '../contract/ledger.ts';
import { CHECKPOINT_CHAIN, CheckpointPayload } from './checkpoint-payload.ts';
import type { Core } from './database.ts';
import { isMissing } from './home.ts';
import { fitsPruned, prunedLookup } from './pruned.ts';
import { newestWitness } from './witness.ts';

/** The database is not the one that the witness file knows: restored from an older copy, or rewritten. */
export interface Rewind {
  readonly what: string;
  readonly remedy: string;
  /** The newest checkpoint of the history that is no longer there; null when the witness file itself is gone. */
  readonly witness: { readonly seq: number; readonly hash: string; readonly at: string } | null;
  /** False where people have to do something about the file first. */
  readonly acceptable: boolean;
}

/** Null while database and witness file agree. */
export type RewindWatch = () => Rewind | null;

const TWO_ACCEPT = 'two people run: aegis ledger accept-rewind "<reason>", each with their own token.';
const ACCEPT = `Stop Aegis and restore the newer database. If that is lost for good, ${TWO_ACCEPT}`;

/**
 * Compares the database with the newest line of the witness file. A line is written after its checkpoint is durable, so
 * a file that knows more than the database means that the database went back: permits, approvals and outcomes of writes
 * may be forgotten, and what was done could be done again. Looked at whenever the file has changed, and each time while
 * the two disagree, so that an acceptance by another process counts at once.
 */
export function rewindWatch(core: Core): RewindWatch {
  const hash_at = core.db.prepare<[string, number], { hash: string }>(
    'SELECT hash FROM ledger WHERE chain = ? AND seq = ?',
  );
  const noted = core.db.prepare<[string], { seq: number; checkpointed_seq: number }>(
    'SELECT seq, checkpointed_seq FROM chain_head WHERE chain = ?',
  );
  const pruned = prunedLookup(core.db);
  const path = core.home.witness;
  let agreed: string | null = null;

  function disagreement(): Rewind | null {
    // The file first: whatever it holds was in the database before.
    const newest = newestWitness(path);
    const head = noted.get(CHECKPOINT_CHAIN);
    if (newest === null) return (head?.checkpointed_seq ?? 0) === 0 ? null : gone(path);
    if (newest === 'unreadable') return unreadable(path);
    const witness = { seq: newest.seq, hash: newest.hash, at: newest.at };
    const found = (what: string): Rewind => ({ what, remedy: ACCEPT, witness, acceptable: true });
    const last = head?.seq ?? 0;
    if (last < newest.seq)
      return found(
        `The database was put back to an older copy: it ends at checkpoint ${last}, the witness file at ${newest.seq} of ${newest.at}.`,
      );
    if (hash_at.get(CHECKPOINT_CHAIN, newest.seq)?.hash !== newest.hash)
      return found(
        `The database is another one than the witness file knows: checkpoint ${newest.seq} of ${newest.at} is not in it.`,
      );
    const lost = movedIn(newest).find((h) => {
      if (hash_at.get(h.incident_id, h.seq)?.hash === h.hash) return false;
      const left = pruned(h.incident_id);
      return left === null || !fitsPruned(left, h);
    });
    return lost === undefined
      ? null
      : found(
          `The database lacks entry ${lost.seq} of ${lost.incident_id}, which checkpoint ${newest.seq} names.`,
        );
  }

  return () => {
    const mark = markOf(path);
    if (mark !== null && mark === agreed) return null;
    const found = disagreement();
    agreed = found === null ? mark : null;
    return found;
  };
}

function gone(path: string): Rewind {
  return {
    what: `The witness file ${path} is gone, though this database has written checkpoints to it.`,
    remedy: `Bring the file back from where it was copied to. If it is lost for good, ${TWO_ACCEPT}`,
    witness: null,
    acceptable: true,
  };
}

function unreadable(path: string): Rewind {
  return {
    what: `The last line of the witness file ${path} is no ledger entry.`,
    remedy: 'Bring the file back from where it was copied to. If it is lost for good, move it away first.',
    witness: null,
    acceptable: false,
  };
}

function movedIn(checkpoint: LedgerEntry): CheckpointPayload['moved'] {
  const payload = CheckpointPayload.safeParse(checkpoint.payload);
  return payload.success ? payload.data.moved : [];
}

/** Changes with every write to the file, and when another file takes its place. Null without a file. */
function markOf(path: string): string | null {
  try {
    const { ino, size, mtimeNs } = statSync(path, { bigint: true });
    return `${ino}/${size}/${mtimeNs}`;
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}
