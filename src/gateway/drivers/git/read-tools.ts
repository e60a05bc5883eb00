import { z } from 'zod';
import { readTool, type CallHandle, type ReadAnswer } from '../driver.ts';
import type { DriverGit } from '../driver-git.ts';
import { branchOf, gitOf, invalid, missing } from './branch-of.ts';
import { PATH_CHARS_MAX, pathProblem } from './file-paths.ts';

/** What all reads of a repository have in common. */
export const READS = {
  system: 'git',
  base_class: 'read' as const,
  target_kinds: ['branch'],
  dry_run: 'none' as const,
  timeout_ms_max: 120_000,
  result_bytes_max: 4 * 1024 * 1024,
};

export const CommitId = z.string().regex(/^[0-9a-f]{40}$/, 'the full id of a commit, 40 hex digits');

/** A path that a tree can hold; it goes to git as it stands, after `--` and as a literal. */
export const FilePath = z
  .string()
  .max(PATH_CHARS_MAX)
  .superRefine((path, context) => {
    const problem = pathProblem(path);
    if (problem !== null) context.addIssue({ code: 'custom', message: problem });
  });

const FILE_BYTES_MAX = 1024 * 1024;
const LINES_MAX = 2000;

export const GIT_BRANCHES = readTool({
  ...READS,
  name: 'git.branches',
  description: 'Lists the branches of a repository with the commit that each points at.',
  input: z.strictObject({}),
  read: async (handle): Promise<ReadAnswer> => {
    const git = gitOf(handle);
    await git.refresh('recent');
    const branches = [...(await git.branches())].map(([name, commit]) => ({ name, commit }));
    return { result: { branches }, source_query: 'git for-each-ref refs/heads' };
  },
});

export const GIT_LOG = readTool({
  ...READS,
  name: 'git.log',
  description: 'Lists the commits of a branch, newest first, on request only those that touch a path.',
  input: z.strictObject({
    path: FilePath.optional(),
    commit: CommitId.optional(),
    limit: z.int().min(1).max(500).default(50),
  }),
  read: async (handle, { path, commit, limit }): Promise<ReadAnswer> => {
    const git = gitOf(handle);
    const at = await commitOf(handle, git, commit);
    const text = await git.log(at, limit, path ?? null);
    const commits = text.split('\u0001').map((record) => record.trimStart());
    return {
      result: { commits: commits.filter((record) => record !== '').map(commitOfRecord) },
      source_query: `git log --max-count=${limit} ${at}${path === undefined ? '' : ` -- ${path}`}`,
    };
  },
});

export const GIT_SHOW_FILE = readTool({
  ...READS,
  name: 'git.show_file',
  description:
    'Reads a text file of a branch, at its tip or at one of its commits; a link is shown, never followed.',
  input: z.strictObject({ path: FilePath, commit: CommitId.optional() }),
  read: async (handle, { path, commit }): Promise<ReadAnswer> => {
    const git = gitOf(handle);
    const at = await commitOf(handle, git, commit);
    const file = await git.file(at, path);
    if (file === null) throw missing(`${path} is not in ${at.slice(0, 12)}`);
    const { kind, executable, id } = file;
    const source_query = `git cat-file blob ${at}:${path}`;
    if (kind === 'directory') throw invalid(`${path} is a folder`);
    if (kind === 'submodule') return { result: { path, commit: at, kind, pins: id }, source_query };
    const content = await git.blobText(id, FILE_BYTES_MAX);
    const result =
      kind === 'symlink'
        ? { path, commit: at, kind, points_at: content }
        : { path, commit: at, kind, executable, blob: id, content };
    return { result, source_query };
  },
});

export const GIT_DIFF = readTool({
  ...READS,
  name: 'git.diff',
  description:
    'Shows what changed between two commits of a branch; left out, what its newest commit changed.',
  input: z.strictObject({ from: CommitId.optional(), to: CommitId.optional(), path: FilePath.optional() }),
  read: async (handle, { from, to, path }): Promise<ReadAnswer> => {
    const git = gitOf(handle);
    const end = await commitOf(handle, git, to);
    const start = from ?? (await git.commit(end))?.parents[0];
    if (start === undefined) throw missing(`${end.slice(0, 12)} has no commit before it`);
    const begin = await commitOf(handle, git, start);
    const lines = (await git.diff(begin, end, path ?? null)).split('\n');
    return {
      result: { from: begin, to: end, lines },
      source_query: `git diff-tree -p ${begin} ${end}${path === undefined ? '' : ` -- ${path}`}`,
    };
  },
});

export const GIT_BLAME = readTool({
  ...READS,
  name: 'git.blame',
  description: 'Says which commit wrote each line of a file.',
  input: z
    .strictObject({
      path: FilePath,
      commit: CommitId.optional(),
      first_line: z.int().min(1).max(10_000_000),
      last_line: z.int().min(1).max(10_000_000),
    })
    .refine(({ first_line, last_line }) => last_line >= first_line, 'the last line comes before the first')
    .refine(({ first_line, last_line }) => last_line - first_line < LINES_MAX, `at most ${LINES_MAX} lines`),
  read: async (handle, { path, commit, first_line, last_line }): Promise<ReadAnswer> => {
    const git = gitOf(handle);
    const at = await commitOf(handle, git, commit);
    const file = await git.file(at, path);
    if (file?.kind !== 'file') throw missing(`${path} is no file of ${at.slice(0, 12)}`);
    const text = await git.blame(at, path, first_line, last_line);
    return {
      result: { path, commit: at, lines: linesOfBlame(text) },
      source_query: `git blame -L ${first_line},${last_line} ${at} -- ${path}`,
    };
  },
});

/** The tip of the target's branch, or a commit that it contains: what another branch holds is another target. */
async function commitOf(handle: CallHandle, git: DriverGit, commit: string | undefined): Promise<string> {
  const branch = branchOf(handle);
  await git.refresh('recent');
  const tip = (await git.branches()).get(branch);
  if (tip === undefined) throw missing(`there is no branch ${branch}`);
  if (commit === undefined || commit === tip) return tip;
  if (!(await git.isAncestor(commit, tip))) throw missing(`${branch} has no commit ${commit.slice(0, 12)}`);
  return commit;
}

function commitOfRecord(record: string): Record<string, unknown> {
  const [id, parents = '', author, author_email, authored_at, committed_at, message = ''] =
    record.split('\0');
  return {
    id,
    parents: parents.split(' ').filter((parent) => parent !== ''),
    author,
    author_email,
    authored_at,
    committed_at,
    message: message.trimEnd(),
  };
}

/** `--line-porcelain`: a header per line, the line itself behind a tab. */
function linesOfBlame(text: string): unknown[] {
  const lines: unknown[] = [];
  let commit = '';
  let line = 0;
  const facts: Record<string, string> = {};
  for (const row of text.split('\n')) {
    if (row.startsWith('\t')) {
      const { author = '', summary = '' } = facts;
      const seconds = Number(facts['author-time']);
      const at = Number.isFinite(seconds) ? new Date(seconds * 1000).toISOString() : null;
      lines.push({ line, commit, author, at, summary, text: row.slice(1) });
      continue;
    }
    const header = /^([0-9a-f]{40}) \d+ (\d+)/.exec(row);
    if (header !== null) {
      commit = header[1] ?? '';
      line = Number(header[2]);
      continue;
    }
    const space = row.indexOf(' ');
    if (space > 0) facts[row.slice(0, space)] = row.slice(space + 1);
  }
  return lines;
}
