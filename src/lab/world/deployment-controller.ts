/**
 * Deployments and their ReplicaSets: rolling update with surge, scaling, and containers that behave as their image does
 * (healthy, or crashing after a while, which is how a bad deploy shows).
 */
import type { Cluster } from './cluster.ts';
import { isFurnishing, isPast, uidOf } from './cluster.ts';
import { runContainer } from './container-behaviour.ts';
import type { ImageBehaviour } from './definition.ts';
import { recordEvent } from './kube-events.ts';
import type { JsonObject, KubeObject } from './kube-object.ts';
import { at, kubeTime, objectAt, ownerReferenceTo, sameJson, stringAt } from './kube-object.ts';
import { launchPod } from './pod-lifecycle.ts';
import { podDefaults } from './spark-pods.ts';

export interface DeploymentControllerOptions {
  cluster: Cluster;
  behaviourOf: (image: string) => ImageBehaviour;
}

const CONTROLLER = { manager: 'kube-controller-manager' };
const REVISION = 'deployment.kubernetes.io/revision';
const HASH = 'pod-template-hash';

export function runDeploymentController(options: DeploymentControllerOptions): void {
  const { cluster } = options;
  const waiting = new Set<string>();
  function reconcileSoon(namespace: string, name: string): void {
    const key = `${namespace}/${name}`;
    if (waiting.has(key)) return;
    waiting.add(key);
    cluster.timeline.after(30, () => {
      waiting.delete(key);
      const deployment = cluster.store.get('Deployment', namespace, name);
      if (deployment !== undefined) reconcile(options, deployment);
    });
  }
  cluster.store.subscribe(({ object, type, previous }) => {
    const namespace = object.metadata.namespace ?? '';
    if (object.kind === 'Deployment' && type !== 'DELETED' && !sameJson(previous?.spec, object.spec)) {
      reconcileSoon(namespace, object.metadata.name);
    }
    const owner = object.metadata.ownerReferences?.[0];
    if (object.kind !== 'Pod' || owner?.kind !== 'ReplicaSet') return;
    if (type === 'DELETED' || isReady(previous) !== isReady(object)) {
      const set = cluster.store.get('ReplicaSet', namespace, owner.name);
      const name = set?.metadata.ownerReferences?.[0]?.name;
      if (name !== undefined) reconcileSoon(namespace, name);
    }
  });
}

function reconcile(options: DeploymentControllerOptions, deployment: KubeObject): void {
  const { cluster } = options;
  const target = ensureReplicaSet(cluster, deployment);
  const sets = replicaSetsOf(cluster, deployment);
  const replicas = desiredReplicas(deployment);
  const surge = Math.max(1, Math.ceil(replicas * 0.25));
  const unavailableMax = Math.floor(replicas * 0.25);
  const old = sets.filter((set) => uidOf(set) !== uidOf(target));
  const total = sets.reduce((sum, set) => sum + desiredReplicas(set), 0);
  const wanted = desiredReplicas(target);
  if (wanted > replicas) scaleSet(cluster, deployment, target, replicas);
  else if (wanted < replicas) {
    const room = old.some((set) => desiredReplicas(set) > 0) ? replicas + surge - total : replicas - wanted;
    if (room > 0) scaleSet(cluster, deployment, target, Math.min(replicas, wanted + room));
  }
  let spare =
    sets.reduce((sum, set) => sum + readyPods(cluster, set).length, 0) - (replicas - unavailableMax);
  for (const set of old) {
    const size = desiredReplicas(set);
    const cut = Math.min(size, Math.max(0, spare));
    if (cut > 0) scaleSet(cluster, deployment, set, size - cut);
    spare -= cut;
  }
  for (const set of replicaSetsOf(cluster, deployment)) syncPods(options, set);
  writeStatus(cluster, deployment, target);
}

function ensureReplicaSet(cluster: Cluster, deployment: KubeObject): KubeObject {
  const template = bareTemplate(objectAt(deployment, 'spec', 'template'));
  const sets = replicaSetsOf(cluster, deployment);
  const found = sets.find((set) => sameJson(bareTemplate(objectAt(set, 'spec', 'template')), template));
  const latest = Math.max(0, ...sets.map((set) => Number(set.metadata.annotations?.[REVISION] ?? 0)));
  const revision = String(
    found !== undefined && Number(found.metadata.annotations?.[REVISION]) === latest ? latest : latest + 1,
  );
  markRevision(cluster, deployment, revision);
  if (found !== undefined) {
    if (found.metadata.annotations?.[REVISION] === revision) return found;
    const annotations = { ...found.metadata.annotations, [REVISION]: revision };
    return cluster.store.update({ ...found, metadata: { ...found.metadata, annotations } }, CONTROLLER);
  }
  const { namespace = '', name } = deployment.metadata;
  const hash = cluster.random.fork(`template/${JSON.stringify(template)}`).suffix(10);
  const labels = { ...(objectAt(template, 'metadata', 'labels') as Record<string, string>), [HASH]: hash };
  const matchLabels = { ...objectAt(deployment, 'spec', 'selector', 'matchLabels'), [HASH]: hash };
  return cluster.store.create(
    {
      apiVersion: 'apps/v1',
      kind: 'ReplicaSet',
      metadata: {
        name: `${name}-${hash}`,
        namespace,
        labels,
        annotations: {
          'deployment.kubernetes.io/desired-replicas': String(desiredReplicas(deployment)),
          [REVISION]: revision,
        },
        ownerReferences: [ownerReferenceTo(deployment)],
        creationTimestamp: agedCreation(cluster, deployment),
      },
      spec: {
        replicas: 0,
        selector: { matchLabels },
        template: { ...template, metadata: { ...objectAt(template, 'metadata'), labels } },
      },
      status: { replicas: 0, observedGeneration: 1 },
    },
    CONTROLLER,
  );
}

/** What is created while the world is being built is as old as its owner; later things are new. */
function agedCreation(cluster: Cluster, owner: KubeObject): string {
  const now = kubeTime(cluster.timeline.now());
  return isFurnishing(cluster) ? (owner.metadata.creationTimestamp ?? now) : now;
}

function markRevision(cluster: Cluster, deployment: KubeObject, revision: string): void {
  if (deployment.metadata.annotations?.[REVISION] === revision) return;
  const annotations = { ...deployment.metadata.annotations, [REVISION]: revision };
  cluster.store.update({ ...deployment, metadata: { ...deployment.metadata, annotations } }, CONTROLLER);
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
    availableReplicas: left.filter(isReady).length,
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
  const isAvailable = ready >= replicas - Math.floor(replicas * 0.25);
  const isDone = updated === replicas && ready === replicas && pods.length === replicas;
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
    availableReplicas: ready,
    ...(ready < replicas
      ? { unavailableReplicas: Math.max(0, Math.max(replicas, pods.length) - ready) }
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

function desiredReplicas(object: KubeObject): number {
  return typeof object.spec?.['replicas'] === 'number' ? object.spec['replicas'] : 1;
}

function replicaSetsOf(cluster: Cluster, deployment: KubeObject): KubeObject[] {
  return ownedBy(cluster, 'ReplicaSet', deployment);
}

function podsOf(cluster: Cluster, set: KubeObject): KubeObject[] {
  return ownedBy(cluster, 'Pod', set);
}

function readyPods(cluster: Cluster, set: KubeObject): KubeObject[] {
  return podsOf(cluster, set).filter(isReady);
}

function ownedBy(cluster: Cluster, kind: string, owner: KubeObject): KubeObject[] {
  return cluster.store
    .list(kind, owner.metadata.namespace)
    .filter((object) => object.metadata.ownerReferences?.some(({ uid }) => uid === uidOf(owner)) === true);
}

function isReady(pod: KubeObject | undefined): boolean {
  return at(pod, 'status', 'containerStatuses', 0, 'ready') === true;
}

/** The template without what the controller and clients add to it: two of these equal means the same revision. */
function bareTemplate(template: JsonObject): JsonObject {
  const { creationTimestamp: _created, ...metadata } = objectAt(template, 'metadata');
  const { [HASH]: _hash, ...labels } = objectAt(template, 'metadata', 'labels');
  return { ...template, metadata: { ...metadata, labels } };
}
