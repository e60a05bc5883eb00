/** What a Deployment's container does once it runs: memory, log lines, and a crash when its image is a bad one. */
import type { Cluster } from './cluster.ts';
import { uidOf } from './cluster.ts';
import type { ImageBehaviour } from './definition.ts';
import type { KubeObject } from './kube-object.ts';
import { at, stringAt } from './kube-object.ts';
import {
  containerName,
  currentPod,
  exitContainer,
  markReady,
  runProcess,
  writeLog,
} from './pod-lifecycle.ts';
import { MIB } from './quantity.ts';

export function runContainer(
  cluster: Cluster,
  pod: KubeObject,
  behaviourOf: (image: string) => ImageBehaviour,
): void {
  const behaviour = behaviourOf(stringAt(pod, 'spec', 'containers', 0, 'image'));
  const since = cluster.timeline.now();
  const key = `${uidOf(pod)}/${containerName(pod)}`;
  const phase = cluster.random.int(0, 60_000);
  const process = {
    memory_bytes: (now_ms: number) =>
      Math.round(behaviour.memory_mib * MIB * (1 + 0.04 * Math.sin((now_ms + phase) / 60_000))),
    cpu_cores: (now_ms: number) => 0.12 + 0.08 * Math.sin((now_ms + phase) / 20_000) ** 2,
  };
  runProcess(cluster, pod, process);
  const stamp = () => new Date(cluster.timeline.now()).toISOString();
  const write = (line: string) => writeLog(cluster, pod, [`${stamp()} ${fill(cluster, line)}`]);
  for (const line of behaviour.startup_log) write(line);
  const random = cluster.random.fork(`service/${key}/${since}`);
  function steady(): void {
    // A restarted or removed container has another process, or none.
    if (cluster.processes.get(key) !== process || currentPod(cluster, pod) === undefined) return;
    if (behaviour.steady_log.length > 0) write(random.pick(behaviour.steady_log));
    cluster.timeline.after(behaviour.log_every_ms * (0.7 + 0.6 * random.next()), steady);
  }
  if (behaviour.log_every_ms > 0) cluster.timeline.after(behaviour.log_every_ms * random.next(), steady);
  const ready_after_ms = behaviour.ready_after_ms ?? 0;
  if (ready_after_ms > 0) {
    cluster.timeline.after(ready_after_ms, () => {
      if (cluster.processes.get(key) === process) markReady(cluster, pod);
    });
  }
  const { crash } = behaviour;
  if (crash === undefined || since < cluster.live_from_ms + (crash.from_ms ?? Number.NEGATIVE_INFINITY))
    return;
  cluster.timeline.after(crash.after_ms, () => {
    if (cluster.processes.get(key) !== process) return;
    if (crash.beside_others === true && !hasOthers(cluster, pod)) return;
    for (const line of crash.log) write(line);
    exitContainer(cluster, pod, {
      exit_code: crash.exit_code,
      reason: crash.reason,
      restart: {
        ready_at_start: ready_after_ms === 0,
        onRunning: (again) => runContainer(cluster, again, behaviourOf),
      },
    });
  });
}

/** Another pod of the same image runs. */
function hasOthers(cluster: Cluster, pod: KubeObject): boolean {
  const image = stringAt(pod, 'spec', 'containers', 0, 'image');
  return cluster.store
    .list('Pod', pod.metadata.namespace)
    .some(
      (other) =>
        uidOf(other) !== uidOf(pod) &&
        stringAt(other, 'spec', 'containers', 0, 'image') === image &&
        at(other, 'status', 'containerStatuses', 0, 'ready') === true,
    );
}

function fill(cluster: Cluster, line: string): string {
  const { random } = cluster;
  return line
    .replaceAll('{n}', () => String(random.int(1_000, 99_999)))
    .replaceAll('{ms}', () => String(random.int(4, 180)))
    .replaceAll('{ip}', () => `198.51.100.${random.int(2, 250)}`);
}
