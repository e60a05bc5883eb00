import { z } from 'zod';
import { Secret } from '../../../contract/secret.ts';
import type { CredentialSource } from '../../../contract/credentials.ts';
import { nodeRole, roleOf } from '../role-of.ts';
import type { VaultMint } from '../vault-engine.ts';

type Source = Extract<CredentialSource, { engine: 'vault_kubernetes' }>;

const Answer = z.object({ data: z.object({ service_account_token: z.string() }) });

/** A service account token in the namespace of the call; Vault deletes the account when the lease ends. */
export const vaultKubernetes: VaultMint<Source> = {
  ttl_s: ({ ttl_s }) => ttl_s,
  request: (source, { access, namespace, cluster_wide }) => ({
    method: 'write',
    path: [
      source.mount,
      'creds',
      cluster_wide === true ? nodeRole(source.node_role) : roleOf(source, access),
    ],
    data: {
      kubernetes_namespace: namespace,
      ttl: `${source.ttl_s}s`,
      ...(cluster_wide === true ? { cluster_role_binding: true } : {}),
    },
  }),
  parse(answer) {
    const parsed = Answer.safeParse(answer);
    return parsed.success
      ? { kind: 'bearer', token: new Secret(parsed.data.data.service_account_token) }
      : null;
  },
};
