import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import type { Range } from '../../src/lab/range.ts';

/** What somebody with the disk in their hands can do: edit rows under the triggers, and bytes of sealed files. */
export interface Damage {
  /** Puts the old bytes back. */
  repair(): void;
}

/** Changes the payload of one ledger row by one byte; the triggers stand again afterwards. */
export function flipLedgerByte(range: Range, chain: string, seq: number): Damage {
  const { home } = range.files;
  const before = editPayload(home, chain, seq, flipOneLetter);
  return { repair: () => void editPayload(home, chain, seq, () => before) };
}

/** Flips one bit in the middle of one sealed evidence file. */
export function flipEvidenceByte(range: Range, incident_id: string, evidence_id: string): Damage {
  const path = join(range.files.home, 'blobs', incident_id, evidence_id);
  const before = readFileSync(path);
  const changed = Buffer.from(before);
  const middle = Math.floor(changed.length / 2);
  changed[middle] = (changed[middle] ?? 0) ^ 1;
  writeFileSync(path, changed);
  return { repair: () => writeFileSync(path, before) };
}

/** Rewrites one payload under the triggers and returns the old one. */
export function editPayload(
  home: string,
  chain: string,
  seq: number,
  edit: (payload: string) => string,
): string {
  const db = new Database(join(home, 'aegis.db'), { timeout: 5000 });
  try {
    const triggers = db
      .prepare<[], { name: string; sql: string }>(
        "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'ledger'",
      )
      .all();
    return db
      .transaction(() => {
        for (const { name } of triggers) db.exec(`DROP TRIGGER ${name}`);
        const row = db
          .prepare<[string, number], { payload: string }>(
            'SELECT payload FROM ledger WHERE chain = ? AND seq = ?',
          )
          .get(chain, seq);
        if (row === undefined) throw new Error(`the ledger has no entry ${seq} in ${chain}`);
        const changed = db
          .prepare('UPDATE ledger SET payload = ? WHERE chain = ? AND seq = ?')
          .run(edit(row.payload), chain, seq);
        if (changed.changes !== 1) throw new Error('the row was not changed');
        for (const { sql } of triggers) db.exec(sql);
        return row.payload;
      })
      .immediate();
  } finally {
    db.close();
  }
}

/** One bit of the first letter of the first text value: still valid JSON, so that only the hash can tell. */
function flipOneLetter(payload: string): string {
  const at = /":"[A-Za-z]/.exec(payload);
  if (at === null) throw new Error('the payload has no text value to change');
  const index = at.index + 3;
  const flipped = String.fromCharCode(payload.charCodeAt(index) ^ 0x20);
  return payload.slice(0, index) + flipped + payload.slice(index + 1);
}
