/** What an operator has configured on the Vault twin: roles, policies, secrets, and the Kubernetes side it talks to. */
import type { KvStore } from './kv-store.ts';
import type { PolicyDocument } from './policy.ts';

/** A token role as `auth/token/roles/:name` holds it. Empty lists mean "not set". */
export interface TokenRole {
  readonly allowed_policies: readonly string[];
  readonly disallowed_policies: readonly string[];
  readonly orphan: boolean;
  readonly renewable: boolean;
  /** Seconds; 0 means none. */
  readonly token_explicit_max_ttl: number;
  readonly token_no_default_policy: boolean;
  /** 0 means unlimited. */
  readonly token_num_uses: number;
}

export interface IssueRequest {
  readonly service_account: string;
  readonly namespace: string;
  /** The Kubernetes role that is bound: `kubernetes_role_name`, else the Vault role's own name. */
  readonly role: string;
  readonly ttl_s: number;
}

export interface IssuedToken {
  readonly token: string;
  /** Deletes the service account, so that the token stops working. */
  revoke(): Promise<void> | void;
}

/** The Kubernetes side, as the lab wires it (the Kubernetes twin's TokenRequest). */
export interface KubernetesIssuer {
  issueToken(request: IssueRequest): Promise<IssuedToken> | IssuedToken;
}

/** Exactly one of the three modes. With an existing account revocation cannot kill the token: real Vault does not. */
export interface KubernetesRole {
  readonly allowed_kubernetes_namespaces: readonly string[];
  readonly service_account_name?: string;
  readonly kubernetes_role_name?: string;
  readonly generated_role_rules?: string;
  readonly kubernetes_role_type?: 'Role' | 'ClusterRole';
  readonly token_default_ttl_s?: number;
  readonly token_max_ttl_s?: number;
}

export interface DatabaseUser {
  readonly username: string;
  readonly password: string;
  /** The Vault role, which decides what the user may do. */
  readonly role: string;
  readonly ttl_s: number;
}

/** The database, as the lab or a test wires it. Without one the engine answers as Vault does when it cannot connect. */
export interface DatabaseIssuer {
  /** Runs the creation statements; `revoke` runs the revocation statements, after which the user cannot log in. */
  createUser(
    user: DatabaseUser,
  ): Promise<{ revoke(): Promise<void> | void }> | { revoke(): Promise<void> | void };
}

export interface DatabaseRole {
  readonly default_ttl_s?: number;
  readonly max_ttl_s?: number;
}

export interface AwsSession {
  readonly access_key: string;
  readonly secret_key: string;
  readonly security_token: string;
  readonly arn: string;
  readonly session_name: string;
  readonly ttl_s: number;
}

/** AWS STS: hears of each session. There is no way back, as in AWS. */
export interface AwsIssuer {
  assumeRole(session: AwsSession): Promise<void> | void;
}

/** A role of credential type `assumed_role`. */
export interface AwsRole {
  readonly role_arns: readonly string[];
  readonly default_sts_ttl_s?: number;
  readonly max_sts_ttl_s?: number;
}

/** What an operator has configured; the admin side of the twin writes it. */
export interface VaultSetup {
  readonly policies: Map<string, PolicyDocument>;
  readonly tokenRoles: Map<string, TokenRole>;
  readonly kubernetesRoles: Map<string, KubernetesRole>;
  readonly databaseRoles: Map<string, DatabaseRole>;
  readonly awsRoles: Map<string, AwsRole>;
  readonly kv: KvStore;
  readonly kubernetes: KubernetesIssuer;
  readonly database: DatabaseIssuer | undefined;
  readonly aws: AwsIssuer | undefined;
  /** Records a secret value that left the twin, so that tests can search every byte for it. */
  readonly minted: (value: string) => void;
}
