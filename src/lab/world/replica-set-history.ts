/** The history of a Deployment: one ReplicaSet for each pod template that it had, with revisions, oldest forgotten. */
import type { Cluster } from './cluster.ts';
import { isFurnishing, uidOf } from './cluster.ts';
import type { JsonObject, KubeObject } from './kube-object.ts';
import { kubeTime, numberAt, objectAt, ownerReferenceTo, sameJson } from './kube-object.ts';

const CONTROLLER = { manager: 'kube-controller-manager' };
const REVISION = 'deployment.kubernetes.io/revision';
const REVISION_HISTORY = 'deployment.kubernetes.io/revision-history';
const DESIRED = 'deployment.kubernetes.io/desired-replicas';
const HASH = 'pod-template-hash';
const HISTORY_LIMIT_DEFAULT = 10;
/** Annotations of a Deployment that its ReplicaSets do not get. */
const NOT_COPIED = new Set(['kubectl.kubernetes.io/last-applied-configuration', REVISION, REVISION_HISTORY]);

/** The ReplicaSet of the present template, made when there is none; it gets the newest revision. */
export function ensureReplicaSet(cluster: Cluster, deployment: KubeObject): KubeObject {
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
    const before = found.metadata.annotations ?? {};
    const earlier = [before[REVISION_HISTORY], before[REVISION]].filter((text) => text !== undefined);
    const history: Record<string, string> =
      earlier.length === 0 ? {} : { [REVISION_HISTORY]: earlier.join(',') };
    const annotations = { ...before, ...copied(deployment), ...history, [REVISION]: revision };
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
          ...copied(deployment),
          [DESIRED]: String(desiredReplicas(deployment)),
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
export function agedCreation(cluster: Cluster, owner: KubeObject): string {
  const now = kubeTime(cluster.timeline.now());
  return isFurnishing(cluster) ? (owner.metadata.creationTimestamp ?? now) : now;
}

function markRevision(cluster: Cluster, deployment: KubeObject, revision: string): void {
  if (deployment.metadata.annotations?.[REVISION] === revision) return;
  const annotations = { ...deployment.metadata.annotations, [REVISION]: revision };
  cluster.store.update({ ...deployment, metadata: { ...deployment.metadata, annotations } }, CONTROLLER);
}

/** Empty ReplicaSets beyond `revisionHistoryLimit`, oldest revision first, once the rollout is over. */
export function forgetOldSets(cluster: Cluster, deployment: KubeObject, target: KubeObject): void {
  const limit =
    typeof deployment.spec?.['revisionHistoryLimit'] === 'number'
      ? deployment.spec['revisionHistoryLimit']
      : HISTORY_LIMIT_DEFAULT;
  const old = replicaSetsOf(cluster, deployment)
    .filter((set) => uidOf(set) !== uidOf(target))
    .sort((a, b) => revisionOf(a) - revisionOf(b));
  const empty = old.filter((set) => desiredReplicas(set) === 0 && numberAt(set, 'status', 'replicas') === 0);
  if (empty.length < old.length) return;
  for (const set of empty.slice(0, Math.max(0, old.length - limit)))
    cluster.store.remove('ReplicaSet', set.metadata.namespace, set.metadata.name);
}

/** `kubernetes.io/change-cause` and whatever else people noted. */
function copied(deployment: KubeObject): Record<string, string> {
  const notes = Object.entries(deployment.metadata.annotations ?? {});
  return Object.fromEntries(notes.filter(([name]) => !NOT_COPIED.has(name)));
}

function revisionOf(set: KubeObject): number {
  return Number(set.metadata.annotations?.[REVISION] ?? 0);
}

export function desiredReplicas(object: KubeObject): number {
  return typeof object.spec?.['replicas'] === 'number' ? object.spec['replicas'] : 1;
}

export function replicaSetsOf(cluster: Cluster, deployment: KubeObject): KubeObject[] {
  return ownedBy(cluster, 'ReplicaSet', deployment);
}

export function ownedBy(cluster: Cluster, kind: string, owner: KubeObject): KubeObject[] {
  return cluster.store
    .list(kind, owner.metadata.namespace)
    .filter((object) => object.metadata.ownerReferences?.some(({ uid }) => uid === uidOf(owner)) === true);
}

/** The template without what the controller and clients add to it: two of these equal means the same revision. */
function bareTemplate(template: JsonObject): JsonObject {
  const { creationTimestamp: _created, ...metadata } = objectAt(template, 'metadata');
  const { [HASH]: _hash, ...labels } = objectAt(template, 'metadata', 'labels');
  return { ...template, metadata: { ...metadata, labels } };
}
