import { valueAt } from '../../json-pointer.ts';
import type { PodName } from './eviction-body.ts';

/** What a drain does with each pod of a node: the rules of kubectl drain without any of its overrides. Pure. */
export interface DrainPlan {
  readonly evict: readonly LeavingPod[];
  /** Pods that stay, by why, in words for the preview. */
  readonly stay: readonly string[];
  /** Pods that forbid the drain, in words. */
  readonly obstacles: readonly string[];
  /** Pods that would have to leave and are other teams'. */
  readonly foreign: number;
}

export interface LeavingPod extends PodName {
  /** `ReplicaSet settlement-api-7f`: who makes it again. */
  readonly owner: string;
}

const MIRROR = '/metadata/annotations/kubernetes.io~1config.mirror';

export function planDrain(pods: readonly unknown[], namespaces: ReadonlySet<string> | 'all'): DrainPlan {
  const evict: LeavingPod[] = [];
  const obstacles: string[] = [];
  const stay = new Map<string, number>();
  let foreign = 0;
  for (const pod of pods) {
    const reason = stays(pod);
    const named = nameOf(pod);
    if (reason !== null) stay.set(reason, (stay.get(reason) ?? 0) + 1);
    else if (named === null) obstacles.push('a pod without name or uid');
    else if (namespaces !== 'all' && !namespaces.has(named.namespace)) foreign += 1;
    else {
      const obstacle = obstacleOf(pod);
      if (obstacle === null) evict.push({ ...named, owner: ownerText(pod) });
      else obstacles.push(`${named.namespace}/${named.name} ${obstacle}`);
    }
  }
  const order = (pod: PodName): string => `${pod.namespace}/${pod.name}`;
  return {
    evict: evict.sort((a, b) => (order(a) < order(b) ? -1 : 1)),
    stay: [...stay].map(
      ([reason, count]) => `${count} ${count === 1 ? 'pod stays' : 'pods stay'}: ${reason}`,
    ),
    obstacles,
    foreign,
  };
}

function stays(pod: unknown): string | null {
  if (controllerOf(pod)?.kind === 'DaemonSet') return 'of a DaemonSet, which would start it here again';
  if (valueAt(pod, MIRROR) !== undefined) return 'a static pod of the kubelet';
  const phase = valueAt(pod, '/status/phase');
  if (phase === 'Succeeded' || phase === 'Failed') return 'ended already, kept for its logs';
  return valueAt(pod, '/metadata/deletionTimestamp') === undefined ? null : 'going already';
}

function obstacleOf(pod: unknown): string | null {
  if (controllerOf(pod) === null) return 'has no controller: nobody would start it again';
  const volumes = valueAt(pod, '/spec/volumes');
  const is_local =
    Array.isArray(volumes) && (volumes as unknown[]).some((v) => valueAt(v, '/emptyDir') !== undefined);
  return is_local ? 'keeps data on the node (emptyDir), which would be lost' : null;
}

function controllerOf(pod: unknown): { kind: unknown; name: unknown } | null {
  const owners = valueAt(pod, '/metadata/ownerReferences');
  const found = (Array.isArray(owners) ? (owners as unknown[]) : []).find(
    (owner) => valueAt(owner, '/controller') === true,
  );
  return found === undefined ? null : { kind: valueAt(found, '/kind'), name: valueAt(found, '/name') };
}

function ownerText(pod: unknown): string {
  const owner = controllerOf(pod);
  return `${String(owner?.kind)} ${String(owner?.name)}`;
}

export function nameOf(pod: unknown): PodName | null {
  const namespace = valueAt(pod, '/metadata/namespace');
  const name = valueAt(pod, '/metadata/name');
  const uid = valueAt(pod, '/metadata/uid');
  return typeof namespace === 'string' && typeof name === 'string' && typeof uid === 'string'
    ? { namespace, name, uid }
    : null;
}
