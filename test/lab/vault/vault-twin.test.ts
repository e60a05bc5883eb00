import { request } from 'node:https';
import nodeVault from 'node-vault';
import { generate } from 'selfsigned';
import { afterEach, describe, expect, it } from 'vitest';
import type { IssueRequest } from '../../../src/lab/vault/setup.ts';
import { startVaultTwin, type VaultTwin } from '../../../src/lab/vault/vault-twin.ts';

/** A Kubernetes side that remembers which tokens work. */
class Cluster {
  readonly live = new Set<string>();
  readonly asked: IssueRequest[] = [];
  down = false;

  issueToken(request: IssueRequest): { token: string; revoke: () => void } {
    if (this.down) throw new Error('connection refused');
    this.asked.push(request);
    const token = `k8s-token-${this.asked.length}`;
    this.live.add(token);
    return {
      token,
      revoke: () => {
        if (this.down) throw new Error('connection refused');
        this.live.delete(token);
      },
    };
  }
}

interface Range {
  readonly vault: VaultTwin;
  readonly cluster: Cluster;
  readonly advance: (seconds: number) => Promise<void>;
  readonly login: () => Promise<string>;
}

const running: VaultTwin[] = [];
afterEach(async () => {
  for (const vault of running.splice(0)) await vault.close();
});

async function range(): Promise<Range> {
  let now_ms = 1_795_440_000_000;
  const cluster = new Cluster();
  const vault = await startVaultTwin({ clock: () => now_ms, kubernetes: cluster });
  running.push(vault);
  vault.addPolicy('aegis', {
    path: {
      'auth/token/create/aegis-write': { capabilities: ['update'] },
      'auth/token/revoke-accessor': { capabilities: ['update'] },
      'secret/data/aegis/*': { capabilities: ['read'] },
    },
  });
  vault.addPolicy('k8s-data-prod', {
    path: { 'kubernetes/creds/data-prod-patch': { capabilities: ['update'] } },
  });
  vault.addTokenRole('aegis-write', {
    allowed_policies: ['k8s-data-prod'],
    token_explicit_max_ttl: 900,
    renewable: false,
  });
  vault.addKubernetesRole('data-prod-patch', {
    allowed_kubernetes_namespaces: ['spark-prod'],
    kubernetes_role_name: 'job-patcher',
    token_default_ttl_s: 600,
    token_max_ttl_s: 1200,
  });
  const ids = vault.addAppRole({ name: 'aegis', token_policies: ['aegis'], token_ttl_s: 3600 });
  return {
    vault,
    cluster,
    advance: async (seconds) => {
      now_ms += seconds * 1000;
      await vault.expire();
    },
    login: async () =>
      (await call(vault, 'POST', 'auth/approle/login', '', ids)).json.auth.client_token as string,
  };
}

async function call(
  vault: VaultTwin,
  method: string,
  path: string,
  token: string,
  body?: unknown,
  headers = {},
) {
  const response = await fetch(`${vault.url}/v1/${path}`, {
    method,
    headers: { 'X-Vault-Request': 'true', ...(token === '' ? {} : { 'X-Vault-Token': token }), ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, json: text === '' ? null : JSON.parse(text) };
}

async function child(vault: VaultTwin, token: string, fields = {}) {
  const answer = await call(vault, 'POST', 'auth/token/create/aegis-write', token, {
    num_uses: 4,
    ttl: '700s',
    ...fields,
  });
  return answer.json.auth as {
    client_token: string;
    accessor: string;
    lease_duration: number;
    policies: string[];
  };
}

async function mint(vault: VaultTwin, token: string, fields = {}) {
  return call(vault, 'POST', 'kubernetes/creds/data-prod-patch', token, {
    kubernetes_namespace: 'spark-prod',
    ttl: '600s',
    ...fields,
  });
}

describe('the credential path, with the real node-vault', () => {
  it('logs in, makes a child token, mints a Kubernetes token and kills it by revoking the accessor', async () => {
    const { vault, cluster } = await range();
    const ids = vault.addAppRole({ name: 'second', token_policies: ['aegis'] });
    const client = nodeVault({ endpoint: vault.url, debug: () => undefined });
    await client.approleLogin(ids);
    const made = await client.write('auth/token/create/aegis-write', {
      num_uses: 3,
      explicit_max_ttl: '900s',
    });
    const narrow = nodeVault({ endpoint: vault.url, token: made.auth.client_token, debug: () => undefined });
    const minted = await narrow.write('kubernetes/creds/data-prod-patch', {
      kubernetes_namespace: 'spark-prod',
      ttl: '600s',
    });
    expect(minted).toMatchObject({ renewable: false, lease_duration: 600, auth: null, wrap_info: null });
    expect(minted.lease_id).toMatch(/^kubernetes\/creds\/data-prod-patch\/[0-9A-Za-z]{24}$/);
    expect(cluster.asked[0]).toMatchObject({ namespace: 'spark-prod', role: 'job-patcher', ttl_s: 600 });
    expect(cluster.live.size).toBe(1);
    await client.write('auth/token/revoke-accessor', { accessor: made.auth.accessor });
    expect(cluster.live.size).toBe(0);
    expect(vault.outstanding().leases).toEqual([]);
    await expect(narrow.tokenLookupSelf()).rejects.toThrow('invalid token');
  });

  it('answers the real envelope and never shows a token id through its accessor', async () => {
    const { vault, login } = await range();
    const token = await login();
    const self = await call(vault, 'GET', 'auth/token/lookup-self', token);
    expect(Object.keys(self.json).sort()).toEqual([
      'auth',
      'data',
      'lease_duration',
      'lease_id',
      'renewable',
      'request_id',
      'warnings',
      'wrap_info',
    ]);
    expect(self.json.data).toMatchObject({
      id: token,
      display_name: 'approle',
      policies: ['aegis', 'default'],
      orphan: true,
      type: 'service',
    });
    const root = vault.rootToken();
    const other = await call(vault, 'POST', 'auth/token/lookup-accessor', root, {
      accessor: self.json.data.accessor,
    });
    expect(other.json.data).toMatchObject({ id: '', accessor: self.json.data.accessor });
  });
});

describe('transport', () => {
  it('serves HTTPS when it is given a certificate', async () => {
    const pem = await generate([{ name: 'commonName', value: '127.0.0.1' }], {
      extensions: [{ name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }] }],
    });
    const vault = await startVaultTwin({
      kubernetes: new Cluster(),
      tls: { key: pem.private, cert: pem.cert },
    });
    running.push(vault);
    expect(vault.url).toMatch(/^https:/);
    const status = await new Promise((resolve, reject) => {
      request(`${vault.url}/v1/sys/health`, { ca: pem.cert }, (response) => resolve(response.statusCode))
        .on('error', reject)
        .end();
    });
    expect(status).toBe(200);
  });
});

describe('refusals', () => {
  it('says in Vault’s words what it refuses', async () => {
    const { vault, login } = await range();
    const token = await login();
    const { client_token } = await child(vault, token);
    const denied = '1 error occurred:\n\t* permission denied\n\n';
    const rows: [string, string, string, unknown, number, string][] = [
      ['POST', 'auth/approle/login', '', { role_id: 'x', secret_id: 'y' }, 400, 'invalid role or secret ID'],
      ['POST', 'auth/approle/login', '', { role_id: 'x' }, 400, 'missing secret_id'],
      ['GET', 'auth/token/lookup-self', '', undefined, 403, 'permission denied'],
      [
        'GET',
        'auth/token/lookup-self',
        'hvs.forged',
        undefined,
        403,
        '2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n',
      ],
      [
        'POST',
        'kubernetes/creds/data-prod-patch',
        token,
        { kubernetes_namespace: 'spark-prod' },
        403,
        denied,
      ],
      ['GET', 'secret/data/other', token, undefined, 403, denied],
      ['POST', 'auth/token/create', token, {}, 403, denied],
      [
        'POST',
        'auth/token/revoke-accessor',
        token,
        { accessor: 'gone' },
        400,
        '1 error occurred:\n\t* invalid accessor\n\n',
      ],
      [
        'POST',
        'kubernetes/creds/data-prod-patch',
        client_token,
        { kubernetes_namespace: 'payments' },
        400,
        'is not present in role’s',
      ],
      ['GET', 'kubernetes/creds/data-prod-patch', client_token, undefined, 403, denied],
    ];
    for (const [method, path, with_token, body, status, text] of rows) {
      const answer = await call(vault, method, path, with_token, body);
      expect([path, answer.status]).toEqual([path, status]);
      expect(answer.json.errors[0].replaceAll("'", '’')).toContain(text.replaceAll("'", '’'));
    }
  });

  it('refuses a Kubernetes token shorter than ten minutes and a namespace outside of the role', async () => {
    const { vault, login, cluster } = await range();
    const { client_token } = await child(vault, await login());
    const short = await mint(vault, client_token, { ttl: 60 });
    expect(short.status).toBe(500);
    expect(short.json.errors[0]).toContain('may not specify a duration less than 10 minutes');
    const foreign = await mint(vault, client_token, { kubernetes_namespace: 'payments' });
    expect(foreign.status).toBe(400);
    expect(cluster.asked).toEqual([]);
  });

  it('caps a lease at the role’s maximum and says so', async () => {
    const { vault, login } = await range();
    const { client_token } = await child(vault, await login());
    const capped = await mint(vault, client_token, { ttl: '2h' });
    expect(capped.json.lease_duration).toBe(1200);
    expect(capped.json.warnings).toEqual([
      "ttl of 2h0m0s is greater than the role's token_max_ttl of 20m0s; capping accordingly",
    ]);
  });

  it('lets a role give only its allowed policies, and a token with few uses no children at all', async () => {
    const { vault, login } = await range();
    const token = await login();
    const wide = await call(vault, 'POST', 'auth/token/create/aegis-write', token, { policies: ['root'] });
    expect(wide.status).toBe(400);
    expect(wide.json.errors[0]).toContain(
      `token policies (["default" "root"]) must be subset of the role's allowed policies`,
    );
    const few = await call(vault, 'POST', 'auth/token/create', vault.rootToken(), {
      policies: ['root'],
      num_uses: 5,
    });
    const grandchild = await call(vault, 'POST', 'auth/token/create', few.json.auth.client_token, {});
    expect(grandchild.json.errors).toEqual(['restricted use token cannot generate child tokens']);
    const unknown = await call(vault, 'POST', 'auth/token/create/none', vault.rootToken(), {});
    expect(unknown.json.errors).toEqual(['unknown role none']);
  });

  it('is loud about what it lacks and precise about what does not exist', async () => {
    const { vault } = await range();
    const root = vault.rootToken();
    const lacking = await call(vault, 'GET', 'sys/mounts', root);
    expect([lacking.status, lacking.json.errors[0]]).toEqual([
      501,
      'vault twin: GET sys/mounts is outside of the implemented subset',
    ]);
    const absent = await call(vault, 'GET', 'azure/creds/deploy', root);
    expect([absent.status, absent.json.errors[0]]).toEqual([
      404,
      'no handler for route "azure/creds/deploy". route entry not found.',
    ]);
    const batch = await call(vault, 'POST', 'auth/token/create', root, { type: 'batch' });
    expect([batch.status, batch.json.errors[0]]).toEqual([
      501,
      'vault twin: auth/token/create with type batch is outside of the implemented subset',
    ]);
    expect((await call(vault, 'GET', 'auth/token/revoke-self', root)).status).toBe(405);
    expect((await fetch(`${vault.url}/v1/auth/approle/login`, { method: 'POST', body: '{' })).status).toBe(
      400,
    );
  });
});

describe('death', () => {
  it('kills children and their leases with the parent, but not orphans', async () => {
    const { vault, login, cluster } = await range();
    const token = await login();
    vault.addTokenRole('orphans', { orphan: true, allowed_policies: ['k8s-data-prod'] });
    const kin = await child(vault, token);
    const orphan = (await call(vault, 'POST', 'auth/token/create/orphans', vault.rootToken(), {})).json.auth;
    await mint(vault, kin.client_token);
    await mint(vault, orphan.client_token);
    expect(cluster.live.size).toBe(2);
    expect((await call(vault, 'POST', 'auth/token/revoke-self', token)).status).toBe(204);
    expect(cluster.live.size).toBe(1);
    expect(vault.outstanding().tokens.map((left) => left.accessor)).toEqual([orphan.accessor]);
  });

  it('kills by time: the lease first, then the token, capped by the role’s explicit maximum', async () => {
    const { vault, login, cluster, advance } = await range();
    const kin = await child(vault, await login(), { ttl: '5h' });
    expect(kin.lease_duration).toBe(900);
    await mint(vault, kin.client_token);
    await advance(601);
    expect(cluster.live.size).toBe(0);
    expect((await call(vault, 'GET', 'auth/token/lookup-self', kin.client_token)).status).toBe(200);
    await advance(300);
    expect((await call(vault, 'GET', 'auth/token/lookup-self', kin.client_token)).status).toBe(403);
  });

  it('kills a token with its last use, and refuses to hand out a lease on that use', async () => {
    const { vault, login, cluster } = await range();
    const kin = await child(vault, await login(), { num_uses: 2 });
    expect((await call(vault, 'GET', 'auth/token/lookup-self', kin.client_token)).json.data.num_uses).toBe(1);
    const last = await mint(vault, kin.client_token);
    expect(last.json.errors).toEqual([
      'Secret cannot be returned; token had one use left, so leased credentials were immediately revoked.',
    ]);
    expect(cluster.asked).toHaveLength(1);
    expect(cluster.live.size).toBe(0);
    expect((await mint(vault, kin.client_token)).status).toBe(403);
  });

  it('keeps a lease outstanding while Kubernetes cannot be reached, and kills it when it can', async () => {
    const { vault, login, cluster } = await range();
    const token = await login();
    const kin = await child(vault, token);
    await mint(vault, kin.client_token);
    cluster.down = true;
    expect(
      (await call(vault, 'POST', 'auth/token/revoke-accessor', token, { accessor: kin.accessor })).status,
    ).toBe(204);
    expect(vault.outstanding().leases).toMatchObject([
      { accessor: kin.accessor, failure: 'connection refused' },
    ]);
    expect(cluster.live.size).toBe(1);
    cluster.down = false;
    await vault.expire();
    expect(vault.outstanding().leases).toEqual([]);
    expect(cluster.live.size).toBe(0);
  });

  it('cannot kill the token of an existing service account, as the real engine cannot', async () => {
    const { vault, cluster } = await range();
    vault.addKubernetesRole('existing', {
      allowed_kubernetes_namespaces: ['*'],
      service_account_name: 'reader',
      token_default_ttl_s: 600,
    });
    const root = vault.rootToken();
    const minted = await call(vault, 'POST', 'kubernetes/creds/existing', root, {
      kubernetes_namespace: 'any',
    });
    expect(minted.json.data.service_account_name).toBe('reader');
    const { lease_id } = minted.json;
    expect((await call(vault, 'PUT', 'sys/leases/lookup', root, { lease_id })).json.data.ttl).toBe(600);
    expect((await call(vault, 'PUT', 'sys/leases/renew', root, { lease_id })).json.errors).toEqual([
      'lease is not renewable',
    ]);
    expect((await call(vault, 'PUT', 'sys/leases/revoke', root, { lease_id })).status).toBe(204);
    expect((await call(vault, 'PUT', 'sys/leases/lookup', root, { lease_id })).json.errors).toEqual([
      'invalid lease',
    ]);
    expect(cluster.live.size).toBe(1);
  });
});

describe('sealed, faults and the log', () => {
  it('answers nothing but health while sealed, and applies missed expiry at unseal', async () => {
    const { vault, login, cluster, advance } = await range();
    const token = await login();
    const kin = await child(vault, token);
    await mint(vault, kin.client_token);
    vault.seal();
    const sealed = await call(vault, 'GET', 'auth/token/lookup-self', token);
    expect([sealed.status, sealed.json]).toEqual([503, { errors: ['Vault is sealed'] }]);
    const health = await call(vault, 'GET', 'sys/health', '');
    expect([health.status, health.json.sealed]).toEqual([503, true]);
    expect((await call(vault, 'GET', 'sys/seal-status', '')).json).toMatchObject({
      sealed: true,
      t: 1,
      n: 1,
    });
    await advance(5000);
    expect(cluster.live.size).toBe(1);
    await vault.unseal();
    expect(cluster.live.size).toBe(0);
    expect((await call(vault, 'GET', 'sys/health', '')).status).toBe(200);
  });

  it('can fail before, fail after having executed, and be slow', async () => {
    const { vault, login, cluster } = await range();
    const { client_token } = await child(vault, await login());
    vault.faults.inject({ kind: 'status', status: 500 });
    expect((await mint(vault, client_token)).json).toEqual({ errors: ['internal error'] });
    expect(cluster.asked).toHaveLength(0);
    vault.faults.inject({ kind: 'drop_before' });
    await expect(mint(vault, client_token)).rejects.toThrow('fetch failed');
    expect(cluster.asked).toHaveLength(0);
    vault.faults.inject({ kind: 'drop_after' }, { match: (seen) => seen.path.includes('/kubernetes/') });
    await expect(mint(vault, client_token)).rejects.toThrow('fetch failed');
    expect(cluster.live.size).toBe(1);
    vault.faults.inject({ kind: 'delay', delay_ms: 80 });
    const before = performance.now();
    expect((await mint(vault, client_token)).status).toBe(200);
    expect(performance.now() - before).toBeGreaterThan(70);
  });

  it('logs who asked for what with which result, and no secret', async () => {
    const { vault, login } = await range();
    const token = await login();
    const kin = await child(vault, token);
    await mint(vault, kin.client_token);
    await call(vault, 'GET', `auth/token/lookup/${kin.client_token}`, vault.rootToken());
    vault.faults.inject({ kind: 'drop_after' });
    await expect(call(vault, 'GET', 'sys/health', '')).rejects.toThrow('fetch failed');
    const log = vault.requests();
    expect(log.map((entry) => [entry.method, entry.path, entry.status])).toEqual([
      ['POST', '/v1/auth/approle/login', 200],
      ['POST', '/v1/auth/token/create/aegis-write', 200],
      ['POST', '/v1/kubernetes/creds/data-prod-patch', 200],
      ['GET', '/v1/auth/token/lookup/[SECRET]', 501],
      ['GET', '/v1/sys/health', 0],
    ]);
    expect(log[2]?.accessor).toBe(kin.accessor);
    const secrets = vault.secretsMinted();
    expect(secrets).toContain('k8s-token-1');
    expect(secrets).toContain(kin.client_token);
    for (const secret of secrets) expect(JSON.stringify([log, vault.outstanding()])).not.toContain(secret);
  });
});

describe('secrets and wrapping', () => {
  it('reads KV versions, and a deleted one is a 404 that still has a body', async () => {
    const { vault, login } = await range();
    const token = await login();
    vault.putSecret('aegis/slack', { signing: 'one' });
    vault.putSecret('aegis/slack', { signing: 'two' });
    expect((await call(vault, 'GET', 'secret/data/aegis/slack', token)).json.data).toMatchObject({
      data: { signing: 'two' },
      metadata: { version: 2, destroyed: false },
    });
    expect((await call(vault, 'GET', 'secret/data/aegis/slack?version=1', token)).json.data.data).toEqual({
      signing: 'one',
    });
    vault.deleteSecret('aegis/slack');
    const gone = await call(vault, 'GET', 'secret/data/aegis/slack', token);
    expect([gone.status, gone.json.data.data]).toEqual([404, null]);
    expect(gone.json.data.metadata.deletion_time).not.toBe('');
    const never = await call(vault, 'GET', 'secret/data/aegis/none', token);
    expect([never.status, never.json]).toEqual([404, { errors: [] }]);
  });

  it('wraps an answer behind a token that unwraps once', async () => {
    const { vault, login, advance } = await range();
    const token = await login();
    vault.putSecret('aegis/slack', { signing: 'one' });
    const wrap = async () =>
      (await call(vault, 'GET', 'secret/data/aegis/slack', token, undefined, { 'X-Vault-Wrap-TTL': '60s' }))
        .json;
    const wrapped = await wrap();
    expect(JSON.stringify(wrapped)).not.toContain('one');
    const body = { token: wrapped.wrap_info.token as string };
    expect((await call(vault, 'POST', 'sys/wrapping/lookup', '', body)).json.data.creation_path).toBe(
      'secret/data/aegis/slack',
    );
    expect((await call(vault, 'POST', 'sys/wrapping/unwrap', body.token)).json.data.data).toEqual({
      signing: 'one',
    });
    const again = await call(vault, 'POST', 'sys/wrapping/unwrap', body.token);
    expect([again.status, again.json.errors]).toEqual([
      400,
      ['wrapping token is not valid or does not exist'],
    ]);
    const late = await wrap();
    await advance(61);
    expect((await call(vault, 'POST', 'sys/wrapping/unwrap', late.wrap_info.token)).status).toBe(400);
  });

  it('renews a renewable token from now, never past its maximum, and refuses the others', async () => {
    const { vault, login, advance } = await range();
    const token = await login();
    await advance(3000);
    expect(
      (await call(vault, 'POST', 'auth/token/renew-self', token, { increment: 1800 })).json.auth
        .lease_duration,
    ).toBe(1800);
    const kin = await child(vault, token);
    expect((await call(vault, 'POST', 'auth/token/renew-self', kin.client_token, {})).json.errors).toEqual([
      'lease is not renewable',
    ]);
    await advance(1801);
    expect((await call(vault, 'GET', 'auth/token/lookup-self', token)).status).toBe(403);
  });

  it('reads and writes token roles as documents', async () => {
    const { vault } = await range();
    const root = vault.rootToken();
    const path = 'auth/token/roles/aegis-read';
    expect(
      (
        await call(vault, 'POST', path, root, {
          allowed_policies: 'a,b',
          token_explicit_max_ttl: '15m',
          renewable: false,
        })
      ).status,
    ).toBe(204);
    expect((await call(vault, 'GET', path, root)).json.data).toMatchObject({
      allowed_policies: ['a', 'b'],
      token_explicit_max_ttl: 900,
      renewable: false,
    });
    expect((await call(vault, 'POST', path, root, { token_period: '1h' })).status).toBe(501);
    expect((await call(vault, 'DELETE', path, root)).status).toBe(204);
    expect((await call(vault, 'GET', path, root)).status).toBe(404);
  });
});
