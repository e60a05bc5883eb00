import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pathProblem } from '../drivers/git/file-paths.ts';
import { gitFailure, neverSent, notSent } from './git-program.ts';
import type { GitSession } from './git-session.ts';

/**
 * The regular files of a commit, written below a folder without any help of git's checkout: no filter, attribute, hook,
 * link or submodule takes part.
 */
const FILES_MAX = 5000;
const BYTES_MAX = 64 * 1024 * 1024;

export async function exportTree(
  session: GitSession,
  commit: string,
  folder: string,
  wanted: (path: string) => boolean,
): Promise<void> {
  const listed = await output(session, ['ls-tree', '-r', '-z', '-l', '--full-tree', commit, '--'], '');
  const files: { path: string; id: string; mode: number }[] = [];
  let bytes = 0;
  for (const line of listed.toString('utf8').split('\0')) {
    const match = /^100(644|755) blob ([0-9a-f]{40}) +(\d+)\t/.exec(line);
    if (match === null) continue;
    const [head, mode, id = '', size] = match;
    const path = line.slice(head.length);
    if (!wanted(path)) continue;
    // A name that this machine could read as another path is not written.
    if (pathProblem(path) !== null)
      throw neverSent('invalid', `the repository has a path that is not written here`);
    bytes += Number(size);
    files.push({ path, id, mode: mode === '755' ? 0o700 : 0o600 });
  }
  if (files.length > FILES_MAX || bytes > BYTES_MAX)
    throw neverSent('too-large', `the checkout has more than ${FILES_MAX} files or ${BYTES_MAX} bytes`);
  const blobs = await output(session, ['cat-file', '--batch'], files.map(({ id }) => `${id}\n`).join(''));
  let at = 0;
  for (const { path, id, mode } of files) {
    const end = blobs.indexOf('\n', at);
    const [found, , size] = blobs.subarray(at, end).toString('latin1').split(' ');
    if (found !== id) throw neverSent('failed', 'git gave another file than the one asked for');
    const content = blobs.subarray(end + 1, end + 1 + Number(size));
    at = end + 1 + Number(size) + 1;
    const target = join(folder, path);
    await mkdir(dirname(target), { recursive: true, mode: 0o700 });
    await writeFile(target, content, { mode, flag: 'wx' });
  }
}

async function output(session: GitSession, args: readonly string[], input: string): Promise<Buffer> {
  const result = await session.run(args, { input, stdout_bytes_max: BYTES_MAX + 16 * 1024 * 1024 });
  if (result.code === 0) return result.stdout;
  throw notSent(gitFailure(result, `git ${args[0] ?? ''}`));
}
