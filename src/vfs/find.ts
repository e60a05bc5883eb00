import type { PathExpr, SourceStage } from '../contract/pipeline.ts';
import { printPath } from '../contract/pipeline-printer.ts';
import { isRefusal, refuse, type Refusal } from '../contract/verdict.ts';
import { patternText } from './grep.ts';
import { isMissing } from './mount.ts';
import type { SourceReader } from './source-reader.ts';
import { noSuchPath, type Tree } from './tree.ts';

/** `find <dir> [-name <glob>]`: paths below a directory, breadth first, within limits of depth, directories and results. */
const DEPTH_MAX = 8;
const DIRECTORIES_MAX = 200;
const PATHS_MAX = 2000;

export async function findPaths(
  source: Extract<SourceStage, { cmd: 'find' }>,
  { tree, io }: { tree: Tree; io: SourceReader },
): Promise<readonly string[] | Refusal> {
  const matches = source.name === undefined ? () => true : globTest(patternText(source.name));
  const root = tree.look(source.path);
  if (root === null) return noSuchPath(source.path);
  const found: string[] = [];
  let level: PathExpr[] = [source.path];
  let opened = 0;
  for (let depth = 0; depth < DEPTH_MAX && level.length > 0; depth++) {
    const next: PathExpr[] = [];
    for (const path of level) {
      const dir = tree.look(path);
      if (dir === null || isRefusal(dir) || dir.kind === 'file') continue;
      if (++opened > DIRECTORIES_MAX) return tooWide(source.path, `more than ${DIRECTORIES_MAX} directories`);
      const entries = await dir.list(io);
      if (isRefusal(entries)) {
        if (depth > 0 && isMissing(entries)) continue;
        return isMissing(entries) ? noSuchPath(source.path) : entries;
      }
      for (const entry of entries) {
        if (entry.name.startsWith('<')) continue;
        const child: PathExpr = {
          segments: [...path.segments, [{ w: 'text', text: entry.name }]],
          params: [],
        };
        if (entry.kind === 'dir') next.push(child);
        if (matches(entry.name)) found.push(`${printPath(child)}${entry.kind === 'dir' ? '/' : ''}`);
        if (found.length > PATHS_MAX) return tooWide(source.path, `more than ${PATHS_MAX} paths`);
      }
    }
    level = next;
  }
  return found;
}

function tooWide(path: PathExpr, what: string): Refusal {
  return refuse(
    'read-too-large',
    `There are ${what} below ${printPath(path)}.`,
    'Start lower in the tree or list one directory.',
  );
}

/** `*` and `?` only; a name is short, so trying positions is bounded. */
function globTest(glob: string): (name: string) => boolean {
  return (name) => {
    let reachable = new Set([0]);
    for (const char of glob) {
      const next = new Set<number>();
      for (const at of reachable) {
        if (char === '*') for (let end = at; end <= name.length; end++) next.add(end);
        else if (at < name.length && (char === '?' || char === name[at])) next.add(at + 1);
      }
      reachable = next;
    }
    return reachable.has(name.length);
  };
}
