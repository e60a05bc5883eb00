/** Binary operators: arithmetic, comparisons as filters, and the matching of two vectors. */
import { formatLabels, labelKey, METRIC_NAME, onlyLabels, withoutLabels, type Labels } from './label-set.ts';
import { COMPARISONS, type Binary } from './promql-ast.ts';
import { executionError } from './promql-error.ts';

interface Valued {
  readonly labels: Labels;
  readonly value: number;
}

/** One operation on two numbers; a comparison gives 1 or 0. */
export function arithmetic(op: string, left: number, right: number): number {
  switch (op) {
    case '+':
      return left + right;
    case '-':
      return left - right;
    case '*':
      return left * right;
    case '/':
      return left / right;
    case '%':
      return left % right;
    case '^':
      return power(left, right);
    default:
      return Number(compare(op, left, right));
  }
}

/** Go's Pow, which differs from JavaScript's for bases of one. */
function power(base: number, exponent: number): number {
  if (base === 1) return 1;
  if (base === -1 && (exponent === Infinity || exponent === -Infinity)) return 1;
  return base ** exponent;
}

function compare(op: string, left: number, right: number): boolean {
  switch (op) {
    case '==':
      return left === right;
    case '!=':
      return left !== right;
    case '>':
      return left > right;
    case '<':
      return left < right;
    case '>=':
      return left >= right;
    case '<=':
      return left <= right;
    default:
      throw new Error(`the operator ${op} has no implementation`);
  }
}

function withoutName(labels: Labels): Labels {
  return withoutLabels(labels, [METRIC_NAME]);
}

/** `swapped` means that the scalar stands on the left. A filter always keeps the vector's value. */
export function scalarWithVector(
  expr: Binary,
  vector: readonly Valued[],
  scalar: number,
  swapped: boolean,
): Valued[] {
  const comparing = COMPARISONS.has(expr.op);
  return vector.flatMap(({ labels, value }) => {
    const result = swapped ? arithmetic(expr.op, scalar, value) : arithmetic(expr.op, value, scalar);
    if (!comparing || expr.bool) return [{ labels: withoutName(labels), value: result }];
    return result === 1 ? [{ labels, value }] : [];
  });
}

export function setOperation(expr: Binary, left: readonly Valued[], right: readonly Valued[]): Valued[] {
  const keyOf = signature(expr);
  const leftKeys = new Set(left.map(keyOf));
  const rightKeys = new Set(right.map(keyOf));
  if (expr.op === 'and') return left.filter((element) => rightKeys.has(keyOf(element)));
  if (expr.op === 'unless') return left.filter((element) => !rightKeys.has(keyOf(element)));
  return [...left, ...right.filter((element) => !leftKeys.has(keyOf(element)))];
}

function signature(expr: Binary): (element: Valued) => string {
  const { on, labels } = expr.matching;
  return (element) =>
    labelKey(
      on ? onlyLabels(element.labels, labels) : withoutLabels(element.labels, [...labels, METRIC_NAME]),
    );
}

/** Matches each element of the many side (the left one unless group_right) with the one on the other side. */
export function vectorWithVector(expr: Binary, left: readonly Valued[], right: readonly Valued[]): Valued[] {
  if (left.length === 0 || right.length === 0) return [];
  const swapped = expr.matching.card === 'one-to-many';
  const many = swapped ? right : left;
  const ones = indexOnes(expr, swapped ? left : right, swapped ? 'left' : 'right');
  const keyOf = signature(expr);
  const used = new Map<string, Set<string>>();
  return many.flatMap((element) => {
    const key = keyOf(element);
    const one = ones.get(key);
    if (one === undefined) return [];
    const [a, b] = swapped ? [one.value, element.value] : [element.value, one.value];
    const result = arithmetic(expr.op, a, b);
    if (COMPARISONS.has(expr.op) && !expr.bool && result !== 1) return [];
    const value = COMPARISONS.has(expr.op) && !expr.bool ? a : result;
    const labels = resultLabels(expr, element.labels, one.labels);
    refuseDuplicate(expr, used, key, labels);
    return [{ labels, value }];
  });
}

function indexOnes(expr: Binary, elements: readonly Valued[], side: string): Map<string, Valued> {
  const keyOf = signature(expr);
  const found = new Map<string, Valued>();
  for (const element of elements) {
    const key = keyOf(element);
    const other = found.get(key);
    if (other !== undefined) {
      const { on, labels } = expr.matching;
      const group = on
        ? onlyLabels(element.labels, labels)
        : withoutLabels(element.labels, [...labels, METRIC_NAME]);
      throw executionError(
        `found duplicate series for the match group ${formatLabels(group)} on the ${side} hand-side of the operation: ` +
          `[${formatLabels(element.labels)}, ${formatLabels(other.labels)}];` +
          'many-to-many matching not allowed: matching labels must be unique on one side',
      );
    }
    found.set(key, element);
  }
  return found;
}

function refuseDuplicate(expr: Binary, used: Map<string, Set<string>>, key: string, labels: Labels): void {
  const results = used.get(key) ?? new Set<string>();
  const oneToOne = expr.matching.card === 'one-to-one';
  if (oneToOne && results.size > 0) {
    throw executionError(
      'multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)',
    );
  }
  const result = labelKey(labels);
  if (results.has(result)) {
    throw executionError('multiple matches for labels: grouping labels must ensure unique matches');
  }
  used.set(key, results.add(result));
}

function resultLabels(expr: Binary, many: Labels, one: Labels): Labels {
  const { on, labels, card, include } = expr.matching;
  const kept = COMPARISONS.has(expr.op) && !expr.bool ? many : withoutName(many);
  if (card === 'one-to-one') return on ? onlyLabels(kept, labels) : withoutLabels(kept, labels);
  const included = Object.fromEntries(
    include.map((label) => [label, one[label] ?? '']).filter(([, value]) => value !== ''),
  );
  return { ...withoutLabels(kept, include), ...included };
}
