import { randomBytes } from 'node:crypto';
import { describe, it } from 'vitest';
import type { CredentialSource } from '../../src/contract/credentials.ts';
import { openBench } from './broker-bench.ts';
import { describeVault, type VaultPlace } from './vault-cases.ts';

/**
 * The same cases against a real Vault, for whoever has one: `VAULT_ADDR` and a `VAULT_TOKEN` that may configure it (a
 * `vault server -dev`). KV needs nothing else. The database engine needs a PostgreSQL that Vault reaches:
 * `VAULT_TEST_POSTGRES=postgresql://{{username}}:{{password}}@host:5432/postgres?sslmode=disable` with
 * `VAULT_TEST_POSTGRES_USER` and `VAULT_TEST_POSTGRES_PASSWORD`. What is made bears a name of its own and is removed.
 */
const { VAULT_ADDR: address, VAULT_TOKEN: root, VAULT_TEST_POSTGRES: postgres } = process.env;

if (address === undefined || root === undefined) {
  process.stdout.write('vault-real: skipped, VAULT_ADDR and VAULT_TOKEN are not set\n');
  describe.skip('Vault, a real one', () => it('needs VAULT_ADDR and VAULT_TOKEN', () => undefined));
} else {
  if (postgres === undefined)
    process.stdout.write('vault-real: the database engine is skipped, VAULT_TEST_POSTGRES is not set\n');
  const engines = ['vault_kv', ...(postgres === undefined ? [] : ['vault_database'])];
  describeVault('Vault, a real one', engines, () => openReal(address, root));
}

type Admin = (method: string, path: string, body?: object) => Promise<{ status: number; body: unknown }>;

function adminOf(url: string, token: string): Admin {
  return async (method, path, body) => {
    const answer = await fetch(`${url}/v1/${path}`, {
      method,
      headers: { 'x-vault-token': token, 'x-vault-request': 'true' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    return { status: answer.status, body: text === '' ? null : (JSON.parse(text) as unknown) };
  };
}

async function openReal(url: string, token: string): Promise<VaultPlace> {
  const admin = adminOf(url, token);
  const name = `aegis-test-${randomBytes(4).toString('hex')}`;
  const must = async (method: string, path: string, body?: object): Promise<unknown> => {
    const answer = await admin(method, path, body);
    if (answer.status >= 300)
      throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body;
  };
  await must('POST', `sys/mounts/${name}-kv`, { type: 'kv', options: { version: '2' } });
  await mountAppRole(must, name);
  await must('POST', `${name}-kv/data/aegis/orders`, { data: { user: 'orders', pass: 'a-password-of-kv' } });
  if (postgres !== undefined) await mountDatabase(must, name, postgres);
  const { data: role } = (await must('GET', `auth/${name}/role/aegis/role-id`)) as {
    data: { role_id: string };
  };
  const { data: secret } = (await must('POST', `auth/${name}/role/aegis/secret-id`)) as {
    data: { secret_id: string };
  };
  const bench = await openBench({
    vault: {
      address: url,
      auth: { method: 'approle', mount: name, role_id: { env: 'ROLE_ID' }, secret_id: { env: 'SECRET_ID' } },
      timeout_ms: 15_000,
    },
    secrets: { ROLE_ID: role.role_id, SECRET_ID: secret.secret_id },
  });
  const lives = async (accessor: string): Promise<boolean> =>
    (await admin('POST', 'auth/token/lookup-accessor', { accessor })).status === 200;
  return {
    bench,
    sources: sourcesOf(name),
    lives,
    async works(engine, credential) {
      if (credential.kind !== 'password') return false;
      if (engine === 'vault_kv') return credential.password.reveal() === 'a-password-of-kv';
      return connects(postgres ?? '', credential.username, credential.password.reveal());
    },
    async close() {
      await bench.close();
      for (const mount of [`${name}-kv`, `${name}-db`]) await admin('DELETE', `sys/mounts/${mount}`);
      await admin('DELETE', `sys/auth/${name}`);
      await admin('DELETE', `auth/token/roles/${name}`);
      for (const policy of [name, `${name}-call`]) await admin('DELETE', `sys/policies/acl/${policy}`);
    },
  };
}

/** The policies of the README under names of this run. */
async function mountAppRole(
  must: (method: string, path: string, body?: object) => Promise<unknown>,
  name: string,
): Promise<void> {
  const policy = (rules: Readonly<Record<string, string>>) => ({
    policy: Object.entries(rules)
      .map(([path, capabilities]) => `path "${path}" { capabilities = [${capabilities}] }`)
      .join('\n'),
  });
  await must(
    'PUT',
    `sys/policies/acl/${name}`,
    policy({
      [`auth/token/create/${name}`]: '"create", "update"',
      'auth/token/revoke-accessor': '"update"',
    }),
  );
  await must(
    'PUT',
    `sys/policies/acl/${name}-call`,
    policy({ [`${name}-kv/data/aegis/*`]: '"read"', [`${name}-db/creds/orders-*`]: '"read"' }),
  );
  await must('POST', `auth/token/roles/${name}`, {
    allowed_policies: [`${name}-call`],
    orphan: false,
    renewable: false,
    token_explicit_max_ttl: '1h',
    token_no_default_policy: true,
  });
  await must('POST', `sys/auth/${name}`, { type: 'approle' });
  await must('POST', `auth/${name}/role/aegis`, { token_policies: [name], token_ttl: '1h' });
}

async function mountDatabase(
  must: (method: string, path: string, body?: object) => Promise<unknown>,
  name: string,
  connection_url: string,
): Promise<void> {
  await must('POST', `sys/mounts/${name}-db`, { type: 'database' });
  await must('POST', `${name}-db/config/orders`, {
    plugin_name: 'postgresql-database-plugin',
    allowed_roles: ['orders-read', 'orders-write'],
    connection_url,
    username: process.env['VAULT_TEST_POSTGRES_USER'],
    password: process.env['VAULT_TEST_POSTGRES_PASSWORD'],
  });
  for (const role of ['orders-read', 'orders-write'])
    await must('POST', `${name}-db/roles/${role}`, {
      db_name: 'orders',
      default_ttl: '15m',
      max_ttl: '1h',
      creation_statements: [
        `CREATE ROLE "{{name}}" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';`,
      ],
    });
}

function sourcesOf(name: string): Record<string, CredentialSource> {
  const entry = { path: 'aegis/orders', username: 'user', password: 'pass' };
  return {
    vault_kv: { engine: 'vault_kv', mount: `${name}-kv`, token_role: name, read: entry, write: entry },
    vault_database: {
      engine: 'vault_database',
      mount: `${name}-db`,
      token_role: name,
      read_role: 'orders-read',
      write_role: 'orders-write',
      ttl_s: 600,
    },
  };
}

async function connects(template: string, username: string, password: string): Promise<boolean> {
  const { default: pg } = await import('pg');
  const url = template.replace('{{username}}:{{password}}', `${username}:${encodeURIComponent(password)}`);
  const client = new pg.Client({ connectionString: url });
  try {
    await client.connect();
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => undefined);
  }
}
