/** Evaluates LogQL over the world's log records: streams of lines, and metrics over windows of them. */
import type { LogRecord } from '../world/telemetry.ts';
import {
  compareLabels,
  formatLabels,
  labelKey,
  matchesAll,
  onlyLabels,
  withoutLabels,
  type Labels,
} from '../prometheus/label-set.ts';
import { arithmetic } from '../prometheus/promql-binary.ts';
import { COMPARISONS } from '../prometheus/promql-ast.ts';
import type { LogQuery, MetricQuery, VectorOperation } from './logql-ast.ts';
import { ERROR_LABEL, runPipeline, type Processed } from './logql-pipeline.ts';
import { badRequest } from './loki-error.ts';

interface Entry extends Processed {
  readonly ts_ns: bigint;
}

export interface Stream {
  readonly labels: Labels;
  readonly entries: readonly Entry[];
}

export interface Element {
  readonly labels: Labels;
  readonly value: number;
}

/** Log records in Loki's order, an exact repetition (stream, time and line) stored once. */
export function ingest(records: readonly LogRecord[]): readonly LogRecord[] {
  const seen = new Set<string>();
  const kept = records.filter((record) => {
    const key = `${record.ts_ns} ${labelKey(record.labels)} ${record.line}`;
    return !seen.has(key) && seen.add(key) !== undefined;
  });
  return kept.sort((left, right) => (left.ts_ns < right.ts_ns ? -1 : Number(left.ts_ns > right.ts_ns)));
}

/** Entries from `start` to before `end`, at most `limit` of them, counted from the end when backward. */
export function selectStreams(
  records: readonly LogRecord[],
  query: LogQuery,
  window: { readonly start_ns: bigint; readonly end_ns: bigint },
  order: { readonly limit: number; readonly backward: boolean },
): Stream[] {
  const inside = records.filter((record) => record.ts_ns >= window.start_ns && record.ts_ns < window.end_ns);
  const ordered = order.backward ? inside.toReversed() : inside;
  const streams = new Map<string, { readonly labels: Labels; readonly entries: Entry[] }>();
  let count = 0;
  for (const record of ordered) {
    if (count >= order.limit) break;
    const entry = process(query, record);
    if (entry === undefined) continue;
    const key = labelKey(entry.labels);
    const stream = streams.get(key) ?? { labels: entry.labels, entries: [] };
    streams.set(key, stream);
    stream.entries.push(entry);
    count += 1;
  }
  return [...streams.values()].sort((left, right) => compareLabels(left.labels, right.labels));
}

function process(query: LogQuery, record: LogRecord): Entry | undefined {
  if (!matchesAll(record.labels, query.matchers)) return undefined;
  const entry = runPipeline(query.stages, record.labels, record.line);
  return entry === undefined ? undefined : { ...entry, ts_ns: record.ts_ns };
}

/** A metric query at one instant. Its windows are open at the start and closed at the end. */
export function evaluateMetric(records: readonly LogRecord[], query: MetricQuery, ts_ns: bigint): Element[] {
  switch (query.kind) {
    case 'range':
      return evaluateRange(records, query, ts_ns);
    case 'vector':
      return aggregate(query, evaluateMetric(records, query.inner, ts_ns));
    case 'scalar-operation':
      break;
  }
  const filter = COMPARISONS.has(query.op) && !query.bool;
  return evaluateMetric(records, query.inner, ts_ns).flatMap(({ labels, value }) => {
    const [left, right] = query.scalarFirst ? [query.scalar, value] : [value, query.scalar];
    const result = arithmetic(query.op, left, right);
    if (filter) return result === 1 ? [{ labels, value }] : [];
    return [{ labels, value: result }];
  });
}

function evaluateRange(
  records: readonly LogRecord[],
  query: Extract<MetricQuery, { kind: 'range' }>,
  ts_ns: bigint,
): Element[] {
  const end_ns = ts_ns - query.offset_ns;
  const start_ns = end_ns - query.range_ns;
  const sums = new Map<string, { readonly labels: Labels; value: number }>();
  for (const record of records) {
    if (record.ts_ns <= start_ns || record.ts_ns > end_ns) continue;
    const entry = process(query.log, record);
    if (entry === undefined) continue;
    refusePipelineError(entry);
    const key = labelKey(entry.labels);
    const sum = sums.get(key) ?? { labels: entry.labels, value: 0 };
    sums.set(key, sum);
    sum.value += query.op.startsWith('bytes') ? Buffer.byteLength(entry.line) : 1;
  }
  const seconds = Number(query.range_ns) / 1e9;
  const perSecond = query.op === 'rate' || query.op === 'bytes_rate';
  return [...sums.values()].map(({ labels, value }) => ({
    labels,
    value: perSecond ? value / seconds : value,
  }));
}

function refusePipelineError({ labels }: Entry): void {
  const error = labels[ERROR_LABEL];
  if (error === undefined) return;
  throw badRequest(
    `pipeline error: '${error}' for series: '${formatLabels(labels)}'.\nUse a label filter to intentionally skip this error. ` +
      `(e.g | __error__!="${error}").\nTo skip all potential errors you can match empty errors.(e.g __error__="")\n` +
      'The label filter can also be specified after unwrap. (e.g | unwrap latency | __error__="" )\n',
  );
}

function aggregate(query: Extract<MetricQuery, { kind: 'vector' }>, vector: readonly Element[]): Element[] {
  const groups = new Map<string, { readonly labels: Labels; readonly values: number[] }>();
  for (const element of vector) {
    const labels = query.without
      ? withoutLabels(element.labels, query.labels)
      : onlyLabels(element.labels, query.labels);
    const key = labelKey(labels);
    const group = groups.get(key) ?? { labels, values: [] };
    groups.set(key, group);
    group.values.push(element.value);
  }
  return [...groups.values()].map(({ labels, values }) => ({ labels, value: reduce(query.op, values) }));
}

function reduce(op: VectorOperation, values: readonly number[]): number {
  const sum = values.reduce((total, value) => total + value, 0);
  switch (op) {
    case 'sum':
      return sum;
    case 'avg':
      return sum / values.length;
    case 'min':
      return Math.min(...values);
    case 'max':
      return Math.max(...values);
    case 'count':
      break;
  }
  return values.length;
}
