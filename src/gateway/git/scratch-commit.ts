import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { CommitWords, NewCommit } from '../drivers/driver-git.ts';
import { gitFailure, neverSent, notSent } from './git-program.ts';
import type { GitSession } from './git-session.ts';

/**
 * A tree and a commit made in a folder of their own: an index and an object store that see the mirror's objects and
 * leave nothing in it. Only regular files are made; what a path passes through must be a folder or not be there.
 */
const ID_BYTES_MAX = 4096;
const COMMITTER = { name: 'Aegis', email: 'aegis@noreply.invalid' } as const;

export const COMMITTER_EMAIL: string = COMMITTER.email;

export async function buildTree(session: GitSession, folder: string, commit: NewCommit): Promise<string> {
  await mkdir(join(folder, 'objects'), { recursive: true });
  await run(session, folder, ['read-tree', commit.parent]);
  const records: string[] = [];
  for (const { path, content, executable } of commit.edits) {
    if (content === null) {
      records.push(`0 ${'0'.repeat(40)}\t${path}\0`);
      continue;
    }
    const blob = await run(session, folder, ['hash-object', '-w', '--no-filters', '--stdin'], content);
    records.push(`${executable ? '100755' : '100644'} ${blob}\t${path}\0`);
  }
  await run(session, folder, ['update-index', '-z', '--index-info'], records.join(''));
  return run(session, folder, ['write-tree']);
}

export async function buildCommit(
  session: GitSession,
  folder: string,
  commit: NewCommit,
  tree: string,
  { message, at_s }: CommitWords,
): Promise<string> {
  const args = ['commit-tree', tree, '-p', commit.parent];
  const date = `${Math.trunc(at_s)} +0000`;
  return run(session, folder, args, message, {
    GIT_AUTHOR_NAME: COMMITTER.name,
    GIT_AUTHOR_EMAIL: COMMITTER.email,
    GIT_AUTHOR_DATE: date,
    GIT_COMMITTER_NAME: COMMITTER.name,
    GIT_COMMITTER_EMAIL: COMMITTER.email,
    GIT_COMMITTER_DATE: date,
  });
}

/** Environment in which git writes to the folder and reads the mirror as well. */
export function scratchObjects(session: GitSession, objects: string): Record<string, string> {
  return {
    GIT_OBJECT_DIRECTORY: objects,
    GIT_ALTERNATE_OBJECT_DIRECTORIES: join(session.mirror().git_dir, 'objects'),
  };
}

async function run(
  session: GitSession,
  folder: string,
  args: readonly string[],
  input = '',
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  const result = await session.run(args, {
    input,
    stdout_bytes_max: ID_BYTES_MAX,
    env: {
      ...scratchObjects(session, join(folder, 'objects')),
      GIT_INDEX_FILE: join(folder, 'index'),
      ...env,
    },
  });
  if (result.code === 0) return result.stdout.toString('utf8').trim();
  if (/invalid path|cannot add to the index/i.test(result.stderr))
    throw neverSent('invalid', 'git refuses a path of the change');
  throw notSent(gitFailure(result, `git ${args[0] ?? ''}`));
}
