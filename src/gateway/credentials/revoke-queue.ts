import type { Log } from '../../contract/ports.ts';
import type { LeaseStore } from '../../store/authority.ts';
import { VaultError } from './vault-error.ts';
import type { VaultSession } from './vault-session.ts';

/**
 * Ends leases. A revoke that fails never fails the call it belonged to: it is tried again with growing pauses, and what
 * is still open when the process ends is swept by the next one, because the row stays.
 */
const PAUSES_MS = [500, 1000, 2000, 5000, 10_000, 30_000, 60_000] as const;

export class RevokeQueue {
  readonly #store: LeaseStore;
  readonly #session: () => Promise<VaultSession | null>;
  readonly #log: Log;
  /** Leases of this process that are in use: a sweep leaves them alone. */
  readonly #active = new Set<string>();
  readonly #timers = new Map<string, NodeJS.Timeout>();
  #closed = false;

  constructor(store: LeaseStore, session: () => Promise<VaultSession | null>, log: Log) {
    this.#store = store;
    this.#session = session;
    this.#log = log;
  }

  /** Puts the process into the name: a sweep tells a crashed owner from a colleague on this machine that still works. */
  name(id: string): string {
    return `${id}.${process.pid}`;
  }

  begin(lease_id: string): void {
    this.#active.add(lease_id);
  }

  /** No token came to exist under a known name, so nothing was minted with it. */
  async abandon(lease_id: string): Promise<void> {
    this.#active.delete(lease_id);
    await this.#store.ended(lease_id, 'expired');
  }

  /** True when the accessor is gone from Vault. Never throws; a failure is queued. */
  async revoke(lease_id: string, accessor: string): Promise<boolean> {
    const done = await this.#tryOnce(lease_id, accessor);
    this.#active.delete(lease_id);
    if (!done) this.#later(lease_id, accessor, 0);
    return done;
  }

  /** Revokes what a crash left behind. */
  async sweep(): Promise<{ revoked: number; failed: number }> {
    const result = { revoked: 0, failed: 0 };
    for (const row of await this.#store.outstanding()) {
      if (this.#active.has(row.lease_id) || this.#timers.has(row.lease_id) || ownerLives(row.lease_id))
        continue;
      if (row.accessor === null) await this.abandon(row.lease_id);
      else if (await this.#tryOnce(row.lease_id, row.accessor)) result.revoked += 1;
      else {
        result.failed += 1;
        this.#later(row.lease_id, row.accessor, 0);
      }
    }
    return result;
  }

  close(): void {
    this.#closed = true;
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }

  async #tryOnce(lease_id: string, accessor: string): Promise<boolean> {
    try {
      const session = await this.#session();
      if (session === null) return false;
      await session.call({
        method: 'write',
        path: ['auth', 'token', 'revoke-accessor'],
        data: { accessor },
        retry: 'always',
      });
    } catch (error) {
      // 400 "invalid accessor": the token is gone already, and everything that it leased with it.
      if (!(error instanceof VaultError && error.status === 400)) {
        this.#log.warn({ lease_id, problem: errorText(error) }, 'a lease could not be revoked yet');
        return false;
      }
    }
    await this.#store.ended(lease_id, 'revoked');
    return true;
  }

  #later(lease_id: string, accessor: string, attempt: number): void {
    if (this.#closed) return;
    const pause = PAUSES_MS[Math.min(attempt, PAUSES_MS.length - 1)] as number;
    const timer = setTimeout(() => {
      void this.#tryOnce(lease_id, accessor).then((done) => {
        this.#timers.delete(lease_id);
        if (!done) this.#later(lease_id, accessor, attempt + 1);
      });
    }, pause);
    timer.unref();
    this.#timers.set(lease_id, timer);
  }
}

/** Whether another process of this machine that is alive holds the lease. */
function ownerLives(lease_id: string): boolean {
  const pid = Number(/\.(\d+)$/.exec(lease_id)?.[1] ?? 0);
  if (pid === 0 || pid === process.pid) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as { code?: string }).code === 'EPERM';
  }
}

function errorText(error: unknown): string {
  return error instanceof VaultError ? error.message : 'unexpected';
}
