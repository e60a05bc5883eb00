import { closeSync, fsyncSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';
import { z } from 'zod';
import { canonicalJson } from '../contract/canonical.ts';
import { LedgerEntry } from '../contract/ledger.ts';
import { entryOf } from './chain.ts';
import type { AppendToChain, StoredEntry } from './chain.ts';
import type { Core } from './database.ts';
import { isMissing } from './home.ts';
import type { ChainHead } from './store.ts';

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

export function checkpointer(core: Core, append: AppendToChain): (reason: string) => LedgerEntry | null {
  const { db, keys } = core;
  const moved_heads = db.prepare<[string, number], ChainHead>(
    'SELECT chain AS incident_id, seq, hash FROM chain_head WHERE seq > checkpointed_seq AND chain <> ? ORDER BY chain LIMIT ?',
  );
  const mark = db.prepare<[number, string]>('UPDATE chain_head SET checkpointed_seq = ? WHERE chain = ?');
  const after = db.prepare<[string, number], StoredEntry>(
    'SELECT * FROM ledger WHERE chain = ? AND seq > ? ORDER BY seq',
  );
  return (reason) => {
    const entry = core.immediate(() => {
      const moved = moved_heads.all(CHECKPOINT_CHAIN, MOVED_MAX);
      if (moved.length === 0) return null;
      const unsigned = {
        type: 'checkpoint' as const,
        reason: reason.slice(0, 500),
        moved,
        key_id: keys.signing_key_id,
      };
      const [stored] = append(CHECKPOINT_CHAIN, [
        {
          kind: 'event',
          actor: 'aegis:store',
          payload: (place) => ({ ...unsigned, signature: keys.sign(signedText(unsigned, place)) }),
        },
      ]);
      for (const head of moved) mark.run(head.seq, head.incident_id);
      return stored ?? null;
    });
    // After the commit (a witness of something that was rolled back would be a false alarm) and under the write lock
    // (two processes must not interleave lines). A crash in between is made good by the next checkpoint.
    if (entry !== null) core.immediate(() => extendWitness(core, (seq) => after.all(CHECKPOINT_CHAIN, seq)));
    return entry;
  };
}

function extendWitness(core: Core, entriesAfter: (seq: number) => StoredEntry[]): void {
  const { entries, whole_bytes } = readWitness(core.home.witness);
  const lines = entriesAfter(entries.at(-1)?.seq ?? 0).map((row) => `${canonicalJson(entryOf(row))}\n`);
  if (lines.length === 0) {
    core.log?.error(
      { witness: core.home.witness },
      'witness file is ahead of the database: run "aegis ledger verify --witness"',
    );
    return;
  }
  const file = openSync(core.home.witness, 'a', 0o600);
  try {
    // A torn last line is what a crash left behind; its checkpoint is written again in full.
    ftruncateSync(file, whole_bytes);
    writeSync(file, lines.join(''));
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** Witness lines up to the last line feed; `broken_lines` are whole lines that are no checkpoint entry (1-based). */
export function readWitness(path: string): {
  exists: boolean;
  entries: LedgerEntry[];
  broken_lines: number[];
  whole_bytes: number;
} {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    if (isMissing(error)) return { exists: false, entries: [], broken_lines: [], whole_bytes: 0 };
    throw error;
  }
  const whole_bytes = bytes.lastIndexOf(0x0a) + 1;
  const entries: LedgerEntry[] = [];
  const broken_lines: number[] = [];
  const lines = bytes.subarray(0, whole_bytes).toString('utf8').split('\n').slice(0, -1);
  for (const [index, line] of lines.entries()) {
    const entry = parseEntry(line);
    if (entry === null) broken_lines.push(index + 1);
    else entries.push(entry);
  }
  return { exists: true, entries, broken_lines, whole_bytes };
}

function parseEntry(line: string): LedgerEntry | null {
  try {
    return LedgerEntry.parse(JSON.parse(line));
  } catch {
    return null;
  }
}
