import type Database from 'better-sqlite3';
import { immediate } from './database.ts';

/** Operations that share one transaction at most; the rest takes the next one. */
const OPERATIONS_PER_COMMIT_MAX = 256;

interface Waiting {
  /** Does the work and returns how to tell its caller once it is on the disk. */
  readonly run: () => () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Group commit: operations asked for in one turn of the event loop share one IMMEDIATE transaction, because a durable
 * commit waits for the disk and that wait is the same for one row as for many. Nobody is told before the commit: what
 * a crash loses was never acknowledged. They run in the order of arrival, each in a savepoint of its own, so that one
 * that fails leaves nothing behind and harms no other.
 */
export class GroupCommit {
  readonly #db: Database.Database;
  readonly #waiting: Waiting[] = [];

  constructor(db: Database.Database) {
    this.#db = db;
  }

  /** Resolves when the work is durable. Rejects with its error, or with that of a commit that failed for all. */
  run<T>(work: () => T): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const run = () => {
        const value = work();
        return () => resolve(value);
      };
      this.#waiting.push({ run, reject });
      if (this.#waiting.length === 1) setImmediate(() => this.flush());
    });
  }

  /** Commits now what is waiting: before any other transaction, so that order of arrival holds, and before closing. */
  flush(): void {
    if (this.#db.inTransaction) return;
    while (this.#waiting.length > 0) this.#commit(this.#waiting.splice(0, OPERATIONS_PER_COMMIT_MAX));
  }

  #commit(group: readonly Waiting[]): void {
    let tell: (() => void)[];
    try {
      // One alone needs no savepoint: its error undoes the transaction.
      const alone = group.length === 1;
      tell = immediate(this.#db, () => group.map((one) => (alone ? one.run() : this.#attempt(one))));
    } catch (error) {
      tell = group.map((operation) => () => operation.reject(error));
    }
    for (const one of tell) one();
  }

  #attempt({ run, reject }: Waiting): () => void {
    try {
      return this.#db.transaction(run)();
    } catch (error) {
      // A full or failing disk ends the whole transaction and not just the savepoint: then all of the group failed.
      if (!this.#db.inTransaction) throw error;
      return () => reject(error);
    }
  }
}
