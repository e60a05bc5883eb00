/**
 * Evaluates a parsed query at one instant over a snapshot of series, with the semantics of Prometheus 2.42: five
 * minutes of lookback, windows closed at both ends, names dropped where Prometheus drops them. Ranges are instants.
 */
import type { Sample, Series } from '../world/telemetry.ts';
import { labelKey, matchesAll, METRIC_NAME, withoutLabels, type Labels } from './label-set.ts';
import { aggregate } from './promql-aggregate.ts';
import { SET_OPERATORS, typeOf, type Call, type Expr, type Selector } from './promql-ast.ts';
import { arithmetic, scalarWithVector, setOperation, vectorWithVector } from './promql-binary.ts';
import { executionError } from './promql-error.ts';
import { absentLabels, mapVector } from './promql-functions.ts';
import { RANGE_FUNCTIONS, type Window } from './promql-windows.ts';

export const LOOKBACK_MS = 5 * 60_000;

interface Element {
  readonly labels: Labels;
  readonly value: number;
}

export type Vector = readonly Element[];

/** A snapshot to query, with selections remembered across the steps of a range. */
export class Snapshot {
  readonly #series: readonly Series[];
  readonly #selected = new Map<Selector, readonly Series[]>();

  constructor(series: readonly Series[]) {
    this.#series = series;
  }

  select(selector: Selector): readonly Series[] {
    const known = this.#selected.get(selector);
    if (known !== undefined) return known;
    const found = this.#series.filter((series) => matchesAll(series.labels, selector.matchers));
    this.#selected.set(selector, found);
    return found;
  }
}

export function evaluateScalar(expr: Expr, snapshot: Snapshot, ts_ms: number): number {
  switch (expr.kind) {
    case 'number':
      return expr.value;
    case 'unary':
      return expr.op === '-'
        ? -evaluateScalar(expr.argument, snapshot, ts_ms)
        : evaluateScalar(expr.argument, snapshot, ts_ms);
    case 'binary':
      return arithmetic(
        expr.op,
        evaluateScalar(expr.left, snapshot, ts_ms),
        evaluateScalar(expr.right, snapshot, ts_ms),
      );
    case 'call':
      if (expr.name === 'time') return ts_ms / 1000;
      return scalarOf(evaluateVector(argument(expr, 0), snapshot, ts_ms));
    case 'string':
    case 'selector':
    case 'aggregate':
      break;
  }
  throw new Error(`a ${expr.kind} has no scalar value`);
}

export function evaluateVector(expr: Expr, snapshot: Snapshot, ts_ms: number): Vector {
  switch (expr.kind) {
    case 'selector':
      return instant(expr, snapshot, ts_ms).map(({ labels, sample }) => ({ labels, value: sample.value }));
    case 'unary': {
      const vector = evaluateVector(expr.argument, snapshot, ts_ms);
      return expr.op === '-' ? unique(mapVector(vector, (value) => -value)) : vector;
    }
    case 'aggregate': {
      const parameter = expr.parameter === undefined ? 0 : evaluateScalar(expr.parameter, snapshot, ts_ms);
      return unique(aggregate(expr, evaluateVector(expr.argument, snapshot, ts_ms), parameter));
    }
    case 'binary':
      return unique(binary(expr, snapshot, ts_ms));
    case 'call':
      return unique(call(expr, snapshot, ts_ms));
    case 'number':
    case 'string':
      break;
  }
  throw new Error(`a ${expr.kind} is not a vector`);
}

/** The samples of a range selector, series without any left out. */
export function evaluateRange(
  selector: Selector,
  snapshot: Snapshot,
  ts_ms: number,
): { labels: Labels; window: Window }[] {
  const end_ms = ts_ms - selector.offset_ms;
  const start_ms = end_ms - (selector.range_ms ?? 0);
  return snapshot.select(selector).flatMap(({ labels, samples }) => {
    const inside = samples
      .slice(firstIndex(samples, start_ms), firstIndex(samples, end_ms + 1))
      .filter((sample) => sample.stale !== true);
    return inside.length === 0 ? [] : [{ labels, window: { samples: inside, start_ms, end_ms } }];
  });
}

function binary(expr: Extract<Expr, { kind: 'binary' }>, snapshot: Snapshot, ts_ms: number): Vector {
  const { left, right } = expr;
  if (typeOf(left) === 'scalar') {
    return scalarWithVector(
      expr,
      evaluateVector(right, snapshot, ts_ms),
      evaluateScalar(left, snapshot, ts_ms),
      true,
    );
  }
  const vector = evaluateVector(left, snapshot, ts_ms);
  if (typeOf(right) === 'scalar')
    return scalarWithVector(expr, vector, evaluateScalar(right, snapshot, ts_ms), false);
  const other = evaluateVector(right, snapshot, ts_ms);
  return SET_OPERATORS.has(expr.op)
    ? setOperation(expr, vector, other)
    : vectorWithVector(expr, vector, other);
}

function call(expr: Call, snapshot: Snapshot, ts_ms: number): Vector {
  const ranged = expr.args.find((one) => typeOf(one) === 'range vector');
  if (ranged?.kind === 'selector') return overTime(expr, ranged, snapshot, ts_ms);
  const scalars = expr.args
    .filter((one) => typeOf(one) === 'scalar')
    .map((one) => evaluateScalar(one, snapshot, ts_ms));
  if (expr.name === 'vector') return [{ labels: {}, value: scalars[0] ?? Number.NaN }];
  const operand = argument(expr, 0);
  if (expr.name === 'timestamp') return timestamps(operand, snapshot, ts_ms);
  const vector = evaluateVector(operand, snapshot, ts_ms);
  switch (expr.name) {
    case 'absent':
      return vector.length > 0 ? [] : [{ labels: absentLabels(operand), value: 1 }];
    case 'sort':
      return [...vector].sort((left, right) => nanFirst(left.value, right.value));
    case 'sort_desc':
      return [...vector].sort((left, right) => nanFirst(right.value, left.value));
    case 'round':
      return mapVector(vector, (value) => roundTo(value, scalars[0] ?? 1));
    case 'clamp': {
      const [low = Number.NaN, high = Number.NaN] = scalars;
      return high < low ? [] : mapVector(vector, (value) => Math.max(low, Math.min(high, value)));
    }
    default:
      return mapVector(vector, simpleFunction(expr.name, scalars[0] ?? Number.NaN));
  }
}

function simpleFunction(name: string, limit: number): (value: number) => number {
  const table: Readonly<Record<string, (value: number) => number>> = {
    abs: Math.abs,
    ceil: Math.ceil,
    exp: Math.exp,
    floor: Math.floor,
    ln: Math.log,
    log10: Math.log10,
    log2: Math.log2,
    sgn: Math.sign,
    sqrt: Math.sqrt,
    clamp_max: (value) => Math.min(limit, value),
    clamp_min: (value) => Math.max(limit, value),
  };
  const found = table[name];
  if (found === undefined) throw new Error(`the function ${name} has a signature but no implementation`);
  return found;
}

function overTime(expr: Call, selector: Selector, snapshot: Snapshot, ts_ms: number): Vector {
  const windows = evaluateRange(selector, snapshot, ts_ms);
  if (expr.name === 'absent_over_time') {
    return windows.length > 0 ? [] : [{ labels: absentLabels(selector), value: 1 }];
  }
  const compute = RANGE_FUNCTIONS.get(expr.name);
  if (compute === undefined)
    throw new Error(`the function ${expr.name} has a signature but no implementation`);
  const [first] = expr.args;
  const parameter = first === undefined || first === selector ? 0 : evaluateScalar(first, snapshot, ts_ms);
  return windows.flatMap(({ labels, window }) => {
    const value = compute(window, parameter);
    const kept = expr.name === 'last_over_time' ? labels : withoutLabels(labels, [METRIC_NAME]);
    return value === undefined ? [] : [{ labels: kept, value }];
  });
}

/** Given a selector, the time of the sample itself; given anything else, the time of evaluation. */
function timestamps(operand: Expr, snapshot: Snapshot, ts_ms: number): Vector {
  if (operand.kind !== 'selector')
    return mapVector(evaluateVector(operand, snapshot, ts_ms), () => ts_ms / 1000);
  return instant(operand, snapshot, ts_ms).map(({ labels, sample }) => ({
    labels: withoutLabels(labels, [METRIC_NAME]),
    value: sample.ts_ms / 1000,
  }));
}

function instant(
  selector: Selector,
  snapshot: Snapshot,
  ts_ms: number,
): { labels: Labels; sample: Sample }[] {
  const at_ms = ts_ms - selector.offset_ms;
  return snapshot.select(selector).flatMap(({ labels, samples }) => {
    const sample = samples[firstIndex(samples, at_ms + 1) - 1];
    return sample === undefined || sample.stale === true || sample.ts_ms < at_ms - LOOKBACK_MS
      ? []
      : [{ labels, sample }];
  });
}

/** Index of the first sample at or after a time. */
function firstIndex(samples: readonly Sample[], at_ms: number): number {
  let low = 0;
  let high = samples.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((samples[middle]?.ts_ms ?? 0) < at_ms) low = middle + 1;
    else high = middle;
  }
  return low;
}

function scalarOf(vector: Vector): number {
  return vector.length === 1 ? (vector[0]?.value ?? Number.NaN) : Number.NaN;
}

function argument(expr: Call, index: number): Expr {
  const found = expr.args[index];
  if (found === undefined) throw new Error(`${expr.name} lacks argument ${index}`);
  return found;
}

function nanFirst(left: number, right: number): number {
  if (Number.isNaN(left)) return Number.isNaN(right) ? 0 : -1;
  return Number.isNaN(right) ? 1 : left - right;
}

function roundTo(value: number, step: number): number {
  const inverse = 1 / step;
  return Math.floor(value * inverse + 0.5) / inverse;
}

function unique(vector: Vector): Vector {
  if (new Set(vector.map((element) => labelKey(element.labels))).size === vector.length) return vector;
  throw executionError('vector cannot contain metrics with the same labelset');
}
