import { isProtected } from '../../git/branch-names.ts';
import { COMMITTER_EMAIL } from '../../git/scratch-commit.ts';
import { UpstreamError } from '../../upstream-error.ts';
import type { ApplyAnswer, CallHandle, ChangeOrigin, DriverPreview, Observation } from '../driver.ts';
import type { DriverGit, GitFile, NewCommit, TreeEdit } from '../driver-git.ts';
import { branchOf, gitOf, invalid, missing, moved, repositoryOf } from './branch-of.ts';
import {
  BRANCH,
  claimedChange,
  commitWords,
  shownBlob,
  touchedByCommit,
  touchedByRestore,
  type CommitArgs,
  type FileChange,
  type RestoreArgs,
} from './commit-plan.ts';

/** Preview, look and push of one commit on one branch, and the way back. */
const SHOWN_BYTES_MAX = 256 * 1024;

/** A branch that a tool may write to. */
export function writableBranch(handle: CallHandle): string {
  const branch = branchOf(handle);
  if (isProtected(repositoryOf(handle).protected, branch))
    throw new UpstreamError({
      problem: 'blocked',
      sent: 'no',
      status: null,
      message: `${branch} is a protected branch: use git.change_request with it as the base`,
    });
  return branch;
}

export async function previewCommit(handle: CallHandle, args: CommitArgs): Promise<DriverPreview> {
  const branch = writableBranch(handle);
  const git = gitOf(handle);
  await git.refresh('now');
  const tips = await git.branches();
  const tip = tips.get(branch) ?? null;
  const near = [...tips.keys()].find(
    (other) => other !== branch && (other.startsWith(`${branch}/`) || branch.startsWith(`${other}/`)),
  );
  if (near !== undefined) throw invalid(`git cannot have a branch ${branch} beside ${near}`);
  if ((await git.commit(args.parent)) === null || (await git.branchesWith(args.parent)).length === 0)
    throw missing(`no branch contains the commit ${args.parent.slice(0, 12)}`);
  if (tip !== null && tip !== args.parent)
    throw moved(`${branch} is at ${tip.slice(0, 12)} and not at ${args.parent.slice(0, 12)}`);
  const found = await filesAt(git, args);
  const { tree } = await git.build(newCommit(args, found), null);
  const prior = priorFields(args, found, tip);
  const changes = touchedByCommit(args).map(({ path, after }) => ({
    path,
    before: prior[path] ?? null,
    after,
  }));
  if ((await git.commit(args.parent))?.tree === tree) throw invalid('the files are already like that');
  const behind = [...tips.values()].includes(args.parent)
    ? []
    : [`${args.parent.slice(0, 12)} is no longer the newest commit of any branch`];
  const { subject, body } = args;
  return {
    object_uid: uidOf(args, tree),
    before: { files: await contents(git, args, found) },
    after: {
      commit: { parent: args.parent, subject, ...(body === '' ? {} : { body }) },
      files: Object.fromEntries(args.files.map((file) => [file.path, file.content])),
    },
    changes,
    side_changes: [],
    warnings: behind,
    resources: null,
  };
}

export async function observeCommit(handle: CallHandle, args: CommitArgs): Promise<Observation> {
  const branch = branchOf(handle);
  const git = gitOf(handle);
  await git.refresh('now');
  const tip = (await git.branches()).get(branch) ?? null;
  if ((await git.commit(args.parent)) === null) return { object_uid: null, values: {} };
  const found = await filesAt(git, args);
  const { tree, id } = await git.build(newCommit(args, found), commitWords(args, originOf(handle)));
  const object_uid = uidOf(args, tree);
  const ours = id ?? '';
  // Also after somebody merged it and removed the branch: it did happen.
  if (tip === ours || (await git.branchesWith(ours)).length > 0) {
    const done = Object.fromEntries(touchedByCommit(args).map(({ path, after }) => [path, after]));
    return { object_uid, values: { ...done, '/commit': ours } };
  }
  return { object_uid, values: { ...priorFields(args, found, tip), '/commit': ours } };
}

export async function applyCommit(handle: CallHandle, args: CommitArgs): Promise<ApplyAnswer> {
  const branch = writableBranch(handle);
  const git = gitOf(handle);
  const { precondition } = handle;
  if (precondition === null) throw invalid('a write needs the approved prior state');
  await git.refresh('now');
  if ((await git.commit(args.parent)) === null)
    return { status: 'conflict', message: 'the parent is in no branch any more' };
  const commit = newCommit(args, await filesAt(git, args));
  const expected = (precondition.changes.find((change) => change.path === BRANCH)?.before ?? null) as
    string | null;
  const tree = treeOfUid(precondition.object_uid);
  const words = commitWords(args, precondition.origin);
  const answer = await git.pushCommit(commit, words, { branch, expected, tree });
  if (answer.status === 'moved') return { status: 'conflict', message: answer.message };
  return { status: 'done', result: { branch, commit: answer.commit } };
}

export async function previewRestore(handle: CallHandle, args: RestoreArgs): Promise<DriverPreview> {
  const branch = writableBranch(handle);
  const git = gitOf(handle);
  const { commit, to } = args.restore;
  await git.refresh('now');
  const tip = (await git.branches()).get(branch) ?? null;
  if (tip !== commit)
    throw moved(
      `${branch} points at ${tip === null ? 'nothing' : tip.slice(0, 12)}, no longer at our commit`,
    );
  const facts = await git.commit(commit);
  if (facts === null || facts.committer_email !== COMMITTER_EMAIL || claimedChange(facts.message) === null)
    throw invalid(`${commit.slice(0, 12)} is not a commit that Aegis made`);
  const [parent] = facts.parents;
  if (to !== null && to !== parent) throw invalid('a branch goes back only to the commit before ours');
  const others = parent === undefined ? [] : await git.branchesWith(parent);
  if (to === null && others.every((other) => other === branch))
    throw invalid(`without ${branch} the commits before ours would be in no branch`);
  return {
    object_uid: `commit ${commit}`,
    before: { branch, points_at: commit },
    after: { branch, points_at: to },
    changes: touchedByRestore(args).map(({ path, after }) => ({ path, before: commit, after })),
    side_changes: [],
    warnings: [],
    resources: null,
  };
}

export async function observeRestore(handle: CallHandle, args: RestoreArgs): Promise<Observation> {
  const git = gitOf(handle);
  await git.refresh('now');
  const tip = (await git.branches()).get(branchOf(handle)) ?? null;
  return { object_uid: `commit ${args.restore.commit}`, values: { [BRANCH]: tip } };
}

export async function applyRestore(handle: CallHandle, args: RestoreArgs): Promise<ApplyAnswer> {
  const branch = writableBranch(handle);
  const git = gitOf(handle);
  const { commit, to } = args.restore;
  await git.refresh('now');
  const answer = await git.moveBranch(branch, commit, to);
  if (answer.status === 'moved') return { status: 'conflict', message: answer.message };
  return { status: 'done', result: { branch, points_at: to } };
}

function originOf({ precondition }: CallHandle): ChangeOrigin {
  if (precondition === null) throw invalid('only the commit of an approved plan can be looked for');
  return precondition.origin;
}

/** People approve a parent and a tree: together they say everything about the files. */
function uidOf(args: CommitArgs, tree: string): string {
  return `tree ${tree} on ${args.parent}`;
}

function treeOfUid(uid: string): string {
  return uid.split(' ')[1] ?? '';
}

type Found = ReadonlyMap<string, GitFile | null>;

/** The files of the change as they are in the parent, and proof that each path can be written there. */
async function filesAt(git: DriverGit, args: CommitArgs): Promise<Found> {
  const folders = new Map<string | null, Promise<ReadonlyMap<string, GitFile>>>();
  const entries = (folder: string | null): Promise<ReadonlyMap<string, GitFile>> => {
    const known = folders.get(folder) ?? git.entries(args.parent, folder);
    folders.set(folder, known);
    return known;
  };
  const found = new Map<string, GitFile | null>();
  for (const { path, content } of args.files) {
    const now = await fileIn(entries, path);
    if (now !== null && now.kind !== 'file') throw invalid(`${path} is a ${now.kind} and is left alone`);
    if (now === null && content === null) throw missing(`${path} is not there to be removed`);
    found.set(path, now);
  }
  return found;
}

/** Every folder on the way is a folder or absent, and no name differs from one that is there only in letter case. */
async function fileIn(
  entries: (folder: string | null) => Promise<ReadonlyMap<string, GitFile>>,
  path: string,
): Promise<GitFile | null> {
  let folder: string | null = null;
  const segments = path.split('/');
  for (const [index, segment] of segments.entries()) {
    const here: ReadonlyMap<string, GitFile> = await entries(folder);
    const folded = segment.toLowerCase();
    const twin = [...here.keys()].find((name) => name !== segment && name.toLowerCase() === folded);
    if (twin !== undefined) throw invalid(`${path} differs from ${twin} only in letter case`);
    const found = here.get(segment);
    if (found === undefined) return null;
    if (index === segments.length - 1) return found;
    folder = folder === null ? segment : `${folder}/${segment}`;
    if (found.kind !== 'directory')
      throw invalid(`${path} leads through ${folder}, which is a ${found.kind}`);
  }
  return null;
}

function newCommit(args: CommitArgs, found: Found): NewCommit {
  const edits: TreeEdit[] = args.files.map(({ path, content, executable }) => ({
    path,
    content,
    executable: executable ?? found.get(path)?.executable ?? false,
  }));
  return { parent: args.parent, edits };
}

/** The touched fields before the change; a branch that is elsewhere shows where. */
function priorFields(args: CommitArgs, found: Found, tip: string | null): Record<string, unknown> {
  const fields = touchedByCommit(args).map(({ path }) => path);
  const shown = (file: FileChange): string | null => {
    const now = found.get(file.path) ?? null;
    return now === null
      ? null
      : shownBlob(now.id, file.executable === undefined ? undefined : now.executable);
  };
  const values = [tip, null, ...args.files.map(shown)];
  return Object.fromEntries(fields.map((path, index) => [path, values[index] ?? null]));
}

async function contents(git: DriverGit, args: CommitArgs, found: Found): Promise<Record<string, unknown>> {
  const texts: Record<string, unknown> = {};
  for (const { path } of args.files) {
    const now = found.get(path) ?? null;
    if (now !== null) texts[path] = await shownText(git, now);
  }
  return texts;
}

async function shownText(git: DriverGit, { id, size_bytes }: GitFile): Promise<string> {
  try {
    return await git.blobText(id, SHOWN_BYTES_MAX);
  } catch (error) {
    if (!(error instanceof UpstreamError) || !['invalid', 'too-large'].includes(error.info.problem))
      throw error;
    return `(${size_bytes ?? 0} bytes that are not shown)`;
  }
}
