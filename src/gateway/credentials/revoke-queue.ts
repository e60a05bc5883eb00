import type { Log } from '../../contract/ports.ts';
import type { LeaseRow, LeaseStore } from '../../store/authority.ts';
import { credentialProblem } from './credential-error.ts';
import type { Revoke } from './lease-engine.ts';

/**
 * Ends leases. A revoke that fails never fails the call it belonged to: it is tried again with growing pauses, and what
 * is still open when the process ends is swept by the next one, because the row stays.
 */
const PAUSES_MS = [500, 1000, 2000, 5000, 10_000, 30_000, 60_000] as const;
const OVERDUE_EVERY_MS = 60_000;

/** How the leases of one engine end. */
export interface Revoker {
  readonly revoke: Revoke;
  /** False: the credential lives on until its own end, and its row says `expired` instead of `revoked`. */
  readonly revocable: boolean;
}

type Ended = Pick<LeaseRow, 'lease_id' | 'engine'> & { readonly accessor: string };

export class RevokeQueue {
  readonly #store: LeaseStore;
  readonly #revokers: (engine: string) => Revoker | null;
  readonly #log: Log;
  /** Leases of this process that are in use: a sweep leaves them alone. */
  readonly #active = new Set<string>();
  readonly #timers = new Map<string, NodeJS.Timeout>();
  /** Leases that were reported as older than their lifetime: once is enough. */
  readonly #reported = new Set<string>();
  #watch: NodeJS.Timeout | null = null;
  #closed = false;

  constructor(store: LeaseStore, revokers: (engine: string) => Revoker | null, log: Log) {
    this.#store = store;
    this.#revokers = revokers;
    this.#log = log;
  }

  /** Puts the process into the name: a sweep tells a crashed owner from a colleague on this machine that still works. */
  name(id: string): string {
    return `${id}.${process.pid}`;
  }

  begin(lease_id: string): void {
    this.#active.add(lease_id);
  }

  /** No anchor came to exist under a known name, so nothing was minted on it. */
  async abandon(lease_id: string): Promise<void> {
    this.#active.delete(lease_id);
    await this.#store.ended(lease_id, 'expired');
  }

  /** True when the anchor is gone. Never throws; a failure is queued. */
  async revoke(lease: Ended): Promise<boolean> {
    const done = await this.#tryOnce(lease);
    this.#active.delete(lease.lease_id);
    if (!done) this.#later(lease, 0);
    return done;
  }

  /** Revokes what a crash left behind, newest first: a login goes after the leases that were taken with it. */
  async sweep(): Promise<{ revoked: number; failed: number }> {
    const result = { revoked: 0, failed: 0 };
    for (const row of (await this.#store.outstanding()).toReversed()) {
      const { lease_id, engine, accessor } = row;
      if (this.#active.has(lease_id) || this.#timers.has(lease_id) || ownerLives(lease_id)) continue;
      if (accessor === null) await this.abandon(lease_id);
      else if (await this.#tryOnce({ lease_id, engine, accessor })) result.revoked += 1;
      else {
        result.failed += 1;
        this.#later({ lease_id, engine, accessor }, 0);
      }
    }
    return result;
  }

  /** From now on a lease that is older than its lifetime and not ended is an error in the log. */
  watch(now: () => number): void {
    if (this.#watch !== null || this.#closed) return;
    const look = (): void => void this.reportOverdue(now()).catch(() => undefined);
    this.#watch = setInterval(look, OVERDUE_EVERY_MS);
    this.#watch.unref();
  }

  async reportOverdue(now_ms: number): Promise<void> {
    for (const { lease_id, engine, accessor, expires_at_ms } of await this.#store.outstanding()) {
      if (expires_at_ms >= now_ms || this.#reported.has(lease_id)) continue;
      this.#reported.add(lease_id);
      this.#log.error(
        { lease_id, engine, accessor, overdue_ms: now_ms - expires_at_ms },
        'a lease is older than its lifetime and is not known to be revoked',
      );
    }
  }

  close(): void {
    this.#closed = true;
    if (this.#watch !== null) clearInterval(this.#watch);
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }

  async #tryOnce({ lease_id, engine, accessor }: Ended): Promise<boolean> {
    const revoker = this.#revokers(engine);
    if (revoker === null) {
      this.#log.error({ lease_id, engine, accessor }, 'nothing here can revoke a lease of this engine');
      return false;
    }
    try {
      await revoker.revoke(accessor);
      // Should the row not be written, the revoke is repeated, which is safe.
      await this.#store.ended(lease_id, revoker.revocable ? 'revoked' : 'expired');
      return true;
    } catch (error) {
      const problem = credentialProblem(error)?.message ?? 'unexpected';
      this.#log.warn({ lease_id, engine, problem }, 'a lease could not be revoked yet');
      return false;
    }
  }

  #later(lease: Ended, attempt: number): void {
    if (this.#closed) return;
    const pause = PAUSES_MS[Math.min(attempt, PAUSES_MS.length - 1)] as number;
    const timer = setTimeout(() => {
      void this.#tryOnce(lease).then((done) => {
        this.#timers.delete(lease.lease_id);
        if (!done) this.#later(lease, attempt + 1);
      });
    }, pause);
    timer.unref();
    this.#timers.set(lease.lease_id, timer);
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
