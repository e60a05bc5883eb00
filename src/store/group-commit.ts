import type Database from 'better-sqlite3';
import { immediate } from './database.ts';

/** Operations that share one transaction at most; the rest takes the next one. */
const OPERATIONS_PER_COMMIT_MAX = 256;

interface Waiting<T> {
  work(this: void): T;
  /** How its caller is told once it is on the disk. */
  resolve(this: void, value: T): void;
  reject(this: void, error: unknown): void;
}

/**
 * Group commit: operations asked for in one turn of the event loop share one IMMEDIATE transaction, because a durable
 * commit waits for the disk and that wait is the same for one row as for many. Nobody is told before the commit: what
 * a crash loses was never acknowledged. They run in the order of arrival, each in a savepoint of its own, so that one
 * that fails leaves nothing behind and harms no other.
 */
export class GroupCommit {
  readonly #db: Database.Database;
  readonly #waiting: Waiting<unknown>[] = [];

  constructor(db: Database.Database) {
    this.#db = db;
  }

  /** Resolves when the work is durable. Rejects with its error, or with that of a commit that failed for all. */
  run<T>(work: () => T): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const operation: Waiting<T> = { work, resolve, reject };
      this.#waiting.push(operation);
      if (this.#waiting.length === 1) setImmediate(() => this.flush());
    });
  }

  /** Commits now what is waiting: before any other transaction, so that order of arrival holds, and before closing. */
  flush(): void {
    if (this.#db.inTransaction) return;
    while (this.#waiting.length > 0) {
      const group = this.#waiting.splice(0, OPERATIONS_PER_COMMIT_MAX);
      const [first] = group;
      if (group.length === 1 && first !== undefined) this.#commitAlone(first);
      else this.#commit(group);
    }
  }

  /** One alone needs no savepoint: its error undoes the transaction. */
  #commitAlone(operation: Waiting<unknown>): void {
    let value: unknown;
    try {
      value = immediate(this.#db, operation.work);
    } catch (error) {
      operation.reject(error);
      return;
    }
    operation.resolve(value);
  }

  #commit(group: readonly Waiting<unknown>[]): void {
    let tell: (() => void)[];
    try {
      tell = immediate(this.#db, () => group.map((one) => this.#attempt(one)));
    } catch (error) {
      tell = group.map((operation) => () => operation.reject(error));
    }
    for (const one of tell) one();
  }

  #attempt(operation: Waiting<unknown>): () => void {
    try {
      const value = this.#db.transaction(operation.work)();
      return () => operation.resolve(value);
    } catch (error) {
      // A full or failing disk ends the whole transaction and not just the savepoint: then all of the group failed.
      if (!this.#db.inTransaction) throw error;
      return () => operation.reject(error);
    }
  }
}
