import type { Credential } from './credential.ts';

/** A credential for one call (or, for reads, for a few minutes of one incident). */
export interface Lease {
  /** Null for a system without login. */
  readonly credential: Credential | null;
  readonly engine: string;
  /** Names the credential in the audit without being one. */
  readonly accessor: string | null;
  readonly revocable: boolean;
  /** Gives it back; true when the credential is certainly dead now. Never throws. */
  release(): Promise<boolean>;
  /** The upstream refused the credential: nobody may use it again. */
  discard(): void;
}

export interface LeaseRequest {
  readonly call_id: string;
  readonly incident_id: string | null;
  readonly tenant: string;
  /** `k8s/prod-1`. */
  readonly system: string;
  /** Namespace in which the credential shall work. */
  readonly namespace: string;
  readonly access: 'read' | 'write';
  /** Reads share a lease for a while unless they ask for one of their own. */
  readonly own?: boolean;
  /** For a change outside of namespaces: the credential works across the cluster, and for this call alone. */
  readonly cluster_wide?: boolean;
  readonly signal: AbortSignal | undefined;
}
