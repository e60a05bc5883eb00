import { z } from 'zod';
import { Secret } from '../../contract/secret.ts';
import type { CredentialSource } from '../../contract/credentials.ts';
import { isRevocable } from '../../contract/credentials.ts';
import type { Credential } from './credential.ts';
import type { Anchor, LeaseEngine } from './lease-engine.ts';
import type { LeaseRequest } from './lease.ts';
import type { VaultCall } from './vault-client.ts';
import { VaultError } from './vault-error.ts';
import type { VaultSession } from './vault-session.ts';

/** The engines of Vault. All hang on a child token with few uses; they differ in what it asks for and gets. */
export type VaultSource = Extract<CredentialSource, { token_role: string }>;

/** What one engine adds: its request, and what its answer holds (null: not what Vault documents). */
export interface VaultMint<S extends VaultSource = VaultSource> {
  ttl_s(source: S): number;
  request(source: S, request: LeaseRequest): Pick<VaultCall, 'method' | 'path' | 'data'>;
  parse(answer: unknown, source: S, request: LeaseRequest): Credential | null;
}

/** The mint and one spare: the last use of a limited token cannot return a lease. */
const CHILD_USES = 2;

const TokenAnswer = z.object({
  auth: z.object({ client_token: z.string().min(1), accessor: z.string().min(1) }),
});

export function vaultEngine<S extends VaultSource>(
  session: VaultSession,
  mint: VaultMint<S>,
  source: S,
): LeaseEngine {
  const ttl_s = mint.ttl_s(source);
  return {
    engine: source.engine,
    revocable: isRevocable(source),
    ttl_s,
    async anchor(request): Promise<Anchor> {
      const child = await createChild(session, source.token_role, ttl_s, request);
      return {
        accessor: child.accessor,
        async mint() {
          const asked = mint.request(source, request);
          // Never again after an unknown outcome: the anchor is revoked and the call given up.
          const answer = await session.callAs(child.token, {
            ...asked,
            retry: 'unsent',
            signal: request.signal,
          });
          const credential = mint.parse(answer, source, request);
          if (credential === null) throw new VaultError('malformed', operationOf(asked.path), null, true);
          return credential;
        },
      };
    },
  };
}

async function createChild(
  session: VaultSession,
  token_role: string,
  ttl_s: number,
  request: LeaseRequest,
): Promise<{ token: Secret; accessor: string }> {
  const answer = TokenAnswer.safeParse(
    await session.call({
      method: 'write',
      path: ['auth', 'token', 'create', token_role],
      data: {
        ttl: `${ttl_s}s`,
        explicit_max_ttl: `${ttl_s}s`,
        num_uses: CHILD_USES,
        renewable: false,
        display_name: 'aegis',
        meta: { call_id: request.call_id, incident: request.incident_id ?? '-' },
      },
      retry: 'unsent',
      // Never aborted: a token whose accessor was not heard of could not be revoked. The mint after it is.
    }),
  );
  if (!answer.success) throw new VaultError('malformed', 'auth/token/create', null, true);
  return { token: new Secret(answer.data.auth.client_token), accessor: answer.data.auth.accessor };
}

/** Ends a token by its accessor, and with it its children and every lease that they made. */
export async function revokeAccessor(session: VaultSession, accessor: string): Promise<void> {
  try {
    await session.call({
      method: 'write',
      path: ['auth', 'token', 'revoke-accessor'],
      data: { accessor },
      retry: 'always',
    });
  } catch (error) {
    // 400 "invalid accessor": the token is gone already, and everything that it leased with it.
    if (!(error instanceof VaultError && error.status === 400)) throw error;
  }
}

const operationOf = (path: readonly string[]): string => path.slice(0, 2).join('/');
