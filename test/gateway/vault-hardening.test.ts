import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Secret } from '../../src/contract/secret.ts';
import {
  createVaultClient,
  type VaultClient,
  type VaultConfig,
} from '../../src/gateway/credentials/vault-client.ts';
import { VaultError } from '../../src/gateway/credentials/vault-error.ts';
import { RevokeQueue } from '../../src/gateway/credentials/revoke-queue.ts';
import { Egress } from '../../src/gateway/egress.ts';
import { runChild } from '../kill/run-child.ts';
import type { Life } from './lease-life.ts';
import { granted, openBench, refused } from './broker-bench.ts';
import { openTwinPlace, SOURCES, type TwinPlace } from './vault-place.ts';

/**
 * What a correct broker must do, by the numbers of the design's list (2 crash-safe order, 3 revoke always, 5 never in a
 * log, 7 never shared, 8 fail closed and log in again in time), and the known defects of node-vault.
 */

interface Seen {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}
type Reply = { status: number; body?: unknown; headers?: Record<string, string>; hang?: boolean };

/** A Vault that answers what a test says and writes down what it was sent. */
let server: Server;
let seen: Seen[] = [];
let answer: (request: Seen) => Reply = () => ({ status: 204 });
let egress: Egress;
let config: VaultConfig;

beforeEach(async () => {
  seen = [];
  egress = new Egress(true);
  server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      const one = { method: request.method ?? '', path: request.url ?? '', headers: request.headers, body };
      seen.push(one);
      const reply = answer(one);
      if (reply.hang === true) return;
      response.writeHead(reply.status, { 'content-type': 'application/json', ...reply.headers });
      response.end(reply.body === undefined ? '' : JSON.stringify(reply.body));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  config = {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    namespace: 'sre/data',
    auth: {
      method: 'approle',
      mount: 'approle',
      role_id: { env: 'ROLE_ID' },
      secret_id: { env: 'SECRET_ID' },
    },
    timeout_ms: 300,
  };
});
afterEach(async () => {
  await egress.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

const TOKEN = 'hvs.the-token-that-nobody-may-see';
const SECRET_ID = 'the-secret-id-that-nobody-may-see';
const errorOf = async (client: VaultClient, retry: 'always' | 'unsent' = 'unsent', signal?: AbortSignal) => {
  const call = {
    method: 'write',
    path: ['kubernetes', 'creds', 'r'],
    data: { secret_id: SECRET_ID },
    retry,
  } as const;
  const error: unknown = await client
    .call({ ...call, token: new Secret(TOKEN), ...(signal === undefined ? {} : { signal }) })
    .catch((e: unknown) => e);
  expect(error).toBeInstanceOf(VaultError);
  return error as VaultError;
};

describe('the hardened client of Vault', () => {
  it('sends namespace and token in their headers, and the token that the call was given, every time', async () => {
    answer = () => ({ status: 200, body: { data: {} } });
    const client = await createVaultClient(config, egress);
    for (const token of ['hvs.one', 'hvs.two'])
      await client.call({
        method: 'read',
        path: ['secret', 'data', 'a'],
        token: new Secret(token),
        retry: 'always',
      });
    await client.call({
      method: 'write',
      path: ['auth', 'approle', 'login'],
      token: null,
      retry: 'always',
      data: {},
    });
    expect(seen.map((one) => one.headers['x-vault-token'])).toEqual(['hvs.one', 'hvs.two', undefined]);
    for (const one of seen)
      expect(one.headers).toMatchObject({ 'x-vault-namespace': 'sre/data', 'x-vault-request': 'true' });
  });

  it('ignores VAULT_TOKEN, VAULT_ADDR, VAULT_NAMESPACE and VAULT_SKIP_VERIFY of the environment', async () => {
    const names = { VAULT_TOKEN: 'hvs.env', VAULT_NAMESPACE: 'env', VAULT_ADDR: 'http://127.0.0.1:1' };
    Object.assign(process.env, names);
    try {
      answer = () => ({ status: 200, body: {} });
      const client = await createVaultClient({ ...config, namespace: undefined }, egress);
      await client.call({ method: 'read', path: ['a'], token: null, retry: 'always' });
      expect(seen).toHaveLength(1);
      expect(seen[0]?.headers['x-vault-token'] ?? '').toBe('');
      expect(seen[0]?.headers['x-vault-namespace'] ?? '').toBe('');
    } finally {
      for (const name of Object.keys(names)) delete process.env[name];
    }
  });

  it('ends a call that hangs at its time-out, and one that is aborted at once; neither is a mint twice', async () => {
    answer = () => ({ status: 200, hang: true });
    const client = await createVaultClient(config, egress);
    expect(await errorOf(client)).toMatchObject({ problem: 'timeout', may_have_acted: true });
    const controller = new AbortController();
    const pending = errorOf(client, 'unsent', controller.signal);
    await expect.poll(() => seen.length, { timeout: 10_000 }).toBe(2);
    controller.abort();
    expect((await pending).problem).toMatch(/aborted|timeout/);
    expect(seen).toHaveLength(2);
  });

  it.each([
    [503, { errors: ['Vault is sealed'] }, 'sealed', 3],
    [503, { errors: ['upstream connect error'] }, 'failed', 1],
    [429, { errors: ['rate limit quota exceeded'] }, 'throttled', 3],
    [473, { errors: [] }, 'throttled', 3],
    [500, { errors: ['internal error'] }, 'failed', 1],
    [403, { errors: ['permission denied'] }, 'denied', 1],
    [400, { errors: ['bad'] }, 'rejected', 1],
    [404, { errors: [] }, 'missing', 1],
  ] as const)('%i %j on a mint is "%s", asked %i times', async (status, body, problem, times) => {
    answer = () => ({ status, body });
    const client = await createVaultClient(config, egress);
    expect((await errorOf(client)).problem).toBe(problem);
    expect(seen).toHaveLength(times);
  });

  it('a standby that redirects is told apart, and the token does not follow the redirect', async () => {
    answer = () => ({ status: 307, headers: { location: `${config.address}/elsewhere` } });
    const client = await createVaultClient(config, egress);
    expect(await errorOf(client)).toMatchObject({ problem: 'standby', may_have_acted: false });
    expect(seen).toHaveLength(1);
  });

  it('what may be repeated is: a read after a lost answer, but three times at most', async () => {
    answer = () => ({ status: 500, body: { errors: [] } });
    const client = await createVaultClient(config, egress);
    await errorOf(client, 'always');
    expect(seen).toHaveLength(3);
  });

  it.each([['..'], ['.'], ['a/b'], ['a?b'], ['%2e%2e'], ['ro=1&x'], ['']])(
    'a name %j is refused before anything is sent',
    async (name) => {
      const client = await createVaultClient(config, egress);
      const call = {
        method: 'read',
        path: ['database', 'creds', name],
        token: null,
        retry: 'always',
      } as const;
      await expect(client.call(call)).rejects.toThrow('unexpected characters');
      expect(seen).toEqual([]);
    },
  );

  it('5: no error shows a token, a body or a cause, in any form that a log can take', async () => {
    const client = await createVaultClient(config, egress);
    const replies: Reply[] = [
      { status: 403, body: { errors: [`denied ${SECRET_ID}`] } },
      { status: 500, body: { errors: [`failed ${TOKEN}`] } },
      { status: 200, hang: true },
      { status: 307 },
    ];
    for (const reply of replies) {
      answer = () => reply;
      const error = await errorOf(client);
      const shown = [
        inspect(error, { depth: 9, showHidden: true, getters: true }),
        JSON.stringify(error),
        String(error),
        error.stack ?? '',
        JSON.stringify(Object.getOwnPropertyDescriptors(error)),
      ].join('\n');
      expect(shown).not.toContain(TOKEN);
      expect(shown).not.toContain(SECRET_ID);
      expect(error.cause).toBeUndefined();
    }
  });

  it('an answer of another shape is a refusal that says so, not a fault', async () => {
    const bench = await openBench({ vault: config, secrets: { ROLE_ID: 'r', SECRET_ID } });
    for (const body of [undefined, 'text', { auth: null }, { auth: { client_token: TOKEN } }]) {
      answer = () => ({ status: 200, body });
      expect(refused(await bench.lease(SOURCES.vault_kv)).reason).toContain('not what Vault documents');
    }
    expect(await bench.store.leases.outstanding()).toEqual([]);
    await bench.close();
  });
});

describe('the broker', () => {
  let place: TwinPlace;
  beforeEach(async () => {
    place = await openTwinPlace();
  });
  afterEach(() => place.close());
  const logins = () => place.vault.requests().filter((r) => r.path.endsWith('approle/login'));

  it('2: writes the intent and the accessor before the mint: the order of the rows and the requests', async () => {
    const order: string[] = [];
    const { leases } = place.bench.store;
    const guarded = await openBench({
      vault: place.config,
      secrets: place.secrets,
      store: {
        ...leases,
        intent: async (row) => {
          order.push(`intent ${row.engine}`);
          return leases.intent(row);
        },
        live: async (id, accessor) => {
          order.push(id.startsWith('login') ? 'live login' : 'live lease');
          return leases.live(id, accessor);
        },
      },
    });
    place.vault.faults.inject(
      { kind: 'delay', delay_ms: 0 },
      { times: Infinity, match: (call) => (order.push(call.path.split('/').slice(2, 5).join('/')), false) },
    );
    const lease = granted(await guarded.lease(SOURCES.vault_database));
    await lease.release();
    expect(order).toEqual([
      'intent vault_database',
      'intent vault_login',
      'auth/approle/login',
      'live login',
      'auth/token/create',
      'live lease',
      'database/creds/orders-write',
      'auth/token/revoke-accessor',
    ]);
    await guarded.close();
  });

  it('8: logs in again at two thirds of its time; the old login works until the new one does, and its leases live on', async () => {
    const first = granted(await place.bench.lease(SOURCES.vault_database));
    expect(logins()).toHaveLength(1);
    place.bench.skip(3600_000 * 0.5);
    await granted(await place.bench.lease(SOURCES.vault_database)).release();
    expect(logins()).toHaveLength(1);
    place.bench.skip(3600_000 * 0.18);
    place.vault.faults.inject(
      { kind: 'status', status: 500 },
      { times: 3, match: (call) => call.path.endsWith('login') },
    );
    // Three tries fail: the lease is taken with the old login, and given back with the new one.
    await granted(await place.bench.lease(SOURCES.vault_database)).release();
    expect(logins().map((r) => r.status)).toEqual([200, 500, 500, 500, 200]);
    expect(await place.works('vault_database', first.credential as never)).toBe(true);
    await first.release();
    await place.bench.broker.close();
    expect(place.vault.outstanding()).toEqual({ leases: [], tokens: [] });
    expect(await place.bench.store.leases.outstanding()).toEqual([]);
  });

  it('8: a login whose token died is replaced once; one that only may not is kept', async () => {
    await granted(await place.bench.lease(SOURCES.vault_database)).release();
    const other = { ...SOURCES.vault_database, token_role: 'somebody-elses-role' };
    for (let n = 0; n < 2; n += 1)
      expect(refused(await place.bench.lease(other)).reason).toContain('permission denied');
    expect(logins()).toHaveLength(1);
    const [row] = await place.bench.store.leases.outstanding();
    await fetch(`${place.vault.url}/v1/auth/token/revoke-accessor`, {
      method: 'POST',
      headers: { 'x-vault-token': place.vault.rootToken() },
      body: JSON.stringify({ accessor: row?.accessor }),
    });
    await granted(await place.bench.lease(SOURCES.vault_database)).release();
    expect(logins()).toHaveLength(2);
    await place.bench.broker.close();
    expect(await place.bench.store.leases.outstanding()).toEqual([]);
    expect(place.vault.outstanding()).toEqual({ leases: [], tokens: [] });
  });

  it('7: reads of two tenants, namespaces or incidents never share; reads that ask at once mint once', async () => {
    const read = (more: object) => place.bench.lease(SOURCES.vault_database, { access: 'read', ...more });
    const same = await Promise.all([read({}), read({}), read({})]);
    expect(new Set(same.map((lease) => granted(lease).accessor)).size).toBe(1);
    const others = [{ tenant: 'fraud/prod' }, { namespace: 'other' }, { incident_id: 'INC-2026-1123-002' }];
    const accessors = await Promise.all(others.map(async (more) => granted(await read(more)).accessor));
    expect(new Set([...accessors, granted(same[0] as never).accessor]).size).toBe(4);
  });

  it('8: Vault is down: a write is refused, and no standing credential takes its place', async () => {
    await place.vault.close();
    const refusal = refused(await place.bench.lease(SOURCES.vault_kubernetes));
    expect(refusal).toMatchObject({ code: 'credential-unavailable' });
    expect(refusal.remedy).toContain('vault.address');
    expect(await place.bench.store.leases.outstanding()).toEqual([]);
  });

  it('3: a lease that is older than its lifetime is an error in the log, once', async () => {
    const lease = granted(await place.bench.lease(SOURCES.vault_database));
    const { store, log_lines } = place.bench;
    const write = (level: string) => (fields: object, message: string) =>
      void log_lines.push(JSON.stringify({ level, message, ...fields }));
    const log = { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') };
    const queue = new RevokeQueue(store.leases, () => null, log);
    await queue.reportOverdue(Date.now());
    expect(log_lines.filter((l) => l.includes('older than its lifetime'))).toEqual([]);
    for (let n = 0; n < 2; n += 1) await queue.reportOverdue(Date.now() + 601_000);
    const lines = log_lines.filter((l) => l.includes('older than its lifetime'));
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0] as string)).toMatchObject({ level: 'error', engine: 'vault_database' });
    await lease.release();
  });

  it('5: nothing that was minted stands in a log line or a row of the store', async () => {
    for (const engine of Object.values(SOURCES)) await granted(await place.bench.lease(engine)).release();
    place.vault.seal();
    refused(await place.bench.lease(SOURCES.vault_kubernetes));
    await place.vault.unseal();
    const shown = JSON.stringify([place.bench.log_lines, await place.bench.store.leases.outstanding()]);
    for (const secret of [...place.vault.secretsMinted(), ...Object.values(place.secrets)])
      expect(shown).not.toContain(secret);
  });

  it('5: DEBUG=* prints no secret (node-vault alone would print the login)', async () => {
    const life: Life = {
      home: join(place.bench.home, 'debug'),
      vault: place.config,
      clusters: {},
      secrets: { ...place.secrets },
      source: SOURCES.vault_kubernetes,
    };
    const file = join(place.bench.home, 'life.json');
    writeFileSync(file, JSON.stringify(life));
    const entry = fileURLToPath(new URL('./lease-life.ts', import.meta.url));
    const env = { DEBUG: '*', NODE_DEBUG: 'net,http,undici' };
    const end = await runChild(entry, { env, args: [file], timeout_ms: 60_000 });
    expect(end).toMatchObject({ code: 0 });
    const secrets = [...place.vault.secretsMinted(), ...Object.values(place.secrets)];
    expect(secrets.length).toBeGreaterThan(4);
    for (const secret of secrets) expect(`${end.stdout}${end.stderr}`).not.toContain(secret);
  }, 90_000);
});
