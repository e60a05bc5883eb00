/**
 * LogQL text to the subset's tree: Grafana's grammar does the parsing, this file walks its nodes and refuses by name what
 * the twin does not evaluate. The grammar knows no operator precedence between metric expressions, so those are limited
 * to one operation with one number.
 */
import { parser } from '@grafana/lezer-logql';
import type { SyntaxNode } from '@lezer/common';
import { selectsEverything, type Matcher } from '../prometheus/label-set.ts';
import { unquote } from '../prometheus/promql-literal.ts';
import type { LogQuery, MetricQuery, Query, RangeOperation, Stage, VectorOperation } from './logql-ast.ts';
import { readMatcher } from './logql-matcher.ts';
import { readStages } from './logql-stages.ts';
import { describeSyntaxError } from './logql-syntax.ts';
import { badRequest, outsideSubset, parseError } from './loki-error.ts';
import { durationNs } from './units.ts';

const QUERY_BYTES_MAX = 5120;
const RANGE_OPERATIONS = new Set<string>(['count_over_time', 'rate', 'bytes_over_time', 'bytes_rate']);
const VECTOR_OPERATIONS = new Set<string>(['sum', 'avg', 'min', 'max', 'count']);

const EVERYTHING =
  'queries require at least one regexp or equality matcher that does not have an empty-compatible value. For instance, app=~".*" does not meet this requirement, but app=~".+" will';

/** Throws `LokiError` 400: Loki's words for bad LogQL, or the name of a construct outside of the subset. */
export function parseLogql(query: string): Query {
  const bytes = Buffer.byteLength(query);
  if (bytes >= QUERY_BYTES_MAX) throw parseError(`input size too long (${bytes} > ${QUERY_BYTES_MAX})`);
  if (/^\s*\{\s*\}/.test(query)) throw parseError(EVERYTHING);
  const tree = parser.parse(query);
  const stuck = firstProblem(query, tree.topNode);
  const top = tree.topNode.getChild('Expr');
  if (stuck !== undefined || top === null) throw describeSyntaxError(query, stuck ?? 0);
  return readExpression(query, top);
}

/** The matchers of a bare stream selector, as `match[]` and the label endpoints take them. */
export function parseSelector(query: string): readonly Matcher[] {
  const parsed = parseLogql(query);
  if (parsed.kind !== 'log' || parsed.stages.length > 0)
    throw badRequest('only label matchers are supported');
  return parsed.matchers;
}

function firstProblem(query: string, node: SyntaxNode): number | undefined {
  let at: number | undefined;
  node.cursor().iterate((inner) => {
    const badString = inner.name === 'String' && unquote(query.slice(inner.from, inner.to)) === undefined;
    if (inner.type.isError || badString) at ??= inner.from;
  });
  return at;
}

function text(query: string, node: SyntaxNode | null): string {
  return node === null ? '' : query.slice(node.from, node.to);
}

function readExpression(query: string, node: SyntaxNode): Query {
  const log = node.getChild('LogExpr');
  if (log !== null) return readLog(query, log);
  const metric = node.getChild('MetricExpr');
  if (metric !== null) return readMetric(query, metric);
  throw outsideSubset(`the expression ${text(query, node)}`);
}

function readLog(query: string, node: SyntaxNode): LogQuery {
  const inner = node.getChild('LogExpr');
  if (inner !== null) return readLog(query, inner);
  const pipeline = node.getChild('PipelineExpr');
  const stages: readonly Stage[] = pipeline === null ? [] : readStages(query, pipeline);
  return { kind: 'log', matchers: readMatchers(query, node.getChild('Selector')), stages };
}

function readMatchers(query: string, selector: SyntaxNode | null): readonly Matcher[] {
  const found: Matcher[] = [];
  selector?.cursor().iterate((inner) => {
    if (inner.name === 'Matcher') found.push(readMatcher(query, inner.node));
  });
  if (selectsEverything(found)) throw parseError(EVERYTHING);
  return found;
}

function readMetric(query: string, node: SyntaxNode): MetricQuery {
  const inner = node.firstChild;
  switch (inner?.name ?? '') {
    case 'MetricExpr':
      return readMetric(query, inner ?? node);
    case 'RangeAggregationExpr':
      return readRange(query, inner ?? node);
    case 'VectorAggregationExpr':
      return readVector(query, inner ?? node);
    case 'BinOpExpr':
      return readOperation(query, inner ?? node);
    case 'VectorExpr':
      throw outsideSubset('vector()');
    case 'LiteralExpr':
      throw outsideSubset('a number as a query');
    case 'LabelReplaceExpr':
      throw outsideSubset('label_replace()');
    default:
      throw outsideSubset(`${inner?.name ?? 'the expression'} (${text(query, node)})`);
  }
}

function readRange(query: string, node: SyntaxNode): MetricQuery {
  const op = text(query, node.getChild('RangeOp'));
  if (!RANGE_OPERATIONS.has(op)) throw outsideSubset(`the range aggregation ${op}`);
  if (node.getChild('Grouping') !== null) throw parseError(`grouping not allowed for ${op} aggregation`);
  const range = node.getChild('LogRangeExpr');
  if (range === null) throw outsideSubset(`${op} over ${text(query, node)}`);
  if (range.getChild('UnwrapExpr') !== null) throw outsideSubset('unwrap');
  const pipeline = range.getChild('PipelineExpr');
  const size = durationOf(query, range.getChild('Range')?.getChild('Duration') ?? null);
  const offset = range.getChild('OffsetExpr');
  return {
    kind: 'range',
    op: op as RangeOperation,
    log: {
      kind: 'log',
      matchers: readMatchers(query, range.getChild('Selector')),
      stages: pipeline === null ? [] : readStages(query, pipeline),
    },
    range_ns: size,
    offset_ns: offset === null ? 0n : durationOf(query, offset.getChild('Duration')),
  };
}

function durationOf(query: string, node: SyntaxNode | null): bigint {
  const size = durationNs(text(query, node));
  if (size === undefined) throw outsideSubset(`the duration ${text(query, node)}`);
  return BigInt(Math.round(size));
}

function readVector(query: string, node: SyntaxNode): MetricQuery {
  const op = text(query, node.getChild('VectorOp'));
  if (!VECTOR_OPERATIONS.has(op)) throw outsideSubset(`the aggregation ${op}`);
  if (node.getChild('Number') !== null)
    throw parseError(`unsupported parameter for operation ${op}(${text(query, node.getChild('Number'))},`);
  const inner = node.getChild('MetricExpr');
  if (inner === null) throw outsideSubset(`${op} over ${text(query, node)}`);
  const grouping = node.getChild('Grouping');
  const labels: string[] = [];
  grouping?.cursor().iterate((child) => {
    if (child.name === 'Identifier') labels.push(query.slice(child.from, child.to));
  });
  return {
    kind: 'vector',
    op: op as VectorOperation,
    without: grouping !== null && grouping.getChild('Without') !== null,
    labels,
    inner: readMetric(query, inner),
  };
}

function readOperation(query: string, node: SyntaxNode): MetricQuery {
  const [left, right] = node.getChildren('Expr');
  const modifier = node.getChild('BinOpModifier');
  const operator = left?.nextSibling ?? null;
  const op = text(query, operator);
  if (left === undefined || right === undefined) throw outsideSubset(`the expression ${text(query, node)}`);
  if (modifier !== null && modifier.getChild('OnOrIgnoringModifier') !== null)
    throw outsideSubset('vector matching (on, ignoring)');
  const numbers = [numberOf(query, left), numberOf(query, right)];
  const scalarFirst = numbers[0] !== undefined;
  const scalar = numbers[0] ?? numbers[1];
  if (scalar === undefined) throw outsideSubset(`the operation ${op} between two metric queries`);
  if (numbers[0] !== undefined && numbers[1] !== undefined)
    throw outsideSubset('an operation between two numbers');
  const inner = readExpression(query, scalarFirst ? right : left);
  if (inner.kind === 'log') {
    const leg = scalarFirst ? 'right' : 'left';
    throw parseError(
      `unexpected type for ${leg} leg of binary operation (${op}): ${inner.stages.length > 0 ? '*syntax.PipelineExpr' : '*syntax.MatchersExpr'}`,
    );
  }
  if (inner.kind === 'scalar-operation') throw outsideSubset('more than one binary operation');
  if (!/^(?:[-+*/%^]|==|!=|>=?|<=?)$/.test(op)) throw outsideSubset(`the operator ${op}`);
  const bool = modifier !== null && modifier.getChild('Bool') !== null;
  return { kind: 'scalar-operation', op, bool, scalar, scalarFirst, inner };
}

function numberOf(query: string, node: SyntaxNode): number | undefined {
  const literal = node.getChild('MetricExpr')?.getChild('LiteralExpr');
  return literal === null || literal === undefined
    ? undefined
    : Number(text(query, literal).replaceAll(/\s/g, ''));
}
