/**
 * What is alive in the Vault twin: tokens, the leases they made, and how both die. Revoking a token kills its children
 * and every lease made with it; a lease that dies kills the credential behind it. Time does the same. Nothing dies
 * while Vault is sealed; what expired meanwhile dies at unseal.
 */
import { randomBase62 } from './envelope.ts';
import { secondsLeft, SYSTEM_TTL_S, TokenStore, type Token } from './tokens.ts';

export interface Lease {
  readonly lease_id: string;
  /** Accessor of the token that made it. */
  readonly owner: string;
  readonly issued_ms: number;
  readonly ttl_s: number;
  expires_ms: number;
  readonly renewable: boolean;
  /** Kills the credential at its system; rejects when that system is unreachable. */
  readonly kill: () => Promise<void> | void;
  /** Set when killing failed; the lease stays and is tried again. */
  failure: string | null;
  dying: boolean;
}

export interface LeaseSpec {
  readonly path: string;
  readonly owner: string;
  readonly ttl_s: number;
  readonly renewable?: boolean;
  readonly kill: () => Promise<void> | void;
}

export class LifeLedger {
  readonly tokens = new TokenStore();
  readonly #leases = new Map<string, Lease>();
  readonly #clock: () => number;
  #sealed = false;

  constructor(clock: () => number) {
    this.#clock = clock;
  }

  get sealed(): boolean {
    return this.#sealed;
  }

  set sealed(sealed: boolean) {
    this.#sealed = sealed;
  }

  now_ms(): number {
    return this.#clock();
  }

  addLease(spec: LeaseSpec): Lease {
    const issued_ms = this.#clock();
    const lease: Lease = {
      lease_id: `${spec.path}/${randomBase62(24)}`,
      owner: spec.owner,
      issued_ms,
      ttl_s: spec.ttl_s,
      expires_ms: issued_ms + spec.ttl_s * 1000,
      renewable: spec.renewable ?? false,
      kill: spec.kill,
      failure: null,
      dying: false,
    };
    this.#leases.set(lease.lease_id, lease);
    return lease;
  }

  /** Extends from now, never past the system's maximum counted from its beginning. Returns the new seconds. */
  renewLease(lease: Lease, increment_s: number | undefined): number {
    const now_ms = this.#clock();
    const latest = lease.issued_ms + SYSTEM_TTL_S * 1000;
    lease.expires_ms = Math.min(now_ms + (increment_s ?? lease.ttl_s) * 1000, latest);
    return Math.max(0, Math.floor((lease.expires_ms - now_ms) / 1000));
  }

  /** A lease in force; one whose revocation is under way or failed is gone for callers. */
  lease(lease_id: string): Lease | undefined {
    const lease = this.#leases.get(lease_id);
    return lease === undefined || lease.dying || lease.failure !== null ? undefined : lease;
  }

  /** Every lease whose credential may still work, also those whose revocation failed. */
  leases(): Lease[] {
    return [...this.#leases.values()];
  }

  /** Kills the credential. A failure keeps the lease for the next round, as Vault's expiration manager does. */
  async revokeLease(lease: Lease): Promise<void> {
    if (lease.dying) return;
    lease.dying = true;
    try {
      await lease.kill();
      this.#leases.delete(lease.lease_id);
    } catch (error) {
      lease.failure = error instanceof Error ? error.message : String(error);
    } finally {
      lease.dying = false;
    }
  }

  /** The token stops working at once, its descendants too; the answer waits for the credentials behind its leases. */
  async revokeToken(token: Token): Promise<void> {
    const doomed = this.#family(token);
    for (const member of doomed) this.tokens.remove(member);
    const owners = new Set(doomed.map((member) => member.accessor));
    const orphaned = this.leases().filter((lease) => owners.has(lease.owner));
    await Promise.all(orphaned.map((lease) => this.revokeLease(lease)));
  }

  /** Applies time: expired tokens and leases die, failed revocations are tried again. */
  async expire(): Promise<void> {
    if (this.#sealed) return;
    const now_ms = this.#clock();
    const expired = this.tokens
      .all()
      .filter((token) => token.expires_ms !== null && token.expires_ms <= now_ms);
    for (const token of expired) await this.revokeToken(token);
    const due = this.leases().filter((lease) => lease.expires_ms <= now_ms || lease.failure !== null);
    await Promise.all(due.map((lease) => this.revokeLease(lease)));
  }

  secondsLeft(token: Token): number {
    return secondsLeft(token, this.#clock());
  }

  #family(token: Token): Token[] {
    const members = [token];
    for (const member of members) members.push(...this.tokens.childrenOf(member));
    return members;
  }
}
