import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { KubeObject } from '../../../src/lab/world/kube-object.ts';
import { isPodReady } from '../../../src/lab/world/disruption-controller.ts';
import type { TwinFixture } from './twin-fixture.ts';
import { hasKubectl, kubectlFor, startTwin } from './twin-fixture.ts';

vi.setConfig({ testTimeout: 180_000, hookTimeout: 90_000 });

/** Rollout history, cordon, drain: what the real kubectl makes of the twin, and the twin of it. */
const present = hasKubectl();
if (!present) console.log('kubectl is not installed: the tests with the real kubectl are skipped');

const DEPLOYMENT = 'deployment/settlement-api';

function budget(name: string, spec: Record<string, unknown>): KubeObject {
  return {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: { name, namespace: 'spark-jobs' },
    spec: { selector: { matchLabels: { app: 'settlement-api' } }, ...spec },
  };
}

describe.skipIf(!present)('the real kubectl, on rollouts and nodes', () => {
  let fixture: TwinFixture;
  let client: ReturnType<typeof kubectlFor>;
  beforeAll(async () => {
    fixture = await startTwin();
    client = kubectlFor(fixture.twin.kubeconfig(fixture.admin, { namespace: 'spark-jobs' }));
  });
  afterAll(async () => {
    client.remove();
    await fixture.close();
  });

  const pods = (): KubeObject[] =>
    fixture.world.store
      .list('Pod', 'spark-jobs')
      .filter((pod) => pod.metadata.name.startsWith('settlement-api-'));
  const image = async (): Promise<string> =>
    (await client.kubectl('get', DEPLOYMENT, '-o', 'jsonpath={.spec.template.spec.containers[0].image}')).out;
  /** kubectl waits in real time for what happens in the world's. */
  async function meanwhile<T>(work: Promise<T>): Promise<T> {
    const timer = setInterval(() => fixture.pass(100), 50);
    try {
      return await work;
    } finally {
      clearInterval(timer);
    }
  }

  it('shows the history of a Deployment and goes back to the previous revision and to a named one', async () => {
    const first = await image();
    await client.kubectl('annotate', DEPLOYMENT, 'kubernetes.io/change-cause=as it was');
    for (const tag of ['2.15.0', '2.16.0']) {
      await client.kubectl(
        'set',
        'image',
        DEPLOYMENT,
        `settlement-api=registry.example.com/data/settlement-api:${tag}`,
      );
      await client.kubectl(
        'annotate',
        DEPLOYMENT,
        '--overwrite',
        `kubernetes.io/change-cause=release ${tag}`,
      );
      fixture.pass(6_000);
    }
    const history = await client.kubectl('rollout', 'history', DEPLOYMENT);
    expect(history.err).toBe('');
    expect(history.out).toMatch(/^REVISION +CHANGE-CAUSE$/m);
    expect(history.out.match(/^\d+/gm)).toEqual(['1', '2', '3']);
    const second = await client.kubectl('rollout', 'history', DEPLOYMENT, '--revision=2');
    expect(second.out).toContain('settlement-api:2.15.0');
    expect((await client.kubectl('rollout', 'undo', DEPLOYMENT)).out).toContain('rolled back');
    fixture.pass(6_000);
    expect(await image()).toContain(':2.15.0');
    expect((await client.kubectl('rollout', 'undo', DEPLOYMENT, '--to-revision=1')).out).toContain(
      'rolled back',
    );
    fixture.pass(6_000);
    expect(await image()).toBe(first);
    const after = await client.kubectl('rollout', 'history', DEPLOYMENT);
    expect(after.out.match(/^\d+/gm)).toEqual(['3', '4', '5']);
    expect((await client.kubectl('rollout', 'undo', DEPLOYMENT, '--to-revision=1')).err).toContain(
      'unable to find specified revision 1 in history',
    );
  });

  it('cordons a node, which then gets no pods, and uncordons it', async () => {
    const dry = await client.kubectl('cordon', 'prod-1-worker-1', '--dry-run=server');
    expect(dry.out).toBe('node/prod-1-worker-1 cordoned (server dry run)\n');
    expect((await client.kubectl('cordon', 'prod-1-worker-1')).out).toBe('node/prod-1-worker-1 cordoned\n');
    expect((await client.kubectl('cordon', 'prod-1-worker-1')).out).toContain('already cordoned');
    fixture.pass(200);
    const { out } = await client.kubectl('get', 'nodes');
    expect(out).toMatch(/^prod-1-worker-1 +Ready,SchedulingDisabled /m);
    const taints = await client.kubectl(
      'get',
      'node',
      'prod-1-worker-1',
      '-o',
      'jsonpath={.spec.taints[*].key}',
    );
    expect(taints.out).toBe('node.kubernetes.io/unschedulable');
    await client.kubectl('scale', DEPLOYMENT, '--replicas=12');
    const before = new Set(pods().map((pod) => pod.metadata.name));
    fixture.pass(6_000);
    const fresh = pods().filter((pod) => !before.has(pod.metadata.name));
    expect(fresh.length).toBe(10);
    expect(fresh.map((pod) => pod.spec?.['nodeName'])).not.toContain('prod-1-worker-1');
    expect((await client.kubectl('uncordon', 'prod-1-worker-1')).out).toBe(
      'node/prod-1-worker-1 uncordoned\n',
    );
    fixture.pass(200);
    const node = fixture.world.store.get('Node', undefined, 'prod-1-worker-1');
    expect(Object.keys(node?.spec ?? {})).toEqual(['podCIDR', 'providerID']);
  });

  it('finds no node for a pod when all are cordoned, and says so', async () => {
    const mark = (unschedulable: true | null): void => {
      for (const name of ['prod-1-worker-1', 'prod-1-worker-2', 'prod-1-worker-3'])
        fixture.twin.patchFromOutside('Node', '', name, { spec: { unschedulable } });
    };
    mark(true);
    await client.kubectl('scale', DEPLOYMENT, '--replicas=13');
    fixture.pass(3_000);
    expect(pods().filter((pod) => pod.status?.['phase'] === 'Pending')).toHaveLength(1);
    const events = await client.kubectl('get', 'events', '--field-selector', 'reason=FailedScheduling');
    expect(events.out).toContain('0/3 nodes are available: 3 node(s) were unschedulable.');
    mark(null);
    fixture.pass(6_000);
    expect(pods().every(isPodReady)).toBe(true);
  });

  it('dry-runs a drain on the server: nothing moves', async () => {
    const version = fixture.world.store.version();
    const { out, code } = await client.kubectl('drain', 'prod-1-worker-2', '--dry-run=server', '--force');
    expect([code, out]).toEqual([
      0,
      expect.stringContaining('node/prod-1-worker-2 drained (server dry run)'),
    ]);
    expect(out).toMatch(/evicting pod spark-jobs\/settlement-api-\S+ \(server dry run\)/);
    expect(fixture.world.store.version()).toBe(version);
  });

  it('drains a node inside what a disruption budget allows', async () => {
    await client.kubectl('scale', DEPLOYMENT, '--replicas=6');
    fixture.pass(6_000);
    fixture.twin.setResource(budget('settlement-api', { minAvailable: 4 }));
    fixture.pass(500);
    const listed = await client.kubectl('get', 'pdb');
    expect(listed.out).toMatch(/^settlement-api +4 +N\/A +2 /m);
    const drain = await meanwhile(client.kubectl('drain', 'prod-1-worker-2', '--force', '--timeout=60s'));
    expect(drain.code).toBe(0);
    expect(drain.out).toContain('node/prod-1-worker-2 drained');
    fixture.pass(6_000);
    expect(pods().filter((pod) => pod.spec?.['nodeName'] === 'prod-1-worker-2')).toEqual([]);
    expect(pods().filter(isPodReady)).toHaveLength(6);
    await client.kubectl('uncordon', 'prod-1-worker-2');
  });

  it('is held by a budget that allows nothing, in the words of the real server', async () => {
    fixture.twin.setResource(budget('settlement-api', { maxUnavailable: 0 }));
    fixture.pass(500);
    const on = pods().map((pod) => String(pod.spec?.['nodeName']))[0] as string;
    const drain = await meanwhile(
      client.kubectl('drain', on, '--force', '--delete-emptydir-data', '--timeout=1s'),
    );
    expect(drain.code).toBe(1);
    expect(drain.err).toMatch(
      /error when evicting pods\/"settlement-api-\S+" -n "spark-jobs" \(will retry after 5s\): Cannot evict pod as it would violate the pod's disruption budget\./,
    );
    const pod = pods().find((one) => one.spec?.['nodeName'] === on) as KubeObject;
    const path = `/api/v1/namespaces/spark-jobs/pods/${pod.metadata.name}/eviction`;
    const eviction = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name: pod.metadata.name } };
    const refused = await fixture.call(path, { method: 'POST', body: eviction });
    expect([refused.status, refused.headers['retry-after'], refused.json.details.causes]).toEqual([
      429,
      undefined,
      [
        {
          reason: 'DisruptionBudget',
          message: 'The disruption budget settlement-api needs 6 healthy pods and has 6 currently',
        },
      ],
    ]);
    const other = { ...eviction, deleteOptions: { preconditions: { uid: 'another' } } };
    fixture.world.store.remove('PodDisruptionBudget', 'spark-jobs', 'settlement-api');
    expect((await fixture.call(path, { method: 'POST', body: other })).json).toMatchObject({
      code: 409,
      message: expect.stringContaining(
        'the UID in the precondition (another) does not match the UID in record',
      ),
    });
    for (const name of ['a', 'b']) fixture.twin.setResource(budget(name, { minAvailable: 1 }));
    const both = await fixture.call(path, { method: 'POST', body: eviction });
    expect([both.status, both.json.status, both.json.code]).toEqual([201, 'Failure', 500]);
  });
});
