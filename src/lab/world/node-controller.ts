/** The node controller's part of a cordon: a node that takes no pods carries the taint that says so. */
import type { Cluster } from './cluster.ts';
import type { KubeObject } from './kube-object.ts';
import { at, kubeTime, listAt, stringAt } from './kube-object.ts';

const UNSCHEDULABLE = 'node.kubernetes.io/unschedulable';
const SYNC_AFTER_MS = 20;

export function runNodeController(cluster: Cluster): void {
  cluster.store.subscribe(({ object, type }) => {
    if (object.kind !== 'Node' || type === 'DELETED') return;
    if (isCordoned(object) === isTainted(object)) return;
    cluster.timeline.after(SYNC_AFTER_MS, () => {
      const node = cluster.store.get('Node', undefined, object.metadata.name);
      if (node !== undefined && isCordoned(node) !== isTainted(node)) sync(cluster, node);
    });
  });
}

function sync(cluster: Cluster, node: KubeObject): void {
  const others = listAt(node, 'spec', 'taints').filter((taint) => stringAt(taint, 'key') !== UNSCHEDULABLE);
  const own = { effect: 'NoSchedule', key: UNSCHEDULABLE, timeAdded: kubeTime(cluster.timeline.now()) };
  const taints = isCordoned(node) ? [...others, own] : others;
  const { taints: _before, ...spec } = node.spec ?? {};
  cluster.store.update(
    { ...node, spec: { ...spec, ...(taints.length === 0 ? {} : { taints }) } },
    { manager: 'kube-controller-manager' },
  );
}

function isCordoned(node: KubeObject): boolean {
  return at(node, 'spec', 'unschedulable') === true;
}

function isTainted(node: KubeObject): boolean {
  return listAt(node, 'spec', 'taints').some((taint) => stringAt(taint, 'key') === UNSCHEDULABLE);
}
