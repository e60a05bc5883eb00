/** The evaluated subset of PromQL as a tree. `from` is the offset in the query, for error positions. */
import type { Matcher } from './label-set.ts';

export type ValueType = 'scalar' | 'instant vector' | 'range vector' | 'string';

export interface Selector {
  readonly kind: 'selector';
  readonly from: number;
  readonly matchers: readonly Matcher[];
  /** Absent for an instant selector. */
  readonly range_ms?: number;
  readonly offset_ms: number;
}

export interface Matching {
  /** `on(...)` when true, `ignoring(...)` (also the default) when false. */
  readonly on: boolean;
  readonly labels: readonly string[];
  readonly card: 'one-to-one' | 'many-to-one' | 'one-to-many';
  readonly include: readonly string[];
}

export interface Binary {
  readonly kind: 'binary';
  readonly from: number;
  readonly op: string;
  readonly left: Expr;
  readonly right: Expr;
  readonly bool: boolean;
  readonly matching: Matching;
}

export interface Aggregate {
  readonly kind: 'aggregate';
  readonly from: number;
  readonly op: string;
  readonly without: boolean;
  readonly labels: readonly string[];
  readonly parameter: Expr | undefined;
  readonly argument: Expr;
}

export interface Call {
  readonly kind: 'call';
  readonly from: number;
  readonly name: string;
  readonly args: readonly Expr[];
}

export type Expr =
  | { readonly kind: 'number'; readonly from: number; readonly value: number }
  | { readonly kind: 'string'; readonly from: number; readonly value: string }
  | { readonly kind: 'unary'; readonly from: number; readonly op: string; readonly argument: Expr }
  | Selector
  | Binary
  | Aggregate
  | Call;

export const COMPARISONS: ReadonlySet<string> = new Set(['==', '!=', '>', '<', '>=', '<=']);
export const SET_OPERATORS: ReadonlySet<string> = new Set(['and', 'or', 'unless']);

/** Functions of the subset: argument types, and how many of the last may be left out. */
export interface Signature {
  readonly args: readonly ValueType[];
  readonly optional?: number;
  readonly returns: ValueType;
}

const VECTOR_TO_VECTOR: Signature = { args: ['instant vector'], returns: 'instant vector' };
const RANGE_TO_VECTOR: Signature = { args: ['range vector'], returns: 'instant vector' };
const WITH_LIMIT: Signature = { args: ['instant vector', 'scalar'], returns: 'instant vector' };

function signatures(names: readonly string[], signature: Signature): [string, Signature][] {
  return names.map((name) => [name, signature]);
}

export const FUNCTIONS: ReadonlyMap<string, Signature> = new Map<string, Signature>([
  ...signatures(['abs', 'ceil', 'exp', 'floor', 'ln', 'log10', 'log2', 'sgn', 'sqrt'], VECTOR_TO_VECTOR),
  ...signatures(['absent', 'sort', 'sort_desc', 'timestamp'], VECTOR_TO_VECTOR),
  ...signatures(['rate', 'increase', 'irate', 'delta', 'idelta', 'changes', 'resets'], RANGE_TO_VECTOR),
  ...signatures(
    ['avg', 'sum', 'min', 'max', 'count', 'last', 'present', 'absent', 'stddev', 'stdvar'].map(
      (name) => `${name}_over_time`,
    ),
    RANGE_TO_VECTOR,
  ),
  ...signatures(['clamp_max', 'clamp_min'], WITH_LIMIT),
  ['clamp', { args: ['instant vector', 'scalar', 'scalar'], returns: 'instant vector' }],
  ['round', { ...WITH_LIMIT, optional: 1 }],
  ['quantile_over_time', { args: ['scalar', 'range vector'], returns: 'instant vector' }],
  ['scalar', { args: ['instant vector'], returns: 'scalar' }],
  ['vector', { args: ['scalar'], returns: 'instant vector' }],
  ['time', { args: [], returns: 'scalar' }],
]);

export const AGGREGATIONS: ReadonlySet<string> = new Set([
  'sum',
  'avg',
  'min',
  'max',
  'count',
  'group',
  'topk',
  'bottomk',
  'quantile',
]);
export const AGGREGATIONS_WITH_PARAMETER: ReadonlySet<string> = new Set(['topk', 'bottomk', 'quantile']);

/** The static type of an expression. */
export function typeOf(expr: Expr): ValueType {
  switch (expr.kind) {
    case 'number':
      return 'scalar';
    case 'string':
      return 'string';
    case 'selector':
      return expr.range_ms === undefined ? 'instant vector' : 'range vector';
    case 'unary':
      return typeOf(expr.argument);
    case 'binary':
      return typeOf(expr.left) === 'scalar' && typeOf(expr.right) === 'scalar' ? 'scalar' : 'instant vector';
    case 'aggregate':
      return 'instant vector';
    case 'call':
      break;
  }
  return FUNCTIONS.get(expr.name)?.returns ?? 'instant vector';
}
