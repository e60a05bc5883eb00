/**
 * Scheduler and kubelet of the world: a pod is created (the quota may refuse), bound to a node, its container starts,
 * runs a process, ends or is restarted with back-off. Callers decide what the process does and when it ends.
 */
import type { Cluster, Process } from './cluster.ts';
import { isFurnishing, isPast, uidOf } from './cluster.ts';
import { recordEvent } from './kube-events.ts';
import type { JsonObject, KubeObject } from './kube-object.ts';
import { at, kubeTime, listAt, numberAt, objectAt, stringAt } from './kube-object.ts';
import { quotaRefusal } from './quota.ts';

export interface LaunchPlan {
  pod: KubeObject;
  manager: string;
  schedule_ms: number;
  start_ms: number;
  /** False where a readiness probe has to pass first; `markReady` says when. Default true. */
  ready_at_start?: boolean;
  onRunning: (pod: KubeObject) => void;
}

/** Creates a pod and lets it come up. Returns the API server's refusal when the namespace quota is exceeded. */
export function launchPod(cluster: Cluster, plan: LaunchPlan): { pod: KubeObject } | { refused: string } {
  const refused = quotaRefusal(cluster, plan.pod);
  if (refused !== undefined) return { refused };
  const now = kubeTime(cluster.timeline.now());
  const created = cluster.store.create(
    {
      ...plan.pod,
      status: {
        phase: 'Pending',
        conditions: [condition('PodScheduled', 'False', now)],
        qosClass: qosClass(plan.pod),
      },
    },
    { manager: plan.manager },
  );
  cluster.timeline.after(plan.schedule_ms, () =>
    bindPod(cluster, created, () =>
      cluster.timeline.after(plan.start_ms, () => {
        const running = startContainer(cluster, created, plan.ready_at_start ?? true);
        if (running !== undefined) plan.onRunning(running);
      }),
    ),
  );
  return { pod: created };
}

/** The stored pod if it is still this very pod (a later pod may carry the same name). */
export function currentPod(cluster: Cluster, pod: KubeObject): KubeObject | undefined {
  const found = cluster.store.get('Pod', pod.metadata.namespace, pod.metadata.name);
  return found !== undefined && uidOf(found) === uidOf(pod) ? found : undefined;
}

export function containerName(pod: KubeObject): string {
  return stringAt(pod, 'spec', 'containers', 0, 'name');
}

/** Appends lines to the log of the pod's container, if the pod still exists. */
export function writeLog(cluster: Cluster, pod: KubeObject, lines: readonly string[]): void {
  const current = currentPod(cluster, pod);
  if (current === undefined) return;
  const container = containerName(current);
  const { name, namespace = '', labels = {} } = current.metadata;
  const app =
    labels['app.kubernetes.io/name'] ?? labels['sparkoperator.k8s.io/app-name'] ?? labels['app'] ?? name;
  const stream = {
    cluster: cluster.name,
    namespace,
    pod: name,
    container,
    app,
    job: `${namespace}/${app}`,
    node_name: stringAt(current, 'spec', 'nodeName'),
    stream: 'stdout',
  };
  const restart = numberAt(current, 'status', 'containerStatuses', 0, 'restartCount');
  for (const line of lines) {
    cluster.logs.append(cluster.timeline.now(), line, {
      labels: stream,
      pod_uid: uidOf(current),
      container,
      restart,
    });
  }
}

export function runProcess(cluster: Cluster, pod: KubeObject, process: Process): void {
  cluster.processes.set(`${uidOf(pod)}/${containerName(pod)}`, process);
}

const SCHEDULE_AGAIN_MS = 1000;

/** Binds the pod to a node that takes pods; while there is none, it stays Pending and is tried again. */
function bindPod(cluster: Cluster, pod: KubeObject, onBound: () => void): void {
  const current = currentPod(cluster, pod);
  if (current === undefined) return;
  const all = cluster.store.list('Node');
  const nodes = all.filter((node) => at(node, 'spec', 'unschedulable') !== true);
  if (nodes.length === 0) {
    const none = `0/${all.length} nodes are available`;
    recordEvent(cluster, current, {
      type: 'Warning',
      reason: 'FailedScheduling',
      message: `${none}: ${all.length} node(s) were unschedulable. preemption: ${none}: ${all.length} Preemption is not helpful for scheduling.`,
      component: 'default-scheduler',
    });
    cluster.timeline.after(SCHEDULE_AGAIN_MS, () => bindPod(cluster, pod, onBound));
    return;
  }
  const node = cluster.random.pick(nodes).metadata.name;
  const now = kubeTime(cluster.timeline.now());
  const bound = cluster.store.update(
    {
      ...current,
      spec: { ...current.spec, nodeName: node },
      status: { ...current.status, conditions: [condition('PodScheduled', 'True', now)] },
    },
    { manager: 'kube-scheduler' },
  );
  const { namespace, name } = bound.metadata;
  recordEvent(cluster, bound, {
    type: 'Normal',
    reason: 'Scheduled',
    message: `Successfully assigned ${namespace}/${name} to ${node}`,
    component: 'default-scheduler',
  });
  onBound();
}

/** A pod that is older than the simulated past started when it was created. */
function startTime(cluster: Cluster, pod: KubeObject): string {
  const now = kubeTime(cluster.timeline.now());
  return isFurnishing(cluster) ? (pod.metadata.creationTimestamp ?? now) : now;
}

/** Starts the pod's container: image events, running status, addresses. */
function startContainer(cluster: Cluster, pod: KubeObject, is_ready: boolean): KubeObject | undefined {
  const current = currentPod(cluster, pod);
  if (current === undefined) return undefined;
  const container = objectAt(current, 'spec', 'containers', 0);
  const image = stringAt(container, 'image');
  const node = cluster.store.get('Node', undefined, stringAt(current, 'spec', 'nodeName'));
  const now = startTime(cluster, current);
  const previous = objectAt(current, 'status', 'containerStatuses', 0);
  const ended = at(previous, 'state', 'terminated') ?? at(previous, 'lastState', 'terminated');
  const status: JsonObject = {
    name: containerName(current),
    state: { running: { startedAt: now } },
    lastState: ended === undefined ? {} : { terminated: ended },
    ready: is_ready,
    restartCount: numberAt(previous, 'restartCount'),
    image,
    imageID: `${image.split(':')[0] ?? image}@sha256:${cluster.random.fork(image).hex(64)}`,
    containerID: `containerd://${cluster.random.hex(64)}`,
    started: true,
  };
  const hostIp = stringAt(node, 'status', 'addresses', 0, 'address');
  const podIp =
    stringAt(current, 'status', 'podIP') || `10.42.${cluster.random.int(1, 9)}.${cluster.random.int(2, 250)}`;
  const types = ['PodReadyToStartContainers', 'Initialized', 'Ready', 'ContainersReady', 'PodScheduled'];
  const running = cluster.store.update(
    {
      ...current,
      status: {
        ...current.status,
        phase: 'Running',
        conditions: types.map((type) =>
          condition(type, is_ready || !type.endsWith('Ready') ? 'True' : 'False', now),
        ),
        hostIP: hostIp,
        hostIPs: [{ ip: hostIp }],
        podIP: podIp,
        podIPs: [{ ip: podIp }],
        startTime: stringAt(current, 'status', 'startTime') || now,
        containerStatuses: [status],
      },
    },
    kubelet,
  );
  announce(cluster, running, 'Normal', 'Pulled', `Container image "${image}" already present on machine`);
  announce(cluster, running, 'Normal', 'Created', `Created container: ${containerName(running)}`);
  announce(cluster, running, 'Normal', 'Started', `Started container ${containerName(running)}`);
  return running;
}

/** The readiness probe passed. */
export function markReady(cluster: Cluster, pod: KubeObject): void {
  const current = currentPod(cluster, pod);
  if (current === undefined) return;
  const now = kubeTime(cluster.timeline.now());
  const status = { ...objectAt(current, 'status', 'containerStatuses', 0), ready: true };
  const conditions = listAt(current, 'status', 'conditions').map((entry) =>
    stringAt(entry, 'status') === 'False' ? condition(stringAt(entry, 'type'), 'True', now) : entry,
  );
  cluster.store.update(
    { ...current, status: { ...current.status, conditions, containerStatuses: [status] } },
    kubelet,
  );
}

export interface Exit {
  exit_code: number;
  reason: 'Completed' | 'Error' | 'OOMKilled';
  /** Restart with back-off after this many earlier restarts; absent: the pod ends (restartPolicy Never). */
  restart?: { ready_at_start: boolean; onRunning: (pod: KubeObject) => void };
}

/** Ends the container's process; the pod ends with it, or waits for its restart. */
export function exitContainer(cluster: Cluster, pod: KubeObject, exit: Exit): KubeObject | undefined {
  const current = currentPod(cluster, pod);
  if (current === undefined) return undefined;
  cluster.processes.delete(`${uidOf(current)}/${containerName(current)}`);
  const now = kubeTime(cluster.timeline.now());
  const before = objectAt(current, 'status', 'containerStatuses', 0);
  const terminated = {
    exitCode: exit.exit_code,
    reason: exit.reason,
    startedAt: stringAt(before, 'state', 'running', 'startedAt') || now,
    finishedAt: now,
    containerID: before['containerID'],
  };
  const isSuccess = exit.exit_code === 0;
  const restarts = numberAt(before, 'restartCount');
  const ended = exit.restart === undefined;
  const state = ended ? { terminated } : backOffState(current, restarts);
  const status = {
    ...before,
    ready: false,
    started: false,
    state,
    ...(ended ? {} : { lastState: { terminated }, restartCount: restarts + 1 }),
  };
  const reason = isSuccess ? 'PodCompleted' : ended ? 'PodFailed' : 'ContainersNotReady';
  const conditions = listAt(current, 'status', 'conditions').map((entry) =>
    ['Ready', 'ContainersReady'].includes(stringAt(entry, 'type'))
      ? { ...condition(stringAt(entry, 'type'), 'False', now), reason }
      : entry,
  );
  const phase = ended ? (isSuccess ? 'Succeeded' : 'Failed') : 'Running';
  const after = cluster.store.update(
    { ...current, status: { ...current.status, phase, conditions, containerStatuses: [status] } },
    kubelet,
  );
  if (exit.restart !== undefined) scheduleRestart(cluster, after, restarts, exit.restart);
  return after;
}

function backOffState(pod: KubeObject, restarts: number): JsonObject {
  const { namespace, name } = pod.metadata;
  const seconds = Math.min(300, 10 * 2 ** restarts);
  const shown = seconds >= 60 ? `${Math.floor(seconds / 60)}m${seconds % 60}s` : `${seconds}s`;
  const message = `back-off ${shown} restarting failed container=${containerName(pod)} pod=${name}_${namespace}(${uidOf(pod)})`;
  return { waiting: { reason: 'CrashLoopBackOff', message } };
}

/** Live back-off is a tenth of the real one (1 s, 2 s, 4 s ... at most 30 s), so that a demo shows several restarts. */
function scheduleRestart(
  cluster: Cluster,
  pod: KubeObject,
  restarts: number,
  restart: NonNullable<Exit['restart']>,
): void {
  const delay_ms = Math.min(300_000, 10_000 * 2 ** restarts) / (isPast(cluster) ? 1 : 10);
  const { namespace, name } = pod.metadata;
  const text = `Back-off restarting failed container ${containerName(pod)} in pod ${name}_${namespace}(${uidOf(pod)})`;
  announce(cluster, pod, 'Warning', 'BackOff', text);
  cluster.timeline.after(delay_ms, () => {
    const running = startContainer(cluster, pod, restart.ready_at_start);
    if (running !== undefined) restart.onRunning(running);
  });
}

const kubelet = { manager: 'kubelet', subresource: 'status' };

function announce(
  cluster: Cluster,
  pod: KubeObject,
  type: 'Normal' | 'Warning',
  reason: string,
  message: string,
): void {
  recordEvent(cluster, pod, {
    type,
    reason,
    message,
    component: 'kubelet',
    host: stringAt(pod, 'spec', 'nodeName'),
    field_path: `spec.containers{${containerName(pod)}}`,
  });
}

function condition(type: string, status: 'True' | 'False', now: string): JsonObject {
  return { type, status, lastProbeTime: null, lastTransitionTime: now };
}

function qosClass(pod: KubeObject): string {
  const resources = objectAt(pod, 'spec', 'containers', 0, 'resources');
  const limits = objectAt(resources, 'limits');
  const requests = objectAt(resources, 'requests');
  if (Object.keys(limits).length + Object.keys(requests).length === 0) return 'BestEffort';
  const equal = ['cpu', 'memory'].every((key) => limits[key] !== undefined && limits[key] === requests[key]);
  return equal ? 'Guaranteed' : 'Burstable';
}
