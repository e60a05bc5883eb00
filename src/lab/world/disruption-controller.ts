/** PodDisruptionBudgets: how many of the pods that one selects may be evicted now (kube-controller-manager). */
import type { Cluster } from './cluster.ts';
import type { JsonObject, KubeObject } from './kube-object.ts';
import { at, kubeTime, listAt, numberAt, objectAt, sameJson, stringAt } from './kube-object.ts';
import { selectsLabels } from './label-selector.ts';

const WRITER = { manager: 'kube-controller-manager', subresource: 'status' };
const SYNC_AFTER_MS = 20;

export function runDisruptionController(cluster: Cluster): void {
  const waiting = new Set<string>();
  cluster.store.subscribe(({ object, previous, type }) => {
    const namespace = object.metadata.namespace ?? '';
    const isOwnStatus =
      object.kind === 'PodDisruptionBudget' && type === 'MODIFIED' && sameJson(previous?.spec, object.spec);
    if (isOwnStatus || !['Pod', 'PodDisruptionBudget', 'Deployment'].includes(object.kind)) return;
    if (waiting.has(namespace) || cluster.store.list('PodDisruptionBudget', namespace).length === 0) return;
    waiting.add(namespace);
    cluster.timeline.after(SYNC_AFTER_MS, () => {
      waiting.delete(namespace);
      for (const budget of cluster.store.list('PodDisruptionBudget', namespace)) sync(cluster, budget);
    });
  });
}

/** The budgets that select a pod. */
export function budgetsOf(cluster: Cluster, pod: KubeObject): KubeObject[] {
  return cluster.store
    .list('PodDisruptionBudget', pod.metadata.namespace)
    .filter((budget) => selectsLabels(objectAt(budget, 'spec', 'selector'), pod));
}

export function isPodReady(pod: KubeObject): boolean {
  return listAt(pod, 'status', 'conditions').some(
    (entry) => stringAt(entry, 'type') === 'Ready' && stringAt(entry, 'status') === 'True',
  );
}

function sync(cluster: Cluster, budget: KubeObject): void {
  const now = kubeTime(cluster.timeline.now());
  const pods = cluster.store
    .list('Pod', budget.metadata.namespace)
    .filter((pod) => selectsLabels(objectAt(budget, 'spec', 'selector'), pod));
  const standing = new Set(
    pods.filter((pod) => pod.metadata.deletionTimestamp === undefined).map((pod) => pod.metadata.name),
  );
  // An eviction that was allowed and has not shown yet.
  const disruptedPods = Object.fromEntries(
    Object.entries(objectAt(budget, 'status', 'disruptedPods')).filter(([name]) => standing.has(name)),
  );
  const currentHealthy = pods.filter(
    (pod) =>
      isPodReady(pod) && standing.has(pod.metadata.name) && disruptedPods[pod.metadata.name] === undefined,
  ).length;
  const { expectedPods, desiredHealthy } = wanted(cluster, budget, pods);
  const room = expectedPods > 0 ? Math.max(0, currentHealthy - desiredHealthy) : 0;
  const status: JsonObject = {
    observedGeneration: budget.metadata.generation,
    currentHealthy,
    desiredHealthy,
    disruptionsAllowed: room,
    expectedPods,
    ...(Object.keys(disruptedPods).length === 0 ? {} : { disruptedPods }),
    conditions: [allowedCondition(budget, room, now)],
  };
  cluster.store.update({ ...budget, status }, WRITER);
}

function allowedCondition(budget: KubeObject, room: number, now: string): JsonObject {
  const status = room > 0 ? 'True' : 'False';
  const before = listAt(budget, 'status', 'conditions')[0];
  return {
    type: 'DisruptionAllowed',
    status,
    reason: room > 0 ? 'SufficientPods' : 'InsufficientPods',
    message: '',
    observedGeneration: budget.metadata.generation,
    lastTransitionTime: stringAt(before, 'status') === status ? stringAt(before, 'lastTransitionTime') : now,
  };
}

function wanted(
  cluster: Cluster,
  budget: KubeObject,
  pods: readonly KubeObject[],
): { expectedPods: number; desiredHealthy: number } {
  const least = at(budget, 'spec', 'minAvailable');
  const most_away = at(budget, 'spec', 'maxUnavailable');
  if (typeof least === 'number') return { expectedPods: pods.length, desiredHealthy: least };
  const expectedPods = scaleOf(cluster, pods);
  if (least !== undefined) return { expectedPods, desiredHealthy: share(least, expectedPods) };
  return { expectedPods, desiredHealthy: Math.max(0, expectedPods - share(most_away ?? 0, expectedPods)) };
}

/** How many pods the owners of these want; a pod whose owner has no scale counts as one. */
function scaleOf(cluster: Cluster, pods: readonly KubeObject[]): number {
  let expected = 0;
  const counted = new Set<string>();
  for (const pod of pods) {
    const owner = pod.metadata.ownerReferences?.find(({ controller }) => controller === true);
    const set =
      owner?.kind === 'ReplicaSet'
        ? cluster.store.get('ReplicaSet', pod.metadata.namespace, owner.name)
        : undefined;
    const above = set?.metadata.ownerReferences?.[0];
    const deployment =
      above === undefined ? undefined : cluster.store.get('Deployment', pod.metadata.namespace, above.name);
    const uid = deployment?.metadata.uid ?? set?.metadata.uid ?? pod.metadata.uid ?? '';
    if (counted.has(uid)) continue;
    counted.add(uid);
    expected += set === undefined ? 1 : numberAt(deployment ?? set, 'spec', 'replicas');
  }
  return expected;
}

/** A number, or a share in percent, rounded up as the real controller rounds it. */
function share(amount: unknown, whole: number): number {
  if (typeof amount === 'number') return amount;
  const percent = /^(\d{1,3})%$/.exec(String(amount))?.[1];
  return percent === undefined ? 0 : Math.ceil((Number(percent) * whole) / 100);
}
