import { writeFileSync } from 'node:fs';
import { request as httpsRequest } from 'node:https';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { CredentialSource } from '../../src/contract/credentials.ts';
import { startKubernetesTwin, type KubernetesTwin } from '../../src/lab/kubernetes/kubernetes-twin.ts';
import { prod1 } from '../../src/lab/world/prod-1.ts';
import { World } from '../../src/lab/world/world.ts';
import { readmeCluster } from './readme-blocks.ts';
import { granted, openBench, refused, type Bench } from './broker-bench.ts';

/** Kubernetes alone: a token that dies with a Secret which exists for nothing else. */
const SOURCE = {
  engine: 'kubernetes_token_request',
  minter: { env: 'MINTER' },
  read_account: 'aegis-read',
  write_account: 'aegis-write',
  ttl_s: 600,
} as const satisfies CredentialSource;

const NAMESPACE = 'spark-jobs';
let dir = '';
let world: World;
let kubernetes: KubernetesTwin;
let bench: Bench;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'aegis-token-request-'));
  world = new World({ definition: prod1(), clock: () => Date.now(), seed: 'token-request' });
  kubernetes = await startKubernetesTwin({ world });
  writeFileSync(join(dir, 'ca.pem'), kubernetes.ca_pem);
  for (const [name, verbs] of [
    ['aegis-read', ['get', 'list']],
    ['aegis-write', ['get', 'list', 'patch']],
  ] as const) {
    const metadata = { name, namespace: NAMESPACE };
    const rules = [{ verbs, apiGroups: [''], resources: ['pods', 'configmaps'] }];
    const group = 'rbac.authorization.k8s.io';
    kubernetes.setResource({ apiVersion: 'v1', kind: 'ServiceAccount', metadata });
    kubernetes.setResource({ apiVersion: `${group}/v1`, kind: 'Role', metadata, rules });
    kubernetes.setResource({
      apiVersion: `${group}/v1`,
      kind: 'RoleBinding',
      metadata,
      roleRef: { apiGroup: group, kind: 'Role', name },
      subjects: [{ kind: 'ServiceAccount', name, namespace: NAMESPACE }],
    });
  }
});
afterAll(async () => {
  await kubernetes?.close();
  rmSync(dir, { recursive: true, force: true });
});
beforeEach(async () => {
  bench = await openBench(config());
});
afterEach(async () => {
  kubernetes.faults.clear();
  await bench.close();
});

function config(rules = MINTER_RULES, token = minterToken(rules)) {
  return {
    clusters: {
      'prod-1': { server: kubernetes.url, ca_file: join(dir, 'ca.pem'), credentials: SOURCE },
    },
    secrets: { MINTER: token },
  };
}

const MINTER_RULES = [
  { verbs: ['create', 'delete'], apiGroups: [''], resources: ['secrets'] },
  {
    verbs: ['create'],
    apiGroups: [''],
    resources: ['serviceaccounts/token'],
    resourceNames: ['aegis-read', 'aegis-write'],
  },
];

function minterToken(rules: typeof MINTER_RULES): string {
  return kubernetes.issueToken({ serviceAccount: 'aegis-minter', namespace: NAMESPACE, rules }).token;
}

const throwAways = () =>
  world.store.list('Secret', NAMESPACE).filter(({ metadata }) => metadata.name.startsWith('aegis-lease-'));

function statusWith(token: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const path = `${kubernetes.url}/api/v1/namespaces/${NAMESPACE}/pods`;
    const call = httpsRequest(
      path,
      { ca: kubernetes.ca_pem, headers: { authorization: `Bearer ${token}` } },
      (r) => {
        r.resume();
        resolve(r.statusCode ?? 0);
      },
    );
    call.on('error', reject);
    call.end();
  });
}

const textOf = (lease: ReturnType<typeof granted>): string =>
  lease.credential?.kind === 'bearer' ? lease.credential.token.reveal() : '';

describe('kubernetes_token_request', () => {
  it('leases a token of the account that was asked for, which is dead (401) when its Secret is gone', async () => {
    for (const access of ['read', 'write'] as const) {
      const lease = granted(await bench.lease(SOURCE, { access, own: true }));
      expect(lease).toMatchObject({ engine: 'kubernetes_token_request', revocable: true });
      expect(lease.accessor).toMatch(/^prod-1\/spark-jobs\/aegis-lease-[0-9a-f]{32}$/);
      expect(await statusWith(textOf(lease))).toBe(200);
      expect(kubernetes.requests().at(-1)?.user).toBe(`system:serviceaccount:${NAMESPACE}:aegis-${access}`);
      expect(throwAways()).toHaveLength(1);
      expect(await lease.release()).toBe(true);
      expect(await statusWith(textOf(lease))).toBe(401);
      expect(throwAways()).toEqual([]);
    }
    expect(await bench.store.leases.outstanding()).toEqual([]);
  });

  it('writes the name of the Secret down before it exists', async () => {
    const mutations = kubernetes.mutations().length;
    const live: string[] = [];
    const guarded = await openBench({
      ...config(),
      store: {
        ...bench.store.leases,
        live: async (lease_id, accessor) => {
          expect(kubernetes.mutations()).toHaveLength(mutations);
          live.push(accessor);
          return bench.store.leases.live(lease_id, accessor);
        },
      },
    });
    const lease = granted(await guarded.lease(SOURCE));
    expect(live).toEqual([lease.accessor]);
    await lease.release();
    await guarded.close();
  });

  it('an answer that was lost, of either request, leaves no token that works', async () => {
    for (const resource of ['secrets', 'serviceaccounts/token']) {
      kubernetes.faults.dropAfter({
        times: 1,
        match: (r) => r.path.endsWith(`/${resource.split('/').at(-1)}`),
      });
      const refusal = refused(await bench.lease(SOURCE));
      expect(refusal.code).toBe('credential-unavailable');
      await expect.poll(throwAways, { timeout: 10_000 }).toEqual([]);
      expect(await bench.store.leases.outstanding()).toEqual([]);
    }
  });

  it('a Secret that cannot be deleted yet is deleted later, and the call is not failed for it', async () => {
    const lease = granted(await bench.lease(SOURCE));
    kubernetes.faults.answer({ status: 503, match: (r) => r.method === 'DELETE', times: 1 });
    expect(await lease.release()).toBe(false);
    await expect.poll(throwAways, { timeout: 10_000 }).toEqual([]);
    expect(await statusWith(textOf(lease))).toBe(401);
  });

  it('a Secret that somebody else has deleted is gone: nothing is left to do', async () => {
    const lease = granted(await bench.lease(SOURCE));
    for (const { metadata } of throwAways()) world.store.remove('Secret', NAMESPACE, metadata.name);
    expect(await lease.release()).toBe(true);
  });

  it('the sweep deletes what a dead process left behind', async () => {
    const lease = granted(await bench.lease(SOURCE));
    const row = {
      lease_id: 'lease_orphan.4194305',
      call_id: 'call_x',
      incident_id: null,
      engine: SOURCE.engine,
      expires_at_ms: 1,
    };
    await bench.store.leases.intent(row);
    await bench.store.leases.live(row.lease_id, lease.accessor as string);
    expect(await bench.broker.sweep()).toEqual({ revoked: 1, failed: 0 });
    expect(await statusWith(textOf(lease))).toBe(401);
    await lease.release();
  });

  it('a cluster that left aegis.yaml: the sweep says what to delete by hand, and keeps the row', async () => {
    const row = {
      lease_id: 'lease_orphan.4194305',
      call_id: 'call_x',
      incident_id: null,
      engine: SOURCE.engine,
      expires_at_ms: 1,
    };
    await bench.store.leases.intent(row);
    await bench.store.leases.live(row.lease_id, 'old-1/spark-jobs/aegis-lease-0');
    expect(await bench.broker.sweep()).toEqual({ revoked: 0, failed: 1 });
    expect(bench.log_lines.join()).toContain('spark-jobs/aegis-lease-0');
    expect(await bench.store.leases.outstanding()).toHaveLength(1);
  });

  it.each([
    [
      'a minter that may not',
      [{ verbs: ['get'], apiGroups: [''], resources: ['pods'] }],
      /403.*needs create/s,
    ],
    ['a minter without tokens', MINTER_RULES.slice(0, 1), /403.*serviceaccounts\/token/s],
  ])('%s: refused with what it needs', async (_name, rules, words) => {
    const poor = await openBench(config(rules));
    const refusal = refused(await poor.lease(SOURCE));
    expect(`${refusal.reason} ${refusal.remedy}`).toMatch(words);
    expect(await poor.store.leases.outstanding()).toEqual([]);
    await expect.poll(throwAways, { timeout: 10_000 }).toEqual([]);
    await poor.close();
  });

  it('a token of the minter that is not accepted, an account that is not there, another system: refused', async () => {
    const wrong = await openBench(config(MINTER_RULES, 'not-a-token-of-this-cluster'));
    expect(refused(await wrong.lease(SOURCE)).reason).toContain('401');
    expect(JSON.stringify([wrong.log_lines])).not.toContain('not-a-token-of-this-cluster');
    await wrong.close();
    const wide = await openBench(
      config([
        MINTER_RULES[0],
        { verbs: ['create'], apiGroups: [''], resources: ['serviceaccounts/token'] },
      ] as never),
    );
    expect(refused(await wide.lease({ ...SOURCE, write_account: 'nobody' })).remedy).toContain(
      'write_account',
    );
    await wide.close();
    expect(refused(await bench.lease(SOURCE, { system: 'loki/main' })).reason).toContain(
      'no Kubernetes cluster',
    );
    await expect.poll(throwAways, { timeout: 10_000 }).toEqual([]);
  });

  it('works as the README writes it', async () => {
    const cluster = readmeCluster(SOURCE.engine, { server: kubernetes.url, ca_file: join(dir, 'ca.pem') });
    const source = { ...cluster.credentials, minter: SOURCE.minter } as CredentialSource;
    const lease = granted(await bench.lease(source, { access: 'read', own: true }));
    expect(await statusWith(textOf(lease))).toBe(200);
    await lease.release();
    expect(await statusWith(textOf(lease))).toBe(401);
  });
});
