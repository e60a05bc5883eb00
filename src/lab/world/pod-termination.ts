/** How a pod ends on request: it is Terminating for a while, then gone, unless a finalizer holds it. */
import type { Cluster } from './cluster.ts';
import { recordEvent } from './kube-events.ts';
import type { KubeObject } from './kube-object.ts';
import { kubeTime, listAt, numberAt, stringAt } from './kube-object.ts';
import { currentPod } from './pod-lifecycle.ts';

/** A process that ends at SIGTERM. The real one may take its whole grace period. */
const SHUTDOWN_MS = 200;
const FINALIZER_LOOK_MS = 250;

/** What the API server does with a pod that was evicted: marked, told to stop, and removed when it has stopped. */
export function evictPod(cluster: Cluster, pod: KubeObject): void {
  const current = currentPod(cluster, pod);
  if (current === undefined || current.metadata.deletionTimestamp !== undefined) return;
  const now = kubeTime(cluster.timeline.now());
  const grace_s = numberAt(current, 'spec', 'terminationGracePeriodSeconds');
  const target = {
    type: 'DisruptionTarget',
    status: 'True',
    reason: 'EvictionByEvictionAPI',
    message: 'Eviction API: evicting',
    lastProbeTime: null,
    lastTransitionTime: now,
  };
  const marked = cluster.store.update(
    {
      ...current,
      metadata: {
        ...current.metadata,
        deletionTimestamp: kubeTime(cluster.timeline.now() + grace_s * 1000),
        deletionGracePeriodSeconds: grace_s,
      },
      status: { ...current.status, conditions: [...listAt(current, 'status', 'conditions'), target] },
    },
    { manager: 'kube-apiserver', subresource: 'status' },
  );
  recordEvent(cluster, marked, {
    type: 'Normal',
    reason: 'Killing',
    message: `Stopping container ${stringAt(marked, 'spec', 'containers', 0, 'name')}`,
    component: 'kubelet',
  });
  cluster.timeline.after(SHUTDOWN_MS, () => removeWhenFree(cluster, marked));
}

function removeWhenFree(cluster: Cluster, pod: KubeObject): void {
  const current = currentPod(cluster, pod);
  if (current === undefined) return;
  if ((current.metadata.finalizers ?? []).length === 0) {
    cluster.store.remove('Pod', current.metadata.namespace, current.metadata.name);
    return;
  }
  cluster.timeline.after(FINALIZER_LOOK_MS, () => removeWhenFree(cluster, current));
}
