/** Aggregation over an instant vector: grouping by or without labels. */
import { labelKey, METRIC_NAME, onlyLabels, withoutLabels, type Labels } from './label-set.ts';
import type { Aggregate } from './promql-ast.ts';
import { executionError } from './promql-error.ts';
import { quantile } from './promql-windows.ts';

interface Valued {
  readonly labels: Labels;
  readonly value: number;
}

interface Group {
  readonly labels: Labels;
  readonly members: Valued[];
}

export function aggregate(expr: Aggregate, vector: readonly Valued[], parameter: number): Valued[] {
  if (expr.op === 'topk' || expr.op === 'bottomk') return limitEach(expr, vector, parameter);
  return groups(expr, vector).map(({ labels, members }) => ({
    labels,
    value: reduce(
      expr.op,
      members.map((member) => member.value),
      parameter,
    ),
  }));
}

function groups(expr: Aggregate, vector: readonly Valued[]): Group[] {
  const found = new Map<string, Group>();
  for (const element of vector) {
    const labels = expr.without
      ? withoutLabels(element.labels, [...expr.labels, METRIC_NAME])
      : onlyLabels(element.labels, expr.labels);
    const key = labelKey(labels);
    const group = found.get(key) ?? { labels, members: [] };
    found.set(key, group);
    group.members.push(element);
  }
  return [...found.values()];
}

/** topk and bottomk keep the elements themselves, best first within each group. NaN is always the worst. */
function limitEach(expr: Aggregate, vector: readonly Valued[], parameter: number): Valued[] {
  if (!(parameter <= 9.223_372_036_854_776e18 && parameter >= -9.223_372_036_854_776e18)) {
    throw executionError(`Scalar value ${Number.isNaN(parameter) ? 'NaN' : parameter} overflows int64`);
  }
  const count = Math.max(0, Math.trunc(parameter));
  const sign = expr.op === 'topk' ? -1 : 1;
  return groups(expr, vector).flatMap(({ members }) =>
    [...members].sort((left, right) => worstLast(left.value, right.value, sign)).slice(0, count),
  );
}

function worstLast(left: number, right: number, sign: number): number {
  if (Number.isNaN(left)) return Number.isNaN(right) ? 0 : 1;
  return Number.isNaN(right) ? -1 : sign * (left - right);
}

function reduce(op: string, list: readonly number[], parameter: number): number {
  switch (op) {
    case 'sum':
      return list.reduce((sum, value) => sum + value, 0);
    case 'avg':
      return average(list);
    case 'min':
      return list.reduce((best, value) => (value < best || Number.isNaN(best) ? value : best));
    case 'max':
      return list.reduce((best, value) => (value > best || Number.isNaN(best) ? value : best));
    case 'count':
      return list.length;
    case 'group':
      return 1;
    case 'quantile':
      return quantile(parameter, list);
    default:
      throw new Error(`the aggregation ${op} has no implementation`);
  }
}

function average(list: readonly number[]): number {
  let mean = 0;
  list.forEach((value, index) => {
    const infinite = !Number.isFinite(mean) && !Number.isNaN(mean);
    if (index > 0 && infinite && (value === mean || Number.isFinite(value))) return;
    mean = index === 0 ? value : mean + (value / (index + 1) - mean / (index + 1));
  });
  return mean;
}
