/**
 * The kinds that this driver knows. What is not listed does not exist for it: Secrets, ServiceAccount tokens and every
 * interactive subresource are absent on purpose, so no argument can name them.
 */
export interface KindInfo {
  /** `/api/v1` or `/apis/<group>/<version>`. */
  readonly base: string;
  readonly plural: string;
  readonly kind: string;
  readonly namespaced: boolean;
}

function kind(base: string, plural: string, name: string, namespaced = true): KindInfo {
  return { base, plural, kind: name, namespaced };
}

export const KINDS: Readonly<Record<string, KindInfo>> = {
  pod: kind('/api/v1', 'pods', 'Pod'),
  event: kind('/api/v1', 'events', 'Event'),
  configmap: kind('/api/v1', 'configmaps', 'ConfigMap'),
  service: kind('/api/v1', 'services', 'Service'),
  resourcequota: kind('/api/v1', 'resourcequotas', 'ResourceQuota'),
  limitrange: kind('/api/v1', 'limitranges', 'LimitRange'),
  persistentvolumeclaim: kind('/api/v1', 'persistentvolumeclaims', 'PersistentVolumeClaim'),
  node: kind('/api/v1', 'nodes', 'Node', false),
  namespace: kind('/api/v1', 'namespaces', 'Namespace', false),
  deployment: kind('/apis/apps/v1', 'deployments', 'Deployment'),
  replicaset: kind('/apis/apps/v1', 'replicasets', 'ReplicaSet'),
  statefulset: kind('/apis/apps/v1', 'statefulsets', 'StatefulSet'),
  daemonset: kind('/apis/apps/v1', 'daemonsets', 'DaemonSet'),
  job: kind('/apis/batch/v1', 'jobs', 'Job'),
  cronjob: kind('/apis/batch/v1', 'cronjobs', 'CronJob'),
  horizontalpodautoscaler: kind(
    '/apis/autoscaling/v2',
    'horizontalpodautoscalers',
    'HorizontalPodAutoscaler',
  ),
  poddisruptionbudget: kind('/apis/policy/v1', 'poddisruptionbudgets', 'PodDisruptionBudget'),
  ingress: kind('/apis/networking.k8s.io/v1', 'ingresses', 'Ingress'),
  sparkapplication: kind('/apis/sparkoperator.k8s.io/v1beta2', 'sparkapplications', 'SparkApplication'),
};

export const KIND_NAMES: readonly string[] = Object.keys(KINDS);
