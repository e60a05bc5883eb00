/**
 * Deployments and their ReplicaSets: rolling update, scaling, and containers that behave as their image does
 * (healthy, or crashing after a while, which is how a bad deploy shows).
 */
import type { Cluster } from './cluster.ts';
import { isPast, uidOf } from './cluster.ts';
import { runContainer } from './container-behaviour.ts';
import type { ImageBehaviour } from './definition.ts';
import { recordEvent } from './kube-events.ts';
import type { JsonObject, KubeObject } from './kube-object.ts';
import {
  at,
  kubeTime,
  listAt,
  numberAt,
  objectAt,
  ownerReferenceTo,
  sameJson,
  stringAt,
} from './kube-object.ts';
import { launchPod } from './pod-lifecycle.ts';
import {
  agedCreation,
  desiredReplicas,
  ensureReplicaSet,
  forgetOldSets,
  ownedBy,
  replicaSetsOf,
} from './replica-set-history.ts';
import { fences, nextSizes } from './rolling-update.ts';
import type { SetSize } from './rolling-update.ts';
import { podDefaults } from './spark-pods.ts';

export interface DeploymentControllerOptions {
  cluster: Cluster;
  behaviourOf: (image: string) => ImageBehaviour;
}

/** A controller's queue takes a moment. */
const SYNC_MS = 30;
/** Asks for another turn after so many milliseconds. */
type Again = (wait_ms: number) => void;

const CONTROLLER = { manager: 'kube-controller-manager' };

export function runDeploymentController(options: DeploymentControllerOptions): void {
  const { cluster } = options;
  const waiting = new Set<string>();
  function reconcileSoon(namespace: string, name: string): void {
    const key = `${namespace}/${name}`;
    if (waiting.has(key)) return;
    waiting.add(key);
    cluster.timeline.after(SYNC_MS, () => {
      waiting.delete(key);
      const deployment = cluster.store.get('Deployment', namespace, name);
      if (deployment === undefined) return;
      reconcile(options, deployment, (wait_ms) =>
        cluster.timeline.after(wait_ms, () => reconcileSoon(namespace, name)),
      );
    });
  }
  cluster.store.subscribe(({ object, type, previous }) => {
    const namespace = object.metadata.namespace ?? '';
    if (object.kind === 'Deployment' && type !== 'DELETED' && !sameJson(previous?.spec, object.spec)) {
      reconcileSoon(namespace, object.metadata.name);
    }
    const owner = object.metadata.ownerReferences?.[0];
    if (object.kind !== 'Pod' || owner?.kind !== 'ReplicaSet') return;
    const isEnding = isTerminating(object) && previous !== undefined && !isTerminating(previous);
    if (type === 'DELETED' || isEnding || isReady(previous) !== isReady(object)) {
      const set = cluster.store.get('ReplicaSet', namespace, owner.name);
      const name = set?.metadata.ownerReferences?.[0]?.name;
      if (name !== undefined) reconcileSoon(namespace, name);
    }
  });
}

function reconcile(options: DeploymentControllerOptions, deployment: KubeObject, again: Again): void {
  const { cluster } = options;
  const target = withMinReady(cluster, ensureReplicaSet(cluster, deployment), deployment);
  const sizeOf = (set: KubeObject): SetSize => ({
    name: set.metadata.name,
    wanted: desiredReplicas(set),
    available: availablePods(cluster, set).length,
  });
  const old = replicaSetsOf(cluster, deployment).filter((set) => uidOf(set) !== uidOf(target));
  const sizes = nextSizes({
    replicas: desiredReplicas(deployment),
    strategy: at(deployment, 'spec', 'strategy'),
    newest: sizeOf(target),
    old: old.map(sizeOf),
  });
  for (const set of [target, ...old]) {
    const size = sizes.get(set.metadata.name);
    if (size !== undefined) scaleSet(cluster, deployment, set, size);
  }
  for (const set of replicaSetsOf(cluster, deployment)) syncPods(options, set);
  forgetOldSets(cluster, deployment, target);
  writeStatus(cluster, deployment, target);
  const wait_ms = untilAvailable(cluster, deployment);
  if (wait_ms !== null) again(wait_ms);
}

/** Only the newest set follows a changed `minReadySeconds`, as in the real controller. */
function withMinReady(cluster: Cluster, set: KubeObject, deployment: KubeObject): KubeObject {
  const wanted = minReadySeconds(deployment);
  if (minReadySeconds(set) === wanted) return set;
  const { minReadySeconds: _was, ...spec } = set.spec ?? {};
  return cluster.store.update(
    { ...set, spec: wanted === 0 ? spec : { ...spec, minReadySeconds: wanted } },
    CONTROLLER,
  );
}

function minReadySeconds(object: KubeObject): number {
  return numberAt(object, 'spec', 'minReadySeconds');
}

/** Time until the next pod that is ready now has been so for long enough; null: none waits. */
function untilAvailable(cluster: Cluster, deployment: KubeObject): number | null {
  const waits = replicaSetsOf(cluster, deployment).flatMap((set) =>
    readyPods(cluster, set).map((pod) => availableFrom(pod, set) - cluster.timeline.now()),
  );
  const open = waits.filter((wait_ms) => wait_ms > 0);
  return open.length === 0 ? null : Math.min(...open);
}

function availableFrom(pod: KubeObject, set: KubeObject): number {
  const ready = listAt(pod, 'status', 'conditions').find((entry) => stringAt(entry, 'type') === 'Ready');
  const since_ms = Date.parse(stringAt(ready, 'lastTransitionTime'));
  return Number.isFinite(since_ms) ? since_ms + minReadySeconds(set) * 1000 : 0;
}

function availablePods(cluster: Cluster, set: KubeObject): KubeObject[] {
  const now = cluster.timeline.now();
  const pods = readyPods(cluster, set);
  return minReadySeconds(set) === 0 ? pods : pods.filter((pod) => availableFrom(pod, set) <= now);
}

function scaleSet(cluster: Cluster, deployment: KubeObject, set: KubeObject, replicas: number): void {
  const before = desiredReplicas(set);
  if (before === replicas) return;
  const current = cluster.store.get('ReplicaSet', set.metadata.namespace, set.metadata.name) ?? set;
  cluster.store.update({ ...current, spec: { ...current.spec, replicas } }, CONTROLLER);
  const way = replicas > before ? 'up' : 'down';
  recordEvent(cluster, deployment, {
    type: 'Normal',
    reason: 'ScalingReplicaSet',
    message: `Scaled ${way} replica set ${set.metadata.name} from ${before} to ${replicas}`,
    component: 'deployment-controller',
  });
}

function syncPods(options: DeploymentControllerOptions, set: KubeObject): void {
  const { cluster } = options;
  const pods = podsOf(cluster, set);
  const wanted = desiredReplicas(set);
  for (let missing = wanted - pods.length; missing > 0; missing -= 1) {
    if (!createPod(options, set)) break;
  }
  // Not-ready pods go first, then the youngest.
  const order = [...pods].sort((a, b) => Number(isReady(a)) - Number(isReady(b)));
  for (const pod of order.slice(0, Math.max(0, pods.length - wanted))) {
    cluster.processes.delete(`${uidOf(pod)}/${stringAt(pod, 'spec', 'containers', 0, 'name')}`);
    cluster.store.remove('Pod', pod.metadata.namespace, pod.metadata.name);
    setEvent(cluster, set, 'Normal', 'SuccessfulDelete', `Deleted pod: ${pod.metadata.name}`);
  }
  const left = podsOf(cluster, set);
  const status = {
    replicas: left.length,
    fullyLabeledReplicas: left.length,
    readyReplicas: left.filter(isReady).length,
    availableReplicas: availablePods(cluster, set).length,
    observedGeneration: set.metadata.generation,
  };
  cluster.store.update({ ...set, status }, { ...CONTROLLER, subresource: 'status' });
}

function createPod(options: DeploymentControllerOptions, set: KubeObject): boolean {
  const { cluster } = options;
  const template = objectAt(set, 'spec', 'template');
  const spec = objectAt(template, 'spec');
  const pace = isPast(cluster) ? 1 : 0.25;
  const launched = launchPod(cluster, {
    pod: {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {
        generateName: `${set.metadata.name}-`,
        name: `${set.metadata.name}-${cluster.random.suffix(5)}`,
        namespace: set.metadata.namespace ?? '',
        labels: objectAt(template, 'metadata', 'labels') as Record<string, string>,
        annotations: objectAt(template, 'metadata', 'annotations') as Record<string, string>,
        ownerReferences: [ownerReferenceTo(set)],
        creationTimestamp: agedCreation(cluster, set),
      },
      spec: {
        ...podDefaults(stringAt(spec, 'serviceAccountName') || 'default'),
        restartPolicy: 'Always',
        ...spec,
      },
    },
    manager: 'kube-controller-manager',
    schedule_ms: 80 * pace,
    start_ms: 1_900 * pace,
    ready_at_start: (options.behaviourOf(stringAt(spec, 'containers', 0, 'image')).ready_after_ms ?? 0) === 0,
    onRunning: (pod) => runContainer(cluster, pod, options.behaviourOf),
  });
  if ('refused' in launched) {
    setEvent(cluster, set, 'Warning', 'FailedCreate', `Error creating: ${launched.refused}`);
    return false;
  }
  setEvent(cluster, set, 'Normal', 'SuccessfulCreate', `Created pod: ${launched.pod.metadata.name}`);
  return true;
}

function setEvent(
  cluster: Cluster,
  set: KubeObject,
  type: 'Normal' | 'Warning',
  reason: string,
  message: string,
): void {
  recordEvent(cluster, set, { type, reason, message, component: 'replicaset-controller' });
}

function writeStatus(cluster: Cluster, deployment: KubeObject, target: KubeObject): void {
  const current = cluster.store.get('Deployment', deployment.metadata.namespace, deployment.metadata.name);
  if (current === undefined) return;
  const replicas = desiredReplicas(current);
  const sets = replicaSetsOf(cluster, current);
  const pods = sets.flatMap((set) => podsOf(cluster, set));
  const ready = pods.filter(isReady).length;
  const updated = podsOf(cluster, target).length;
  const available = sets.reduce((sum, set) => sum + availablePods(cluster, set).length, 0);
  const isAvailable = available >= replicas - fences(at(current, 'spec', 'strategy'), replicas).unavailable;
  const isDone = updated === replicas && available === replicas && pods.length === replicas;
  const now = kubeTime(cluster.timeline.now());
  const condition = (type: string, status: boolean, reason: string, message: string): JsonObject => {
    const before = ((at(current, 'status', 'conditions') as JsonObject[] | undefined) ?? []).find(
      (entry) => entry['type'] === type,
    );
    const same = before?.['status'] === (status ? 'True' : 'False') && before['reason'] === reason;
    const since = same ? before['lastTransitionTime'] : now;
    return {
      type,
      status: status ? 'True' : 'False',
      reason,
      message,
      lastTransitionTime: since,
      lastUpdateTime: since,
    };
  };
  const set = target.metadata.name;
  const status: JsonObject = {
    observedGeneration: current.metadata.generation,
    replicas: pods.length,
    updatedReplicas: updated,
    readyReplicas: ready,
    availableReplicas: available,
    ...(available < replicas
      ? { unavailableReplicas: Math.max(0, Math.max(replicas, pods.length) - available) }
      : {}),
    conditions: [
      isAvailable
        ? condition('Available', true, 'MinimumReplicasAvailable', 'Deployment has minimum availability.')
        : condition(
            'Available',
            false,
            'MinimumReplicasUnavailable',
            'Deployment does not have minimum availability.',
          ),
      isDone
        ? condition(
            'Progressing',
            true,
            'NewReplicaSetAvailable',
            `ReplicaSet "${set}" has successfully progressed.`,
          )
        : condition('Progressing', true, 'ReplicaSetUpdated', `ReplicaSet "${set}" is progressing.`),
    ],
  };
  cluster.store.update({ ...current, status }, { ...CONTROLLER, subresource: 'status' });
}

function podsOf(cluster: Cluster, set: KubeObject): KubeObject[] {
  // A pod that is being deleted counts no more: its replacement comes at once.
  return ownedBy(cluster, 'Pod', set).filter((pod) => !isTerminating(pod));
}

function isTerminating(pod: KubeObject): boolean {
  return pod.metadata.deletionTimestamp !== undefined;
}

function readyPods(cluster: Cluster, set: KubeObject): KubeObject[] {
  return podsOf(cluster, set).filter(isReady);
}

function isReady(pod: KubeObject | undefined): boolean {
  return at(pod, 'status', 'containerStatuses', 0, 'ready') === true;
}
