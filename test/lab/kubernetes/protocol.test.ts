import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { at, stringAt } from '../../../src/lab/world/kube-object.ts';
import type { TwinFixture } from './twin-fixture.ts';
import { JOB_PATH, startTwin } from './twin-fixture.ts';
import { startKubernetesTwin } from '../../../src/lab/kubernetes/kubernetes-twin.ts';

const TO_2G = { spec: { driver: { memory: '2g' } } };
const JOB = ['SparkApplication', 'spark-jobs', 'nightly-settlement'] as const;

let fixture: TwinFixture;
beforeEach(async () => {
  fixture = await startTwin();
});
afterEach(() => fixture.close());

function jobMemory(): string {
  return stringAt(fixture.world.store.get(...JOB), 'spec', 'driver', 'memory');
}

function readerToken(): string {
  const rules = [
    {
      verbs: ['get', 'list'],
      apiGroups: ['', 'sparkoperator.k8s.io'],
      resources: ['pods', 'sparkapplications'],
    },
  ];
  return fixture.twin.issueToken({ serviceAccount: 'reader', namespace: 'spark-jobs', rules, ttl_ms: 60_000 })
    .token;
}

describe('who may come in', () => {
  const unauthorized = {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: 'Unauthorized',
    reason: 'Unauthorized',
    code: 401,
  };

  it('answers 401 with the real Status to an unknown, a revoked and an expired token', async () => {
    const revoked = readerToken();
    expect((await fixture.call(JOB_PATH, { token: revoked })).status).toBe(200);
    expect(fixture.twin.revokeToken(revoked)).toBe(true);
    expect(fixture.twin.revokeToken(revoked)).toBe(false);
    const expired = readerToken();
    fixture.pass(60_000);
    for (const token of ['made-up', revoked, expired]) {
      const { status, json } = await fixture.call(JOB_PATH, { token });
      expect(status).toBe(401);
      expect(json).toEqual(unauthorized);
    }
  });

  it('kills every token of a deleted service account, also after it is created again', async () => {
    const token = readerToken();
    expect(fixture.twin.deleteServiceAccount('spark-jobs', 'reader')).toBe(true);
    readerToken();
    expect((await fixture.call(JOB_PATH, { token })).status).toBe(401);
  });

  it('tells an anonymous caller only the version and health', async () => {
    expect((await fixture.call('/version', { token: null })).json).toMatchObject({ gitVersion: 'v1.32.4' });
    expect((await fixture.call('/readyz', { token: null })).text).toBe('ok');
    const { status, json } = await fixture.call('/api/v1/pods', { token: null });
    expect([status, json.message]).toEqual([
      403,
      'pods is forbidden: User "system:anonymous" cannot list resource "pods" in API group "" at the cluster scope',
    ]);
    expect((await fixture.call('/apis', { token: null })).status).toBe(403);
  });

  it('refuses other verbs, other namespaces and subresources that the rules do not name', async () => {
    const token = readerToken();
    const patch = await fixture.patchJob(TO_2G, { token });
    expect(patch.json).toMatchObject({
      code: 403,
      reason: 'Forbidden',
      details: { name: 'nightly-settlement', group: 'sparkoperator.k8s.io', kind: 'sparkapplications' },
      message:
        'sparkapplications.sparkoperator.k8s.io "nightly-settlement" is forbidden: User "system:serviceaccount:spark-jobs:reader" cannot patch resource "sparkapplications" in API group "sparkoperator.k8s.io" in the namespace "spark-jobs"',
    });
    expect((await fixture.call('/api/v1/namespaces/fraud/pods', { token })).status).toBe(403);
    const log = await fixture.call('/api/v1/namespaces/spark-jobs/pods/nightly-settlement-driver/log', {
      token,
    });
    expect(log.json.message).toContain('cannot get resource "pods/log"');
    expect(fixture.twin.requests().at(-1)).toMatchObject({
      status: 403,
      user: 'system:serviceaccount:spark-jobs:reader',
    });
  });

  it('shows a Secret only to those who may read secrets', async () => {
    const path = '/api/v1/namespaces/spark-jobs/secrets/settlement-db';
    const refused = await fixture.call(path, { token: readerToken() });
    expect([refused.status, refused.text.includes('password')]).toEqual([403, false]);
    const shown = await fixture.call(path);
    expect(Buffer.from(shown.json.data.password, 'base64').toString()).toBe('wp7-lab-only-NeverShown-41c9');
  });

  it('limits a rule with resourceNames to these names, and a list is not one of them', async () => {
    const rules = [
      {
        verbs: ['get', 'list', 'patch'],
        apiGroups: ['sparkoperator.k8s.io'],
        resources: ['sparkapplications'],
        resourceNames: ['nightly-settlement'],
      },
    ];
    const { token } = fixture.twin.issueToken({ serviceAccount: 'narrow', namespace: 'spark-jobs', rules });
    expect((await fixture.call(JOB_PATH, { token })).status).toBe(200);
    expect(
      (await fixture.call(JOB_PATH.replace('nightly-settlement', 'daily-ledger-export'), { token })).status,
    ).toBe(403);
    expect((await fixture.call(JOB_PATH.replace('/nightly-settlement', ''), { token })).status).toBe(403);
  });

  it('mints a token through TokenRequest that has exactly the rights of its bindings and dies with its bound object', async () => {
    const base = '/api/v1/namespaces/spark-jobs';
    const rbac = '/apis/rbac.authorization.k8s.io/v1/namespaces/spark-jobs';
    const create = (path: string, body: unknown) => fixture.call(path, { method: 'POST', body });
    const meta = { name: 'lease-1' };
    await create(`${base}/serviceaccounts`, { apiVersion: 'v1', kind: 'ServiceAccount', metadata: meta });
    const bound = await create(`${base}/secrets`, { apiVersion: 'v1', kind: 'Secret', metadata: meta });
    const rules = [
      { verbs: ['patch'], apiGroups: ['sparkoperator.k8s.io'], resources: ['sparkapplications'] },
    ];
    await create(`${rbac}/roles`, {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'Role',
      metadata: meta,
      rules,
    });
    await create(`${rbac}/rolebindings`, {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'RoleBinding',
      metadata: meta,
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'lease-1' },
      subjects: [{ kind: 'ServiceAccount', name: 'lease-1', namespace: 'spark-jobs' }],
    });
    const request = {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: {
        expirationSeconds: 600,
        boundObjectRef: { kind: 'Secret', apiVersion: 'v1', name: 'lease-1', uid: bound.json.metadata.uid },
      },
    };
    const minted = await create(`${base}/serviceaccounts/lease-1/token`, request);
    expect(minted.status).toBe(201);
    const { token } = minted.json.status;
    expect((await fixture.patchJob(TO_2G, { token }, '?dryRun=All')).status).toBe(200);
    expect((await fixture.call(JOB_PATH, { token })).status).toBe(403);
    await fixture.call(`${base}/secrets/lease-1`, { method: 'DELETE' });
    expect((await fixture.patchJob(TO_2G, { token }, '?dryRun=All')).status).toBe(401);
    const short = await create(`${base}/serviceaccounts/lease-1/token`, {
      ...request,
      spec: { expirationSeconds: 599 },
    });
    expect([short.status, short.json.message]).toEqual([
      422,
      expect.stringContaining('may not specify a duration less than 10 minutes'),
    ]);
  });
});

describe('writing', () => {
  it('keeps a dry run out of the store, of the operator and of the list of mutations', async () => {
    const { json } = await fixture.patchJob(TO_2G, {}, '?dryRun=All&fieldManager=aegis');
    expect(json.spec.driver.memory).toBe('2g');
    expect(json.metadata.generation).toBe(2);
    fixture.pass(3_000);
    expect(jobMemory()).toBe('1g');
    expect(fixture.twin.mutations()).toEqual([]);
    expect(fixture.twin.requests().at(-1)).toMatchObject({
      dry_run: true,
      changed: false,
      status: 200,
      body: TO_2G,
    });
    expect((await fixture.patchJob(TO_2G, {}, '?dryRun=yes')).status).toBe(422);
    expect(jobMemory()).toBe('1g');
  });

  it('applies a patch once, books it under its manager, and the operator reruns the job', async () => {
    const { json } = await fixture.patchJob(TO_2G, {}, '?fieldManager=aegis');
    const own = json.metadata.managedFields.find((entry: { manager: string }) => entry.manager === 'aegis');
    expect(own).toMatchObject({
      operation: 'Update',
      fieldsType: 'FieldsV1',
      fieldsV1: { 'f:spec': { 'f:driver': { 'f:memory': {} } } },
    });
    const airflow = json.metadata.managedFields.find(
      (entry: { manager: string }) => entry.manager === 'airflow',
    );
    expect(airflow.fieldsV1['f:spec']['f:driver']).not.toHaveProperty('f:memory');
    fixture.pass(12_000);
    expect(stringAt(fixture.world.store.get(...JOB), 'status', 'applicationState', 'state')).toBe(
      'COMPLETED',
    );
    expect(fixture.twin.mutations()).toHaveLength(1);
  });

  it('with 1200m the job is killed again', async () => {
    await fixture.patchJob({ spec: { driver: { memory: '1200m' } } });
    fixture.pass(12_000);
    const pod = await fixture.call('/api/v1/namespaces/spark-jobs/pods/nightly-settlement-driver');
    expect(at(pod.json, 'status', 'containerStatuses', 0, 'state', 'terminated', 'reason')).toBe('OOMKilled');
  });

  it('refuses a stale resourceVersion, a wrong uid and a failed test operation, and changes nothing', async () => {
    const seen = (await fixture.call(JOB_PATH)).json;
    fixture.twin.patchFromOutside(...JOB, { spec: { driver: { cores: 2 } } });
    const stale = await fixture.patchJob({
      metadata: { resourceVersion: seen.metadata.resourceVersion },
      ...TO_2G,
    });
    expect(stale.json).toEqual({
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message:
        'Operation cannot be fulfilled on sparkapplications.sparkoperator.k8s.io "nightly-settlement": the object has been modified; please apply your changes to the latest version and try again',
      reason: 'Conflict',
      details: { name: 'nightly-settlement', group: 'sparkoperator.k8s.io', kind: 'sparkapplications' },
      code: 409,
    });
    expect((await fixture.patchJob({ metadata: { uid: 'other' }, ...TO_2G })).status).toBe(409);
    const put = await fixture.call(JOB_PATH, { method: 'PUT', body: seen });
    expect(put.status).toBe(409);
    const test = [
      { op: 'test', path: '/spec/driver/cores', value: 1 },
      { op: 'replace', path: '/spec/driver/memory', value: '2g' },
    ];
    const failed = await fixture.patchJob(test, { type: 'application/json-patch+json' });
    expect([failed.status, failed.json.reason]).toEqual([422, 'Invalid']);
    expect(jobMemory()).toBe('1g');
    expect(fixture.twin.mutations()).toEqual([]);
  });

  it('knows which patch types which kind takes', async () => {
    expect(
      (await fixture.patchJob(TO_2G, { type: 'application/strategic-merge-patch+json' })).json,
    ).toMatchObject({ code: 415, reason: 'UnsupportedMediaType' });
    expect((await fixture.patchJob(TO_2G, { type: 'application/json' })).status).toBe(415);
    const apply = await fixture.patchJob(TO_2G, { type: 'application/apply-patch+yaml' });
    expect([apply.status, apply.json.message]).toEqual([501, expect.stringContaining('server-side apply')]);
    const deployment = '/apis/apps/v1/namespaces/spark-jobs/deployments/settlement-api';
    const env = [{ name: 'MODE', value: 'safe' }];
    const patch = { spec: { template: { spec: { containers: [{ name: 'settlement-api', env }] } } } };
    const merged = await fixture.call(deployment, {
      method: 'PATCH',
      type: 'application/strategic-merge-patch+json',
      body: patch,
    });
    expect(merged.json.spec.template.spec.containers).toHaveLength(1);
    expect(merged.json.spec.template.spec.containers[0]).toMatchObject({
      env,
      image: 'registry.example.com/data/settlement-api:2.14.0',
    });
    const replaced = await fixture.call(deployment, {
      method: 'PATCH',
      type: 'application/merge-patch+json',
      body: patch,
    });
    expect(replaced.json.spec.template.spec.containers[0]).not.toHaveProperty('image');
  });

  it('validates values, prunes unknown fields with a warning, and refuses them when asked to be strict', async () => {
    const bad = await fixture.patchJob({ spec: { driver: { memory: 2048, cores: 0 }, mode: 'local' } });
    expect(bad.status).toBe(422);
    expect(bad.json.details.causes.map(({ field }: { field: string }) => field).sort()).toEqual([
      'spec.driver.cores',
      'spec.driver.memory',
      'spec.mode',
    ]);
    const warned = await fixture.patchJob({ spec: { driver: { memroy: '2g' } } });
    expect(warned.headers['warning']).toBe('299 - "unknown field \\"spec.driver.memroy\\""');
    expect(warned.json.spec.driver).not.toHaveProperty('memroy');
    const strict = await fixture.patchJob(
      { spec: { driver: { memroy: '2g' } } },
      {},
      '?fieldValidation=Strict',
    );
    expect([strict.status, strict.json.message]).toEqual([
      400,
      'strict decoding error: unknown field "spec.driver.memroy"',
    ]);
  });

  it('ignores status in a write to the main resource', async () => {
    const { json } = await fixture.patchJob({ status: { applicationState: { state: 'COMPLETED' } } });
    expect(json.status.applicationState.state).toBe('FAILED');
    expect(fixture.twin.mutations()).toEqual([]);
  });

  it('scales through the subresource and refuses a negative number', async () => {
    const scale = '/apis/apps/v1/namespaces/payments/deployments/checkout-api/scale';
    const patch = (replicas: number) =>
      fixture.call(scale, {
        method: 'PATCH',
        type: 'application/merge-patch+json',
        body: { spec: { replicas } },
      });
    expect((await patch(5)).json.spec.replicas).toBe(5);
    expect((await patch(-1)).status).toBe(422);
    fixture.pass(3_000);
    expect((await fixture.call(scale)).json.status.replicas).toBe(5);
  });
});

describe('trouble', () => {
  it('keeps its address, CA and tokens over a restart when asked to', async () => {
    const { port, identity } = fixture.twin;
    await fixture.twin.close();
    await expect(fixture.call(JOB_PATH)).rejects.toThrow();
    fixture.twin = await startKubernetesTwin({ world: fixture.world, port, identity });
    expect((await fixture.call(JOB_PATH)).status).toBe(200);
  });

  it('answers 500 for as many requests as asked, then works again', async () => {
    fixture.twin.faults.answer({ times: 2, match: ({ path }) => path === JOB_PATH });
    expect((await fixture.call(JOB_PATH)).json).toMatchObject({ code: 500, reason: 'InternalError' });
    expect((await fixture.patchJob(TO_2G)).status).toBe(500);
    expect((await fixture.call(JOB_PATH)).json.spec.driver.memory).toBe('1g');
  });

  it('executes and then drops the connection: the client cannot know, the log does', async () => {
    fixture.twin.faults.dropAfter({
      times: 1,
      match: ({ method, dry_run }) => method === 'PATCH' && !dry_run,
    });
    await expect(fixture.patchJob(TO_2G)).rejects.toThrow();
    expect(jobMemory()).toBe('2g');
    expect(fixture.twin.mutations()).toMatchObject([{ method: 'PATCH', dropped: true, changed: true }]);
    fixture.twin.faults.dropBefore({ times: 1 });
    await expect(fixture.patchJob({ spec: { driver: { memory: '3g' } } })).rejects.toThrow();
    expect(jobMemory()).toBe('2g');
  });
});
