import { describe, expect, it } from 'vitest';
import { KubeObject } from '../../src/vfs/mounts/kube-objects.ts';
import { rolloutView } from '../../src/vfs/mounts/kube-rollout.ts';
import { describeMount } from './describe-mount.ts';
import { kube } from './fixture.ts';

/** How the newest revision of a Deployment fares, as one state file: when it says `stable`, and when nothing yet. */
const NOW_MS = Date.parse('2026-11-23T10:10:00Z');
const at = (seconds_ago: number): string => new Date(NOW_MS - seconds_ago * 1000).toISOString();

interface Shape {
  generation?: number;
  observed?: number;
  replicas?: number;
  progressed_ago_s?: number | null;
}

function deployment(shape: Shape = {}): KubeObject {
  const { generation = 4, observed = 4, replicas = 2, progressed_ago_s = 300 } = shape;
  const conditions =
    progressed_ago_s === null ? [] : [{ type: 'Progressing', lastUpdateTime: at(progressed_ago_s) }];
  return KubeObject.parse({
    kind: 'Deployment',
    metadata: { name: 'api', namespace: 'shop', uid: 'uid-api', generation },
    spec: { replicas },
    status: { observedGeneration: observed, conditions },
  });
}

function owned(kind: string, name: string, owner: string, rest: Record<string, unknown> = {}): KubeObject {
  const metadata = {
    name,
    namespace: 'shop',
    uid: `uid-${name}`,
    ownerReferences: [{ uid: `uid-${owner}`, controller: true }],
  };
  const { annotations, ...body } = rest;
  return KubeObject.parse({ kind, metadata: { ...metadata, annotations }, ...body });
}

const set = (revision: number): KubeObject =>
  owned('ReplicaSet', `api-${revision}`, 'api', {
    annotations: { 'deployment.kubernetes.io/revision': String(revision) },
    spec: { template: { spec: { containers: [{ name: 'api', image: `api:${revision}` }] } } },
  });

function pod(
  name: string,
  revision: number,
  status: {
    running_ago_s?: number;
    ready?: boolean;
    restarts?: number;
    crashed_ago_s?: number;
  },
): KubeObject {
  const { running_ago_s, ready = true, restarts = 0, crashed_ago_s } = status;
  const state = running_ago_s === undefined ? { waiting: {} } : { running: { startedAt: at(running_ago_s) } };
  const terminated = { reason: 'Error', exitCode: 1, finishedAt: at(crashed_ago_s ?? 0) };
  const lastState = crashed_ago_s === undefined ? {} : { terminated };
  return owned('Pod', name, `api-${revision}`, {
    status: { containerStatuses: [{ name: 'api', ready, restartCount: restarts, state, lastState }] },
  });
}

const well = (name: string, ago_s = 100): KubeObject => pod(name, 2, { running_ago_s: ago_s });
const view = (pods: readonly KubeObject[], of: KubeObject = deployment()) =>
  rolloutView({ deployment: of, sets: [set(1), set(2)], pods }, 60, NOW_MS);

describe('rollout.yaml', () => {
  it('is stable once every pod has run long enough, and says since when', () => {
    expect(view([well('a', 100), well('b', 90)])).toMatchObject({
      outcome: 'stable',
      settled_at: at(30),
      pods: { wanted: 2, of_newest_revision: 2, of_earlier_revisions: 0, ready: 2, restarts: 0 },
      current: { revision: 2, replica_set: 'api-2', images: ['api:2'] },
      previous: { revision: 1 },
      history: [2, 1],
    });
  });

  it.each<[string, readonly KubeObject[], KubeObject]>([
    ['a pod is too young', [well('a'), well('b', 59)], deployment()],
    ['the rollout itself is too young', [well('a'), well('b')], deployment({ progressed_ago_s: 20 })],
    ['a pod is missing', [well('a')], deployment()],
    ['a pod is not ready', [well('a'), pod('b', 2, { running_ago_s: 90, ready: false })], deployment()],
    ['a container waits', [well('a'), pod('b', 2, {})], deployment()],
    [
      'a pod of an earlier revision is there',
      [well('a'), well('b'), pod('c', 1, { running_ago_s: 900 })],
      deployment(),
    ],
    ['the controller has not seen the change', [well('a'), well('b')], deployment({ observed: 3 })],
    ['one crash may be bad luck', [well('a'), pod('b', 2, { restarts: 1, crashed_ago_s: 5 })], deployment()],
  ])('tells nothing yet: %s', (_name, pods, of) => {
    expect(view(pods, of)).toMatchObject({ outcome: 'progressing' });
    expect(view(pods, of)['settled_at']).toBeUndefined();
  });

  it('is crashing after a second crash, at the time of the last one; the text of the same crash stays the same', () => {
    const first = view([well('a'), pod('b', 2, { restarts: 2, crashed_ago_s: 7 })]);
    expect(first).toMatchObject({
      outcome: 'crashing',
      settled_at: at(7),
      worst_pod: 'b',
      last_crash: { reason: 'Error', exit_code: 1 },
    });
    const again = view([well('a'), pod('b', 2, { running_ago_s: 1, restarts: 3, crashed_ago_s: 2 })]);
    expect([again['outcome'], again['last_crash']]).toEqual([first['outcome'], first['last_crash']]);
  });

  it.each<[string, readonly KubeObject[], KubeObject, object]>([
    [
      'one pod of the newest revision has run long enough beside those of an earlier one',
      [well('a', 90), pod('c', 1, { running_ago_s: 900 }), pod('d', 1, {})],
      deployment(),
      { outcome: 'running', settled_at: at(30) },
    ],
    ['it is too young', [well('a', 59), pod('c', 1, {})], deployment(), { outcome: 'starting' }],
    [
      'it is not ready',
      [pod('a', 2, { running_ago_s: 90, ready: false })],
      deployment(),
      { outcome: 'starting' },
    ],
    ['there is none yet', [pod('c', 1, { running_ago_s: 900 })], deployment(), { outcome: 'starting' }],
    [
      'the controller has not seen the change',
      [well('a'), pod('c', 1, {})],
      deployment({ observed: 3 }),
      { outcome: 'starting' },
    ],
    [
      'it crashed twice',
      [pod('a', 2, { restarts: 2, crashed_ago_s: 3 }), pod('c', 1, {})],
      deployment(),
      { outcome: 'crashing', settled_at: at(3) },
    ],
  ])('first_pods, which a canary is judged by: %s', (_name, pods, of, first) => {
    expect(view(pods, of)['first_pods']).toEqual(first);
  });

  it('forgives crashes of long ago once every pod has run long enough', () => {
    const healed = pod('b', 2, { running_ago_s: 300, restarts: 4, crashed_ago_s: 301 });
    expect(view([well('a'), healed])).toMatchObject({ outcome: 'stable' });
  });

  it('looks only at pods and sets of this very Deployment, and not at those that go', () => {
    const going = { ...pod('z', 2, { restarts: 9, crashed_ago_s: 1 }) };
    going.metadata = { ...going.metadata, deletionTimestamp: at(1) };
    const foreign = owned('Pod', 'x', 'other', {});
    expect(view([well('a'), well('b'), going, foreign])).toMatchObject({ outcome: 'stable' });
  });

  it('without any ReplicaSet shows that nothing is known', () => {
    const bare = rolloutView({ deployment: deployment(), sets: [], pods: [] }, 60, NOW_MS);
    expect(bare).toMatchObject({ outcome: 'progressing', history: [] });
    expect(bare['current']).toBeUndefined();
  });
});

describeMount({
  name: 'kubernetes rollout',
  dir: '/teams/data/prod/k8s/namespaces/settlement/deployments/api',
  entry: 'rollout.yaml',
  file: '/teams/data/prod/k8s/namespaces/settlement/deployments/api/rollout.yaml',
  missing: '/teams/data/prod/k8s/namespaces/settlement/deployments/nope/rollout.yaml',
  word: 'revision',
  secrets: ['hunter2'],
  remote: true,
  async prepare(world) {
    const replica_set = kube('ReplicaSet', 'api-1', { spec: { template: { spec: { containers: [] } } } });
    Object.assign(replica_set.metadata, {
      annotations: { 'deployment.kubernetes.io/revision': '1' },
      ownerReferences: [{ uid: 'uid-api', controller: true }],
    });
    world.model.objects.push(kube('Deployment', 'api', { spec: { replicas: 2 }, status: {} }), replica_set);
  },
});
