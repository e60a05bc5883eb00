/** Functions over the samples of one series in one window. `undefined` means no result for the series. */
import type { Sample } from '../world/telemetry.ts';

export interface Window {
  /** At least one, ascending. */
  readonly samples: readonly Sample[];
  readonly start_ms: number;
  readonly end_ms: number;
}

type WindowFunction = (window: Window, parameter: number) => number | undefined;

export const RANGE_FUNCTIONS: ReadonlyMap<string, WindowFunction> = new Map<string, WindowFunction>([
  ['rate', (window) => extrapolated(window, true, true)],
  ['increase', (window) => extrapolated(window, true, false)],
  ['delta', (window) => extrapolated(window, false, false)],
  ['irate', (window) => lastTwo(window, true)],
  ['idelta', (window) => lastTwo(window, false)],
  [
    'changes',
    ({ samples }) =>
      pairs(samples).filter(([left, right]) => left !== right && !(Number.isNaN(left) && Number.isNaN(right)))
        .length,
  ],
  ['resets', ({ samples }) => pairs(samples).filter(([left, right]) => right < left).length],
  ['sum_over_time', ({ samples }) => compensatedSum(values(samples))],
  ['avg_over_time', ({ samples }) => mean(values(samples))],
  ['min_over_time', ({ samples }) => extreme(values(samples), (left, right) => left < right)],
  ['max_over_time', ({ samples }) => extreme(values(samples), (left, right) => left > right)],
  ['count_over_time', ({ samples }) => samples.length],
  ['last_over_time', ({ samples }) => samples.at(-1)?.value],
  ['present_over_time', () => 1],
  ['stdvar_over_time', ({ samples }) => variance(values(samples))],
  ['stddev_over_time', ({ samples }) => Math.sqrt(variance(values(samples)))],
  ['quantile_over_time', ({ samples }, parameter) => quantile(parameter, values(samples))],
]);

function values(samples: readonly Sample[]): number[] {
  return samples.map((sample) => sample.value);
}

function pairs(samples: readonly Sample[]): [number, number][] {
  return samples.slice(1).map((sample, index) => [samples[index]?.value ?? Number.NaN, sample.value]);
}

/**
 * rate, increase and delta: the change between the first and last sample, stretched to the window's ends unless they
 * are further away than samples usually are apart, and never below a counter's zero.
 */
function extrapolated(
  { samples, start_ms, end_ms }: Window,
  counter: boolean,
  perSecond: boolean,
): number | undefined {
  const first = samples[0];
  const last = samples.at(-1);
  if (first === undefined || last === undefined || samples.length < 2) return undefined;
  let change = last.value - first.value;
  if (counter) for (const [left, right] of pairs(samples)) if (right < left) change += left;
  let toStart = (first.ts_ms - start_ms) / 1000;
  const toEnd = (end_ms - last.ts_ms) / 1000;
  const sampled = (last.ts_ms - first.ts_ms) / 1000;
  const average = sampled / (samples.length - 1);
  if (counter && change > 0 && first.value >= 0)
    toStart = Math.min(toStart, sampled * (first.value / change));
  const threshold = average * 1.1;
  const stretched =
    sampled + (toStart < threshold ? toStart : average / 2) + (toEnd < threshold ? toEnd : average / 2);
  const factor = stretched / sampled / (perSecond ? (end_ms - start_ms) / 1000 : 1);
  return change * factor;
}

function lastTwo({ samples }: Window, rate: boolean): number | undefined {
  const last = samples.at(-1);
  const previous = samples.at(-2);
  if (last === undefined || previous === undefined) return undefined;
  const change = rate && last.value < previous.value ? last.value : last.value - previous.value;
  const seconds = (last.ts_ms - previous.ts_ms) / 1000;
  if (seconds === 0) return undefined;
  return rate ? change / seconds : change;
}

function extreme(list: readonly number[], better: (left: number, right: number) => boolean): number {
  return list.reduce((best, value) => (better(value, best) || Number.isNaN(best) ? value : best));
}

/** Neumaier's sum, as Prometheus keeps it. */
function compensatedSum(list: readonly number[]): number {
  let sum = 0;
  let lost = 0;
  for (const value of list) {
    const next = sum + value;
    lost += Math.abs(sum) >= Math.abs(value) ? sum - next + value : value - next + sum;
    sum = next;
  }
  return Number.isFinite(sum) ? sum + lost : sum;
}

function mean(list: readonly number[]): number {
  let average = 0;
  list.forEach((value, index) => {
    if (!Number.isFinite(average) && !Number.isNaN(average)) {
      if (value === average || Number.isFinite(value)) return;
    }
    average += value / (index + 1) - average / (index + 1);
  });
  return average;
}

function variance(list: readonly number[]): number {
  let average = 0;
  let squares = 0;
  list.forEach((value, index) => {
    const delta = value - average;
    average += delta / (index + 1);
    squares += delta * (value - average);
  });
  return squares / list.length;
}

/** Linear interpolation between ranks; outside of [0, 1] infinite. NaN sorts first. */
export function quantile(q: number, list: readonly number[]): number {
  if (list.length === 0 || Number.isNaN(q)) return Number.NaN;
  if (q < 0) return -Infinity;
  if (q > 1) return Infinity;
  const sorted = [...list].sort((left, right) =>
    Number.isNaN(left) ? -1 : Number.isNaN(right) ? 1 : left - right,
  );
  const rank = q * (sorted.length - 1);
  const low = sorted[Math.floor(rank)] ?? Number.NaN;
  const high = sorted[Math.min(sorted.length - 1, Math.floor(rank) + 1)] ?? Number.NaN;
  const weight = rank - Math.floor(rank);
  return low * (1 - weight) + high * weight;
}
