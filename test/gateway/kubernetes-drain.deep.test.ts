import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { systemChecks } from '../../src/cli/doctor-systems.ts';
import type { LoadedConfig } from '../../src/config.ts';
import { isRefusal } from '../../src/contract/verdict.ts';
import type { GatewaySettings } from '../../src/gateway/pipeline/core.ts';
import type { KubeObject } from '../../src/lab/world/kube-object.ts';
import { hasKubectl, kubectlFor } from '../lab/kubernetes/twin-fixture.ts';
import {
  DRAIN,
  MARK,
  NODE,
  POOL,
  REPLICAS,
  UNCORDON,
  WORKERS,
  budget,
  evictions,
  expectOnce,
  guard,
  isMarked,
  mounted,
  onNode,
  place,
  plan,
  preview,
  reasonOf,
  run,
  setMark,
  stage,
  startPool,
  undo,
  useStage,
} from './drain-pool.ts';
import { startStage } from './stage.ts';

vi.setConfig({ testTimeout: 90_000, hookTimeout: 90_000 });

/** Nodes: who may change them, what a drain moves and what it never forces. */
describe('whose nodes', () => {
  afterEach(() => stage.close());

  it('a node that no mount names is read by all and changed by nobody', async () => {
    await startPool({});
    const refused = await preview();
    expect(refused).toMatchObject({ code: 'node-not-owned', remedy: expect.stringContaining('"nodes"') });
    expect(reasonOf(refused)).toBe(
      `data/prod may read the node ${NODE}, not change it: no mount of it names the node.`,
    );
    for (const tool of ['k8s.cordon', 'k8s.uncordon'])
      expect(await preview(tool)).toMatchObject({ code: 'node-not-owned' });
    const elsewhere = await preview('k8s.drain', POOL.replace('prod-1/', 'nowhere/'));
    expect(elsewhere).toMatchObject({ code: 'scope-forbidden' });
    // A namespace in front of a node gives no right to it.
    const posing = await preview('k8s.drain', POOL.replace('/-/', '/spark-jobs/'));
    expect(posing).toMatchObject({ code: 'scope-forbidden' });
    expect(evictions()).toEqual([]);
  });

  it('a node that also runs other teams’ pods is not drained, and their names are not told', async () => {
    await startPool({ nodes: ['*'] });
    const names: string[] = [];
    for (const worker of WORKERS) {
      const foreign = stage.world.store
        .list('Pod')
        .filter((pod) => pod.spec?.['nodeName'] === worker && pod.metadata.namespace !== 'spark-jobs');
      names.push(...foreign.map(({ metadata }) => metadata.name));
      const answer = await preview('k8s.drain', POOL.replace(NODE, worker));
      if (foreign.length > 0)
        expect(reasonOf(answer)).toMatch(/runs \d+ pods? of namespaces that are not this team's/);
      for (const name of names) expect(JSON.stringify(answer)).not.toContain(name);
    }
    expect(names.length).toBeGreaterThan(0);
    expect(evictions()).toEqual([]);
  });

  it('with the word of the configuration other namespaces count too, under the same rules', async () => {
    await startPool({ nodes: ['*'], drain_other_namespaces: true });
    const driver = stage.world.store.get('Pod', 'fraud', 'fraud-features-driver') as KubeObject;
    const answer = await preview('k8s.drain', POOL.replace(NODE, String(driver.spec?.['nodeName'])));
    expect(reasonOf(answer)).toMatch(
      /is not drained: .*fraud\/fraud-features-\S+ keeps data on the node \(emptyDir\)/,
    );
  });

  it('aegis doctor rehearses the cordon of a node that is named in full', async () => {
    await startPool({ nodes: ['prod-1-pool-*', NODE] });
    const config = { settings: stage.settings } as LoadedConfig;
    const asked = async () =>
      (await systemChecks(config, stage.gateway, stage.store)).find(
        ({ check }) => check === 'nodes of prod-1',
      );
    // Its own patience is short; a slow machine is asked again.
    await vi.waitFor(async () => expect(await asked()).toMatchObject({ status: 'ok' }), { timeout: 60_000 });
    expect(stage.kubernetes.mutations()).toEqual([]);
  });

  it('without a role for nodes nothing is leased and nothing is sent', async () => {
    useStage(
      await startStage({
        settings: (settings) => {
          const copy = mounted({ nodes: ['*'] })?.(settings) as GatewaySettings;
          const { credentials } = copy.clusters['prod-1'] as { credentials: { node_role?: string } };
          delete credentials.node_role;
          return copy;
        },
      }),
    );
    const answer = await preview('k8s.cordon', POOL.replace(NODE, 'prod-1-worker-1'));
    expect(answer).toMatchObject({
      code: 'credential-unavailable',
      remedy: expect.stringContaining('node_role'),
    });
    expect(stage.kubernetes.requests()).toEqual([]);
  });
});

describe('cordon and uncordon', () => {
  beforeAll(async () => {
    await startPool();
    await place();
  });
  afterAll(() => stage.close());

  it('are writes that change one mark, as kubectl sees it, and undo each other', async () => {
    expect(stage.gateway.classify({ tool: 'k8s.cordon', target: POOL, params: DRAIN })).toEqual({
      action_class: 'write',
      reasons: [],
    });
    expect(stage.gateway.classify({ tool: 'k8s.uncordon', target: POOL, params: UNCORDON })).toEqual({
      action_class: 'write',
      reasons: [],
    });
    const approved = await plan('k8s.cordon');
    expect(approved.preview.changes).toEqual([{ path: MARK, before: false, after: true }]);
    expect(isMarked()).toBe(false);
    expect(await run(approved)).toMatchObject({ outcome: { status: 'done', replayed: false } });
    expect(await run(approved)).toMatchObject({ outcome: { status: 'done', replayed: true } });
    expect(isMarked()).toBe(true);
    if (hasKubectl())
      expect(await kubectlNodes()).toMatch(new RegExp(`^${NODE} +Ready,SchedulingDisabled`, 'm'));
    expect(await undo(approved)).toMatchObject({ outcome: { status: 'done' } });
    expect(isMarked()).toBe(false);
    expect(onNode()).toHaveLength(REPLICAS);
  });

  it('refuse other paths and values, and a node that somebody else changed', async () => {
    const bad = [
      { path: '/spec/taints', value: true },
      { path: MARK, value: null },
      { path: MARK, value: 'yes' },
    ];
    for (const change of bad)
      expect(await preview('k8s.cordon', POOL, { changes: [change] })).toMatchObject({
        code: 'arguments-invalid',
      });
    const approved = await plan('k8s.cordon');
    setMark(NODE, true);
    expect(await run(approved)).toMatchObject({ outcome: { status: 'conflict' } });
    await place();
  });
});

async function kubectlNodes(): Promise<string> {
  const { token } = stage.kubernetes.issueToken({
    serviceAccount: 'onlooker',
    namespace: 'spark-jobs',
    rules: [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'], namespaces: ['*'] }],
  });
  const client = kubectlFor(stage.kubernetes.kubeconfig(token));
  const { out } = await client.kubectl('get', 'nodes');
  client.remove();
  return out;
}

describe('k8s.drain', () => {
  beforeAll(() => startPool());
  beforeEach(place);
  afterAll(() => stage.close());

  it('rehearses every eviction on the server, names the pods by uid, and moves nothing', async () => {
    await guard({ maxUnavailable: 0 });
    const answer = await preview();
    if (isRefusal(answer)) throw new Error(answer.reason);
    expect(answer.preview.changes).toEqual([
      { path: MARK, before: false, after: true },
      ...onNode().map(({ metadata }) => ({
        path: `/pods/spark-jobs/${metadata.name}`,
        before: metadata.uid,
        after: null,
      })),
    ]);
    expect(answer.preview.diff.join('\n')).toMatch(/-\s+- spark-jobs\/web-\S+ \(ReplicaSet web-/);
    expect(answer.preview.warnings).toHaveLength(REPLICAS);
    expect(answer.preview.warnings[0]).toMatch(
      /is held now: The disruption budget web needs 4 healthy pods and has 4 currently/,
    );
    expect(evictions()).toEqual([]);
    expect(isMarked()).toBe(false);
    expect(onNode()).toHaveLength(REPLICAS);
  });

  it('leaves what kubectl leaves, and refuses what it refuses, with the reason', async () => {
    const model = onNode()[0] as KubeObject;
    const extra = (name: string, change: { meta?: object; spec?: object; status?: object }): KubeObject => ({
      ...model,
      metadata: { name, namespace: 'spark-jobs', labels: {}, ...change.meta },
      spec: { ...model.spec, ...change.spec },
      status: { ...model.status, ...change.status },
    });
    const owner = (kind: string) => ({
      ownerReferences: [{ apiVersion: 'apps/v1', kind, name: 'x', uid: 'u', controller: true }],
    });
    const added = [
      extra('ds', { meta: owner('DaemonSet') }),
      extra('mirror', { meta: { annotations: { 'kubernetes.io/config.mirror': 'abc' } } }),
      extra('ended', { meta: owner('Job'), status: { phase: 'Succeeded' } }),
      extra('alone', {}),
      extra('local', { meta: owner('StatefulSet'), spec: { volumes: [{ name: 't', emptyDir: {} }] } }),
    ];
    for (const pod of added) stage.kubernetes.setResource(pod);
    expect(reasonOf(await preview())).toMatch(
      /is not drained: spark-jobs\/alone has no controller: nobody would start it again; spark-jobs\/local keeps data on the node/,
    );
    for (const name of ['alone', 'local']) stage.world.store.remove('Pod', 'spark-jobs', name);
    const answer = await preview();
    expect(isRefusal(answer) ? [] : answer.preview.warnings).toEqual([
      '1 pod stays: of a DaemonSet, which would start it here again',
      '1 pod stays: ended already, kept for its logs',
      '1 pod stays: a static pod of the kubelet',
    ]);
    for (const name of ['ds', 'mirror', 'ended']) stage.world.store.remove('Pod', 'spark-jobs', name);
  });

  it('cordons, evicts every pod once inside its budget, and its undo uncordons', async () => {
    await guard({ minAvailable: REPLICAS - 1 });
    const approved = await plan();
    const answer = await run(approved);
    expect(answer).toMatchObject({
      outcome: {
        status: 'done',
        summary: `Drained node ${NODE}: it is cordoned, and all ${REPLICAS} pods are gone.`,
      },
    });
    expect(onNode()).toEqual([]);
    expect(isMarked()).toBe(true);
    expectOnce();
    const sent = evictions().length;
    expect(await run(approved)).toMatchObject({ outcome: { status: 'done', replayed: true } });
    expect(evictions().length).toBe(sent);
    expect(await undo(approved)).toMatchObject({ outcome: { status: 'done' } });
    expect(isMarked()).toBe(false);
  });

  it('a budget that never allows it is never forced: a clear partial result, and the undo still works', async () => {
    await guard({ maxUnavailable: 0 });
    const approved = await plan();
    const before = evictions().length;
    const answer = await run(approved, 4000);
    expect(answer).toMatchObject({ outcome: { status: 'failed', partial: true } });
    expect(isRefusal(answer) ? '' : answer.outcome.summary).toMatch(
      /^0 of 4 pods evicted, node prod-1-pool-9 stays cordoned; pod spark-jobs\/web-\S+ is held: The disruption budget web needs 4 healthy pods and has 4 currently/,
    );
    expect(
      evictions()
        .slice(before)
        .some(({ changed }) => changed),
    ).toBe(false);
    expect(evictions().length).toBeGreaterThan(before);
    expect(onNode()).toHaveLength(REPLICAS);
    expect(await run(approved)).toMatchObject({
      outcome: { status: 'failed', partial: true, replayed: true },
    });
    expect(await undo(approved)).toMatchObject({ outcome: { status: 'done' } });
    expect(isMarked()).toBe(false);
  });

  it('a pod that never terminates is told so, not waited for without end', async () => {
    const stuck = onNode()[0] as KubeObject;
    stage.kubernetes.patchFromOutside('Pod', 'spark-jobs', stuck.metadata.name, {
      metadata: { finalizers: ['example.com/hold'] },
    });
    const answer = await run(await plan(), 5000);
    expect(answer).toMatchObject({ outcome: { status: 'failed', partial: true } });
    expect(isRefusal(answer) ? '' : answer.outcome.summary).toContain(
      `3 of 4 pods evicted, node ${NODE} stays cordoned; pod spark-jobs/${stuck.metadata.name} was told to go and is still terminating`,
    );
    expectOnce();
    stage.kubernetes.patchFromOutside('Pod', 'spark-jobs', stuck.metadata.name, {
      metadata: { finalizers: null },
    });
  });

  it('a pod with several budgets is refused in the preview: the server would refuse it', async () => {
    await guard({ minAvailable: 1 });
    const second = budget({ minAvailable: 1 });
    stage.kubernetes.setResource({ ...second, metadata: { ...second.metadata, name: 'web-2' } });
    expect(reasonOf(await preview())).toMatch(/has more than one PodDisruptionBudget/);
    stage.world.store.remove('PodDisruptionBudget', 'spark-jobs', 'web-2');
  });

  it('pods that came or went after the approval are another effect: nothing is sent', async () => {
    const approved = await plan();
    stage.world.store.remove('Pod', 'spark-jobs', (onNode()[0] as KubeObject).metadata.name);
    expect(await run(approved)).toMatchObject({ outcome: { status: 'conflict' } });
    expect(isMarked()).toBe(false);
  });
});
