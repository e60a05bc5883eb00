/** One measured number. `floor` is the least that the same machine can do, measured in the same run. */
export interface Measurement {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly floor: number;
  /** value / floor. */
  readonly ratio: number;
  /** Repetitions behind the value. */
  readonly n: number;
}

export interface Bench {
  readonly name: string;
  /** What it measures, for `npm run bench -- --help`. */
  readonly about: string;
  /** `brief`: a tenth of what takes long; the figure says so by its `n`. */
  run(options: { readonly brief: boolean }): Promise<readonly Measurement[]>;
}

/** The middle value of a list that is not empty. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const high = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? high : ((sorted[middle - 1] ?? Number.NaN) + high) / 2;
}

export function measurement(
  name: string,
  unit: string,
  values: readonly number[],
  floors: readonly number[],
): Measurement {
  const value = median(values);
  const floor = median(floors);
  const round = (number: number): number => Number(number.toPrecision(4));
  return {
    name,
    value: round(value),
    unit,
    floor: round(floor),
    ratio: round(value / floor),
    n: values.length,
  };
}
