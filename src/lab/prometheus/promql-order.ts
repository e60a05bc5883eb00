/**
 * Puts operators and modifiers back where Prometheus has them. The editor grammar binds a trailing `offset` or `[5m]`
 * to everything on its left (`a + b offset 5m` as `(a + b) offset 5m`) and reads a sign into a number (`-1 ^ 2`), which
 * is good enough to colour text and wrong to evaluate. Here the operands and operators of one level are laid out flat
 * and climbed again with Prometheus's precedences; parentheses and calls are operands and keep their inside.
 */
import type { SyntaxNode } from '@lezer/common';
import type { Expr } from './promql-ast.ts';

/** Postfix nodes; the first child is what the grammar put in front of them. */
const MODIFIERS = new Set([
  'OffsetExpr',
  'MatrixSelector',
  'SubqueryExpr',
  'StepInvariantExpr',
  'AnchoredExpr',
  'SmoothedExpr',
]);

const PRECEDENCE: Readonly<Record<string, number>> = {
  Or: 1,
  And: 2,
  Unless: 2,
  Add: 4,
  Sub: 4,
  Mul: 5,
  Div: 5,
  Mod: 5,
  Atan2: 5,
  Pow: 6,
};
const COMPARISON_PRECEDENCE = 3;
const POWER = 6;

export interface Operand {
  readonly kind: 'operand';
  readonly node: SyntaxNode;
  /** In the order they are written. */
  readonly modifiers: SyntaxNode[];
  /** A number's sign was taken out as a prefix. */
  readonly unsigned: boolean;
}

type Item =
  | Operand
  | { readonly kind: 'prefix'; readonly op: string; readonly from: number }
  | { readonly kind: 'infix'; readonly node: SyntaxNode; readonly precedence: number };

export interface Builders {
  readonly operand: (operand: Operand) => Expr;
  readonly unary: (op: string, from: number, argument: Expr) => Expr;
  /** `node` is the BinaryExpr that holds the operator and its modifiers. */
  readonly binary: (node: SyntaxNode, left: Expr, right: Expr) => Expr;
}

/** Builds one level of an expression with the right precedences. */
export function buildInOrder(node: SyntaxNode, query: string, builders: Builders): Expr {
  return new Climb(flatten(node, query), builders).expression(0);
}

function flatten(node: SyntaxNode, query: string): Item[] {
  const first = node.firstChild;
  if (node.name === 'BinaryExpr' && first !== null && node.lastChild !== null) {
    const operator = first.nextSibling?.name ?? '';
    const precedence = PRECEDENCE[operator] ?? COMPARISON_PRECEDENCE;
    return [...flatten(first, query), { kind: 'infix', node, precedence }, ...flatten(node.lastChild, query)];
  }
  if (node.name === 'UnaryExpr' && first !== null && node.lastChild !== null) {
    return [
      { kind: 'prefix', op: query.slice(first.from, first.to), from: node.from },
      ...flatten(node.lastChild, query),
    ];
  }
  if (MODIFIERS.has(node.name) && first !== null) {
    const items = flatten(first, query);
    const last = items.at(-1);
    if (last?.kind === 'operand') last.modifiers.push(node);
    return items;
  }
  const sign = query[node.from] ?? '';
  const unsigned = node.name === 'NumberDurationLiteral' && (sign === '-' || sign === '+');
  const operand: Operand = { kind: 'operand', node, modifiers: [], unsigned };
  return unsigned ? [{ kind: 'prefix', op: sign, from: node.from }, operand] : [operand];
}

class Climb {
  readonly #items: readonly Item[];
  readonly #builders: Builders;
  #at = 0;

  constructor(items: readonly Item[], builders: Builders) {
    this.#items = items;
    this.#builders = builders;
  }

  expression(least: number): Expr {
    let left = this.#prefixed();
    for (;;) {
      const item = this.#items[this.#at];
      if (item?.kind !== 'infix' || item.precedence < least) return left;
      this.#at += 1;
      const right = this.expression(item.precedence === POWER ? POWER : item.precedence + 1);
      left = this.#builders.binary(item.node, left, right);
    }
  }

  /** A sign binds weaker than `^` and stronger than everything else. */
  #prefixed(): Expr {
    const item = this.#items[this.#at];
    this.#at += 1;
    if (item?.kind === 'prefix') return this.#builders.unary(item.op, item.from, this.expression(POWER));
    if (item?.kind === 'operand') return this.#builders.operand(item);
    throw new Error('an operator without an operand passed the grammar');
  }
}
