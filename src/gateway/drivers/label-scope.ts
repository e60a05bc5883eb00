import type { LRParser } from '@lezer/lr';
import type { SyntaxNode } from '@lezer/common';
import { blocked } from './answer-json.ts';

/**
 * Puts a namespace matcher into every selector of a LogQL or PromQL query. The text is parsed with the real grammar;
 * what does not parse is refused, so that no trick of quoting or comments can hide a selector.
 */
export interface Dialect {
  readonly language: 'LogQL' | 'PromQL';
  readonly parser: LRParser;
  /** Node that selects series or streams. */
  readonly selector: string;
  /** Nodes of label matchers, with the names of their parts. */
  readonly matchers: readonly string[];
  readonly label: readonly string[];
  readonly equals: string;
  readonly not_equals: string;
  readonly literal: readonly string[];
  /** Where a selector takes its matchers: inside existing braces, or after the name when it has none. */
  readonly braces: (selector: SyntaxNode) => { readonly open: number; readonly empty: boolean } | null;
}

interface Insertion {
  readonly at: number;
  readonly text: string;
}

/** @throws UpstreamError `blocked` when the query does not parse or asks for another namespace. */
export function scopeQuery(
  dialect: Dialect,
  query: string,
  label: string,
  value: string,
): { query: string; selectors: number } {
  const tree = dialect.parser.parse(query);
  const insertions: Insertion[] = [];
  tree.iterate({
    enter: (cursor) => {
      if (cursor.type.isError) {
        const near = query.slice(Math.max(0, cursor.from - 10), cursor.from + 20);
        throw blocked(`the ${dialect.language} query does not parse near "${near}"`);
      }
      if (cursor.name !== dialect.selector) return;
      const insertion = scopeSelector(dialect, cursor.node, query, label, value);
      if (insertion !== null) insertions.push(insertion);
    },
  });
  const selectors = countNodes(dialect, query);
  let scoped = query;
  for (const { at, text } of insertions.sort((a, b) => b.at - a.at))
    scoped = scoped.slice(0, at) + text + scoped.slice(at);
  return { query: scoped, selectors };
}

function scopeSelector(
  dialect: Dialect,
  node: SyntaxNode,
  query: string,
  label: string,
  value: string,
): Insertion | null {
  const read = (part: SyntaxNode): string => query.slice(part.from, part.to);
  let present = false;
  for (const matcher of descendants(node, dialect.matchers)) {
    const name = firstChild(matcher, dialect.label);
    if (name === null || unquote(read(name)) !== label) continue;
    const literal = descendants(matcher, dialect.literal).at(-1);
    const text = literal === undefined ? null : plainLiteral(read(literal));
    const equals = descendants(matcher, [dialect.equals]).length > 0;
    const differs = descendants(matcher, [dialect.not_equals]).length > 0;
    if ((equals && text !== value) || (differs && text === value))
      throw blocked(
        `the query asks for ${label} ${equals ? '' : 'not '}${read(literal ?? matcher)}, but the target is ${value}`,
      );
    present ||= equals;
  }
  if (present) return null;
  const matcher = `${label}=${JSON.stringify(value)}`;
  const braces = dialect.braces(node);
  if (braces === null) return { at: node.to, text: `{${matcher}}` };
  return { at: braces.open + 1, text: braces.empty ? matcher : `${matcher},` };
}

/** All nodes of the given kinds below a node, the node's own nested selectors left out. */
function descendants(node: SyntaxNode, names: readonly string[]): SyntaxNode[] {
  const found: SyntaxNode[] = [];
  for (let child = node.firstChild; child !== null; child = child.nextSibling) {
    if (names.includes(child.name)) found.push(child);
    found.push(...descendants(child, names));
  }
  return found;
}

function firstChild(node: SyntaxNode, names: readonly string[]): SyntaxNode | null {
  for (let child = node.firstChild; child !== null; child = child.nextSibling)
    if (names.includes(child.name)) return child;
  return null;
}

function countNodes(dialect: Dialect, query: string): number {
  let count = 0;
  dialect.parser.parse(query).iterate({
    enter: (cursor) => {
      if (cursor.name === dialect.selector) count += 1;
    },
  });
  return count;
}

function unquote(text: string): string {
  return /^["'`].*["'`]$/s.test(text) ? text.slice(1, -1) : text;
}

/** The text of a literal without escapes; null when it has any (then it equals nothing that we trust). */
function plainLiteral(text: string): string | null {
  const inner = unquote(text);
  return inner.includes('\\') && !text.startsWith('`') ? null : inner;
}
