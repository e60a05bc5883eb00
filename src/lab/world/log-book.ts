/** Container logs of the world, in time order. A record also knows the pod's uid and the container's restart, which
 * labels do not tell: a new pod of the same name starts with an empty log. */
import type { LogRecord } from './telemetry.ts';

export interface ContainerLogRecord extends LogRecord {
  readonly pod_uid: string;
  readonly container: string;
  readonly restart: number;
}

const RECORDS_MAX = 200_000;

export class LogBook {
  #records: ContainerLogRecord[] = [];
  #last_ns = 0n;
  readonly #listeners = new Set<() => void>();

  /** Appends a line; the time is nudged forward by a microsecond where two lines would coincide. */
  append(now_ms: number, line: string, source: Omit<ContainerLogRecord, 'ts_ns' | 'line'>): void {
    const wanted = BigInt(Math.round(now_ms * 1000)) * 1000n;
    this.#last_ns = wanted > this.#last_ns ? wanted : this.#last_ns + 1_000n;
    this.#records.push(Object.freeze({ ...source, ts_ns: this.#last_ns, line }));
    if (this.#records.length > RECORDS_MAX) this.#records = this.#records.slice(RECORDS_MAX / 4);
    for (const listener of this.#listeners) listener();
  }

  records(): readonly ContainerLogRecord[] {
    return this.#records;
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
