import type { Lease } from './lease.ts';

/**
 * Reads of one (incident, system, tenant, class) may share a lease: at most ten minutes, and only while reads keep
 * coming. A few idle seconds give it back, so that a finished investigation leaves nothing that works.
 */
const SHARED_MS_MAX = 600_000;
const IDLE_MS = 3000;

interface Shared {
  readonly lease: Promise<Lease>;
  readonly expires_at_ms: number;
  users: number;
  dead: boolean;
  idle: NodeJS.Timeout | null;
}

export class ReadLeases {
  readonly #shared = new Map<string, Shared>();
  readonly #now: () => number;
  readonly #ending = new Set<Promise<unknown>>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** The shared lease of a key, minted once however many reads ask at the same time. */
  async borrow(key: string, ttl_ms: number, mint: () => Promise<Lease>): Promise<Lease> {
    const known = this.#shared.get(key);
    const shared =
      known !== undefined && this.#now() < known.expires_at_ms ? known : this.#open(key, ttl_ms, mint);
    shared.users += 1;
    if (shared.idle !== null) clearTimeout(shared.idle);
    shared.idle = null;
    try {
      const lease = await shared.lease;
      return {
        ...lease,
        release: () => this.#giveBack(key, shared),
        discard: () => this.#retire(key, shared),
      };
    } catch (error) {
      this.#retire(key, shared);
      throw error;
    }
  }

  async close(): Promise<void> {
    for (const [key, shared] of this.#shared) {
      shared.users = 0;
      this.#retire(key, shared);
    }
    await Promise.all(this.#ending);
  }

  #open(key: string, ttl_ms: number, mint: () => Promise<Lease>): Shared {
    const old = this.#shared.get(key);
    if (old !== undefined) this.#retire(key, old);
    const expires_at_ms = this.#now() + Math.min(SHARED_MS_MAX, ttl_ms);
    const shared: Shared = { lease: mint(), expires_at_ms, users: 0, dead: false, idle: null };
    this.#shared.set(key, shared);
    return shared;
  }

  /** The credential lives on for the next read: `false`, not revoked yet. */
  #giveBack(key: string, shared: Shared): Promise<boolean> {
    shared.users -= 1;
    if (shared.users > 0) return Promise.resolve(false);
    if (shared.dead) {
      this.#end(shared);
      return Promise.resolve(false);
    }
    shared.idle = setTimeout(() => this.#retire(key, shared), IDLE_MS);
    shared.idle.unref();
    return Promise.resolve(false);
  }

  #retire(key: string, shared: Shared): void {
    if (this.#shared.get(key) === shared) this.#shared.delete(key);
    if (shared.idle !== null) clearTimeout(shared.idle);
    shared.idle = null;
    shared.dead = true;
    if (shared.users <= 0) this.#end(shared);
  }

  #end(shared: Shared): void {
    const ending = shared.lease.then(
      (lease) => lease.release(),
      () => false,
    );
    this.#ending.add(ending);
    void ending.finally(() => this.#ending.delete(ending));
  }
}
