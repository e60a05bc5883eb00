import type { SourceFilter } from '../pushdown.ts';

/** LogQL as text. Everything that is not ours is a quoted string; the gateway adds the namespace's matcher. */
function logqlSelector(labels: Readonly<Record<string, string>>, extra: readonly string[] = []): string {
  const matchers = Object.entries(labels)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name}=${logqlString(value)}`);
  return `{${[...matchers, ...extra].join(', ')}}`;
}

export function logqlQuery(
  labels: Readonly<Record<string, string>>,
  filters: readonly SourceFilter[],
): string {
  return [logqlSelector(labels), ...filters.map(logqlFilter)].join(' ');
}

/** Streams of which a label could hold one of the words, without regard to case. */
export function logqlProbe(
  labels: Readonly<Record<string, string>>,
  label: string,
  words: readonly string[],
): string {
  return logqlSelector(labels, [
    `${label}=~${logqlString(`(?i).*(?:${words.map(literalPattern).join('|')}).*`)}`,
  ]);
}

function logqlFilter({ literals, ignore_case }: SourceFilter): string {
  const [only, ...others] = literals as [string, ...string[]];
  if (!ignore_case && others.length === 0) return `|= ${logqlString(only)}`;
  const pattern = literals.map(literalPattern).join('|');
  return `|~ ${logqlString(ignore_case ? `(?i)(?:${pattern})` : pattern)}`;
}

function literalPattern(literal: string): string {
  return literal.replaceAll(/[\\.+*?()|[\]{}^$]/g, String.raw`\$&`);
}

/** A double-quoted LogQL string: Go escapes. */
export function logqlString(text: string): string {
  const escaped = text
    .replaceAll(/[\\"]/g, String.raw`\$&`)
    .replaceAll('\t', String.raw`\t`)
    .replaceAll('\n', String.raw`\n`);
  return `"${escaped}"`;
}
