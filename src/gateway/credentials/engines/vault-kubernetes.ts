import { z } from 'zod';
import { Secret } from '../../../contract/secret.ts';
import type { CredentialSource } from '../../../contract/credentials.ts';
import type { VaultMint } from '../vault-engine.ts';

type Source = Extract<CredentialSource, { engine: 'vault_kubernetes' }>;

const Answer = z.object({ data: z.object({ service_account_token: z.string() }) });

/** A service account token in the namespace of the call; Vault deletes the account when the lease ends. */
export const vaultKubernetes: VaultMint<Source> = {
  ttl_s: ({ ttl_s }) => ttl_s,
  request: ({ mount, read_role, write_role, ttl_s }, { access, namespace }) => ({
    method: 'write',
    path: [mount, 'creds', access === 'write' ? write_role : read_role],
    data: { kubernetes_namespace: namespace, ttl: `${ttl_s}s` },
  }),
  parse(answer) {
    const parsed = Answer.safeParse(answer);
    return parsed.success
      ? { kind: 'bearer', token: new Secret(parsed.data.data.service_account_token) }
      : null;
  },
};
