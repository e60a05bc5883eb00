import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, posix, relative, sep } from 'node:path';
import { parseSync, Visitor } from 'oxc-parser';
import type { Comment, Program } from 'oxc-parser';

/** One source file with what the rules ask of it. Paths are relative to the repository, with `/`. */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
  readonly program: Program;
  readonly comments: readonly Comment[];
  readonly imports: readonly Import[];
  readonly line_of: (offset: number) => number;
}

export interface Import {
  /** As written: `./x.ts`, `zod`, `node:fs`; `*` when a dynamic import does not name its module. */
  readonly specifier: string;
  /** Path in the repository when it is relative, else null. */
  readonly file: string | null;
  readonly kind: 'value' | 'type' | 'dynamic';
  readonly names: readonly string[];
  readonly line: number;
}

/** What a rule says: where, what is wrong, what to do. */
export interface Finding {
  readonly where: string;
  readonly say: string;
}

/** Nodes of the syntax tree as the rules see them. */
export type Node = { readonly type: string; readonly start: number; readonly end: number } & Record<
  string,
  unknown
>;

const ROOT = join(import.meta.dirname, '..', '..');
const NOT_OURS = new Set(['node_modules', 'dist', '.git', '.aegis', 'coverage', 'test-results']);

export function parseSource(path: string, text: string): SourceFile {
  const { program, comments, errors } = parseSync(path, text);
  const first = errors[0];
  if (first !== undefined) throw new Error(`${path} cannot be parsed: ${first.message}`);
  const starts = [0];
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
  const line_of = (offset: number): number => {
    let [low, high] = [0, starts.length - 1];
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if ((starts[middle] as number) <= offset) low = middle;
      else high = middle - 1;
    }
    return low + 1;
  };
  return { path, text, program, comments, imports: importsOf(path, program, line_of), line_of };
}

/** Every TypeScript file below a folder of the repository, parsed. */
export function sourcesBelow(folder: string): SourceFile[] {
  return filesBelow(folder)
    .filter((path) => /\.(ts|tsx|mts)$/.test(path))
    .map((path) => parseSource(path, readFileSync(join(ROOT, path), 'utf8')));
}

/** Paths of our own files: nothing that is installed, built or kept by git. */
export function filesBelow(folder: string): string[] {
  const found: string[] = [];
  for (const entry of readdirSync(join(ROOT, folder), { withFileTypes: true })) {
    if (NOT_OURS.has(entry.name)) continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory()) found.push(...filesBelow(path));
    else if (entry.isFile()) found.push(relative(ROOT, join(ROOT, path)).split(sep).join('/'));
  }
  return found.sort();
}

/** Text of a file, or null for what is not text or too large to be written by a person. */
export function textOf(path: string): string | null {
  if (statSync(join(ROOT, path)).size > 2_000_000) return null;
  const bytes = readFileSync(join(ROOT, path));
  return bytes.includes(0) ? null : bytes.toString('utf8');
}

/** Calls `see` for each node of the tree, children after their parent, with the parents (outermost first). */
export function walk(program: Program, see: (node: Node, parents: readonly Node[]) => void): void {
  const parents: Node[] = [];
  const visit = (value: unknown): void => {
    if (Array.isArray(value)) return value.forEach(visit);
    if (typeof value !== 'object' || value === null) return;
    const node = value as Node;
    if (typeof node.type === 'string') {
      see(node, parents);
      parents.push(node);
    }
    for (const [key, child] of Object.entries(node)) if (key !== 'parent') visit(child);
    if (typeof node.type === 'string') parents.pop();
  };
  visit(program);
}

function importsOf(path: string, program: Program, line_of: (offset: number) => number): Import[] {
  const imports: Import[] = [];
  const add = (
    specifier: string,
    kind: Import['kind'],
    start: number,
    names: readonly string[] = [],
  ): void => {
    const file = specifier.startsWith('.') ? posix.join(posix.dirname(path), specifier) : null;
    imports.push({ specifier, file, kind, names, line: line_of(start) });
  };
  new Visitor({
    ImportDeclaration(node) {
      const names = node.specifiers.map((s) =>
        s.type === 'ImportSpecifier'
          ? nameOf(s.imported)
          : s.type === 'ImportDefaultSpecifier'
            ? 'default'
            : '*',
      );
      add(node.source.value, node.importKind === 'type' ? 'type' : 'value', node.start, names);
    },
    ExportNamedDeclaration(node) {
      if (node.source === null) return;
      add(
        node.source.value,
        node.exportKind === 'type' ? 'type' : 'value',
        node.start,
        node.specifiers.map((s) => nameOf(s.local)),
      );
    },
    ExportAllDeclaration(node) {
      add(node.source.value, node.exportKind === 'type' ? 'type' : 'value', node.start, ['*']);
    },
    ImportExpression(node) {
      add(
        node.source.type === 'Literal' && typeof node.source.value === 'string' ? node.source.value : '*',
        'dynamic',
        node.start,
        ['*'],
      );
    },
    TSImportType(node) {
      add(node.source.value, 'type', node.start);
    },
  }).visit(program);
  return imports;
}

function nameOf(name: { type: string; name?: string; value?: unknown }): string {
  return name.name ?? String(name.value);
}
