/** One scrape of the cluster: cAdvisor and kube-state-metrics series with the label names of a usual Prometheus set-up. */
import type { Cluster } from './cluster.ts';
import { uidOf } from './cluster.ts';
import type { KubeObject } from './kube-object.ts';
import { at, listAt, numberAt, objectAt, stringAt } from './kube-object.ts';
import type { Exposed } from './metric-book.ts';
import { parseQuantity } from './quantity.ts';

const KSM = { job: 'kube-state-metrics', instance: '10.42.1.9:8080' };
const PHASES = ['Pending', 'Running', 'Succeeded', 'Failed', 'Unknown'] as const;

/**
 * What only depends on a stored object is worked out once: stored objects are frozen, and a change is another object. A
 * past of hours scrapes each of them hundreds of times.
 */
function oncePerObject<T>(work: (object: KubeObject) => T): (object: KubeObject) => T {
  const known = new WeakMap<KubeObject, { made: T }>();
  return (object) => {
    let entry = known.get(object);
    if (entry === undefined) {
      entry = { made: work(object) };
      known.set(object, entry);
    }
    return entry.made;
  };
}

/** Everything that the targets expose at this moment. `cpu_seconds` accumulates between calls, by process key. */
export function scrapeCluster(cluster: Cluster, cpu_seconds: Map<string, number>, step_s: number): Exposed[] {
  const { store } = cluster;
  return [
    ...store.list('Node').map(kubeletUp),
    kubeStateMetricsUp,
    ...store
      .list('Pod')
      .flatMap((pod) => [...containerUsage(cluster, pod, cpu_seconds, step_s), ...podState(pod)]),
    ...store.list('ResourceQuota').flatMap(quotaSeries),
    ...store.list('Deployment').flatMap(deploymentSeries),
  ];
}

const kubeletUp = oncePerObject((node) =>
  up('kubelet', `${stringAt(node, 'status', 'addresses', 0, 'address')}:10250`),
);
const kubeStateMetricsUp = up(KSM.job, KSM.instance);

function up(job: string, instance: string): Exposed {
  return { name: 'up', labels: { job, instance }, value: 1 };
}

interface ContainerFacts {
  readonly key: string;
  readonly node: string;
  readonly limit_bytes: number;
  readonly labelsAt: (instance: string) => Exposed['labels'];
}

const containerFacts = oncePerObject((pod): ContainerFacts => {
  const container = stringAt(pod, 'spec', 'containers', 0, 'name');
  const node = stringAt(pod, 'spec', 'nodeName');
  const id = stringAt(pod, 'status', 'containerStatuses', 0, 'containerID').replace('containerd://', '');
  let labels: Exposed['labels'] = {};
  return {
    key: `${uidOf(pod)}/${container}`,
    node,
    limit_bytes: parseQuantity(at(pod, 'spec', 'containers', 0, 'resources', 'limits', 'memory')) ?? 0,
    labelsAt: (instance) => {
      if (labels['instance'] === instance) return labels;
      labels = {
        container,
        id: `/kubepods.slice/kubepods-pod${uidOf(pod).replaceAll('-', '_')}.slice/cri-containerd-${id}.scope`,
        image: stringAt(pod, 'spec', 'containers', 0, 'image'),
        instance,
        job: 'kubelet',
        metrics_path: '/metrics/cadvisor',
        name: id,
        namespace: pod.metadata.namespace ?? '',
        node,
        pod: pod.metadata.name,
      };
      return labels;
    },
  };
});

function containerUsage(
  cluster: Cluster,
  pod: KubeObject,
  cpu_seconds: Map<string, number>,
  step_s: number,
): Exposed[] {
  const { key, node, limit_bytes, labelsAt } = containerFacts(pod);
  const process = cluster.processes.get(key);
  if (process === undefined) return [];
  const now = cluster.timeline.now();
  const address = stringAt(cluster.store.get('Node', undefined, node), 'status', 'addresses', 0, 'address');
  const labels = labelsAt(`${address}:10250`);
  const memory = process.memory_bytes(now);
  const cpu = (cpu_seconds.get(key) ?? 0) + process.cpu_cores(now) * step_s;
  cpu_seconds.set(key, cpu);
  return [
    { name: 'container_memory_working_set_bytes', labels, value: memory },
    { name: 'container_memory_rss', labels, value: Math.round(memory * 0.97) },
    { name: 'container_spec_memory_limit_bytes', labels, value: limit_bytes },
    { name: 'container_cpu_usage_seconds_total', labels, value: Math.round(cpu * 1000) / 1000 },
  ];
}

const podState = oncePerObject((pod): readonly Exposed[] => {
  const { namespace = '', name } = pod.metadata;
  const base = { ...KSM, namespace, pod: name, uid: uidOf(pod) };
  const container = stringAt(pod, 'spec', 'containers', 0, 'name');
  const own = { ...base, container };
  const phase = stringAt(pod, 'status', 'phase');
  const status = objectAt(pod, 'status', 'containerStatuses', 0);
  const series: Exposed[] = PHASES.map((value) => ({
    name: 'kube_pod_status_phase',
    labels: { ...base, phase: value },
    value: phase === value ? 1 : 0,
  }));
  const limit = parseQuantity(at(pod, 'spec', 'containers', 0, 'resources', 'limits', 'memory'));
  if (limit !== undefined) {
    const node = stringAt(pod, 'spec', 'nodeName');
    const labels = { ...own, node, resource: 'memory', unit: 'byte' };
    series.push({ name: 'kube_pod_container_resource_limits', labels, value: limit });
  }
  if (status['name'] === undefined) return series;
  const ended = stringAt(status, 'state', 'terminated', 'reason');
  // kube-state-metrics reads lastState here. Spark drivers never restart, so the world also shows their final state:
  // rules in the field are written against either series (see FIDELITY.md).
  const last = stringAt(status, 'lastState', 'terminated', 'reason') || ended;
  const waiting = stringAt(status, 'state', 'waiting', 'reason');
  series.push(
    {
      name: 'kube_pod_container_status_restarts_total',
      labels: own,
      value: numberAt(status, 'restartCount'),
    },
    { name: 'kube_pod_container_status_ready', labels: own, value: status['ready'] === true ? 1 : 0 },
  );
  for (const [metric, reason] of [
    ['kube_pod_container_status_terminated_reason', ended],
    ['kube_pod_container_status_last_terminated_reason', last],
    ['kube_pod_container_status_waiting_reason', waiting],
  ] as const) {
    if (reason !== '') series.push({ name: metric, labels: { ...own, reason }, value: 1 });
  }
  return series;
});

const quotaSeries = oncePerObject((quota): readonly Exposed[] => {
  const { namespace = '', name } = quota.metadata;
  return (['hard', 'used'] as const).flatMap((type) =>
    Object.entries(objectAt(quota, 'status', type)).map(([resource, amount]) => ({
      name: 'kube_resourcequota',
      labels: { ...KSM, namespace, resourcequota: name, resource, type },
      value: parseQuantity(amount) ?? 0,
    })),
  );
});

const deploymentSeries = oncePerObject((deployment): readonly Exposed[] => {
  const { namespace = '', name } = deployment.metadata;
  const labels = { ...KSM, namespace, deployment: name };
  const updated = listAt(deployment, 'status', 'conditions').length > 0;
  return [
    { name: 'kube_deployment_spec_replicas', labels, value: numberAt(deployment, 'spec', 'replicas') },
    ...(updated
      ? [
          {
            name: 'kube_deployment_status_replicas_available',
            labels,
            value: numberAt(deployment, 'status', 'availableReplicas'),
          },
          {
            name: 'kube_deployment_status_observed_generation',
            labels,
            value: numberAt(deployment, 'status', 'observedGeneration'),
          },
        ]
      : []),
  ];
});
