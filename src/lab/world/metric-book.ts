/** Prometheus series of the world. A series that its target stops to expose ends with one sample marked stale. */
import type { Sample, Series } from './telemetry.ts';

const SAMPLES_PER_SERIES_MAX = 20_000;

interface OpenSeries {
  labels: Readonly<Record<string, string>>;
  samples: Sample[];
  live: boolean;
}

/** One exposed value of a scrape. */
export interface Exposed {
  name: string;
  labels: Record<string, string>;
  value: number;
}

export class MetricBook {
  readonly #series = new Map<string, OpenSeries>();

  /** Stores one scrape of everything; what was exposed before and is not now gets its stale marker. */
  scrape(ts_ms: number, exposed: readonly Exposed[]): void {
    const seen = new Set<string>();
    for (const { name, labels, value } of exposed) {
      const all = { __name__: name, ...labels };
      const key = JSON.stringify(Object.entries(all).sort(([a], [b]) => (a < b ? -1 : 1)));
      seen.add(key);
      const series = this.#series.get(key) ?? { labels: Object.freeze(all), samples: [], live: true };
      this.#series.set(key, series);
      series.live = true;
      push(series, { ts_ms, value });
    }
    for (const [key, series] of this.#series) {
      if (!series.live || seen.has(key)) continue;
      series.live = false;
      push(series, { ts_ms, value: Number.NaN, stale: true });
    }
  }

  series(): readonly Series[] {
    return [...this.#series.values()];
  }
}

function push(series: OpenSeries, sample: Sample): void {
  series.samples.push(Object.freeze(sample));
  if (series.samples.length > SAMPLES_PER_SERIES_MAX) series.samples.splice(0, SAMPLES_PER_SERIES_MAX / 4);
}
