/** ResourceQuota: what a namespace uses (pods that have not ended), and the refusal of a pod that would exceed it. */
import type { Cluster } from './cluster.ts';
import type { KubeObject } from './kube-object.ts';
import { listAt, objectAt, stringAt } from './kube-object.ts';
import { formatBytes, formatCores, parseQuantity } from './quantity.ts';

/** Resources that the world accounts for; a quota on anything else is refused when the world is built. */
export const QUOTA_RESOURCES = [
  'requests.cpu',
  'requests.memory',
  'limits.cpu',
  'limits.memory',
  'pods',
] as const;
type QuotaResource = (typeof QUOTA_RESOURCES)[number];

function podDemand(pod: KubeObject): Record<QuotaResource, number> {
  const demand = { 'requests.cpu': 0, 'requests.memory': 0, 'limits.cpu': 0, 'limits.memory': 0, pods: 1 };
  for (const container of listAt(pod, 'spec', 'containers')) {
    const limits = objectAt(container, 'resources', 'limits');
    const requests = { ...limits, ...objectAt(container, 'resources', 'requests') };
    demand['requests.cpu'] += parseQuantity(requests['cpu']) ?? 0;
    demand['requests.memory'] += parseQuantity(requests['memory']) ?? 0;
    demand['limits.cpu'] += parseQuantity(limits['cpu']) ?? 0;
    demand['limits.memory'] += parseQuantity(limits['memory']) ?? 0;
  }
  return demand;
}

/** Used amounts of a namespace by resource name. */
function quotaUsed(cluster: Cluster, namespace: string): Record<QuotaResource, number> {
  const used = { 'requests.cpu': 0, 'requests.memory': 0, 'limits.cpu': 0, 'limits.memory': 0, pods: 0 };
  for (const pod of cluster.store.list('Pod', namespace)) {
    if (['Succeeded', 'Failed'].includes(stringAt(pod, 'status', 'phase'))) continue;
    const demand = podDemand(pod);
    for (const resource of QUOTA_RESOURCES) used[resource] += demand[resource];
  }
  return used;
}

/** The API server's refusal text, or undefined when the pod fits. */
export function quotaRefusal(cluster: Cluster, pod: KubeObject): string | undefined {
  const namespace = pod.metadata.namespace ?? '';
  const demand = podDemand(pod);
  const used = quotaUsed(cluster, namespace);
  for (const quota of cluster.store.list('ResourceQuota', namespace)) {
    const hard = objectAt(quota, 'spec', 'hard');
    const over = QUOTA_RESOURCES.filter((resource) => {
      const limit = parseQuantity(hard[resource]);
      return limit !== undefined && demand[resource] > 0 && used[resource] + demand[resource] > limit;
    });
    if (over.length === 0) continue;
    const show = (amounts: Record<QuotaResource, number>) =>
      over.map((resource) => `${resource}=${formatAmount(resource, amounts[resource])}`).join(',');
    const limited = over.map((resource) => `${resource}=${String(hard[resource])}`).join(',');
    return (
      `pods "${pod.metadata.name}" is forbidden: exceeded quota: ${quota.metadata.name}, ` +
      `requested: ${show(demand)}, used: ${show(used)}, limited: ${limited}`
    );
  }
  return undefined;
}

/** The quota controller: keeps status.used in step with the pods. */
export function refreshQuotas(cluster: Cluster, namespace: string): void {
  const used = quotaUsed(cluster, namespace);
  for (const quota of cluster.store.list('ResourceQuota', namespace)) {
    const hard = objectAt(quota, 'spec', 'hard');
    const shown = Object.fromEntries(
      QUOTA_RESOURCES.filter((resource) => hard[resource] !== undefined).map((resource) => [
        resource,
        formatAmount(resource, used[resource]),
      ]),
    );
    cluster.store.update(
      { ...quota, status: { hard, used: shown } },
      { manager: 'kube-controller-manager', subresource: 'status' },
    );
  }
}

function formatAmount(resource: QuotaResource, value: number): string {
  if (resource === 'pods') return String(value);
  return resource.endsWith('cpu') ? formatCores(value) : formatBytes(value);
}
