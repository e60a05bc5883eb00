import { sparkMemoryBytes } from '../../../contract/quantity.ts';
import { valueAt } from '../../json-pointer.ts';
import type { Preview } from '../../../contract/tool.ts';
import { resourceChange, type Demand } from './resource-change.ts';

/**
 * What a SparkApplication asks of its namespace while it runs: per pod the heap plus Spark's overhead, which is the
 * larger of 384 MiB and a factor of the heap (0.1 for JVM jobs, 0.4 for others; Spark's documented defaults).
 */
const OVERHEAD_BYTES_MIN = 384 * 2 ** 20;

export function sparkResources(before: unknown, after: unknown): Preview['resources'] {
  return resourceChange(before, after, demand);
}

function demand(app: unknown): Demand | null {
  const driver = podMemoryBytes(app, '/spec/driver');
  const executor = podMemoryBytes(app, '/spec/executor');
  if (driver === null || executor === null) return null;
  const executors = Number(valueAt(app, '/spec/executor/instances') ?? 1);
  const cores = Number(valueAt(app, '/spec/driver/cores') ?? 1);
  const executor_cores = Number(valueAt(app, '/spec/executor/cores') ?? 1);
  const memory_bytes = Math.round(driver + executors * executor);
  const cpu_millis = Math.round((cores + executors * executor_cores) * 1000);
  return Number.isFinite(memory_bytes) && Number.isFinite(cpu_millis) ? { memory_bytes, cpu_millis } : null;
}

/** Heap plus overhead of one pod; Spark's default heap is 1g. */
function podMemoryBytes(app: unknown, role: string): number | null {
  const heap = sparkMemoryBytes(valueAt(app, `${role}/memory`) ?? '1g');
  if (heap === null) return null;
  const fixed = valueAt(app, `${role}/memoryOverhead`);
  if (fixed !== undefined) {
    const overhead = sparkMemoryBytes(fixed);
    return overhead === null ? null : heap + overhead;
  }
  const kind = valueAt(app, '/spec/type') ?? 'Scala';
  const default_factor = kind === 'Java' || kind === 'Scala' ? 0.1 : 0.4;
  const factor = Number(valueAt(app, '/spec/memoryOverheadFactor') ?? default_factor);
  return Number.isFinite(factor) ? heap + Math.max(OVERHEAD_BYTES_MIN, factor * heap) : null;
}
