import type { Finding, SourceFile } from './source.ts';
import { walk } from './source.ts';

/** Folders whose `index.ts` is a registry; an index anywhere else is a barrel. */
const REGISTRIES: readonly { readonly folder: RegExp; readonly what: string }[] = [
  { folder: /^src\/harness\/gates$/, what: 'gate' },
  { folder: /^src\/harness\/effects$/, what: 'effect' },
  { folder: /^src\/vfs\/mounts$/, what: 'mount' },
  { folder: /^src\/gateway\/drivers$/, what: 'driver' },
  { folder: /^src\/slack\/listeners$/, what: 'listener' },
  { folder: /^src\/slack\/cards$/, what: 'card' },
  { folder: /^src\/lab\/scenarios$/, what: 'scenario' },
];

/** Names that say nothing about what is inside. */
const EMPTY_WORDS = new Set([
  'util',
  'utils',
  'helper',
  'helpers',
  'common',
  'misc',
  'manager',
  'managers',
  'service',
  'services',
]);

const folderOf = (path: string): string => path.slice(0, path.lastIndexOf('/'));

export function nameFindings(paths: readonly string[]): Finding[] {
  return paths.flatMap((path): Finding[] => {
    const findings: Finding[] = [];
    const parts = path.split('/').map((part) => part.replace(/\.[a-z.]+$/, ''));
    const empty = parts.flatMap((part) => part.split(/[-_]/)).find((word) => EMPTY_WORDS.has(word));
    if (empty !== undefined)
      findings.push({
        where: path,
        say: `"${empty}" does not say what is inside; name the file for its main export`,
      });
    const stem = parts.at(-1) ?? '';
    if (/^(src|test)\/.*\.tsx?$/.test(path) && !/^[a-z0-9]+(-[a-z0-9]+)*$/.test(stem))
      findings.push({ where: path, say: 'file names are kebab-case' });
    if (stem === 'index' && path.endsWith('.ts') && !REGISTRIES.some((r) => r.folder.test(folderOf(path))))
      findings.push({
        where: path,
        say: 'index.ts is only a plug-in registry; import the file that has the export, or name this file for what it does',
      });
    return findings;
  });
}

/** Plug-ins that nobody would find: a file of a registry's folder that its index does not reach. */
export function registryFindings(files: readonly SourceFile[]): Finding[] {
  const by_path = new Map(files.map((f) => [f.path, f]));
  const elsewhere = (path: string, folder: string) =>
    files.some((f) => !f.path.startsWith(`${folder}/`) && f.imports.some((i) => i.file === path));
  return files.flatMap((file): Finding[] => {
    const folder = folderOf(file.path);
    const registry = REGISTRIES.find((r) => r.folder.test(folder));
    if (registry === undefined || file.path.endsWith('/index.ts')) return [];
    const reached = new Set<string>();
    const follow = (path: string): void => {
      if (reached.has(path) || !path.startsWith(`${folder}/`)) return;
      reached.add(path);
      for (const one of by_path.get(path)?.imports ?? []) if (one.file !== null) follow(one.file);
    };
    follow(`${folder}/index.ts`);
    if (reached.has(file.path) || (elsewhere(file.path, folder) && !isPlugin(file, registry.what))) return [];
    return [
      { where: file.path, say: `no ${registry.what} of ${folder}/index.ts uses it; add its line there` },
    ];
  });
}

/** A plug-in announces itself by the type of what it exports: a `Driver`, or a function that gives a `Mount`. */
function isPlugin(file: SourceFile, what: string): boolean {
  const word = what.charAt(0).toUpperCase() + what.slice(1);
  let found = false;
  walk(file.program, (node, parents) => {
    if (
      node.type !== 'TSTypeReference' ||
      !String((node['typeName'] as { name?: string }).name).endsWith(word)
    )
      return;
    const [holder, owner] = [parents.at(-1), parents.at(-2)];
    if (holder?.type !== 'TSTypeAnnotation' || !parents.some((p) => p.type === 'ExportNamedDeclaration'))
      return;
    const of_variable = owner?.type === 'Identifier' && parents.at(-3)?.type === 'VariableDeclarator';
    const of_result = owner?.type === 'FunctionDeclaration' && owner['returnType'] === holder;
    if (of_variable || of_result) found = true;
  });
  return found;
}

// A class of one letter each, so that this file does not find itself.
const LATER = /\b(?:TO[D]O|FIX[M]E|X[X]X|HA[C]K)\b/;
const OUTSIDE = /\.\.\/share[d]\b|(?<![\w.~-])\/(?:wor[k]|roo[t])\//;
const REGISTRY_HOST = /"resolved": "https?:\/\/(?!registry\.npmjs\.org\/)/;

export function commentFindings(files: readonly SourceFile[]): Finding[] {
  return files.flatMap((file) =>
    file.comments.flatMap((comment): Finding[] => {
      const word = LATER.exec(comment.value)?.[0];
      return word === undefined
        ? []
        : [
            {
              where: `${file.path}:${file.line_of(comment.start)}`,
              say: `${word}: do it now, or write it where work is planned; the code says what is`,
            },
          ];
    }),
  );
}

/** Text of any kind that only makes sense on one machine. */
export function textFindings(path: string, text: string): Finding[] {
  const findings: Finding[] = [];
  text.split('\n').forEach((line, n) => {
    const where = `${path}:${n + 1}`;
    const outside = OUTSIDE.exec(line)?.[0];
    if (outside !== undefined)
      findings.push({
        where,
        say: `names "${outside}", which exists on one machine only; copy what is needed into the repository`,
      });
    if (REGISTRY_HOST.test(line))
      findings.push({ where, say: 'names a private package registry; write the lockfile without it' });
    if (!/\.(ts|tsx|mts|json)$/.test(path) && LATER.test(line))
      findings.push({ where, say: 'a note for later; do it now, or write it where work is planned' });
  });
  return findings;
}
