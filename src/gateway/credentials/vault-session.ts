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

/**
 * Where a login is written down by its accessor. Child tokens are children of the login, so a sweep that revokes the
 * login of a dead process also ends a child whose accessor that process had no time to write down.
 */
export interface LoginJournal {
  /** Before Vault is asked. @returns the row's id */
  begin(): Promise<string>;
  live(lease_id: string, accessor: string): Promise<void>;
  /** Vault gave no login, or the login is over. */
  ended(lease_id: string): Promise<void>;
}

export interface VaultSessionDeps {
  readonly client: VaultClient;
  readonly config: VaultConfig;
  readonly secrets: (ref: SecretRef) => Secret;
  readonly clock: Clock;
  readonly journal: LoginJournal;
}

const LoginAnswer = z.object({
  auth: z.object({
    client_token: z.string().min(1),
    accessor: z.string().min(1),
    lease_duration: z.number(),
  }),
});

interface Login {
  readonly lease_id: string;
  readonly token: Secret;
  readonly accessor: string;
  readonly renew_at_ms: number;
  readonly expires_at_ms: number;
}

export function createVaultSession(deps: VaultSessionDeps): VaultSession {
  const { client, journal } = deps;
  const logins = keepLogins(deps);

  return {
    async call(call) {
      const used = await logins.current();
      try {
        return await client.call({ ...call, token: used.token });
      } catch (error) {
        if (!(error instanceof VaultError) || error.problem !== 'denied') throw error;
        // 403 is both "this token is dead" and "this token may not": only the first is mended by a new login.
        if (await isAlive(client, used)) throw error;
        logins.forget(used);
        return client.call({ ...call, token: (await logins.current()).token });
      }
    },
    callAs: (token, call) => client.call({ ...call, token }),
    async close() {
      const { last, former } = logins.end();
      if (last === null) return;
      // Best effort: the tokens die by themselves when Vault is away, and the next start sweeps their rows.
      const end = async (path: string, { lease_id }: Login, data: Readonly<Record<string, string>>) => {
        const call = { method: 'write', path: ['auth', 'token', path], data, retry: 'unsent' } as const;
        await client
          .call({ ...call, token: last.token })
          .catch((error: unknown) => {
            if (!(error instanceof VaultError && error.status === 400)) throw error;
          })
          .then(() => journal.ended(lease_id))
          .catch(() => undefined);
      };
      for (const old of former) await end('revoke-accessor', old, { accessor: old.accessor });
      await end('revoke-self', last, {});
    },
  };
}

interface Logins {
  current(): Promise<Login>;
  /** This one is dead. */
  forget(used: Login): void;
  /** Gives all that may still be alive, and keeps none. */
  end(): { readonly last: Login | null; readonly former: readonly Login[] };
}

function keepLogins(deps: VaultSessionDeps): Logins {
  const { clock, journal } = deps;
  let login: Login | null = null;
  let pending: Promise<Login> | null = null;
  /** Logins that were replaced: leases that were taken with them live on until they end. */
  let former: Login[] = [];

  async function logIn(): Promise<Login> {
    const lease_id = await journal.begin();
    const fresh = await askLogin(deps, lease_id);
    const all = login === null ? former : [...former, login];
    login = fresh;
    const now = clock.now();
    former = all.filter(({ expires_at_ms }) => expires_at_ms > now);
    for (const old of all) if (old.expires_at_ms <= now) await journal.ended(old.lease_id);
    return fresh;
  }

  function freshLogin(): Promise<Login> {
    pending ??= logIn().finally(() => {
      pending = null;
    });
    return pending;
  }

  return {
    async current() {
      if (login === null || clock.now() >= login.expires_at_ms) return freshLogin();
      if (clock.now() < login.renew_at_ms) return login;
      // The old token works until the new one does.
      const old = login;
      return freshLogin().catch(() => old);
    },
    forget(used) {
      if (login !== used) return;
      former.push(used);
      login = null;
    },
    end() {
      const ended = { last: login, former };
      login = null;
      former = [];
      return ended;
    },
  };
}

/** A token may always look at itself. When Vault does not answer that, nothing is concluded. */
async function isAlive(client: VaultClient, { token }: Login): Promise<boolean> {
  try {
    await client.call({ method: 'read', path: ['auth', 'token', 'lookup-self'], token, retry: 'always' });
    return true;
  } catch (error) {
    return !(error instanceof VaultError && error.problem === 'denied');
  }
}

async function askLogin(deps: VaultSessionDeps, lease_id: string): Promise<Login> {
  const { client, config, secrets, clock, journal } = deps;
  const { auth } = config;
  try {
    const answer = LoginAnswer.safeParse(
      await client.call({
        method: 'write',
        path: ['auth', auth.mount, 'login'],
        data: appRole(auth, secrets),
        token: null,
        retry: 'always',
      }),
    );
    if (!answer.success) throw new VaultError('malformed', 'login', null, true);
    const { client_token, accessor, lease_duration } = answer.data.auth;
    await journal.live(lease_id, accessor);
    const now = clock.now();
    // Two thirds of the lifetime, a little scattered, so that replicas do not log in together.
    const lifetime_ms = lease_duration > 0 ? lease_duration * 1000 : 3_600_000;
    const renew_at_ms = now + lifetime_ms * (0.6 + Math.random() * 0.07);
    const token = new Secret(client_token);
    return { lease_id, token, accessor, renew_at_ms, expires_at_ms: now + lifetime_ms };
  } catch (error) {
    await journal.ended(lease_id);
    throw error;
  }
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
