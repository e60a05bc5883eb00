import { z } from 'zod';
import { Secret } from '../../../contract/secret.ts';
import type { CredentialSource } from '../../../contract/credentials.ts';
import { roleOf } from '../role-of.ts';
import type { VaultMint } from '../vault-engine.ts';

type Source = Extract<CredentialSource, { engine: 'vault_database' }>;

const Answer = z.object({ data: z.object({ username: z.string().min(1), password: z.string() }) });

/** A database user of its own; Vault drops it when the lease ends. Its lifetime is the role's, the child token's at most. */
export const vaultDatabase: VaultMint<Source> = {
  ttl_s: ({ ttl_s }) => ttl_s,
  request: (source, { access }) => ({
    method: 'read',
    path: [source.mount, 'creds', roleOf(source, access)],
  }),
  parse(answer) {
    const parsed = Answer.safeParse(answer);
    if (!parsed.success) return null;
    const { username, password } = parsed.data.data;
    return { kind: 'password', username, password: new Secret(password) };
  },
};
