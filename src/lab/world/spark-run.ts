/** One run of a SparkApplication: driver, executors, log, memory, and the end that the memory decides. */
import type { Cluster } from './cluster.ts';
import type { SparkBehaviour } from './definition.ts';
import { recordEvent } from './kube-events.ts';
import type { KubeObject } from './kube-object.ts';
import { kubeTime, objectAt, stringAt } from './kube-object.ts';
import { currentPod, exitContainer, launchPod, runProcess, writeLog } from './pod-lifecycle.ts';
import { MIB } from './quantity.ts';
import { driverScript, isContinuation, log4jTime } from './spark-logs.ts';
import type { DriverMemory } from './spark-memory.ts';
import { outOfMemory, workingSetBytes } from './spark-memory.ts';
import { appEvent, writeAppStatus } from './spark-status.ts';
import type { SubmittedRun } from './spark-pods.ts';
import { driverPod, executorCount, executorPod, podMemory } from './spark-pods.ts';

export interface SparkRunOptions {
  cluster: Cluster;
  app: KubeObject;
  behaviour: SparkBehaviour;
  run: SubmittedRun;
  length_ms: number;
}

/** Submits the driver pod. The run then plays by itself; a changed specification or a deleted pod ends it. */
export function startSparkRun(options: SparkRunOptions): { pod: KubeObject } | { refused: string } {
  const { cluster, app, length_ms } = options;
  const memory = podMemory(app, 'driver');
  if (memory === undefined) {
    const text = stringAt(app, 'spec', 'driver', 'memory');
    return {
      refused: `Exception in thread "main" java.lang.NumberFormatException: Size must be specified as bytes (b), kibibytes (k), mebibytes (m), gibibytes (g): ${text}`,
    };
  }
  return launchPod(cluster, {
    pod: driverPod(app, options.run),
    manager: 'okhttp',
    schedule_ms: length_ms * 0.03,
    start_ms: length_ms * 0.07,
    onRunning: (driver) =>
      playDriver(options, driver, {
        heap_max_bytes: memory.heap_bytes,
        limit_bytes: memory.limit_bytes,
        heap_needed_bytes: options.behaviour.heap_needed_mib * MIB,
        native_bytes: options.behaviour.native_mib * MIB,
      }),
  });
}

function playDriver(options: SparkRunOptions, driver: KubeObject, memory: DriverMemory): void {
  const { cluster, app, behaviour, length_ms } = options;
  const started_ms = cluster.timeline.now();
  const work_ms = length_ms * 0.85;
  const end = outOfMemory(memory);
  writeAppStatus(cluster, app, { applicationState: { state: 'RUNNING' } });
  appEvent(cluster, app, 'SparkDriverRunning', `Driver ${driver.metadata.name} is running`);
  runProcess(cluster, driver, {
    memory_bytes: (now_ms) => {
      const progress = Math.min(1, (now_ms - started_ms) / work_ms);
      return workingSetBytes(memory, behaviour.is_streaming ? progress * 0.4 : progress);
    },
    cpu_cores: (now_ms) => 0.55 + 0.3 * Math.sin((now_ms - started_ms) / 9_000) ** 2,
  });
  scheduleLog(options, driver, memory, work_ms, end?.fails_at);
  cluster.timeline.after(length_ms * 0.1, () => launchExecutors(options, driver));
  if (behaviour.is_streaming) return;
  if (end !== undefined)
    cluster.timeline.after(work_ms * end.killed_at, () => killDriver(options, driver, memory));
  else cluster.timeline.after(work_ms, () => completeDriver(options, driver));
}

function scheduleLog(
  options: SparkRunOptions,
  driver: KubeObject,
  memory: DriverMemory,
  work_ms: number,
  fails_at: number | undefined,
): void {
  const { cluster, app, behaviour } = options;
  const script = driverScript({
    random: cluster.random.fork(`log/${options.run.app_id}`),
    app_name: app.metadata.name,
    app_id: options.run.app_id,
    main_class: stringAt(app, 'spec', 'mainClass'),
    executors: executorCount(app),
    heap_max_bytes: memory.heap_max_bytes,
    extra_lines: behaviour.log_lines,
    ...(fails_at === undefined ? {} : { fails_at }),
  });
  // A streaming job never reaches its last lines.
  const lines = behaviour.is_streaming ? script.filter(({ at }) => at < 0.9) : script;
  for (const { at, text } of lines) {
    cluster.timeline.after(at * work_ms, () => {
      const prefix = isContinuation(text) ? '' : `${log4jTime(cluster.timeline.now())} `;
      writeLog(cluster, driver, [`${prefix}${text}`]);
    });
  }
}

function launchExecutors(options: SparkRunOptions, driver: KubeObject): void {
  const { cluster, app, length_ms } = options;
  const owner = currentPod(cluster, driver);
  if (owner === undefined || stringAt(owner, 'status', 'phase') !== 'Running') return;
  const prefix = `${app.metadata.name}-${cluster.random.hex(16)}`;
  const memory = podMemory(app, 'executor');
  for (let number = 1; number <= executorCount(app); number += 1) {
    const pod = executorPod(app, options.run, owner, number, prefix);
    launchPod(cluster, {
      pod,
      manager: 'okhttp',
      schedule_ms: length_ms * 0.01,
      start_ms: length_ms * 0.04,
      onRunning: (running) => {
        const base = (memory?.limit_bytes ?? 0) * (0.52 + 0.04 * number);
        const since = cluster.timeline.now();
        runProcess(cluster, running, {
          memory_bytes: (now_ms) => Math.round(base * (1 + 0.06 * Math.sin((now_ms - since) / 21_000))),
          cpu_cores: (now_ms) => 0.8 + 0.15 * Math.sin((now_ms - since) / 7_000),
        });
        const time = log4jTime(since);
        writeLog(cluster, running, [
          `${time} INFO CoarseGrainedExecutorBackend: Successfully registered with driver`,
          `${time} INFO Executor: Starting executor ID ${number} on host ${stringAt(running, 'status', 'podIP')}`,
        ]);
        showExecutor(options, pod.metadata.name, 'RUNNING');
      },
    });
  }
}

function showExecutor(
  options: SparkRunOptions,
  name: string,
  state: 'RUNNING' | 'COMPLETED' | 'FAILED',
): void {
  const { cluster, app } = options;
  const current = cluster.store.get('SparkApplication', app.metadata.namespace, app.metadata.name);
  const known = objectAt(current, 'status', 'executorState');
  if (writeAppStatus(cluster, app, { executorState: { ...known, [name]: state } }) === undefined) return;
  const reason = {
    RUNNING: 'SparkExecutorRunning',
    COMPLETED: 'SparkExecutorCompleted',
    FAILED: 'SparkExecutorFailed',
  };
  const text = { RUNNING: 'is running', COMPLETED: 'completed', FAILED: 'failed' }[state];
  appEvent(
    cluster,
    app,
    reason[state],
    `Executor ${name} ${text}`,
    state === 'FAILED' ? 'Warning' : 'Normal',
  );
}

/** The kernel kills the driver at its memory limit; the operator sees it and the application fails. */
function killDriver(options: SparkRunOptions, driver: KubeObject, memory: DriverMemory): void {
  const { cluster, app, length_ms } = options;
  const dead = exitContainer(cluster, driver, { exit_code: 137, reason: 'OOMKilled' });
  if (dead === undefined) return;
  const node = cluster.store.get('Node', undefined, stringAt(dead, 'spec', 'nodeName'));
  if (node !== undefined) {
    const pid = cluster.random.int(20_000, 60_000);
    const rss = Math.round(memory.limit_bytes / 1024);
    recordEvent(cluster, node, {
      type: 'Warning',
      reason: 'OOMKilling',
      message: `Memory cgroup out of memory: Killed process ${pid} (java) total-vm:${rss * 3}kB, anon-rss:${rss - 9_812}kB, file-rss:9812kB, shmem-rss:0kB, UID:185 pgtables:3544kB oom_score_adj:985`,
      component: 'kernel-monitor',
      host: node.metadata.name,
    });
  }
  const error = 'driver container failed with ExitCode: 137, Reason: OOMKilled';
  appEvent(cluster, app, 'SparkDriverFailed', `Driver ${driver.metadata.name} failed`, 'Warning');
  writeAppStatus(cluster, app, { applicationState: { state: 'FAILING', errorMessage: error } });
  cluster.timeline.after(length_ms * 0.02, () => {
    for (const pod of executorsOf(cluster, driver)) {
      exitContainer(cluster, pod, { exit_code: 1, reason: 'Error' });
      showExecutor(options, pod.metadata.name, 'FAILED');
    }
  });
  cluster.timeline.after(length_ms * 0.04, () => {
    const failed = writeAppStatus(cluster, app, {
      applicationState: { state: 'FAILED', errorMessage: error },
      terminationTime: kubeTime(cluster.timeline.now()),
    });
    const text = `SparkApplication ${app.metadata.name} failed: ${error}`;
    if (failed !== undefined) appEvent(cluster, app, 'SparkApplicationFailed', text, 'Warning');
  });
}

function completeDriver(options: SparkRunOptions, driver: KubeObject): void {
  const { cluster, app, length_ms } = options;
  if (currentPod(cluster, driver) === undefined) return;
  // Spark deletes its executors when the application ends well.
  for (const pod of executorsOf(cluster, driver)) {
    exitContainer(cluster, pod, { exit_code: 0, reason: 'Completed' });
    showExecutor(options, pod.metadata.name, 'COMPLETED');
    cluster.store.remove('Pod', pod.metadata.namespace, pod.metadata.name);
  }
  exitContainer(cluster, driver, { exit_code: 0, reason: 'Completed' });
  writeAppStatus(cluster, app, { applicationState: { state: 'SUCCEEDING' } });
  appEvent(cluster, app, 'SparkDriverCompleted', `Driver ${driver.metadata.name} completed`);
  cluster.timeline.after(length_ms * 0.04, () => {
    const done = writeAppStatus(cluster, app, {
      applicationState: { state: 'COMPLETED' },
      terminationTime: kubeTime(cluster.timeline.now()),
    });
    const text = `SparkApplication ${app.metadata.name} completed`;
    if (done !== undefined) appEvent(cluster, app, 'SparkApplicationCompleted', text);
  });
}

function executorsOf(cluster: Cluster, driver: KubeObject): KubeObject[] {
  return cluster.store
    .list('Pod', driver.metadata.namespace)
    .filter((pod) => pod.metadata.ownerReferences?.some(({ uid }) => uid === driver.metadata.uid) === true);
}
