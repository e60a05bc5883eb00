/**
 * PromQL text to the subset's tree: the official grammar does the parsing, this file walks its nodes, refuses by name
 * what the twin does not evaluate, and then checks types as Prometheus's parser does.
 */
import { parser } from '@prometheus-io/lezer-promql';
import type { SyntaxNode } from '@lezer/common';
import type { Matcher } from './label-set.ts';
import {
  AGGREGATIONS,
  AGGREGATIONS_WITH_PARAMETER,
  FUNCTIONS,
  type Expr,
  type Matching,
} from './promql-ast.ts';
import { checkTypes } from './promql-check.ts';
import { outsideSubset, parseError } from './promql-error.ts';
import { durationMs, numberValue, unquote } from './promql-literal.ts';
import { buildInOrder, type Builders, type Operand } from './promql-order.ts';
import { childrenOf, readMatchers, readSelector, refuseModifierOn, textOf } from './promql-selector.ts';
import { describeSyntaxError } from './promql-syntax.ts';

/** Throws `PromqlError`: 400 with Prometheus's words, or 422 naming a construct outside of the subset. */
export function parsePromql(query: string): Expr {
  const tree = parser.parse(query);
  const stuck = firstProblem(query, tree.topNode);
  const top = firstExpression(tree.topNode);
  if (stuck !== undefined || top === undefined) throw describeSyntaxError(query, stuck ?? 0);
  const expr = build(query, top);
  checkTypes(query, expr);
  return expr;
}

/** The matchers of a bare series selector, as the `match[]` parameters hold. */
export function parseSeriesSelector(text: string): readonly Matcher[] {
  if (text.trim() === '') throw parseError(text, 0, 'unexpected end of input');
  const tree = parser.parse(text);
  const top = firstExpression(tree.topNode);
  const stuck = firstProblem(text, tree.topNode);
  if (stuck === undefined && top?.name === 'VectorSelector') return readMatchers(text, top);
  if (top?.name === 'MatrixSelector') throw parseError(text, text.indexOf('['), 'unexpected "["');
  throw describeSyntaxError(text, stuck ?? top?.from ?? 0);
}

/** Where the grammar got stuck, or a string literal that it accepts and Go would not. */
function firstProblem(query: string, node: SyntaxNode): number | undefined {
  let at: number | undefined;
  node.cursor().iterate((inner) => {
    const badString =
      inner.name === 'StringLiteral' && unquote(query.slice(inner.from, inner.to)) === undefined;
    if (inner.type.isError || badString) at ??= inner.from;
  });
  return at;
}

function firstExpression(top: SyntaxNode): SyntaxNode | undefined {
  return childrenOf(top).find((child) => child.name !== 'LineComment');
}

function build(query: string, node: SyntaxNode): Expr {
  const builders: Builders = {
    operand: (operand) => buildOperand(query, operand),
    unary: (op, from, argument) => ({ kind: 'unary', from, op, argument }),
    binary: (inner, left, right) => buildBinary(query, inner, left, right),
  };
  return buildInOrder(node, query, builders);
}

function buildOperand(query: string, operand: Operand): Expr {
  const { node, modifiers } = operand;
  if (node.name === 'VectorSelector') return readSelector(query, node, modifiers);
  const [modifier] = modifiers;
  if (modifier !== undefined) refuseModifierOn(query, node.from, modifier);
  switch (node.name) {
    case 'NumberDurationLiteral':
      return buildNumber(query, node, operand.unsigned);
    case 'StringLiteral':
      return { kind: 'string', from: node.from, value: unquote(textOf(query, node)) ?? '' };
    case 'ParenExpr': {
      const inner = firstExpression(node);
      return build(query, inner ?? node);
    }
    case 'AggregateExpr':
      return buildAggregate(query, node);
    case 'FunctionCall':
      return buildCall(query, node);
    default:
      throw outsideSubset(`${node.name} (${textOf(query, node)})`);
  }
}

function buildNumber(query: string, node: SyntaxNode, unsigned: boolean): Expr {
  const text = textOf(query, node).slice(unsigned ? 1 : 0);
  const value = numberValue(text);
  if (value !== undefined) return { kind: 'number', from: node.from, value };
  if (durationMs(text) !== undefined) throw parseError(query, node.from, `unexpected duration "${text}"`);
  if (text.includes('_')) throw outsideSubset(`the number ${text}`);
  const problem = /^0x$/i.test(text) ? 'invalid syntax' : 'value out of range';
  throw parseError(
    query,
    node.from,
    `error parsing number: strconv.ParseFloat: parsing "${text}": ${problem}`,
  );
}

function buildBinary(query: string, node: SyntaxNode, left: Expr, right: Expr): Expr {
  const parts = childrenOf(node).filter((part) => part.name !== 'LineComment');
  const operator = parts[1] ?? node;
  if (operator.name === 'Atan2' || operator.name.startsWith('Trim')) {
    throw outsideSubset(`the operator ${textOf(query, operator)}`);
  }
  if (parts.some((part) => part.name === 'FillModifier')) throw outsideSubset('the fill modifier');
  const clause = parts.find((part) => part.name === 'MatchingModifierClause');
  return {
    kind: 'binary',
    from: operator.from,
    op: textOf(query, operator).toLowerCase(),
    left,
    right,
    bool: parts.some((part) => part.name === 'BoolModifier'),
    matching: readMatching(query, clause),
  };
}

function readMatching(query: string, clause: SyntaxNode | undefined): Matching {
  if (clause === undefined) return { on: false, labels: [], card: 'one-to-one', include: [] };
  const [labels, include] = clause.getChildren('GroupingLabels');
  const left = clause.getChild('GroupLeft') !== null;
  const right = clause.getChild('GroupRight') !== null;
  return {
    on: clause.getChild('On') !== null,
    labels: readLabels(query, labels),
    card: left ? 'many-to-one' : right ? 'one-to-many' : 'one-to-one',
    include: readLabels(query, include),
  };
}

function readLabels(query: string, node: SyntaxNode | null | undefined): string[] {
  if (node === undefined || node === null) return [];
  const names = childrenOf(node).filter((child) => child.name.endsWith('LabelName'));
  const quoted = names.find((child) => child.name === 'QuotedLabelName');
  if (quoted !== undefined) throw outsideSubset(`a quoted label name (${textOf(query, quoted)})`);
  return names.map((child) => textOf(query, child));
}

function buildAggregate(query: string, node: SyntaxNode): Expr {
  const op = textOf(query, node.getChild('AggregateOp')).toLowerCase();
  if (!AGGREGATIONS.has(op)) throw outsideSubset(`the aggregation ${op}`);
  const modifier = node.getChild('AggregateModifier');
  const args = readArguments(query, node);
  const expected = AGGREGATIONS_WITH_PARAMETER.has(op) ? 2 : 1;
  const argument = args.at(-1);
  if (args.length !== expected || argument === undefined) {
    const complaint =
      args.length === 0
        ? 'no arguments for aggregate expression provided'
        : `wrong number of arguments for aggregate expression provided, expected ${expected}, got ${args.length}`;
    throw parseError(query, node.from, complaint);
  }
  return {
    kind: 'aggregate',
    from: node.from,
    op,
    without: modifier !== null && modifier.getChild('Without') !== null,
    labels: readLabels(query, modifier?.getChild('GroupingLabels')),
    parameter: expected === 2 ? args[0] : undefined,
    argument,
  };
}

function buildCall(query: string, node: SyntaxNode): Expr {
  const name = textOf(query, node.getChild('FunctionIdentifier'));
  if (!FUNCTIONS.has(name)) throw outsideSubset(`the function ${name}()`);
  return { kind: 'call', from: node.from, name, args: readArguments(query, node) };
}

function readArguments(query: string, node: SyntaxNode): Expr[] {
  const body = node.getChild('FunctionCallBody');
  const found = body === null ? [] : childrenOf(body).filter((child) => child.name !== 'LineComment');
  return found.map((child) => build(query, child));
}
