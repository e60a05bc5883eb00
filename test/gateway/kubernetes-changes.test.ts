import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isRefusal } from '../../src/contract/verdict.ts';
import { ownedFields } from '../../src/gateway/drivers/kubernetes/owned-fields.ts';
import { templateMark } from '../../src/gateway/template-mark.ts';
import { startStage, type Stage } from './stage.ts';

const DEPLOYMENTS = 'mcp://k8s/prod-1/spark-jobs/deployment/-';
const IMAGE = '/spec/template/spec/containers/settlement-api/image';

interface Written {
  readonly name: string;
  readonly manager: string;
  readonly at: string;
  readonly fields: readonly string[];
  readonly values: Record<string, unknown>;
  readonly template: string | null;
}

describe('who wrote what', () => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await startStage();
  });
  afterAll(() => stage.close());

  const changes = async (since: string, target = DEPLOYMENTS) => {
    const answer = await stage.gateway.read({
      token: await stage.token(),
      tool: 'k8s.changes',
      target,
      args: { since },
      why: 'test',
    });
    return isRefusal(answer) ? answer.code : (answer.result as { writes: Written[] }).writes;
  };
  const deployment = () => stage.world.store.get('Deployment', 'spark-jobs', 'settlement-api');

  it('names the writer, the time, the fields and what stands there, only since the moment that is asked for', async () => {
    const since = new Date(stage.clock.now()).toISOString();
    stage.kubernetes.patchFromOutside(
      'Deployment',
      'spark-jobs',
      'settlement-api',
      { spec: { replicas: 5 } },
      'kubectl-scale',
    );
    const found = (await changes(since)) as Written[];
    expect(found).toMatchObject([
      {
        name: 'settlement-api',
        manager: 'kubectl-scale',
        fields: ['/spec/replicas'],
        values: { '/spec/replicas': 5 },
      },
    ]);
    expect(found[0]?.template).toBe(templateMark(deployment()));
    expect(Date.parse(found[0]?.at ?? '')).toBeGreaterThanOrEqual(Date.parse(since) - 1000);
    const hour_later = new Date(stage.clock.now() + 3_600_000).toISOString();
    expect(await changes(hour_later)).toEqual([]);
  });

  it('redacts values as everywhere, and reaches neither Secrets nor other tenants', async () => {
    const since = new Date(stage.clock.now()).toISOString();
    stage.kubernetes.patchFromOutside('Deployment', 'spark-jobs', 'settlement-api', {
      spec: { template: { spec: { serviceAccountName: 'ana.planted@example.com' } } },
    });
    const text = JSON.stringify(await changes(since));
    expect(text).toContain('/spec/template/spec/serviceAccountName');
    expect(text).not.toContain('ana.planted@example.com');
    expect(await changes(since, 'mcp://k8s/prod-1/spark-jobs/secret/-')).toBe('kind-forbidden');
    expect(await changes(since, 'mcp://k8s/prod-1/fraud/deployment/-')).toBe('scope-forbidden');
  });
});

describe('managedFields as pointers', () => {
  const object = {
    spec: {
      replicas: 3,
      template: { spec: { containers: [{ name: 'settlement-api', image: 'a:1', env: [] }] } },
    },
    status: { replicas: 3 },
  };

  it('names list items by their key and leaves status and metadata out', () => {
    const tree = {
      'f:metadata': { 'f:labels': { 'f:app': {} } },
      'f:status': { 'f:replicas': {} },
      'f:spec': {
        'f:replicas': {},
        'f:template': {
          'f:metadata': { 'f:creationTimestamp': {} },
          'f:spec': { 'f:containers': { 'k:{"name":"settlement-api"}': { '.': {}, 'f:image': {} } } },
        },
      },
    };
    expect(ownedFields(tree, object)).toEqual([
      { path: '/spec/replicas', value: 3 },
      { path: IMAGE, value: 'a:1' },
    ]);
  });

  it('takes whatever a server may send without falling over', () => {
    for (const tree of [null, 7, [], {}, { 'f:spec': null }, { 'f:spec': { 'k:{broken': { 'f:x': {} } } }])
      expect(() => ownedFields(tree, object)).not.toThrow();
    const set = { 'f:spec': { 'f:finalizers': { '.': {}, 'v:"a"': {} }, 'f:a/b': {} } };
    expect(ownedFields(set, {}).map((field) => field.path)).toEqual(['/spec/finalizers', '/spec/a~1b']);
    let deep: Record<string, unknown> = {};
    for (let n = 0; n < 5000; n += 1) deep = { 'f:x': deep };
    expect(() => ownedFields({ 'f:spec': deep }, object)).not.toThrow();
  });
});
