import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { sha256Hex } from '../../src/contract/canonical.ts';

/** The least that a durable row costs on this disk: one hash and one INSERT, committed by itself. */
export interface DurableFloor {
  insert(): void;
  close(): void;
}

/** About the size of the payload of an audit row. */
const PAYLOAD = JSON.stringify({ type: 'floor', text: randomBytes(300).toString('hex') });

/** A database with the pragmas of the store and one bare table; `payload` is what each row holds. */
export function durableFloor(dir: string, payload = PAYLOAD): DurableFloor {
  const db = new Database(join(dir, 'floor.db'));
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = FULL');
  db.exec(
    'CREATE TABLE row (n INTEGER NOT NULL PRIMARY KEY, payload TEXT NOT NULL, hash TEXT NOT NULL) STRICT',
  );
  const insert = db.prepare<[string, string]>('INSERT INTO row (payload, hash) VALUES (?, ?)');
  return {
    insert: () => void insert.run(payload, sha256Hex(payload)),
    close: () => db.close(),
  };
}
