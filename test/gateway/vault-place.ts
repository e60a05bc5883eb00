import { randomUUID } from 'node:crypto';
import type { CredentialSource } from '../../src/contract/credentials.ts';
import type { Credential } from '../../src/gateway/credentials/credential.ts';
import type { VaultConfig } from '../../src/gateway/credentials/vault-client.ts';
import type { AwsSession } from '../../src/lab/vault/setup.ts';
import { startVaultTwin, type VaultTwin } from '../../src/lab/vault/vault-twin.ts';
import { openBench, type BenchConfig } from './broker-bench.ts';
import type { VaultPlace } from './vault-cases.ts';

/** A Vault twin with all engines and, behind them, systems that know exactly which credentials are good. */
export interface TwinPlace extends VaultPlace {
  readonly vault: VaultTwin;
  readonly aws_sessions: AwsSession[];
  readonly config: VaultConfig;
  readonly secrets: Readonly<Record<string, string>>;
}

const vaultEngine = { token_role: 'aegis-call' } as const;
export const SOURCES = {
  vault_kubernetes: {
    engine: 'vault_kubernetes',
    ...vaultEngine,
    mount: 'kubernetes',
    read_role: 'aegis-read',
    write_role: 'aegis-write',
    ttl_s: 600,
  },
  vault_database: {
    engine: 'vault_database',
    ...vaultEngine,
    mount: 'database',
    read_role: 'orders-read',
    write_role: 'orders-write',
    ttl_s: 600,
  },
  vault_aws: {
    engine: 'vault_aws',
    ...vaultEngine,
    mount: 'aws',
    read_role: 'iam-read',
    write_role: 'iam-write',
    ttl_s: 900,
  },
  vault_kv: {
    engine: 'vault_kv',
    ...vaultEngine,
    mount: 'secret',
    read: { path: 'aegis/orders', username: 'user', password: 'pass' },
    write: { path: 'aegis/orders', username: 'user', password: 'pass' },
  },
} as const satisfies Record<string, CredentialSource>;

export async function openTwinPlace(more: BenchConfig = {}): Promise<TwinPlace> {
  const tokens = new Set<string>();
  const users = new Map<string, string>();
  const aws_sessions: AwsSession[] = [];
  const vault = await startVaultTwin({
    kubernetes: {
      issueToken: () => {
        const token = randomUUID();
        tokens.add(token);
        return { token, revoke: () => void tokens.delete(token) };
      },
    },
    database: {
      createUser: ({ username, password }) => {
        users.set(username, password);
        return { revoke: () => void users.delete(username) };
      },
    },
    aws: { assumeRole: (session) => void aws_sessions.push(session) },
  });
  const { role_id, secret_id } = configure(vault);
  vault.putSecret('aegis/orders', { user: 'orders', pass: 'a-password-of-kv', token: 'a-token-of-kv' });
  const config: VaultConfig = {
    address: vault.url,
    auth: {
      method: 'approle',
      mount: 'approle',
      role_id: { env: 'ROLE_ID' },
      secret_id: { env: 'SECRET_ID' },
    },
    timeout_ms: 30_000,
  };
  const secrets = { ROLE_ID: role_id, SECRET_ID: secret_id, ...more.secrets };
  const bench = await openBench({ vault: config, ...more, secrets });
  const works = async (_engine: string, credential: Credential): Promise<boolean> => {
    if (credential.kind === 'bearer') return tokens.has(credential.token.reveal());
    if (credential.kind === 'aws')
      return aws_sessions.some((s) => s.secret_key === credential.secret_access_key.reveal());
    const { username, password } = credential;
    return username === 'orders' || users.get(username) === password.reveal();
  };
  return {
    bench,
    vault,
    aws_sessions,
    config,
    secrets,
    sources: SOURCES,
    works,
    lives: async (accessor) => vault.outstanding().tokens.some((token) => token.accessor === accessor),
    close: async () => {
      await bench.close();
      await vault.close();
    },
  };
}

/** As an operator would: the README says the same in Vault's own words. */
function configure(vault: VaultTwin): { role_id: string; secret_id: string } {
  const update = { capabilities: ['create', 'update'] } as const;
  const read = { capabilities: ['read'] } as const;
  vault.addPolicy('aegis', {
    path: { 'auth/token/create/aegis-call': update, 'auth/token/revoke-accessor': update },
  });
  vault.addPolicy('aegis-call', {
    path: {
      'kubernetes/creds/aegis-*': update,
      'database/creds/orders-*': read,
      'aws/sts/iam-*': update,
      'secret/data/aegis/*': read,
    },
  });
  vault.addTokenRole('aegis-call', {
    allowed_policies: ['aegis-call'],
    token_explicit_max_ttl: 3600,
    renewable: false,
  });
  for (const role of ['aegis-read', 'aegis-write'])
    vault.addKubernetesRole(role, { allowed_kubernetes_namespaces: ['*'], kubernetes_role_name: role });
  for (const role of ['orders-read', 'orders-write']) vault.addDatabaseRole(role, { default_ttl_s: 3600 });
  for (const role of ['iam-read', 'iam-write'])
    vault.addAwsRole(role, { role_arns: [`arn:aws:iam::123456789012:role/${role}`] });
  return vault.addAppRole({ name: 'aegis', token_policies: ['aegis'], token_ttl_s: 3600 });
}
