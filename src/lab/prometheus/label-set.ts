/** Label sets and matchers as Prometheus and Loki share them. Patterns run on RE2 only, anchored at both ends. */
import { RE2JS } from 're2js';

export type Labels = Readonly<Record<string, string>>;
export const METRIC_NAME = '__name__';

export type MatchOp = '=' | '!=' | '=~' | '!~';

export interface Matcher {
  readonly name: string;
  readonly op: MatchOp;
  readonly value: string;
  /** Whether a label's value (empty when the label is absent) passes. */
  readonly accepts: (value: string) => boolean;
}

/** Throws re2js's syntax exception for a bad pattern. */
export function createMatcher(name: string, op: MatchOp, value: string): Matcher {
  return { name, op, value, accepts: acceptor(op, value) };
}

function acceptor(op: MatchOp, value: string): (given: string) => boolean {
  if (op === '=') return (given) => given === value;
  if (op === '!=') return (given) => given !== value;
  const pattern = RE2JS.compile(`^(?:${value})$`);
  return op === '=~' ? (given) => pattern.test(given) : (given) => !pattern.test(given);
}

export function matchesAll(labels: Labels, matchers: readonly Matcher[]): boolean {
  return matchers.every((matcher) => matcher.accepts(labels[matcher.name] ?? ''));
}

/** True when every series would pass, which both servers refuse as a query for everything. */
export function selectsEverything(matchers: readonly Matcher[]): boolean {
  return matchers.every((matcher) => matcher.accepts(''));
}

/** An identity for a label set: equal sets, equal text. Empty values count as absent. */
export function labelKey(labels: Labels): string {
  const names = Object.keys(labels).filter((name) => labels[name] !== '');
  return JSON.stringify(names.sort().map((name) => [name, labels[name]]));
}

export function withoutLabels(labels: Labels, names: readonly string[]): Labels {
  return Object.fromEntries(Object.entries(labels).filter(([name]) => !names.includes(name)));
}

export function onlyLabels(labels: Labels, names: readonly string[]): Labels {
  return Object.fromEntries(
    Object.entries(labels).filter(([name, value]) => names.includes(name) && value !== ''),
  );
}

/** Prometheus's order of label sets: by sorted name and value pairs. */
export function compareLabels(left: Labels, right: Labels): number {
  const leftPairs = Object.entries(left).sort(byName);
  const rightPairs = Object.entries(right).sort(byName);
  for (let index = 0; index < Math.min(leftPairs.length, rightPairs.length); index += 1) {
    const [leftName = '', leftValue = ''] = leftPairs[index] ?? [];
    const [rightName = '', rightValue = ''] = rightPairs[index] ?? [];
    if (leftName !== rightName) return leftName < rightName ? -1 : 1;
    if (leftValue !== rightValue) return leftValue < rightValue ? -1 : 1;
  }
  return leftPairs.length - rightPairs.length;
}

function byName([left]: readonly [string, string], [right]: readonly [string, string]): number {
  return left < right ? -1 : Number(left > right);
}

/** `{a="1", b="2"}` as both servers print label sets in errors. */
export function formatLabels(labels: Labels): string {
  const pairs = Object.entries(labels).sort(byName);
  return `{${pairs.map(([name, value]) => `${name}=${JSON.stringify(value)}`).join(', ')}}`;
}
