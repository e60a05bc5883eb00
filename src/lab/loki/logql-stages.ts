/** The stages of a pipeline, read from the grammar's nodes. */
import type { SyntaxNode } from '@lezer/common';
import { RE2JS } from 're2js';
import { unquote } from '../prometheus/promql-literal.ts';
import type { Comparison, JsonPath, LabelTest, Stage } from './logql-ast.ts';
import { readMatcher, regexpError } from './logql-matcher.ts';
import { outsideSubset } from './loki-error.ts';
import { byteCount, durationNs } from './units.ts';

const REFUSED: Readonly<Record<string, string>> = {
  LogfmtExpressionParser: 'logfmt with expressions',
  LabelFormatExpr: 'label_format',
  DecolorizeExpr: 'decolorize',
  DropLabelsExpr: 'drop',
  KeepLabelsExpr: 'keep',
  IpLabelFilter: 'the ip() label filter',
};

/** In the order they are written. */
export function readStages(query: string, pipeline: SyntaxNode): Stage[] {
  const before = pipeline.getChild('PipelineExpr');
  const stage = pipeline.getChild('PipelineStage');
  return [
    ...(before === null ? [] : readStages(query, before)),
    ...(stage === null ? [] : readStage(query, stage)),
  ];
}

function text(query: string, node: SyntaxNode | null): string {
  return node === null ? '' : query.slice(node.from, node.to);
}

function readStage(query: string, node: SyntaxNode): Stage[] {
  const lines = node.getChild('LineFilters');
  if (lines !== null) return readLineFilters(query, lines);
  const body = node.lastChild ?? node;
  const refused = REFUSED[body.name];
  if (refused !== undefined) throw outsideSubset(refused);
  switch (body.name) {
    case 'LabelParser':
      if (text(query, body) !== 'json') throw outsideSubset(`the parser ${text(query, body.firstChild)}`);
      return [{ kind: 'json' }];
    case 'JsonExpressionParser':
      return [{ kind: 'json-paths', paths: readJsonPaths(query, body) }];
    case 'LogfmtParser':
      if (text(query, body) !== 'logfmt') throw outsideSubset(`the flags of ${text(query, body)}`);
      return [{ kind: 'logfmt' }];
    case 'LabelFilter':
      return [{ kind: 'labels', test: readLabelTest(query, body) }];
    case 'LineFormatExpr':
      return [readLineFormat(unquote(text(query, body.getChild('String'))) ?? '')];
    default:
      throw outsideSubset(`${body.name} (${text(query, body)})`);
  }
}

/** `name="key.key"`; places in lists and keys in brackets are refused. */
function readJsonPaths(query: string, node: SyntaxNode): JsonPath[] {
  const paths: JsonPath[] = [];
  node.cursor().iterate((inner) => {
    if (inner.name !== 'LabelExtractionExpression') return;
    const label = text(query, inner.node.getChild('Identifier'));
    const path = unquote(text(query, inner.node.getChild('String'))) ?? '';
    if (!/^[a-zA-Z_][a-zA-Z0-9_]*(?:\.[a-zA-Z_][a-zA-Z0-9_]*)*$/.test(path))
      throw outsideSubset(`the json expression ${text(query, inner.node)} (only keys joined by dots are)`);
    paths.push({ label, keys: path.split('.') });
  });
  return paths;
}

function readLineFilters(query: string, node: SyntaxNode): Stage[] {
  const before = node.getChild('LineFilters');
  const filter = node.getChild('LineFilter');
  return [
    ...(before === null ? [] : readLineFilters(query, before)),
    ...(filter === null ? [] : [readLineFilter(query, filter)]),
  ];
}

/** `or` joins patterns: any of them for the positive operators, none of them for the negative ones. */
function readLineFilter(query: string, node: SyntaxNode): Stage {
  const op = text(query, node.getChild('Filter'));
  const patterns: string[] = [];
  node.cursor().iterate((inner) => {
    if (inner.name === 'FilterOp') throw outsideSubset('the ip() line filter');
    if (inner.name === 'String') patterns.push(unquote(query.slice(inner.from, inner.to)) ?? '');
  });
  if (op !== '|=' && op !== '!=' && op !== '|~' && op !== '!~') throw outsideSubset(`the line filter ${op}`);
  const tests = patterns.map((pattern) =>
    op.endsWith('~') ? regexpTest(pattern) : (line: string) => line.includes(pattern),
  );
  const any = (line: string): boolean => tests.some((test) => test(line));
  return { kind: 'line', accepts: op.startsWith('|') ? any : (line) => !any(line) };
}

/** Unanchored RE2, the dot not matching a newline, as Loki compiles line filters. */
function regexpTest(pattern: string): (line: string) => boolean {
  try {
    const compiled = RE2JS.compile(pattern);
    return (line) => compiled.test(line);
  } catch (error) {
    throw regexpError(error, pattern);
  }
}

function readLabelTest(query: string, node: SyntaxNode): LabelTest {
  const parts = node.getChildren('LabelFilter');
  const [left, right] = parts;
  if (left !== undefined && right !== undefined) {
    const kind = node.getChild('Or') === null ? 'and' : 'or';
    return { kind, left: readLabelTest(query, left), right: readLabelTest(query, right) };
  }
  if (left !== undefined) return readLabelTest(query, left);
  const inner = node.firstChild ?? node;
  const refused = REFUSED[inner.name];
  if (refused !== undefined) throw outsideSubset(refused);
  if (inner.name === 'Matcher') return { kind: 'text', matcher: readMatcher(query, inner) };
  return readNumberTest(query, inner.name === 'UnitFilter' ? (inner.firstChild ?? inner) : inner);
}

function readNumberTest(query: string, node: SyntaxNode): LabelTest {
  const label = node.getChild('Identifier');
  const last = node.lastChild;
  const op = query.slice(label?.to ?? node.from, last?.from ?? node.to).trim() as Comparison;
  const literal = text(query, last).replaceAll(/\s/g, '');
  const kinds = { NumberFilter: 'number', DurationFilter: 'duration', BytesFilter: 'bytes' } as const;
  const kind = kinds[node.name as keyof typeof kinds];
  if (kind === undefined) throw outsideSubset(`${node.name} (${text(query, node)})`);
  const value = { number: Number(literal), duration: durationNs(literal), bytes: byteCount(literal) }[kind];
  if (value === undefined || Number.isNaN(value)) throw outsideSubset(`the literal ${literal}`);
  return { kind, label: text(query, label), op, value };
}

/** Only `{{ .label }}` between literal text; any other template action is refused. */
function readLineFormat(template: string): Stage {
  const pieces = template.split(/\{\{\s*\.([a-zA-Z_][a-zA-Z0-9_]*)\s*\}\}/);
  const odd = pieces.find((piece, index) => index % 2 === 0 && /\{\{|\}\}/.test(piece));
  if (odd !== undefined) throw outsideSubset(`the line_format template "${template}" (only {{ .label }} is)`);
  const parts = pieces.map((piece, index) => (index % 2 === 0 ? { text: piece } : { label: piece }));
  return { kind: 'format', parts };
}
