import { z } from 'zod';
import { formatTarget, TargetUri, type Target } from '../../contract/tool.ts';
import { isRefusal, type Refusal } from '../../contract/verdict.ts';
import { wholeFile, type Look, type PathParams } from '../mount.ts';
import { numberParam, onlyParams, sinceParam } from '../path-params.ts';
import type { SourceReader } from '../source-reader.ts';
import { present, yamlLines } from '../yaml-text.ts';
import { badAnswer } from './kube-reader.ts';

/**
 * `commits.yaml?since=1h&limit=50`: commits of one branch, or what came to all branches, newest first. `at` is the time
 * that our own mirror does not contradict; `absent_at`, where there is one, is when the commit was surely not there.
 */
const SINCE_OTHERWISE = '1h';
const LIMIT_OTHERWISE = 50;
const LIMIT_MAX = 200;
const TEXT_CHARS_MAX = 200;

const Answer = z.object({
  commits: z.array(
    z.object({
      id: z.string(),
      branch: z.string(),
      protected: z.boolean(),
      merge: z.boolean(),
      author: z.string(),
      committer: z.string(),
      authored_at: z.string().nullable(),
      committed_at: z.string().nullable(),
      at: z.string().nullable(),
      absent_at: z.string().nullable(),
      subject: z.string(),
      aegis: z.object({ incident_id: z.string(), change_id: z.string() }).nullable(),
      files: z.array(z.object({ path: z.string(), blob: z.string().nullable() })),
      more_files: z.number(),
      all_files: z.boolean(),
    }),
  ),
  more: z.boolean(),
  undated: z.number(),
});
type Commit = z.infer<typeof Answer>['commits'][number];

/** With target `-` all branches, and then always since a moment. */
export function commitsFile(mount: string, target: Target, params: PathParams, now: () => number): Look {
  const bad = onlyParams(params, ['since', 'limit']);
  if (bad !== null) return bad;
  const limit = numberParam(params, 'limit', LIMIT_OTHERWISE, LIMIT_MAX);
  if (isRefusal(limit)) return limit;
  const moment =
    params.has('since') || target.name === '-' ? sinceParam(params, SINCE_OTHERWISE, now) : { at: null };
  if (isRefusal(moment)) return moment;
  const since = moment.at;
  return wholeFile({
    mount,
    evidence: 'stream',
    // Names, subjects and dates are whatever the writer says.
    attacker_writable: true,
    asks: `git log of ${formatTarget(target)}, at most ${limit}${since === null ? '' : `, what came since ${since}`}`,
    read: (io) => readCommits(io, target, since, limit),
  });
}

async function readCommits(
  io: SourceReader,
  target: Target,
  since: string | null,
  limit: number,
): Promise<readonly string[] | Refusal> {
  const result = await io.call('git.commits', target, { ...present({ since }), limit });
  if (isRefusal(result)) return result;
  const parsed = Answer.safeParse(result.result);
  if (!parsed.success) return badAnswer('git.commits', parsed.error);
  const { commits, more, undated } = parsed.data;
  return yamlLines({
    kind: 'Commits',
    repository: target.cluster,
    ...present({ since }),
    commits: commits.map((commit) => commitView(target.cluster, commit)),
    more,
    undated,
  });
}

function commitView(repository: string, commit: Commit): Record<string, unknown> {
  const name = commit.branch.replaceAll('/', '..');
  const target = `mcp://git/${repository}/-/branch/${name}`;
  return {
    commit: commit.id,
    branch: cut(commit.branch),
    protected: commit.protected,
    // A branch whose name no target can hold has none.
    ...(TargetUri.safeParse(target).success ? { target } : {}),
    author: cut(commit.author),
    committer: cut(commit.committer),
    ...present({ at: commit.at, absent_at: commit.absent_at }),
    ...present({ authored_at: commit.authored_at, committed_at: commit.committed_at }),
    subject: cut(commit.subject),
    ...(commit.merge ? { merge: true } : {}),
    ...(commit.aegis === null
      ? {}
      : { aegis: { incident: commit.aegis.incident_id, change: commit.aegis.change_id } }),
    files: commit.files,
    ...(commit.more_files === 0 ? {} : { more_files: commit.more_files }),
    ...(commit.all_files ? {} : { all_files: false }),
  };
}

/** Cut here, behind the redaction: half an address would not be recognised. */
function cut(text: string): string {
  return text.length <= TEXT_CHARS_MAX ? text : `${text.slice(0, TEXT_CHARS_MAX - 1)}…`;
}
