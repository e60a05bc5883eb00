import { readdirSync, readFileSync } from 'node:fs';
import type Database from 'better-sqlite3';
import { sha256Hex } from '../contract/canonical.ts';
import { isoTime } from '../contract/ports.ts';
import type { Clock, Log } from '../contract/ports.ts';
import type { Home } from './home.ts';
import type { Keys } from './keys.ts';
import { openDatabase } from './sqlite.ts';

/** How long a writer waits for another process's transaction, in milliseconds. */
const BUSY_TIMEOUT_MS = 15_000;

/**
 * Pages of 4 KiB in the write-ahead log before they are copied into the database, which waits for the disk twice. An
 * append writes about four; the log stays below 20 MB.
 */
const CHECKPOINT_PAGES = 4_000;

const MIGRATIONS = new URL('../../migrations/sqlite/', import.meta.url);

/** What every aggregate of the store is built on. */
export interface Core {
  readonly db: Database.Database;
  readonly home: Home;
  readonly keys: Keys;
  readonly clock: Clock;
  readonly log: Log | undefined;
  /**
   * Runs `work` in one IMMEDIATE transaction: all of it or nothing. Never deferred: a deferred transaction that reads
   * first and then writes fails with SQLITE_BUSY_SNAPSHOT when another process wrote in between, timeout or not.
   */
  immediate<T>(work: () => T): T;
  /**
   * The same for work that many callers ask for at once: those of one turn of the event loop share a transaction, and
   * each promise resolves when its own rows are durable (see GroupCommit).
   */
  grouped<T>(work: () => T): Promise<T>;
}

/** Opens one connection: WAL, synchronous FULL (a power cut loses nothing that was acknowledged), foreign keys. */
export function connect(home: Home, readonly: boolean): Database.Database {
  const db = openDatabase(home.database, { readonly, fileMustExist: true, timeout: BUSY_TIMEOUT_MS });
  try {
    if (!readonly) db.exec(`PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
    db.exec('PRAGMA synchronous = FULL');
    db.exec('PRAGMA foreign_keys = ON');
    db.exec('PRAGMA trusted_schema = OFF');
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

/** @throws Error on a read-only connection, before `work` could leave anything outside the database. */
export function immediate<T>(db: Database.Database, work: () => T): T {
  if (db.readonly)
    throw new Error('this store was opened read-only: ask the running service to make the change');
  let run = runners.get(db);
  if (run === undefined) {
    // One wrapper a connection: making one costs as much as a small transaction's own work.
    const wrapped = db.transaction((inner: () => unknown) => inner());
    run = (inner) => wrapped.immediate(inner);
    runners.set(db, run);
  }
  return run(work) as T;
}

const runners = new WeakMap<Database.Database, (work: () => unknown) => unknown>();

interface Migration {
  readonly number: number;
  readonly name: string;
  readonly sha256: string;
  readonly sql: string;
}

/**
 * Brings the database to the newest schema and proves that the applied files are still the same.
 *
 * @throws Error when an applied migration was edited or is missing, or (read-only) when one is not applied yet.
 */
export function migrate(db: Database.Database, clock: Clock, readonly: boolean): void {
  const files = migrationFiles();
  if (readonly) {
    const pending = files.length - checkApplied(db, files);
    if (pending > 0)
      throw new Error(
        `database is ${pending} migration(s) behind this version of Aegis; start the service once`,
      );
    return;
  }
  immediate(db, () => {
    db.exec(`CREATE TABLE IF NOT EXISTS migration (
      number INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL, sha256 TEXT NOT NULL, applied_at TEXT NOT NULL) STRICT`);
    const applied = checkApplied(db, files);
    const note = db.prepare('INSERT INTO migration (number, name, sha256, applied_at) VALUES (?, ?, ?, ?)');
    for (const file of files.slice(applied)) {
      db.exec(file.sql);
      note.run(file.number, file.name, file.sha256, isoTime(clock.now()));
    }
  });
}

/** Number of applied migrations; they must be the first files, byte for byte. */
function checkApplied(db: Database.Database, files: readonly Migration[]): number {
  const applied = db
    .prepare<[], Omit<Migration, 'sql'>>('SELECT number, name, sha256 FROM migration ORDER BY number')
    .all();
  for (const [index, row] of applied.entries()) {
    const file = files[index];
    if (file?.name !== row.name)
      throw new Error(
        `migration ${row.name} was applied to this database and is missing here; this Aegis is older than its data`,
      );
    if (file.sha256 !== row.sha256)
      throw new Error(
        `migration ${row.name} was edited after it was applied; restore the file, add a new migration instead`,
      );
  }
  return applied.length;
}

function migrationFiles(): Migration[] {
  const names = readdirSync(MIGRATIONS).filter((name) => /^\d{4}_[a-z0-9_]+\.sql$/.test(name));
  return names.sort().map((name, index) => {
    const number = Number(name.slice(0, 4));
    if (number !== index + 1)
      throw new Error(`migration ${name} should have number ${index + 1}: a file is missing or doubled`);
    const sql = readFileSync(new URL(name, MIGRATIONS), 'utf8');
    return { number, name, sha256: sha256Hex(sql), sql };
  });
}
