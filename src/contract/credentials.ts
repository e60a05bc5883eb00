import { z } from 'zod';
import { Name } from './scope.ts';

/** A secret by its place; config.ts resolves it, no room reads the environment. */
export const SecretRef = z.union([
  z.strictObject({ env: z.string().regex(/^[A-Z][A-Z0-9_]{0,99}$/) }),
  z.strictObject({ file: z.string().min(1).max(1000) }),
]);
export type SecretRef = z.infer<typeof SecretRef>;

/** What every engine of Vault needs: the mount, and the token role of the child tokens (`auth/token/create/<role>`). */
const vaultEngine = <E extends string>(engine: E, mount: string) => ({
  engine: z.literal(engine),
  /** Mount path of the secrets engine. */
  mount: Name.default(mount),
  /** A role with a short explicit_max_ttl whose policy allows the roles below and nothing else. */
  token_role: Name,
});

/** A key of a secret in Vault's KV engine. */
const KvField = z.string().regex(/^[A-Za-z0-9_.-]{1,100}$/);
/** Path below the mount, without `data/`. */
const KvPath = z
  .string()
  .max(500)
  .regex(/^[A-Za-z0-9_.-]+(?:\/[A-Za-z0-9_.-]+)*$/);
/** `token` makes a bearer token of one field, `username` and `password` an account of two. */
const KvEntry = z.union([
  z.strictObject({ path: KvPath, token: KvField }),
  z.strictObject({ path: KvPath, username: KvField, password: KvField }),
]);
export type KvEntry = z.infer<typeof KvEntry>;

/** Name of an entry in the sealed file. */
export const SealedEntryName = z.string().regex(/^[a-z0-9][a-z0-9._-]{0,99}$/);

const Account = z.strictObject({ username: z.string().min(1).max(200), password: SecretRef });

/**
 * How a system is logged in to. `vault_*` and `kubernetes_token_request` lease one credential per write;
 * `sealed_file`, `token` and `password` are standing credentials that nobody can revoke, and cards say so.
 */
export const CredentialSource = z.union([
  z.strictObject({ engine: z.literal('none') }),
  z.strictObject({
    ...vaultEngine('vault_kubernetes', 'kubernetes'),
    read_role: Name,
    write_role: Name,
    /** Role for changes of nodes, of type ClusterRole: Vault binds it across the cluster. Without it nodes are not changed. */
    node_role: Name.optional(),
    /** Kubernetes gives no token for less than 600 s. */
    ttl_s: z.int().min(600).max(3600).default(600),
  }),
  z.strictObject({
    ...vaultEngine('vault_database', 'database'),
    read_role: Name,
    /** Absent: nothing is written with this source. */
    write_role: Name.optional(),
    ttl_s: z.int().min(60).max(3600).default(600),
  }),
  z.strictObject({
    ...vaultEngine('vault_aws', 'aws'),
    read_role: Name,
    write_role: Name.optional(),
    /** AWS gives no session for less than 900 s, and nobody can revoke one. */
    ttl_s: z.int().min(900).max(3600).default(900),
  }),
  z.strictObject({ ...vaultEngine('vault_kv', 'secret'), read: KvEntry, write: KvEntry.optional() }),
  z.strictObject({
    engine: z.literal('kubernetes_token_request'),
    /** Token of the account that may create and delete Secrets and ask for tokens of the two accounts below. */
    minter: SecretRef,
    read_account: Name,
    write_account: Name,
    /** Account for changes of nodes, bound to a ClusterRole. Without it nodes are not changed. */
    node_account: Name.optional(),
    /** Where the accounts live; default: the namespace of the target. */
    namespace: Name.optional(),
    ttl_s: z.int().min(600).max(3600).default(600),
  }),
  /** Entries of the file that the section `sealed_file` names (`aegis credentials seal`). */
  z.strictObject({
    engine: z.literal('sealed_file'),
    read: SealedEntryName,
    write: SealedEntryName.optional(),
  }),
  z.strictObject({ engine: z.literal('token'), token: SecretRef }),
  /** Two standing accounts of a system that knows users, one that only reads. */
  z.strictObject({ engine: z.literal('password'), read: Account, write: Account.optional() }),
]);
export type CredentialSource = z.infer<typeof CredentialSource>;

type Engine = CredentialSource['engine'];

/** Whether a credential of an engine can be made to stop working before its time, for the card and the audit. */
const REVOCABLE: Readonly<Record<Engine, boolean>> = {
  none: false,
  vault_kubernetes: true,
  vault_database: true,
  vault_aws: false,
  vault_kv: false,
  kubernetes_token_request: true,
  sealed_file: false,
  token: false,
  password: false,
};

export function isRevocable({ engine }: Pick<CredentialSource, 'engine'>): boolean {
  return REVOCABLE[engine];
}
