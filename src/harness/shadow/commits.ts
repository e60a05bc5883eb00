import { z } from 'zod';
import { hashOf } from '../../contract/canonical.ts';
import { parseYamlText } from '../../contract/parse.ts';
import { isoTime } from '../../contract/ports.ts';
import type { ComparedAction, SeenChange } from '../../contract/shadow.ts';
import { plannedCommit } from './compare-commits.ts';
import { isListed } from './people.ts';

/** A captured `commits.yaml` as what people did to a repository. Pure. */

const CommitsFile = z.object({
  repository: z.string(),
  commits: z.array(
    z.object({
      commit: z.string().regex(/^[0-9a-f]{40}$/),
      branch: z.string(),
      protected: z.boolean(),
      target: z.string().optional(),
      author: z.string(),
      committer: z.string(),
      at: z.iso.datetime({ offset: true }),
      subject: z.string(),
      merge: z.boolean().default(false),
      aegis: z.object({ incident: z.string(), change: z.string() }).optional(),
      files: z.array(z.object({ path: z.string(), blob: z.string().nullable() })),
      more_files: z.int().min(0).default(0),
      all_files: z.boolean().default(true),
    }),
  ),
  more: z.boolean(),
  undated: z.int().min(0),
});
type Commit = z.infer<typeof CommitsFile>['commits'][number];

/** A commit under Aegis' own identity; whether Aegis made it stands in the journal. */
export interface ClaimedCommit {
  readonly incident_id: string;
  readonly change_id: string;
  readonly commit: string;
}

export interface CommitsLook {
  /** Oldest first; those of robots only on branches that the plan wanted to write to. */
  readonly changes: readonly SeenChange[];
  /** Keys of those that touch a file of the plan. */
  readonly near: ReadonlySet<string>;
  readonly claimed: readonly ClaimedCommit[];
  /** There may be more than the file has. */
  readonly more: boolean;
  readonly undated: number;
}

/** Files of one commit that are kept, those of the plan first; the captured file itself has more. */
const FIELDS_KEPT = 30;

/** @returns null when the text is no such file. */
export function readCommits(
  text: string,
  robots: readonly string[],
  planned: readonly ComparedAction[],
): CommitsLook | null {
  const parsed = parseYamlText(text);
  const file = parsed.ok ? CommitsFile.safeParse(parsed.value) : null;
  if (file === null || !file.success) return null;
  const { repository, commits, more, undated } = file.data;
  const wanted = planned.map(plannedCommit);
  const paths = new Set(wanted.flatMap((each) => each.files.map(({ path }) => path)));
  const changes = commits
    .filter(({ aegis }) => aegis === undefined)
    .map((commit) => changeOf(repository, commit, robots, paths))
    .filter(({ robot, target }) => !robot || wanted.some(({ branches }) => branches.includes(target)))
    .toSorted((a, b) => (a.at === b.at ? 0 : a.at < b.at ? -1 : 1));
  const near = changes.filter(({ fields }) => fields.some((path) => paths.has(path)));
  const claimed = commits.flatMap(({ aegis, commit }) =>
    aegis === undefined ? [] : [{ incident_id: aegis.incident, change_id: aegis.change, commit }],
  );
  return { changes, near: new Set(near.map(({ key }) => key)), claimed, more, undated };
}

function changeOf(
  repository: string,
  commit: Commit,
  robots: readonly string[],
  paths: ReadonlySet<string>,
): SeenChange {
  const { author, committer, branch, files } = commit;
  const first = files.toSorted((a, b) => Number(paths.has(b.path)) - Number(paths.has(a.path)));
  const kept = first.slice(0, FIELDS_KEPT).map(({ path, blob }) => ({ path: path.slice(0, 500), blob }));
  return {
    // One commit that came to one branch is one act, whatever is said of it at the next look.
    key: hashOf(['git', repository, branch, commit.commit]).slice(0, 32),
    target: commit.target ?? `mcp://git/${repository}/-/branch/-`,
    uid: commit.commit,
    manager: nameOf(author),
    operation: commit.merge ? 'merge' : 'commit',
    at: isoTime(Date.parse(commit.at)),
    generation: 0,
    fields: kept.map(({ path }) => path),
    more_fields: files.length - kept.length + commit.more_files + (commit.all_files ? 0 : 1),
    values: Object.fromEntries(
      kept.map(({ path, blob }) => [path, blob === null ? 'removed' : `blob ${blob}`]),
    ),
    template: null,
    robot: isListed(author, robots) || isListed(committer, robots),
    commit: {
      repository,
      branch: branch.slice(0, 250),
      protected: commit.protected,
      subject: commit.subject.slice(0, 200),
    },
  };
}

/** Aegis is known by more than its name, and that is looked at elsewhere: whoever is left with it borrowed it. */
function nameOf(author: string): string {
  const name = author.trim().slice(0, 100);
  if (name === '') return 'somebody without a name';
  return name.toLowerCase() === 'aegis' ? `somebody named ${name}` : name;
}
