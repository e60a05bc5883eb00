/** Functions over instant vectors that keep or make up label sets. */
import { METRIC_NAME, withoutLabels, type Labels } from './label-set.ts';
import type { Expr } from './promql-ast.ts';

interface Valued {
  readonly labels: Labels;
  readonly value: number;
}

/** Applies a function to every value; as in Prometheus the result is no longer that metric, so the name goes. */
export function mapVector(vector: readonly Valued[], apply: (value: number) => number): Valued[] {
  return vector.map(({ labels, value }) => ({
    labels: withoutLabels(labels, [METRIC_NAME]),
    value: apply(value),
  }));
}

/** What absent() can say about something that is not there: the labels that its selector pins to one value. */
export function absentLabels(expr: Expr): Labels {
  if (expr.kind !== 'selector') return {};
  const labels: Record<string, string> = {};
  const seen = new Set<string>();
  for (const { name, op, value } of expr.matchers) {
    if (name === METRIC_NAME) continue;
    if (op === '=' && !seen.has(name)) labels[name] = value;
    else delete labels[name];
    if (op === '=') seen.add(name);
  }
  return Object.fromEntries(Object.entries(labels).filter(([, value]) => value !== ''));
}
