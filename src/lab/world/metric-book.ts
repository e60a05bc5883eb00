/** Prometheus series of the world. A series that its target stops to expose ends with one sample marked stale. */
import type { Sample, Series } from './telemetry.ts';

const SAMPLES_PER_SERIES_MAX = 20_000;

interface OpenSeries {
  labels: Readonly<Record<string, string>>;
  samples: Sample[];
}

/** One exposed value of a scrape. Whoever exposes the same labels again may hand over the same object. */
export interface Exposed {
  name: string;
  labels: Readonly<Record<string, string>>;
  value: number;
}

export class MetricBook {
  readonly #series = new Map<string, OpenSeries>();
  /** Series by the object that carries their labels, then by name: an hour of the past exposes few of these anew. */
  readonly #known = new WeakMap<Exposed['labels'], Map<string, OpenSeries>>();
  #live = new Set<OpenSeries>();

  /** Stores one scrape of everything; what was exposed before and is not now gets its stale marker. */
  scrape(ts_ms: number, exposed: readonly Exposed[]): void {
    const seen = new Set<OpenSeries>();
    for (const one of exposed) {
      const series = this.#seriesOf(one);
      seen.add(series);
      push(series, { ts_ms, value: one.value });
    }
    for (const series of this.#live)
      if (!seen.has(series)) push(series, { ts_ms, value: Number.NaN, stale: true });
    this.#live = seen;
  }

  series(): readonly Series[] {
    return [...this.#series.values()];
  }

  #seriesOf({ name, labels }: Exposed): OpenSeries {
    const by_name = this.#known.get(labels) ?? new Map<string, OpenSeries>();
    const known = by_name.get(name);
    if (known !== undefined) return known;
    const all = { __name__: name, ...labels };
    const key = JSON.stringify(Object.entries(all).sort(([a], [b]) => (a < b ? -1 : 1)));
    const series = this.#series.get(key) ?? { labels: Object.freeze(all), samples: [] };
    this.#series.set(key, series);
    this.#known.set(labels, by_name.set(name, series));
    return series;
  }
}

function push(series: OpenSeries, sample: Sample): void {
  series.samples.push(Object.freeze(sample));
  if (series.samples.length > SAMPLES_PER_SERIES_MAX) series.samples.splice(0, SAMPLES_PER_SERIES_MAX / 4);
}
