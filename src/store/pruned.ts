import type Database from 'better-sqlite3';
import { z } from 'zod';
import { IncidentId, Sha256 } from '../contract/incident.ts';

/** The SYSTEM event by which the chain of an incident was taken out after its time. */
export const PRUNED = 'pruned';

export const PrunedEvent = z.looseObject({
  type: z.literal(PRUNED),
  chain: IncidentId,
  entries: z.int().min(1),
  last_hash: Sha256,
});
export type PrunedChain = Pick<z.infer<typeof PrunedEvent>, 'chain' | 'entries' | 'last_hash'>;

interface Head {
  readonly seq: number;
  readonly hash: string;
}

/** Whether what a checkpoint said of a chain fits what is left of it. Its last entry can be compared, earlier ones not. */
export function fitsPruned({ entries, last_hash }: PrunedChain, { seq, hash }: Head): boolean {
  return seq < entries || (seq === entries && hash === last_hash);
}

/** Looks a pruned chain up; null when the chain was not pruned. */
export function prunedLookup(db: Database.Database): (chain: string) => PrunedChain | null {
  const find = db.prepare<[string], PrunedChain>(
    'SELECT chain, entries, last_hash FROM pruned_chain WHERE chain = ?',
  );
  return (chain) => find.get(chain) ?? null;
}

/** Pruned chains that the SYSTEM chain says something else about, or nothing, or that have rows all the same. */
export function prunedProblems(
  db: Database.Database,
  only: string | null,
): readonly { readonly chain: string; readonly what: string }[] {
  const rows = db
    .prepare<[string | null, string | null], PrunedChain & { payload: string | null; row: number | null }>(
      `SELECT p.chain, p.entries, p.last_hash, CAST(s.payload AS TEXT) AS payload,
              (SELECT MIN(seq) FROM ledger l WHERE l.chain = p.chain) AS row
         FROM pruned_chain p LEFT JOIN ledger s ON s.chain = 'SYSTEM' AND s.seq = p.system_seq
        WHERE ? IS NULL OR p.chain = ? ORDER BY p.chain`,
    )
    .iterate(only, only);
  const problems: { chain: string; what: string }[] = [];
  for (const { chain, entries, last_hash, payload, row } of rows) {
    const said = PrunedEvent.safeParse(jsonOf(payload));
    const same =
      said.success &&
      said.data.chain === chain &&
      said.data.entries === entries &&
      said.data.last_hash === last_hash;
    if (!same) problems.push({ chain, what: 'was taken out, and the SYSTEM chain does not say so' });
    else if (row !== null) problems.push({ chain, what: 'was taken out and has entries all the same' });
  }
  return problems;
}

function jsonOf(text: string | null): unknown {
  try {
    return JSON.parse(text ?? '') as unknown;
  } catch {
    return null;
  }
}
