/** Series with everything that makes PromQL subtle: gaps, resets, odd spacing, missing labels, NaN and infinities. */
import type { Sample, Series } from '../../../src/lab/world/telemetry.ts';

export const HOUR_MS = 3_600_000;

export function sampleWorld(base_ms: number): Series[] {
  const every = (step_s: number, value: (index: number) => number | undefined, shift_ms = 0): Sample[] =>
    Array.from({ length: Math.floor(3600 / step_s) }, (_, index) => ({
      ts_ms: base_ms + shift_ms + index * step_s * 1000,
      value: value(index),
    })).filter((sample): sample is Sample => sample.value !== undefined);
  return [
    {
      labels: { __name__: 'memory_bytes', pod: 'driver-1', namespace: 'spark-prod' },
      samples: every(15, (i) => 1e8 + 7e5 * i),
    },
    {
      labels: { __name__: 'memory_bytes', pod: 'exec-1', namespace: 'spark-prod' },
      samples: every(15, (i) => (i % 40 < 25 ? 2e8 - 13 * i * i : undefined)),
    },
    {
      labels: { __name__: 'memory_bytes', pod: 'api-0', namespace: 'payments' },
      samples: every(30, (i) => 5e7 + (i % 7) * 1e5, 4321),
    },
    {
      labels: { __name__: 'limit_bytes', pod: 'driver-1', namespace: 'spark-prod' },
      samples: every(60, () => 1.5e8),
    },
    {
      labels: { __name__: 'limit_bytes', pod: 'exec-1', namespace: 'spark-prod' },
      samples: every(60, () => 2.5e8),
    },
    {
      labels: { __name__: 'requests_total', code: '200', pod: 'api-0' },
      samples: every(15, (i) => (i % 90) * 13),
    },
    {
      labels: { __name__: 'requests_total', code: '500', pod: 'api-0' },
      samples: every(15, (i) => Math.floor(i / 9)),
    },
    {
      labels: { __name__: 'requests_total', code: '500', pod: 'api-1' },
      samples: every(15, (i) => (i > 100 && i < 140 ? undefined : i * 2)),
    },
    { labels: { __name__: 'odd', kind: 'nan' }, samples: every(60, (i) => (i % 5 === 0 ? NaN : i)) },
    {
      labels: { __name__: 'odd', kind: 'inf' },
      samples: every(60, (i) => (i % 11 === 0 ? Infinity : -i / 3)),
    },
    { labels: { __name__: 'odd', kind: 'sparse' }, samples: every(600, (i) => i) },
    { labels: { __name__: 'odd' }, samples: every(240, (i) => -i) },
    {
      labels: { __name__: 'up', job: 'node', instance: '127.0.0.1:9100' },
      samples: every(60, (i) => (i > 40 ? 0 : 1)),
    },
    { labels: { __name__: 'up', job: 'gone', instance: '127.0.0.1:1' }, samples: every(60, () => 0) },
    {
      labels: { __name__: 'info', pod: 'driver-1', version: '3.5.1', team: 'data' },
      samples: every(120, () => 1),
    },
    {
      labels: { __name__: 'info', pod: 'exec-1', version: '3.5.1', team: 'data' },
      samples: every(120, () => 1),
    },
    { labels: { __name__: 'text', path: 'a/b "c"\\d', note: 'über' }, samples: every(300, (i) => i / 7) },
  ];
}
