import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { CommitFacts, DriverGit, GitFile } from '../drivers/driver-git.ts';
import type { UpstreamError } from '../upstream-error.ts';
import { branchMoves, historyOf, touchedFiles } from './branch-history.ts';
import { isProtected } from './branch-names.ts';
import { gitFailure, neverSent, notSent } from './git-program.ts';
import { openSession, type GitSession, type LendGitOptions } from './git-session.ts';
import { pushRef } from './push-ref.ts';
import { buildCommit, buildTree } from './scratch-commit.ts';

/**
 * The git face that a driver is lent for one call. Here stand the rules that no driver can forget: commands have fixed
 * shapes and take full commit ids, only the configured remote is spoken to, only the write mode pushes, only to the
 * branch of the target, never to a protected one.
 */
const COMMIT_ID = /^[0-9a-f]{40}$/;

export function lendGit(options: LendGitOptions): DriverGit {
  const session = openSession(options);
  const scratch = async <T>(work: (folder: string) => Promise<T>): Promise<T> => {
    const folder = await options.mirrors.scratch();
    try {
      return await work(folder);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  };
  const guardPush = (branch: string): void => {
    if (options.mode !== 'write') throw neverSent('blocked', 'only an approved write pushes');
    if (branch !== options.branch)
      throw neverSent('blocked', 'a write may only touch the branch of the target');
    if (isProtected(options.repository.protected, branch))
      throw neverSent('blocked', `${branch} is a protected branch`);
  };
  return {
    ...reads(session),
    build: (commit, words) =>
      scratch(async (folder) => {
        const tree = await buildTree(session, folder, commit);
        return { tree, id: words === null ? null : await buildCommit(session, folder, commit, tree, words) };
      }),
    pushCommit: (commit, words, { branch, expected, tree }) =>
      scratch(async (folder) => {
        guardPush(branch);
        if ((await buildTree(session, folder, commit)) !== tree)
          throw neverSent('blocked', 'the change makes another tree than the approved one');
        const to = await buildCommit(session, folder, commit, tree, words);
        return pushRef(session, { branch, expected, to, objects: join(folder, 'objects') });
      }),
    moveBranch: (branch, expected, to) => {
      guardPush(branch);
      return pushRef(session, { branch, expected, to: to === null ? null : checked(to), objects: null });
    },
  };
}

type Reads = Omit<DriverGit, 'build' | 'pushCommit' | 'moveBranch'>;

function reads(session: GitSession): Reads {
  return {
    refresh: (how) => session.refresh(how),
    branches: () => branchesOf(session),
    commit: (id) => commitFacts(session, checked(id)),
    branchesWith: async (commit) => {
      const args = ['for-each-ref', '--format=%(refname)', '--contains', checked(commit), 'refs/heads'];
      const result = await session.run(args);
      // A commit that the mirror does not have is contained in nothing.
      const refs = result.code === 0 ? result.stdout.toString('utf8').split('\n') : [];
      return refs.filter((ref) => ref !== '').map((ref) => ref.slice('refs/heads/'.length));
    },
    isAncestor: async (commit, of) => {
      const result = await session.run(['merge-base', '--is-ancestor', checked(commit), checked(of)]);
      return result.code === 0;
    },
    file: (commit, path) => fileAt(session, checked(commit), path),
    entries: (commit, folder) => entriesOf(session, checked(commit), folder === null ? [] : [`${folder}/`]),
    blobText: async (id, bytes_max) => {
      const size = Number((await text(session, ['cat-file', '-s', checked(id)])).trim());
      if (!(size <= bytes_max)) throw tooLarge(`the file has ${size} bytes, at most ${bytes_max} are read`);
      const bytes = await output(session, ['cat-file', 'blob', checked(id)]);
      if (bytes.includes(0)) throw neverSent('invalid', 'the file is not text');
      return bytes.toString('utf8');
    },
    log: (commit, limit, path) =>
      text(session, [
        'log',
        '--no-color',
        '--no-ext-diff',
        '--no-textconv',
        '--no-mailmap',
        '--no-notes',
        '--no-decorate',
        `--max-count=${Math.trunc(limit)}`,
        '--format=%H%x00%P%x00%an%x00%ae%x00%aI%x00%cI%x00%B%x01',
        checked(commit),
        '--',
        ...(path === null ? [] : [path]),
      ]),
    diff: (from, to, path) =>
      text(session, [
        'diff-tree',
        '-p',
        '-r',
        '-M',
        '--stat',
        '--no-color',
        '--no-ext-diff',
        '--no-textconv',
        checked(from),
        checked(to),
        '--',
        ...(path === null ? [] : [path]),
      ]),
    history: (commit, not, limit) => historyOf(session, checked(commit), not.map(checked), limit),
    touched: (commits) => {
      for (const { id, parent } of commits) [id, ...(parent === null ? [] : [parent])].forEach(checked);
      return touchedFiles(session, commits);
    },
    moves: () => branchMoves(session),
    blame: (commit, path, first_line, last_line) => {
      const lines = `${Math.trunc(first_line)},${Math.trunc(last_line)}`;
      return text(session, ['blame', '--line-porcelain', '-L', lines, checked(commit), '--', path]);
    },
  };
}

async function branchesOf(session: GitSession): Promise<ReadonlyMap<string, string>> {
  const listed = await text(session, ['for-each-ref', '--format=%(objectname) %(refname)', 'refs/heads']);
  const branches = new Map<string, string>();
  for (const line of listed.split('\n'))
    if (line !== '') branches.set(line.slice(41 + 'refs/heads/'.length), line.slice(0, 40));
  return branches;
}

async function commitFacts(session: GitSession, id: string): Promise<CommitFacts | null> {
  const args = ['log', '--no-walk', '--no-mailmap', '--format=%H%x00%P%x00%T%x00%ce%x00%B', id, '--'];
  const result = await session.run(args);
  if (result.ended === 'exit' && result.code !== 0) return null;
  if (result.code !== 0) throw gitFailure(result, 'reading the commit');
  const [found = '', parents = '', tree = '', committer_email = '', message = ''] = result.stdout
    .toString('utf8')
    .split('\0');
  // An annotated tag or the like is not what was asked for.
  if (found !== id) return null;
  return {
    id,
    parents: parents.split(' ').filter((parent) => parent !== ''),
    tree,
    committer_email,
    message: message.trimEnd(),
  };
}

async function fileAt(session: GitSession, commit: string, path: string): Promise<GitFile | null> {
  const found = await entriesOf(session, commit, [path]);
  return found.get(path.slice(path.lastIndexOf('/') + 1)) ?? null;
}

/** Entries by the last part of their path. */
async function entriesOf(
  session: GitSession,
  commit: string,
  paths: readonly string[],
): Promise<ReadonlyMap<string, GitFile>> {
  const listed = await text(session, ['ls-tree', '-z', '-l', commit, '--', ...paths]);
  const entries = new Map<string, GitFile>();
  for (const line of listed.split('\0')) {
    const match = /^(\d{6}) (blob|tree|commit) ([0-9a-f]{40}) +(\d+|-)\t/.exec(line);
    if (match === null) continue;
    const [head, mode = '', type, id = '', size] = match;
    const kind =
      type === 'tree'
        ? 'directory'
        : type === 'commit'
          ? 'submodule'
          : mode === '120000'
            ? 'symlink'
            : 'file';
    const path = line.slice(head.length);
    entries.set(path.slice(path.lastIndexOf('/') + 1), {
      kind,
      executable: mode === '100755',
      id,
      size_bytes: size === '-' ? null : Number(size),
    });
  }
  return entries;
}

async function output(session: GitSession, args: readonly string[]): Promise<Buffer> {
  const result = await session.run(args);
  if (result.code === 0) return result.stdout;
  throw notSent(gitFailure(result, `git ${args[0] ?? ''}`));
}

async function text(session: GitSession, args: readonly string[]): Promise<string> {
  return (await output(session, args)).toString('utf8');
}

function checked(id: string): string {
  if (!COMMIT_ID.test(id)) throw neverSent('blocked', 'a commit is named by its full id');
  return id;
}

function tooLarge(message: string): UpstreamError {
  return neverSent('too-large', message);
}
