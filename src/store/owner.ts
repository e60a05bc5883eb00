import { randomBytes } from 'node:crypto';
import { closeSync, existsSync, openSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import type { Home } from './home.ts';
import { openDatabase } from './sqlite.ts';

/** How long a new owner waits for a neighbour that is probing its file, in milliseconds. */
const LOCK_TIMEOUT_MS = 5_000;

/**
 * A sign of life that needs no heartbeat: each process holds an exclusive SQLite lock on a small file of its own. The
 * operating system drops the lock when the process dies, however it dies, and a recycled process id fools nobody.
 */
export class Owner {
  readonly id: string;
  readonly #home: Home;
  readonly #lock: Database.Database;

  constructor(home: Home) {
    this.#home = home;
    for (const name of readdirSync(home.owners))
      if (name.endsWith('.lock')) probe(join(home.owners, name), 'remove');
    for (;;) {
      const id = randomBytes(9).toString('hex');
      const path = lockPath(home, id);
      closeSync(openSync(path, 'wx', 0o600));
      const lock = openDatabase(path, { timeout: LOCK_TIMEOUT_MS });
      lock.exec('BEGIN EXCLUSIVE');
      this.id = id;
      this.#lock = lock;
      // A neighbour that started just now may have taken the file for a dead one's before it was locked.
      if (existsSync(path)) return;
      lock.close();
    }
  }

  /** False when the owner is known to be gone. */
  isAlive(id: string): boolean {
    return id === this.id || probe(lockPath(this.#home, id), 'keep') === 'held';
  }

  close(): void {
    rmSync(lockPath(this.#home, this.id), { force: true });
    this.#lock.close();
  }
}

function lockPath(home: Home, id: string): string {
  return join(home.owners, `${id}.lock`);
}

/** Tries to take the lock; a dead owner's file is removed while the lock is held, so that nobody can take it meanwhile. */
function probe(path: string, then: 'keep' | 'remove'): 'held' | 'free' {
  if (!existsSync(path)) return 'free';
  let lock: Database.Database | null = null;
  try {
    lock = openDatabase(path, { timeout: 0, fileMustExist: true });
    lock.exec('BEGIN EXCLUSIVE');
    if (then === 'remove') rmSync(path, { force: true });
    return 'free';
  } catch (error) {
    if (!(error instanceof Database.SqliteError)) throw error;
    // Anything but "somebody holds it" means that the file is gone or no lock file: nobody lives behind it.
    return error.code.startsWith('SQLITE_BUSY') ? 'held' : 'free';
  } finally {
    lock?.close();
  }
}
