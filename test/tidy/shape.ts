import type { Finding, Node, SourceFile } from './source.ts';
import { walk } from './source.ts';

/** Longest file and longest function of `src`, lines. */
const FILE_LINES_MAX = 400;
const FUNCTION_LINES_MAX = 70;

/** Files that are functions of their arguments: the same input gives the same output, today, tomorrow and in a replay. */
const PURE = [
  /^src\/contract\//,
  /^src\/harness\/(machine|moves|guards|judge|fold|fold-parts|fold-results|fold-rollback|standing|commit-of|freeze-draft|approval-rule|halt-texts|approvers)\.ts$/,
  /^src\/harness\/(gates|notices)\//,
  /^src\/risk\//,
  /^src\/evolution\//,
  /^src\/slack\/cards\//,
  /^src\/slack\/block-limits\.ts$/,
  /^src\/vfs\/(pushdown|pattern-factors|window|grep)\.ts$/,
];
/** Parts of Node that compute and nothing else. */
const PURE_NODE: Readonly<Record<string, readonly string[]>> = {
  'node:crypto': [
    'createHash',
    'createHmac',
    'createPrivateKey',
    'createPublicKey',
    'hkdfSync',
    'sign',
    'timingSafeEqual',
    'verify',
  ],
  'node:util': ['inspect'],
  'node:path': ['posix'],
};
const IMPURE_GLOBALS = new Set([
  'setTimeout',
  'setInterval',
  'setImmediate',
  'fetch',
  'crypto',
  'performance',
  'process',
  'queueMicrotask',
  'WebSocket',
]);
const PURE_SAY = 'pure files take time, ids and randomness as arguments';

/** The environment is read in one place, by verbs, and where the lab hands a clean one to its child. */
const MAY_READ_ENV = /^src\/(config\.ts|cli\/.*|lab\/product\.ts)$/;

/** The door, and the file that finds its own rendered lines again. */
const YAML_DOOR = /^src\/(contract\/parse|vfs\/yaml-text)\.ts$/;

const FUNCTIONS = new Set(['FunctionDeclaration', 'FunctionExpression', 'ArrowFunctionExpression']);

export function lengthFindings(files: readonly SourceFile[]): Finding[] {
  const findings: Finding[] = [];
  for (const file of files) {
    const lines = file.line_of(Math.max(0, file.text.trimEnd().length - 1));
    if (lines > FILE_LINES_MAX)
      findings.push({
        where: file.path,
        say: `has ${lines} lines; ${FILE_LINES_MAX} are the limit: split it by what its parts are about`,
      });
    walk(file.program, (node, parents) => {
      if (!FUNCTIONS.has(node.type)) return;
      const length = file.line_of(node.end) - file.line_of(node.start) + 1;
      if (length > FUNCTION_LINES_MAX)
        findings.push({
          where: `${file.path}:${file.line_of(node.start)}`,
          say: `${functionName(node, parents)} has ${length} lines; ${FUNCTION_LINES_MAX} are the limit: give its steps names of their own`,
        });
    });
  }
  return findings;
}

function functionName(node: Node, parents: readonly Node[]): string {
  const named = [node, ...parents.toReversed()].map(
    (n) => ((n['id'] ?? n['key']) as { name?: string } | null | undefined)?.name,
  );
  return named.find((name) => name !== undefined) ?? 'a function';
}

/** Clock, randomness, environment and I/O in pure files and in whatever they import as values. */
export function purityFindings(files: readonly SourceFile[]): Finding[] {
  const by_path = new Map(files.map((f) => [f.path, f]));
  const reached = new Map<string, string>();
  const follow = (path: string, root: string): void => {
    if (reached.has(path) || !by_path.has(path)) return;
    reached.set(path, root);
    for (const one of by_path.get(path)?.imports ?? [])
      if (one.kind !== 'type' && one.file !== null) follow(one.file, root);
  };
  const pure = files.filter((f) => PURE.some((p) => p.test(f.path)));
  for (const file of pure) reached.set(file.path, file.path);
  for (const file of pure)
    for (const one of file.imports) if (one.kind !== 'type' && one.file !== null) follow(one.file, file.path);
  return [...reached].flatMap(([path, root]) => {
    const why = path === root ? PURE_SAY : `${PURE_SAY}, and ${root} is one that imports this`;
    return impurities(by_path.get(path) as SourceFile).map(({ line, what }) => ({
      where: `${path}:${line}`,
      say: `uses ${what}; ${why}`,
    }));
  });
}

function impurities(file: SourceFile): { line: number; what: string }[] {
  const found = file.imports.flatMap((one): { line: number; what: string }[] => {
    if (!one.specifier.startsWith('node:') || one.kind === 'type') return [];
    const bad = one.names.filter((name) => PURE_NODE[one.specifier]?.includes(name) !== true);
    return bad.length === 0 ? [] : [{ line: one.line, what: `${bad.join(', ')} of ${one.specifier}` }];
  });
  walk(file.program, (node, parents) => {
    const what = impureNode(node, parents.at(-1));
    if (what !== null) found.push({ line: file.line_of(node.start), what });
  });
  return found;
}

function impureNode(node: Node, parent: Node | undefined): string | null {
  if (node.type === 'MemberExpression') {
    const path = memberPath(node);
    if (path === 'Date.now' || path === 'Math.random') return path;
  }
  if (node.type === 'NewExpression' || node.type === 'CallExpression') {
    const callee = (node['callee'] as Node)['name'];
    const empty = (node['arguments'] as unknown[]).length === 0;
    if (callee === 'Date' && (empty || node.type === 'CallExpression'))
      return node.type === 'NewExpression' ? 'new Date()' : 'Date()';
  }
  if (node.type === 'Identifier' && IMPURE_GLOBALS.has(String(node['name'])) && isReference(node, parent))
    return String(node['name']);
  return null;
}

/** A name that is read, not the name of a member, a key or a parameter's type. */
function isReference(node: Node, parent: Node | undefined): boolean {
  if (parent === undefined) return true;
  if (parent.type === 'MemberExpression') return parent['object'] === node || parent['computed'] === true;
  if (parent.type === 'Property') return parent['value'] === node;
  return ![
    'TSPropertySignature',
    'TSMethodSignature',
    'MethodDefinition',
    'PropertyDefinition',
    'ImportSpecifier',
    'LabeledStatement',
    'TSQualifiedName',
    'TSTypeQuery',
  ].includes(parent.type);
}

function memberPath(node: Node): string | null {
  const object = node['object'] as Node;
  const property = node['property'] as Node;
  const name = node['computed'] === true ? property['value'] : property['name'];
  return object.type === 'Identifier' && typeof name === 'string'
    ? `${String(object['name'])}.${name}`
    : null;
}

export function environmentFindings(files: readonly SourceFile[]): Finding[] {
  const findings: Finding[] = [];
  for (const file of files.filter((f) => !MAY_READ_ENV.test(f.path))) {
    const say = 'reads the environment; only config.ts does, everybody else takes settings';
    for (const one of file.imports)
      if (one.specifier === 'node:process')
        findings.push({
          where: `${file.path}:${one.line}`,
          say: `imports node:process; use the global, so that this test sees process.env`,
        });
    walk(file.program, (node) => {
      if (node.type === 'MemberExpression' && memberPath(node) === 'process.env')
        findings.push({ where: `${file.path}:${file.line_of(node.start)}`, say });
    });
  }
  return findings;
}

/** YAML from outside goes through one door with limits; patterns of people never reach V8. */
export function parserDoorFindings(files: readonly SourceFile[]): Finding[] {
  const findings: Finding[] = [];
  for (const file of files) {
    for (const one of file.imports)
      if (one.specifier === 'yaml' && one.kind !== 'type' && !YAML_DOOR.test(file.path))
        for (const name of one.names)
          if (/^(parse|Parser|Lexer|Composer|\*|default)/.test(name))
            findings.push({
              where: `${file.path}:${one.line}`,
              say: `imports ${name} of yaml; YAML from outside goes through parseYamlText of contract/parse.ts, which has limits`,
            });
    walk(file.program, (node) => {
      if (
        (node.type !== 'NewExpression' && node.type !== 'CallExpression') ||
        (node['callee'] as Node)['name'] !== 'RegExp'
      )
        return;
      findings.push({
        where: `${file.path}:${file.line_of(node.start)}`,
        say: 'builds a RegExp at run time; patterns that are not literals run on re2js',
      });
    });
  }
  return findings;
}
