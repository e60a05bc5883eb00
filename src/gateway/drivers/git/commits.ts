import { z } from 'zod';
import { isoTime } from '../../../contract/ports.ts';
import { isProtected } from '../../git/branch-names.ts';
import { COMMITTER_EMAIL } from '../../git/scratch-commit.ts';
import { readTool, type CallHandle, type ReadAnswer } from '../driver.ts';
import type { DriverGit, TouchedFiles } from '../driver-git.ts';
import { arrivalsSince, type Arrival, type Arrivals } from './branch-arrivals.ts';
import { branchOf, gitOf, missing, repositoryOf } from './branch-of.ts';
import { claimedChange } from './commit-plan.ts';
import { timeOf } from './commit-window.ts';
import { READS } from './read-tools.ts';

/**
 * What came to the branches: the first-parent history of each, so that a merge is one act, of whoever merged, with all
 * the files that it brought. Names, subjects and dates are what the writer says. E-mail addresses are looked at here
 * (is it Aegis' own commit?) and go no further.
 */
const COMMITS_MAX = 200;
const FILES_MAX = 50;
/** Longer texts are not cut, since half an address or key would not be recognised by the redaction. */
const TEXT_CHARS_MAX = 2000;

export const GIT_COMMITS = readTool({
  ...READS,
  name: 'git.commits',
  description:
    'Lists the newest commits of a branch, or, since a moment, what came to one branch or to all: author, committer, times, touched files.',
  input: z.strictObject({
    since: z.iso.datetime({ offset: true }).optional(),
    limit: z.int().min(1).max(COMMITS_MAX).default(50),
  }),
  read: (handle, { since, limit }) => read(handle, since === undefined ? null : Date.parse(since), limit),
});

async function read(handle: CallHandle, since_ms: number | null, limit: number): Promise<ReadAnswer> {
  const git = gitOf(handle);
  const branch = handle.target.name === '-' ? null : branchOf(handle);
  if (branch === null && since_ms === null)
    throw missing('without a branch it takes the moment from which on commits are wanted (since)');
  await git.refresh('recent');
  const { found, more, undated } =
    since_ms === null
      ? await newest(git, branch ?? '', limit)
      : await since(handle, git, { branch, since_ms, limit });
  const asked = found.map(({ commit }) => ({ id: commit.id, parent: commit.parents[0] ?? null }));
  const touched = await git.touched(asked);
  const came = since_ms === null ? '' : ` (what came since ${isoTime(since_ms)})`;
  const patterns = repositoryOf(handle).protected;
  const commits = found.map((each) => ({
    ...row(each, touched.get(each.commit.id), since_ms),
    protected: isProtected(patterns, each.branch),
  }));
  return {
    result: { commits, more, undated },
    source_query: `git log --first-parent --max-count=${limit} ${branch ?? '--branches'}${came}`,
  };
}

async function newest(git: DriverGit, branch: string, limit: number): Promise<Arrivals> {
  const tip = (await git.branches()).get(branch);
  if (tip === undefined) throw missing(`there is no branch ${branch}`);
  const commits = await git.history(tip, [], limit + 1);
  const window = { absent_ms: null, seen_ms: null };
  const found = commits.slice(0, limit).map((commit) => ({ branch, commit, window }));
  return { found, more: commits.length > limit, undated: 0 };
}

async function since(
  handle: CallHandle,
  git: DriverGit,
  asked: { readonly branch: string | null; readonly since_ms: number; readonly limit: number },
): Promise<Arrivals> {
  const known = await git.moves();
  if (asked.branch !== null && !known.tips.has(asked.branch))
    throw missing(`there is no branch ${asked.branch}`);
  const all = await arrivalsSince(git, known, { ...asked, protected: repositoryOf(handle).protected });
  const at = (each: Arrival): number => timeOf(each.window, each.commit.committed_ms, asked.since_ms) ?? 0;
  const found = all.found.toSorted((a, b) => at(b) - at(a));
  return { ...all, found: found.slice(0, asked.limit), more: all.more || found.length > asked.limit };
}

function row(
  { branch, commit, window }: Arrival,
  touched: TouchedFiles | undefined,
  since_ms: number | null,
) {
  const { id, parents, author, committer, committer_email, authored_ms, committed_ms, message } = commit;
  const { files, complete } = touched ?? { files: [], complete: false };
  const ours = committer_email === COMMITTER_EMAIL ? claimedChange(message) : null;
  return {
    id,
    branch: whole(branch, 'a branch'),
    merge: parents.length > 1,
    author: whole(author, 'a name'),
    committer: whole(committer, 'a name'),
    authored_at: iso(authored_ms),
    committed_at: iso(committed_ms),
    at: iso(timeOf(window, committed_ms, since_ms ?? Number.NEGATIVE_INFINITY)),
    absent_at: iso(window.absent_ms),
    subject: whole(message.split('\n', 1)[0] ?? '', 'a subject'),
    aegis: ours,
    files: files.slice(0, FILES_MAX).map((file) => ({ path: whole(file.path, 'a path'), blob: file.blob })),
    more_files: Math.max(0, files.length - FILES_MAX),
    all_files: complete,
  };
}

function whole(text: string, what: string): string {
  return text.length <= TEXT_CHARS_MAX ? text : `(${what} of ${text.length} characters)`;
}

function iso(ms: number | null): string | null {
  return ms === null ? null : isoTime(ms);
}
