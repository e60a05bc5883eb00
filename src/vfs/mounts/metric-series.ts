import { isoTime } from '../../contract/ports.ts';
import { present, yamlLines } from '../yaml-text.ts';
import type { MetricFile } from './metric-files.ts';

/** Pure arithmetic on samples: rates, limits beside values, fewer lines, and the file they make. */
export interface Sample {
  readonly at_ms: number;
  readonly value: number;
}

/** Samples of one container (or of the one resource), in time order. */
export interface MetricSeries {
  readonly container: string;
  readonly samples: readonly Sample[];
}

interface Point {
  readonly at_ms: number;
  readonly value: number;
  readonly limit: number | null;
}

const LINES_MAX = 240;

/** Per-second increase between neighbours; a fall is a restart of the counter. */
export function rateOf(samples: readonly Sample[]): Sample[] {
  return samples.slice(1).map((sample, index) => {
    const before = samples[index] as Sample;
    const grown = sample.value >= before.value ? sample.value - before.value : sample.value;
    return { at_ms: sample.at_ms, value: grown / ((sample.at_ms - before.at_ms) / 1000) };
  });
}

/** One series for each container: an old and a new pod of one name follow each other; at one time the larger counts. */
export function mergeByContainer(series: readonly MetricSeries[]): MetricSeries[] {
  const merged = new Map<string, Map<number, number>>();
  for (const { container, samples } of series) {
    const known = merged.get(container) ?? new Map<number, number>();
    merged.set(container, known);
    for (const { at_ms, value } of samples) known.set(at_ms, Math.max(value, known.get(at_ms) ?? value));
  }
  return [...merged.entries()]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([container, samples]) => ({
      container,
      samples: [...samples.entries()].sort(([a], [b]) => a - b).map(([at_ms, value]) => ({ at_ms, value })),
    }));
}

/** The lines of a metrics file. With several containers it shows the one that comes closest to its limit, and names all. */
export function metricLines(
  file: MetricFile,
  query: string,
  values: readonly MetricSeries[],
  limits: readonly MetricSeries[],
): string[] {
  const candidates = values.map(({ container, samples }) => {
    const own = limits.find((each) => each.container === container)?.samples ?? [];
    return { container, points: withLimits(samples, own) };
  });
  const height = (points: readonly Point[]) => Math.max(...points.map(weightOf));
  const shown = candidates
    .filter(({ points }) => points.length > 0)
    .sort((a, b) => height(b.points) - height(a.points))[0];
  const points = shown?.points ?? [];
  const highest = points.reduce<Point | null>(
    (best, point) => (best === null || weightOf(point) > weightOf(best) ? point : best),
    null,
  );
  const names = candidates.map(({ container }) => container).filter((name) => name !== '');
  return yamlLines({
    ...present({
      query,
      unit: file.unit,
      container: shown?.container,
      containers: names.length > 1 ? names : undefined,
    }),
    latest: view(file, points.at(-1)),
    max: view(file, highest),
    sample_count: points.length,
    samples: thinned(points).map((point) =>
      Object.entries(view(file, point) ?? {})
        .filter(([name]) => name !== 'ratio')
        .map(([name, value]) => `${name}=${String(value)}`)
        .join(' '),
    ),
  });
}

function withLimits(samples: readonly Sample[], limits: readonly Sample[]): Point[] {
  let next = 0;
  return samples.map(({ at_ms, value }) => {
    while (next + 1 < limits.length && (limits[next + 1] as Sample).at_ms <= at_ms) next++;
    const limit = limits[next]?.value ?? 0;
    return { at_ms, value, limit: limit > 0 ? limit : null };
  });
}

function weightOf(point: Point): number {
  return point.limit === null ? point.value / Number.MAX_SAFE_INTEGER : point.value / point.limit;
}

function view(file: MetricFile, point: Point | null | undefined): Record<string, unknown> | null {
  if (point === null || point === undefined) return null;
  return present({
    at: isoTime(point.at_ms),
    [file.value]: rounded(point.value),
    ...(file.limit === null || point.limit === null
      ? {}
      : { [file.limit]: rounded(point.limit), ratio: rounded(point.value / point.limit) }),
  });
}

/** The highest point of each slice and the last point: peaks survive, the file stays readable. */
function thinned(points: readonly Point[]): Point[] {
  const size = Math.ceil(points.length / LINES_MAX);
  const kept: Point[] = [];
  for (let from = 0; from < points.length; from += Math.max(size, 1)) {
    const slice = points.slice(from, from + size);
    kept.push(slice.reduce((best, point) => (point.value > best.value ? point : best)));
  }
  const last = points.at(-1);
  if (last !== undefined && kept.at(-1) !== last) kept.push(last);
  return kept;
}

function rounded(value: number): number {
  return Number.isInteger(value) ? value : Math.round(value * 10_000) / 10_000;
}
