import { entryHash, genesisHash, type LedgerEntry } from '../../contract/ledger.ts';
import { refuse, type Refusal } from '../../contract/verdict.ts';
import type { LedgerStore } from '../../store/store.ts';

const PAGE = 10_000;

/** All entries of an incident, every hash and link recomputed: a write never rests on a row that somebody edited. */
export async function readVerifiedChain(
  ledger: LedgerStore,
  chain: string,
): Promise<readonly LedgerEntry[] | Refusal> {
  const entries: LedgerEntry[] = [];
  let prev_hash = genesisHash(chain);
  for (;;) {
    const page = await ledger.read(chain, { from_seq: entries.length + 1, limit: PAGE });
    for (const entry of page) {
      const { hash, ...rest } = entry;
      const intact =
        entry.incident_id === chain &&
        entry.seq === entries.length + 1 &&
        entry.prev_hash === prev_hash &&
        entryHash(rest) === hash;
      if (!intact)
        return refuse(
          'ledger-tampered',
          `Entry ${entries.length + 1} of the ledger of ${chain} does not fit its chain.`,
          'Run `aegis ledger verify`; nothing is executed for this incident until the cause is known.',
        );
      entries.push(entry);
      prev_hash = hash;
    }
    if (page.length < PAGE) return entries;
  }
}
