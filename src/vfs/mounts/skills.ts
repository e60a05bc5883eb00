import { readdir, readFile, realpath, stat } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { refuse, type Refusal } from '../../contract/verdict.ts';
import { linesOf, lineText } from '../line-text.ts';
import { wholeFile, type Look, type Mount, type MountContext, type VfsDir } from '../mount.ts';
import { noParams } from '../path-params.ts';
import type { SourceReader } from '../source-reader.ts';

/**
 * `/context/skills/_index.json` and `/context/skills/<area>/<file>`: documents from the configured directory. The resolved
 * path is checked, so neither `..` nor a link leads out of it; hidden files do not exist.
 */
const NAME = 'skills';
const DOCUMENT_BYTES_MAX = 1_048_576;

export function skillsMount(context: MountContext): Mount {
  const root = context.skills_dir;
  return {
    name: NAME,
    look(path, params): Look {
      if (root === null || path.length > 6 || path.some((name) => !isPlain(name))) return null;
      const last = path.at(-1);
      if (last === undefined || !last.includes('.')) return skillsDirectory(root, path);
      return (
        noParams(params) ??
        wholeFile({
          mount: NAME,
          evidence: 'document',
          attacker_writable: false,
          asks: `file ${path.join('/')}`,
          read: (io) => readDocument(root, path, io),
        })
      );
    },
  };
}

function isPlain(name: string): boolean {
  return name !== '' && !name.startsWith('.') && !/[/\\]/.test(name);
}

/** The resolved path below the root; null when there is nothing or it lies elsewhere. */
async function resolveInside(root: string, path: readonly string[]): Promise<string | null> {
  try {
    const base = await realpath(root);
    const found = await realpath(join(base, ...path));
    return found === base || found.startsWith(base + sep) ? found : null;
  } catch {
    return null;
  }
}

async function readDocument(
  root: string,
  path: readonly string[],
  io: SourceReader,
): Promise<readonly string[] | Refusal> {
  const found = await resolveInside(root, path);
  const info = found === null ? null : await stat(found);
  if (found === null || info === null || !info.isFile()) return MISSING;
  if (info.size > DOCUMENT_BYTES_MAX)
    return refuse(
      'read-too-large',
      `${path.join('/')} has ${info.size} bytes; the limit is ${DOCUMENT_BYTES_MAX}.`,
      'Split the document.',
    );
  const text = await readFile(found, { encoding: 'utf8', signal: io.signal });
  io.local(`file ${path.join('/')}`, text);
  return linesOf(text.replaceAll('\r\n', '\n').replace(/\n$/, '')).map(lineText);
}

function skillsDirectory(root: string, path: readonly string[]): VfsDir {
  return {
    kind: 'dir',
    async list() {
      const found = await resolveInside(root, path);
      if (found === null || !(await stat(found)).isDirectory()) return MISSING;
      const entries = await readdir(found, { withFileTypes: true });
      return entries
        .filter(
          (entry) =>
            isPlain(entry.name) && entry.name.length <= 300 && (entry.isDirectory() || entry.isFile()),
        )
        .map((entry) => ({
          name: entry.name,
          kind: entry.isDirectory() ? ('dir' as const) : ('file' as const),
        }))
        .sort((a, b) => (a.name < b.name ? -1 : 1));
    },
  };
}

const MISSING: Refusal = refuse('document-not-found', 'There is no such document.', 'List the directory.');
