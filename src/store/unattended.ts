import { pastChanges } from '../contract/unattended.ts';
import type { PastChange } from '../contract/unattended.ts';
import type { Core } from './database.ts';

/** Newest entries that are looked at; at ten a day that is more than two years. */
const ENTRIES_MAX = 10_000;

/** Reads what ran without a person; also inside a transaction, so that two incidents cannot both take the last place. */
export function unattendedReader({ db }: Core): () => readonly PastChange[] {
  const newest = db.prepare<[number], { at: string; payload: string }>(
    "SELECT at, payload FROM ledger WHERE chain = 'SYSTEM' AND kind = 'permit' ORDER BY seq DESC LIMIT ?",
  );
  return () =>
    pastChanges(
      newest
        .all(ENTRIES_MAX)
        .toReversed()
        .map(({ at, payload }) => ({
          kind: 'permit',
          at,
          payload: JSON.parse(payload) as Record<string, unknown>,
        })),
    );
}
