import type { Credential } from './credential.ts';
import type { LeaseRequest } from './lease.ts';

/**
 * What a credential hangs on: a child token of Vault, a throw-away object in Kubernetes. It has a name that is no
 * secret, and everything that was minted on it dies with it, also when the answer of the mint was lost.
 */
export interface Anchor {
  readonly accessor: string;
  /** Called once, after the accessor is in the store. @throws when no credential could be had. */
  mint(): Promise<Credential>;
}

/** One way to lease credentials. The order in which its parts run stands in take-lease.ts, for all of them. */
export interface LeaseEngine {
  readonly engine: string;
  /** False: giving it back tidies up, but the credential works until its own end. */
  readonly revocable: boolean;
  readonly ttl_s: number;
  /** @throws when there is no anchor; then nothing exists under a name that anybody knows. */
  anchor(request: LeaseRequest, lease_id: string): Promise<Anchor>;
}

/** Ends what hangs on an accessor. Returns when it is certainly gone. @throws when it may still be there. */
export type Revoke = (accessor: string) => Promise<void>;
