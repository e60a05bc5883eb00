/** What the parts of the simulated world share: one store, one time, one log, one source of randomness. */
import type { KubeObject } from './kube-object.ts';
import type { LogBook } from './log-book.ts';
import type { ObjectStore } from './object-store.ts';
import type { Random } from './random.ts';
import type { Timeline } from './timeline.ts';

/** A process in a running container, as its resource use. */
export interface Process {
  memory_bytes(now_ms: number): number;
  cpu_cores(now_ms: number): number;
}

export interface Cluster {
  readonly name: string;
  readonly store: ObjectStore;
  readonly timeline: Timeline;
  readonly logs: LogBook;
  readonly random: Random;
  /** Running processes by `<pod uid>/<container>`. */
  readonly processes: Map<string, Process>;
  /** Where the simulated past begins. What is older exists from here on, without a trace of its creation. */
  readonly history_from_ms: number;
  /** The moment the world was started; what happens before it is the seeded past. */
  readonly live_from_ms: number;
}

/** The uid, which every stored object has. */
export function uidOf(object: KubeObject): string {
  return object.metadata.uid ?? '';
}

/** True while the world is furnished with what is older than its history. */
export function isFurnishing(cluster: Cluster): boolean {
  return cluster.timeline.now() < cluster.history_from_ms + 60_000;
}

/** True before the world was started: past jobs run at their own length, live ones are short. */
export function isPast(cluster: Cluster): boolean {
  return cluster.timeline.now() < cluster.live_from_ms;
}
