/** Selectors: matchers, range and offset, with Prometheus's complaints about their combination. */
import type { SyntaxNode } from '@lezer/common';
import { createMatcher, METRIC_NAME, selectsEverything, type Matcher, type MatchOp } from './label-set.ts';
import type { Selector } from './promql-ast.ts';
import { outsideSubset, parseError, type PromqlError } from './promql-error.ts';
import { durationMs, unquote } from './promql-literal.ts';

export function childrenOf(node: SyntaxNode): SyntaxNode[] {
  const found: SyntaxNode[] = [];
  for (let child = node.firstChild; child !== null; child = child.nextSibling) found.push(child);
  return found;
}

export function textOf(query: string, node: SyntaxNode | null): string {
  return node === null ? '' : query.slice(node.from, node.to);
}

/** The matchers of a VectorSelector, the metric name as one of them. */
export function readMatchers(query: string, node: SyntaxNode): readonly Matcher[] {
  const name = node.getChild('Identifier');
  const list = node.getChild('LabelMatchers');
  const found =
    list === null
      ? []
      : childrenOf(list)
          .filter(isMatcher)
          .map((child) => readMatcher(query, child));
  if (name === null) return found;
  const twice = found.find((matcher) => matcher.name === METRIC_NAME && matcher.op === '=');
  if (twice !== undefined) {
    throw parseError(
      query,
      node.from,
      `metric name must not be set twice: "${textOf(query, name)}" or "${twice.value}"`,
    );
  }
  return [createMatcher(METRIC_NAME, '=', textOf(query, name)), ...found];
}

function isMatcher(node: SyntaxNode): boolean {
  return /(Matcher|LabelName)$/.test(node.name);
}

function readMatcher(query: string, node: SyntaxNode): Matcher {
  if (node.name !== 'UnquotedLabelMatcher')
    throw outsideSubset(`a quoted label name (${textOf(query, node)})`);
  const value = unquote(textOf(query, node.getChild('StringLiteral'))) ?? '';
  try {
    const op = textOf(query, node.getChild('MatchOp')) as MatchOp;
    return createMatcher(textOf(query, node.getChild('LabelName')), op, value);
  } catch (error) {
    throw parseError(query, node.from, `error parsing regexp: ${regexpProblem(error)}: \`^(?:${value})$\``);
  }
}

function regexpProblem(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  if (/missing closing \)/.test(text)) return 'missing closing )';
  return text.replace(/^error parsing regexp: /, '').replace(/: `.*$/s, '');
}

/** A selector with its modifiers, which apply to nothing but selectors. */
export function readSelector(query: string, node: SyntaxNode, modifiers: readonly SyntaxNode[]): Selector {
  const matchers = readMatchers(query, node);
  if (selectsEverything(matchers)) {
    throw parseError(query, node.from, 'vector selector must contain at least one non-empty matcher');
  }
  const plain: Selector = { kind: 'selector', from: node.from, matchers, offset_ms: 0 };
  const seen: string[] = [];
  return modifiers.reduce((selector, modifier) => {
    const changed = applyModifier(query, selector, modifier, seen);
    seen.push(modifier.name);
    return changed;
  }, plain);
}

function applyModifier(
  query: string,
  selector: Selector,
  modifier: SyntaxNode,
  seen: readonly string[],
): Selector {
  refuseModifier(modifier);
  if (modifier.name === 'OffsetExpr') {
    if (seen.includes('OffsetExpr'))
      throw parseError(query, selector.from, 'offset may not be set multiple times');
    return { ...selector, offset_ms: offsetOf(query, modifier) };
  }
  const bracket = bracketOf(query, modifier);
  if (seen.includes('OffsetExpr'))
    throw parseError(query, bracket, 'no offset modifiers allowed before range');
  if (seen.includes('MatrixSelector'))
    throw parseError(query, bracket, 'ranges only allowed for vector selectors');
  return { ...selector, range_ms: rangeOf(query, modifier) };
}

/** A modifier behind something that is no selector. */
export function refuseModifierOn(query: string, from: number, modifier: SyntaxNode): never {
  refuseModifier(modifier);
  if (modifier.name === 'MatrixSelector') {
    throw parseError(query, bracketOf(query, modifier), 'ranges only allowed for vector selectors');
  }
  throw parseError(
    query,
    from,
    'offset modifier must be preceded by an instant vector selector or range vector selector or a subquery',
  );
}

function refuseModifier(modifier: SyntaxNode): void {
  const names: Readonly<Record<string, string>> = {
    SubqueryExpr: 'a subquery',
    StepInvariantExpr: 'the @ modifier',
    AnchoredExpr: 'the anchored modifier',
    SmoothedExpr: 'the smoothed modifier',
  };
  const construct = names[modifier.name];
  if (construct !== undefined) throw outsideSubset(construct);
}

function bracketOf(query: string, modifier: SyntaxNode): number {
  return query.indexOf('[', modifier.firstChild?.to ?? modifier.from);
}

function offsetOf(query: string, modifier: SyntaxNode): number {
  const duration = modifier.getChild('OffsetDurationExpr');
  const text = textOf(query, duration).replaceAll(/\s/g, '');
  const size = durationMs(text.replace(/^[+-]/, ''));
  if (size === 0) throw zeroDuration(query, (duration?.to ?? 0) - text.replace(/^[+-]/, '').length);
  if (size !== undefined) return text.startsWith('-') ? -size : size;
  if (/^\d+$/.test(text)) {
    throw parseError(query, duration?.from ?? 0, `unexpected number "${text}" in offset, expected duration`);
  }
  throw outsideSubset(`the offset ${text}`);
}

function rangeOf(query: string, modifier: SyntaxNode): number {
  const duration = modifier.getChild('DurationExpr');
  const text = textOf(query, duration);
  const from = duration?.from ?? 0;
  const range_ms = durationMs(text);
  if (range_ms === 0) throw zeroDuration(query, from);
  if (range_ms !== undefined) return range_ms;
  if (/^[\d.]+$/.test(text)) throw parseError(query, from, 'missing unit character in duration');
  throw outsideSubset(`the range ${text}`);
}

function zeroDuration(query: string, from: number): PromqlError {
  return parseError(query, from, 'duration must be greater than 0');
}
