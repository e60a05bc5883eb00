import { z } from 'zod';
import { Secret } from '../../../contract/secret.ts';
import type { CredentialSource } from '../../../contract/credentials.ts';
import { roleOf } from '../role-of.ts';
import type { VaultMint } from '../vault-engine.ts';

type Source = Extract<CredentialSource, { engine: 'vault_aws' }>;

const Answer = z.object({
  data: z.object({ access_key: z.string().min(1), secret_key: z.string(), security_token: z.string() }),
});

/** Characters of a session name, which joins CloudTrail with our audit. */
const SESSION_NAME_CHARS_MAX = 64;

/** A session of AWS STS. Vault forgets it when the lease ends, AWS does not: it works until its time is over. */
export const vaultAws: VaultMint<Source> = {
  ttl_s: ({ ttl_s }) => ttl_s,
  request: (source, { access, call_id }) => ({
    method: 'write',
    path: [source.mount, 'sts', roleOf(source, access)],
    data: {
      role_session_name: call_id.replaceAll(/[^\w+=,.@-]/g, '-').slice(0, SESSION_NAME_CHARS_MAX),
      ttl: `${source.ttl_s}s`,
    },
  }),
  parse(answer) {
    const parsed = Answer.safeParse(answer);
    if (!parsed.success) return null;
    const { access_key, secret_key, security_token } = parsed.data.data;
    return {
      kind: 'aws',
      access_key_id: access_key,
      secret_access_key: new Secret(secret_key),
      session_token: new Secret(security_token),
    };
  },
};
