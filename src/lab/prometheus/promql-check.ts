/** Static types, with the words of Prometheus's parser. */
import {
  COMPARISONS,
  FUNCTIONS,
  SET_OPERATORS,
  typeOf,
  type Aggregate,
  type Binary,
  type Call,
  type Expr,
  type ValueType,
} from './promql-ast.ts';
import { parseError } from './promql-error.ts';

/** Throws a parse error at the place Prometheus names. */
export function checkTypes(query: string, expr: Expr): void {
  switch (expr.kind) {
    case 'number':
    case 'string':
    case 'selector':
      return;
    case 'unary':
      checkTypes(query, expr.argument);
      checkUnary(query, expr.argument, expr.from);
      return;
    case 'binary':
      checkTypes(query, expr.left);
      checkTypes(query, expr.right);
      checkBinary(query, expr);
      return;
    case 'aggregate':
      checkAggregate(query, expr);
      return;
    case 'call':
      checkCall(query, expr);
  }
}

function checkUnary(query: string, argument: Expr, from: number): void {
  const type = typeOf(argument);
  if (type === 'scalar' || type === 'instant vector') return;
  throw parseError(
    query,
    from,
    `unary expression only allowed on expressions of type scalar or instant vector, got "${type}"`,
  );
}

function checkBinary(query: string, expr: Binary): void {
  const sides = [expr.left, expr.right];
  const types = sides.map(typeOf);
  if (expr.bool && !COMPARISONS.has(expr.op)) {
    throw parseError(query, expr.from, 'bool modifier can only be used on comparison operators');
  }
  if (COMPARISONS.has(expr.op) && !expr.bool && types.every((type) => type === 'scalar')) {
    throw parseError(query, expr.from, 'comparisons between scalars must use BOOL modifier');
  }
  const wrong = sides.find((_, index) => types[index] !== 'scalar' && types[index] !== 'instant vector');
  if (wrong !== undefined) {
    throw parseError(
      query,
      wrong.from,
      'binary expression must contain only scalar and instant vector types',
    );
  }
  const vectors = types.every((type) => type === 'instant vector');
  if (!vectors && (expr.matching.on || expr.matching.labels.length > 0)) {
    throw parseError(query, leftmost(expr), 'vector matching only allowed between instant vectors');
  }
  if (!vectors && SET_OPERATORS.has(expr.op)) {
    throw parseError(
      query,
      leftmost(expr),
      `set operator "${expr.op}" not allowed in binary scalar expression`,
    );
  }
  if (SET_OPERATORS.has(expr.op) && expr.matching.card !== 'one-to-one') {
    throw parseError(query, leftmost(expr), `no grouping allowed for "${expr.op}" operation`);
  }
  checkIncluded(query, expr);
}

function checkIncluded(query: string, expr: Binary): void {
  const both = expr.matching.on
    ? expr.matching.include.find((label) => expr.matching.labels.includes(label))
    : undefined;
  if (both === undefined) return;
  throw parseError(query, expr.from, `label "${both}" must not occur in ON and GROUP clause at once`);
}

function leftmost(expr: Expr): number {
  return expr.kind === 'binary' ? leftmost(expr.left) : expr.from;
}

function checkAggregate(query: string, expr: Aggregate): void {
  checkTypes(query, expr.argument);
  if (expr.parameter !== undefined) {
    checkTypes(query, expr.parameter);
    expectType(query, expr.parameter, 'scalar', 'aggregation parameter');
  }
  expectType(query, expr.argument, 'instant vector', 'aggregation expression');
}

function checkCall(query: string, expr: Call): void {
  const signature = FUNCTIONS.get(expr.name);
  if (signature === undefined) return;
  const { args: expected, optional = 0 } = signature;
  const given = expr.args.length;
  if (given < expected.length - optional || given > expected.length) {
    const bound = optional === 0 ? '' : given > expected.length ? ' at most' : ' at least';
    const count = given > expected.length ? expected.length : expected.length - optional;
    throw parseError(
      query,
      expr.from,
      `expected${bound} ${count} argument(s) in call to "${expr.name}", got ${given}`,
    );
  }
  expr.args.forEach((argument, index) => {
    checkTypes(query, argument);
    expectType(query, argument, expected[index] ?? 'scalar', `call to function "${expr.name}"`);
  });
}

function expectType(query: string, expr: Expr, wanted: ValueType, where: string): void {
  const type = typeOf(expr);
  if (type !== wanted)
    throw parseError(query, leftmost(expr), `expected type ${wanted} in ${where}, got ${type}`);
}
