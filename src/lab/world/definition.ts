/**
 * A world as data: what exists at the start, and the ground truth that makes effects follow causes (how much heap a job
 * really needs, which image crashes). Scenarios build one of these; nothing here names a particular story.
 */
import type { KubeObject } from './kube-object.ts';

/** What a Spark job really does when it runs, whatever its specification says. */
export interface SparkBehaviour {
  /** Live heap of the driver at its peak. The JVM can use about 85 % of its maximum heap before it fails. */
  heap_needed_mib: number;
  /** Metaspace, threads, direct buffers: memory of the driver's container outside the heap. */
  native_mib: number;
  /** How long a run takes in the seeded past. Live runs take `run_ms` of the world. */
  past_run_ms: number;
  /** Never completes: a streaming job. */
  is_streaming: boolean;
  /** Extra driver log lines, spread over the run: what the job's own code, or an attacker, prints. */
  log_lines: readonly string[];
}

/** What a Deployment's container really does, chosen by its image. */
export interface ImageBehaviour {
  /** The image reference this describes, exactly. */
  image: string;
  memory_mib: number;
  /** How long after its start the readiness probe passes. Default 0: ready at once, as without a probe. */
  ready_after_ms?: number;
  startup_log: readonly string[];
  /** One of these is written about every `log_every_ms`. `{n}` becomes a number, `{ms}` a latency, `{ip}` an address. */
  steady_log: readonly string[];
  log_every_ms: number;
  /** Ends the process this long after each start. */
  crash?: {
    after_ms: number;
    exit_code: number;
    reason: 'Error' | 'OOMKilled';
    log: readonly string[];
    /** Only processes that start later than this, relative to the start of the world: what they need is gone by then. */
    from_ms?: number;
    /** Only when another pod of the same image is ready by then: it holds what there is one of. */
    beside_others?: true;
  };
}

/** An object that appears at a time relative to the start of the world (negative: in the seeded past). */
export interface TimedObject {
  object: KubeObject;
  manager: string;
  /** When it is written, relative to the start. Older than the history: it exists from the beginning. */
  at_ms: number;
}

/** Somebody changes an object at a time relative to the start of the world. */
export interface TimedChange {
  kind: string;
  namespace: string;
  name: string;
  manager: string;
  at_ms: number;
  edit: (object: KubeObject) => void;
}

export interface WorldDefinition {
  cluster: string;
  /** How much past is simulated before the start. */
  history_ms: number;
  objects: readonly TimedObject[];
  changes?: readonly TimedChange[];
  /** Ground truth of Spark jobs by `<namespace>/<name>`; a job without an entry behaves like `spark_default`. */
  spark: Readonly<Record<string, SparkBehaviour>>;
  spark_default: SparkBehaviour;
  images: readonly ImageBehaviour[];
}
