/**
 * What the simulated world shows to observability systems. The world (causes and effects) produces it, the Loki and
 * Prometheus twins serve it; neither knows the other.
 */

/** One log entry. `ts_ns` is nanoseconds since the epoch; `line` may contain any text, also newlines. */
export interface LogRecord {
  readonly ts_ns: bigint;
  /** Stream labels, for example `{namespace, pod, container, app}`. */
  readonly labels: Readonly<Record<string, string>>;
  readonly line: string;
}

/** One sample of a series. `ts_ms` is milliseconds since the epoch. */
export interface Sample {
  readonly ts_ms: number;
  readonly value: number;
  /** The target stopped to expose the series here: Prometheus' stale marker, which is no value. */
  readonly stale?: true;
}

/** One time series: labels include `__name__`. Samples are in ascending time order. */
export interface Series {
  readonly labels: Readonly<Record<string, string>>;
  readonly samples: readonly Sample[];
}

/** Read side of the world; every call returns the state at the moment of the call. */
export interface Telemetry {
  logs(): readonly LogRecord[];
  series(): readonly Series[];
}
