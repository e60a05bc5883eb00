import type { BranchMoves, CommitOnParent, LoggedCommit, TouchedFiles } from '../drivers/driver-git.ts';
import type { ChildResult } from '../child-process.ts';
import { fetchTimes } from './git-mirrors.ts';
import { gitFailure, notSent } from './git-program.ts';
import type { GitSession } from './git-session.ts';

/**
 * What happened on branches. Everything is read between NUL characters, which neither a name nor a message nor a path
 * can hold: whatever a commit says of itself, it cannot pass for two.
 */
const HEADS = 'refs/heads/';
const FIELDS = ['%H', '%P', '%an', '%cn', '%ce', '%at', '%ct', '%B'];
const TOUCHED_BYTES_MAX = 1024 * 1024;
const COMMIT_ID = /^[0-9a-f]{40}$/;
/** The last day that every calendar here can write. */
const SECONDS_MAX = 253_402_300_799;

export async function historyOf(
  session: GitSession,
  commit: string,
  not: readonly string[],
  limit: number,
): Promise<readonly LoggedCommit[]> {
  const result = await session.run([
    'log',
    '-z',
    '--first-parent',
    '--no-patch',
    '--no-color',
    '--no-mailmap',
    '--no-notes',
    '--no-decorate',
    `--max-count=${Math.trunc(limit)}`,
    `--format=${FIELDS.join('%x00')}`,
    commit,
    ...not.map((id) => `^${id}`),
    '--',
  ]);
  const words = textOf(result, 'git log').split('\0');
  const commits: LoggedCommit[] = [];
  for (let at = 0; at + FIELDS.length <= words.length; at += FIELDS.length) {
    const [id = '', parents = '', author = '', committer = '', committer_email = '', ...rest] = words.slice(
      at,
      at + FIELDS.length,
    );
    const [authored, committed, message = ''] = rest;
    commits.push({
      id,
      parents: parents.split(' ').filter((parent) => parent !== ''),
      author,
      committer,
      committer_email,
      authored_ms: dateMs(authored),
      committed_ms: dateMs(committed),
      message: message.trimEnd(),
    });
  }
  return commits;
}

function dateMs(text: string | undefined): number | null {
  const seconds = /^\d{1,12}$/.test(text ?? '') ? Number(text) : Number.NaN;
  // Git writes 0 for a date that it cannot read.
  return seconds > 0 && seconds <= SECONDS_MAX ? seconds * 1000 : null;
}

/** All in one run of git; what one commit pushes beyond the limit of bytes is told as not complete. */
export async function touchedFiles(
  session: GitSession,
  commits: readonly CommitOnParent[],
): Promise<ReadonlyMap<string, TouchedFiles>> {
  const touched = new Map<string, TouchedFiles>();
  let left = commits;
  while (left.length > 0) {
    const result = await session.run(
      ['diff-tree', '--stdin', '--always', '--root', '-r', '--raw', '-z', '--no-abbrev', '--no-renames'],
      {
        input: left.map(({ id, parent }) => `${id}${parent === null ? '' : ` ${parent}`}\n`).join(''),
        stdout_bytes_max: TOUCHED_BYTES_MAX,
      },
    );
    const cut = result.ended === 'too-large';
    const found = parseTouched(cut ? result.stdout.toString('utf8') : textOf(result, 'git diff-tree'));
    const done = cut ? Math.max(1, found.length) : left.length;
    found.forEach(({ id, files }, n) => touched.set(id, { files, complete: !cut || n < done - 1 }));
    left = left.slice(done);
  }
  return touched;
}

/** For each commit its id, then pairs of facts and path; behind the last NUL stands nothing, or what was cut off. */
function parseTouched(text: string): { id: string; files: TouchedFiles['files'][number][] }[] {
  const words = text.split('\0');
  const found: { id: string; files: TouchedFiles['files'][number][] }[] = [];
  for (let at = 0; at + 1 < words.length; at += 1) {
    const word = words[at] ?? '';
    if (COMMIT_ID.test(word)) {
      found.push({ id: word, files: [] });
      continue;
    }
    const [, blob = '', status] = /^:\d+ \d+ [0-9a-f]+ ([0-9a-f]+) (\w)/.exec(word) ?? [];
    at += 1;
    if (status === undefined || at + 1 >= words.length) break;
    found.at(-1)?.files.push({ path: words[at] ?? '', blob: status === 'D' ? null : blob });
  }
  return found;
}

export async function branchMoves(session: GitSession): Promise<BranchMoves> {
  const args = ['reflog', 'show', '--all', '--date=unix', '--format=%H%x00%gD%x00'];
  const words = textOf(await session.run(args), 'git reflog').split('\0');
  const moves = new Map<string, { at_s: number; commit: string }[]>();
  for (let at = 0; at + 1 < words.length; at += 2) {
    const [, ref, second] = /^(.*)@\{(\d+)\}$/.exec(words[at + 1] ?? '') ?? [];
    if (ref?.startsWith(HEADS) !== true) continue;
    const branch = ref.slice(HEADS.length);
    const known = moves.get(branch) ?? [];
    known.push({ at_s: Number(second), commit: (words[at] ?? '').trim() });
    moves.set(branch, known);
  }
  for (const known of moves.values()) known.reverse();
  return { tips: await branchTips(session), asked_ms: await fetchTimes(session.mirror()), moves };
}

async function branchTips(session: GitSession): Promise<BranchMoves['tips']> {
  const format = '--format=%(objectname) %(committerdate:unix) %(refname)';
  const listed = textOf(await session.run(['for-each-ref', format, HEADS]), 'git for-each-ref');
  const tips = new Map<string, { commit: string; committed_ms: number | null }>();
  for (const line of listed.split('\n')) {
    const [, commit, date, branch] = /^([0-9a-f]{40}) (\d*) refs\/heads\/(.+)$/.exec(line) ?? [];
    if (commit !== undefined && branch !== undefined)
      tips.set(branch, { commit, committed_ms: dateMs(date) });
  }
  return tips;
}

function textOf(result: ChildResult, doing: string): string {
  if (result.code === 0) return result.stdout.toString('utf8');
  throw notSent(gitFailure(result, doing));
}
