import { z } from 'zod';
import { Name } from './scope.ts';

/** A secret by its place; config.ts resolves it, no room reads the environment. */
export const SecretRef = z.union([
  z.strictObject({ env: z.string().regex(/^[A-Z][A-Z0-9_]{0,99}$/) }),
  z.strictObject({ file: z.string().min(1).max(1000) }),
]);
export type SecretRef = z.infer<typeof SecretRef>;

/** How a system is logged in to. `vault_kubernetes` leases one credential per write; the others are the embedded default. */
export const CredentialSource = z.union([
  z.strictObject({ engine: z.literal('none') }),
  z.strictObject({
    engine: z.literal('vault_kubernetes'),
    /** Mount path of Vault's Kubernetes secrets engine. */
    mount: Name.default('kubernetes'),
    read_role: Name,
    write_role: Name,
    /** Role for changes of nodes, of type ClusterRole: Vault binds it across the cluster. Without it nodes are not changed. */
    node_role: Name.optional(),
    /** Token role of the child tokens (`auth/token/create/<role>`), with a short explicit_max_ttl. */
    token_role: Name,
    ttl_s: z.int().min(600).max(3600).default(600),
  }),
  z.strictObject({ engine: z.literal('token'), token: SecretRef }),
  /** Two standing accounts of a system that knows users, one that only reads. */
  z.strictObject({
    engine: z.literal('password'),
    read: z.strictObject({ username: z.string().min(1).max(200), password: SecretRef }),
    write: z.strictObject({ username: z.string().min(1).max(200), password: SecretRef }).optional(),
  }),
]);
export type CredentialSource = z.infer<typeof CredentialSource>;
