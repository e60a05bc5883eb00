import { z } from 'zod';
import type { Clock } from '../../contract/ports.ts';
import { Secret } from '../../contract/secret.ts';
import type { SecretRef } from '../../contract/credentials.ts';
import type { VaultCall, VaultClient, VaultConfig } from './vault-client.ts';
import { VaultError } from './vault-error.ts';

/** The gateway's own login. It mints and revokes; it is never handed to a call. */
export interface VaultSession {
  /** A call as Aegis; logs in first, and once more when Vault says 403. @throws VaultError */
  call(call: Omit<VaultCall, 'token'>): Promise<Readonly<Record<string, unknown>>>;
  /** A call with a child token. @throws VaultError */
  callAs(token: Secret, call: Omit<VaultCall, 'token'>): Promise<Readonly<Record<string, unknown>>>;
  close(): Promise<void>;
}

const LoginAnswer = z.object({
  auth: z.object({ client_token: z.string().min(1), lease_duration: z.number() }),
});

interface Login {
  readonly token: Secret;
  readonly renew_at_ms: number;
  readonly expires_at_ms: number;
}

export function createVaultSession(
  client: VaultClient,
  config: VaultConfig,
  secrets: (ref: SecretRef) => Secret,
  clock: Clock,
): VaultSession {
  let login: Login | null = null;
  let pending: Promise<Login> | null = null;

  async function logIn(): Promise<Login> {
    const { auth } = config;
    const data = appRole(auth, secrets);
    const answer = LoginAnswer.safeParse(
      await client.call({
        method: 'write',
        path: ['auth', auth.mount, 'login'],
        data,
        token: null,
        retry: 'always',
      }),
    );
    if (!answer.success) throw new VaultError('malformed', 'login', null, true);
    const { client_token, lease_duration } = answer.data.auth;
    const now = clock.now();
    // Two thirds of the lifetime, a little scattered, so that replicas do not log in together.
    const lifetime_ms = lease_duration > 0 ? lease_duration * 1000 : 3_600_000;
    const renew_at_ms = now + lifetime_ms * (0.6 + Math.random() * 0.07);
    login = { token: new Secret(client_token), renew_at_ms, expires_at_ms: now + lifetime_ms };
    return login;
  }

  function freshLogin(): Promise<Login> {
    pending ??= logIn().finally(() => {
      pending = null;
    });
    return pending;
  }

  async function currentLogin(): Promise<Login> {
    if (login === null || clock.now() >= login.expires_at_ms) return freshLogin();
    if (clock.now() < login.renew_at_ms) return login;
    // The old token works until the new one does.
    return freshLogin().catch(() => login as Login);
  }

  return {
    async call(call) {
      const used = await currentLogin();
      try {
        return await client.call({ ...call, token: used.token });
      } catch (error) {
        if (!(error instanceof VaultError) || error.problem !== 'denied') throw error;
        if (login === used) login = null;
        return client.call({ ...call, token: (await currentLogin()).token });
      }
    },
    callAs: (token, call) => client.call({ ...call, token }),
    async close() {
      const last = login;
      login = null;
      if (last === null) return;
      // Best effort: the token dies by itself when Vault is away.
      const revoke = { method: 'write', path: ['auth', 'token', 'revoke-self'], retry: 'unsent' } as const;
      await client.call({ ...revoke, token: last.token }).catch(() => undefined);
    },
  };
}

/** @throws VaultError when the role id or the secret id cannot be read; its text never holds either. */
function appRole(
  auth: VaultConfig['auth'],
  secrets: (ref: SecretRef) => Secret,
): { role_id: string; secret_id: string } {
  try {
    return { role_id: secrets(auth.role_id).reveal(), secret_id: secrets(auth.secret_id).reveal() };
  } catch {
    throw new VaultError('rejected', 'login: vault.auth.role_id or secret_id cannot be read', null, false);
  }
}
