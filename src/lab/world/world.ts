/**
 * The simulated world: one cluster with causes and effects. Twins show it (Kubernetes objects, logs, metrics) and bring
 * changes from outside; controllers in here react as the real ones do. It may not know any protocol, and reads no clock
 * but the one it is given, so (definition, seed, clock readings, changes) determine everything.
 */
import type { Cluster, Process } from './cluster.ts';
import { isPast } from './cluster.ts';
import type { ImageBehaviour, SparkBehaviour, TimedChange, WorldDefinition } from './definition.ts';
import { runDeploymentController } from './deployment-controller.ts';
import { runDisruptionController } from './disruption-controller.ts';
import type { KubeObject } from './kube-object.ts';
import { copyJson, kubeTime, objectAt } from './kube-object.ts';
import type { ContainerLogRecord } from './log-book.ts';
import { LogBook } from './log-book.ts';
import type { Writer } from './managed-fields.ts';
import { MetricBook } from './metric-book.ts';
import { runNodeController } from './node-controller.ts';
import { ObjectStore } from './object-store.ts';
import { QUOTA_RESOURCES, refreshQuotas } from './quota.ts';
import type { Random } from './random.ts';
import { seededRandom } from './random.ts';
import { scrapeCluster } from './sampler.ts';
import { runSparkOperator } from './spark-operator.ts';
import type { LogRecord, Series, Telemetry } from './telemetry.ts';
import { Timeline } from './timeline.ts';

export interface WorldOptions {
  definition: WorldDefinition;
  /** Milliseconds since the epoch. Read at construction (the start) and at every tick. */
  clock: () => number;
  seed: string;
  /** Length of a Spark run after the start. Default 8 s. */
  run_ms?: number;
  /** Scrape interval after the start. Default 1 s, since live runs are short; the past is sampled every 15 s. */
  sample_every_ms?: number;
  /** How often `start()` ticks. Default 50 ms. */
  tick_every_ms?: number;
}

const PAST_SAMPLE_EVERY_MS = 15_000;

export class World implements Telemetry {
  readonly cluster: Cluster;
  readonly #clock: () => number;
  readonly #metrics = new MetricBook();
  readonly #cpu_seconds = new Map<string, number>();
  readonly #sample_every_ms: number;
  readonly #tick_every_ms: number;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: WorldOptions) {
    const { definition } = options;
    this.#clock = options.clock;
    this.#sample_every_ms = options.sample_every_ms ?? 1_000;
    this.#tick_every_ms = options.tick_every_ms ?? 50;
    const live_from_ms = options.clock();
    const random = seededRandom(options.seed);
    this.cluster = createCluster(definition, random, live_from_ms);
    runControllers(this.cluster, definition, options.run_ms ?? 8_000);
    writeObjects(this.cluster, definition, live_from_ms);
    for (const { at_ms, manager, ...change } of definition.changes ?? [])
      this.cluster.timeline.at(live_from_ms + at_ms, () => this.#edit(change, { manager }));
    this.cluster.timeline.after(0, () => this.#sample());
    this.tick();
  }

  get store(): ObjectStore {
    return this.cluster.store;
  }

  /** Simulated time: the clock reading of the last tick. */
  now(): number {
    return this.cluster.timeline.now();
  }

  /** Brings the world to the present. Twins call it before every request, the timer in between. */
  tick(): void {
    this.cluster.timeline.advanceTo(this.#clock());
  }

  start(): void {
    this.#timer ??= setInterval(() => this.tick(), this.#tick_every_ms);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Another person or program changes an object, past the API: no request is logged, managedFields name `manager`. */
  change(
    kind: string,
    namespace: string,
    name: string,
    edit: (object: KubeObject) => void,
    writer: Writer,
  ): KubeObject {
    this.tick();
    return this.#edit({ kind, namespace, name, edit }, writer);
  }

  #edit({ kind, namespace, name, edit }: Omit<TimedChange, 'at_ms' | 'manager'>, writer: Writer): KubeObject {
    const current = this.store.get(kind, namespace, name);
    if (current === undefined) throw new Error(`the world has no ${kind} ${namespace}/${name} to change`);
    const next = copyJson(current);
    edit(next);
    return this.store.update(next, writer);
  }

  logs(): readonly LogRecord[] {
    return this.cluster.logs.records();
  }

  /** Log of one container instance, oldest first. */
  containerLog(pod_uid: string, container: string, restart: number): ContainerLogRecord[] {
    return this.cluster.logs
      .records()
      .filter(
        (record) =>
          record.pod_uid === pod_uid && record.container === container && record.restart === restart,
      );
  }

  series(): readonly Series[] {
    return this.#metrics.series();
  }

  #sample(): void {
    const step_ms = isPast(this.cluster) ? PAST_SAMPLE_EVERY_MS : this.#sample_every_ms;
    this.#metrics.scrape(this.now(), scrapeCluster(this.cluster, this.#cpu_seconds, step_ms / 1000));
    this.cluster.timeline.after(step_ms, () => this.#sample());
  }
}

function createCluster(definition: WorldDefinition, random: Random, live_from_ms: number): Cluster {
  const timeline = new Timeline(live_from_ms - definition.history_ms);
  const store = new ObjectStore({
    now: () => timeline.now(),
    random: random.fork('uids'),
    version_first: random.int(41_000_000, 49_000_000),
  });
  return {
    name: definition.cluster,
    store,
    timeline,
    logs: new LogBook(),
    random: random.fork('cluster'),
    processes: new Map<string, Process>(),
    history_from_ms: timeline.now(),
    live_from_ms,
  };
}

function runControllers(cluster: Cluster, definition: WorldDefinition, live_run_ms: number): void {
  runSparkOperator({
    cluster,
    live_run_ms,
    behaviourOf: ({ metadata }): SparkBehaviour =>
      definition.spark[`${metadata.namespace}/${metadata.name}`] ?? definition.spark_default,
  });
  runDeploymentController({ cluster, behaviourOf: (image) => imageBehaviour(definition, image) });
  runNodeController(cluster);
  runDisruptionController(cluster);
  cluster.store.subscribe(({ object, type }) => {
    if (type === 'DELETED' && object.kind === 'Pod') {
      for (const key of cluster.processes.keys()) {
        if (key.startsWith(`${object.metadata.uid}/`)) cluster.processes.delete(key);
      }
    }
    if (object.kind === 'Pod') refreshQuotas(cluster, object.metadata.namespace ?? '');
  });
}

/** An image that nobody described is a plain healthy server. */
function imageBehaviour(definition: WorldDefinition, image: string): ImageBehaviour {
  const known = definition.images.find((behaviour) => behaviour.image === image);
  if (known !== undefined) return known;
  return { image, memory_mib: 96, startup_log: ['INFO started'], steady_log: [], log_every_ms: 0 };
}

function writeObjects(cluster: Cluster, definition: WorldDefinition, live_from_ms: number): void {
  for (const { object, manager, at_ms } of definition.objects) {
    for (const resource of Object.keys(
      object.kind === 'ResourceQuota' ? objectAt(object, 'spec', 'hard') : {},
    )) {
      if (!QUOTA_RESOURCES.some((known) => known === resource)) {
        throw new Error(
          `the world does not account for the quota resource ${resource} (${object.metadata.name})`,
        );
      }
    }
    const when = live_from_ms + at_ms;
    cluster.timeline.at(when, () => {
      const creationTimestamp = kubeTime(when);
      cluster.store.create({ ...object, metadata: { creationTimestamp, ...object.metadata } }, { manager });
      if (object.kind === 'ResourceQuota') refreshQuotas(cluster, object.metadata.namespace ?? '');
    });
  }
}
