import { AuthorizationV1Api, CoreV1Api, CustomObjectsApi, KubeConfig, Watch } from '@kubernetes/client-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringAt } from '../../../src/lab/world/kube-object.ts';
import type { TwinFixture } from './twin-fixture.ts';
import { startTwin } from './twin-fixture.ts';

describe('@kubernetes/client-node', () => {
  let fixture: TwinFixture;
  let config: KubeConfig;
  beforeAll(async () => {
    fixture = await startTwin();
    config = new KubeConfig();
    config.loadFromString(fixture.twin.kubeconfig(fixture.admin));
  });
  afterAll(() => fixture.close());

  const job = {
    group: 'sparkoperator.k8s.io',
    version: 'v1beta2',
    namespace: 'spark-jobs',
    plural: 'sparkapplications',
    name: 'nightly-settlement',
  };

  it('lists pods in pages and by selectors', async () => {
    const core = config.makeApiClient(CoreV1Api);
    const first = await core.listNamespacedPod({ namespace: 'spark-jobs', limit: 2 });
    expect(first.items).toHaveLength(2);
    const rest = await core.listNamespacedPod({
      namespace: 'spark-jobs',
      _continue: first.metadata?._continue ?? '',
    });
    const names = [...first.items, ...rest.items].map(({ metadata }) => metadata?.name);
    expect(names).toHaveLength(new Set(names).size);
    expect(first.metadata?.remainingItemCount).toBe(rest.items.length);
    const drivers = await core.listPodForAllNamespaces({
      labelSelector: 'spark-role=driver,spark-app-name in (nightly-settlement,other)',
    });
    expect(drivers.items.map(({ metadata }) => metadata?.name)).toEqual(['nightly-settlement-driver']);
    const failed = await core.listNamespacedPod({
      namespace: 'spark-jobs',
      fieldSelector: 'status.phase=Failed',
    });
    expect(failed.items).toHaveLength(3);
  });

  it('reads logs and events', async () => {
    const core = config.makeApiClient(CoreV1Api);
    const log = await core.readNamespacedPodLog({
      namespace: 'spark-jobs',
      name: 'nightly-settlement-driver',
      tailLines: 5,
    });
    expect(log.trim().split('\n')).toHaveLength(5);
    const events = await core.listNamespacedEvent({
      namespace: 'spark-jobs',
      fieldSelector: 'involvedObject.name=nightly-settlement-driver,type=Normal',
    });
    expect(events.items.map(({ reason }) => reason ?? '').toSorted((a, b) => a.localeCompare(b))).toEqual([
      'Created',
      'Pulled',
      'Scheduled',
      'Started',
    ]);
  });

  it('asks what it may do', async () => {
    const review = await config.makeApiClient(AuthorizationV1Api).createSelfSubjectAccessReview({
      body: {
        spec: {
          resourceAttributes: { verb: 'patch', group: job.group, resource: job.plural, namespace: 'fraud' },
        },
        kind: 'SelfSubjectAccessReview',
        apiVersion: 'authorization.k8s.io/v1',
      },
    });
    expect(review.status?.allowed).toBe(true);
  });

  it('watches the operator rerun a patched job until it completes', async () => {
    const states: string[] = [];
    const done = new Promise<void>((resolve, reject) => {
      new Watch(config)
        .watch(
          `/apis/${job.group}/${job.version}/namespaces/${job.namespace}/${job.plural}`,
          { fieldSelector: `metadata.name=${job.name}` },
          (_type, object) => {
            const state = stringAt(object, 'status', 'applicationState', 'state');
            if (states.at(-1) !== state) states.push(state);
            if (state === 'COMPLETED') resolve();
          },
          () => reject(new Error('the watch ended early')),
        )
        .catch(reject);
    });
    const objects = config.makeApiClient(CustomObjectsApi);
    const current = (await objects.getNamespacedCustomObject(job)) as {
      spec: { driver: { memory: string } };
    };
    expect(current.spec.driver.memory).toBe('1g');
    await objects.patchNamespacedCustomObject({
      ...job,
      body: [
        { op: 'test', path: '/spec/driver/memory', value: '1g' },
        { op: 'replace', path: '/spec/driver/memory', value: '2g' },
      ],
    });
    fixture.pass(12_000);
    await done;
    expect(states).toEqual([
      'FAILED',
      'INVALIDATING',
      'PENDING_RERUN',
      'SUBMITTED',
      'RUNNING',
      'SUCCEEDING',
      'COMPLETED',
    ]);
    expect(fixture.twin.mutations().map(({ method, name, status }) => ({ method, name, status }))).toEqual([
      { method: 'PATCH', name: 'nightly-settlement', status: 200 },
    ]);
  });
});
