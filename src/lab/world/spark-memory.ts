/** How a driver's memory grows and when it breaks: pure, so that the effect follows from the specification alone. */
import { MIB } from './quantity.ts';

export interface DriverMemory {
  /** -Xmx: `spec.driver.memory`. */
  heap_max_bytes: number;
  /** The container's memory limit: heap plus overhead. */
  limit_bytes: number;
  /** What the job's data really needs at its peak. */
  heap_needed_bytes: number;
  native_bytes: number;
}

const HEAP_AT_START_BYTES = 280 * MIB;
/** Survivor spaces, humongous regions and the reserve make about 15 % of the maximum heap unusable for live data. */
const USABLE_SHARE = 0.85;
/** How long the JVM struggles between the first failed allocation and its end, as a share of the work. */
const STRUGGLE_SHARE = 0.06;

/** Live heap at a point of the work (0..1): it grows while results are collected and broadcast, then stays. */
function heapDemand(memory: DriverMemory, progress: number): number {
  const x = Math.min(1, Math.max(0, progress / 0.85));
  const eased = x * x * (3 - 2 * x);
  return HEAP_AT_START_BYTES + (memory.heap_needed_bytes - HEAP_AT_START_BYTES) * eased;
}

/** The points of the work where allocation starts to fail and where the kernel kills; undefined: it never happens. */
export function outOfMemory(memory: DriverMemory): { fails_at: number; killed_at: number } | undefined {
  const usable = memory.heap_max_bytes * USABLE_SHARE;
  for (let step = 0; step <= 200; step += 1) {
    const progress = step / 200;
    const fails = heapDemand(memory, progress) > usable;
    const kills = heapDemand(memory, progress) + memory.native_bytes > memory.limit_bytes;
    if (fails || kills) return { fails_at: progress, killed_at: progress + STRUGGLE_SHARE };
  }
  return undefined;
}

/** Working set of the driver's container. While the JVM struggles, heap and native memory run into the limit. */
export function workingSetBytes(memory: DriverMemory, progress: number): number {
  const end = outOfMemory(memory);
  if (end === undefined || progress <= end.fails_at) {
    return Math.min(memory.limit_bytes, Math.round(memory.native_bytes + heapDemand(memory, progress)));
  }
  const before = memory.native_bytes + heapDemand(memory, end.fails_at);
  const share = Math.min(1, (progress - end.fails_at) / STRUGGLE_SHARE);
  return Math.min(memory.limit_bytes, Math.round(before + (memory.limit_bytes - before) * share ** 0.5));
}
