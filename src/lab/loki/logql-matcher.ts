/** One `label op "value"`, in a stream selector or as a label filter, and the complaint about a bad pattern. */
import type { SyntaxNode } from '@lezer/common';
import { createMatcher, type Matcher, type MatchOp } from '../prometheus/label-set.ts';
import { unquote } from '../prometheus/promql-literal.ts';
import { parseError, type LokiError } from './loki-error.ts';

export function readMatcher(query: string, node: SyntaxNode): Matcher {
  const label = node.getChild('Identifier');
  const literal = node.getChild('String');
  const name = label === null ? '' : query.slice(label.from, label.to);
  const op = query.slice(label?.to ?? node.from, literal?.from ?? node.to).trim() as MatchOp;
  const value = literal === null ? '' : (unquote(query.slice(literal.from, literal.to)) ?? '');
  try {
    return createMatcher(name, op, value);
  } catch (error) {
    throw regexpError(error, value);
  }
}

/** re2js speaks Go's words for what is wrong with a pattern. */
export function regexpError(error: unknown, pattern: string): LokiError {
  const problem = (error instanceof Error ? error.message : String(error)).replace(
    /^error parsing regexp: /,
    '',
  );
  return parseError(
    `error parsing regexp: ${problem.includes('`') ? problem : `${problem}: \`${pattern}\``}`,
  );
}
