import type { ComparedAction, SaidAct, SeenChange, ShadowRow, Unseen } from '../../contract/shadow.ts';
import { parseTarget } from '../../contract/tool.ts';
import { changeWords, isListed } from './people.ts';

/**
 * What people committed against what the plan wanted. A planned commit is done when the planned files have the planned
 * content on its branch, or on the branch that it asks to be merged into. Other content in the same files may be the
 * same repair in other words or another one: nobody can tell, so it counts neither way. Pure.
 */
export interface PlannedCommit {
  /** Targets of the branch, and of the one that a change request is for. */
  readonly branches: readonly string[];
  /** `after` as in `SeenChange.values`. */
  readonly files: readonly { readonly path: string; readonly after: string }[];
}

export interface CommitFacts {
  readonly seen: readonly SeenChange[];
  readonly said: readonly SaidAct[];
  readonly unseen: readonly Unseen[];
  readonly repositories?: readonly string[];
}

export interface Judged {
  readonly row: ShadowRow;
  /** Keys of the changes that belong to this row. */
  readonly used: readonly string[];
}

const FILE = /^\/(?:files|pipeline|executable)\/(.+)$/;
const INTO = /^into (.+)$/;

export function plannedCommit({ target, changes }: ComparedAction): PlannedCommit {
  const { system, cluster } = parseTarget(target);
  if (system !== 'git') return { branches: [], files: [] };
  const files: { path: string; after: string }[] = [];
  const branches = [target];
  for (const { path, after } of changes) {
    const [, file] = FILE.exec(path) ?? [];
    const [, base] = path === '/request' ? (INTO.exec(String(after)) ?? []) : [];
    if (base !== undefined) branches.push(`mcp://git/${cluster}/-/branch/${base.replaceAll('/', '..')}`);
    // "blob <id> executable": a commit is seen with the content of its files, not with their modes.
    if (file !== undefined)
      files.push({ path: file.replaceAll('~0', '~'), after: String(after).split(' ', 2).join(' ') });
  }
  return { branches, files };
}

/** Without a repository that is looked at nothing can be said of what people did there. */
export function isBlindRepository(target: string, { unseen, repositories }: CommitFacts): boolean {
  const { cluster } = parseTarget(target);
  if (repositories?.includes(cluster) !== true) return true;
  return unseen.some(({ place }) => place === '*' || place === `git/${cluster}/*`);
}

export function judgeCommit(action: ComparedAction, facts: CommitFacts): Judged {
  const plan = `${action.change_id} ${action.intent}`.slice(0, 400);
  const wanted = plannedCommit(action);
  const near = facts.seen
    .filter((change) => wanted.branches.includes(change.target) && touches(change, wanted))
    .toSorted(byTime);
  const people = near.filter((change) => !change.robot);
  const used = sameCommits(people, facts.seen);
  const words = wordsOf(people);
  if (people.length > 0 && shows(people, wanted)) {
    const [only] = people;
    const same = people.length === 1 && only?.more_fields === 0 && only.fields.length === wanted.files.length;
    const mark = same ? 'hit' : 'equivalent';
    return { row: { mark, plan, people: words, at: only?.at ?? null }, used };
  }
  const robots = near.filter((change) => change.robot);
  const word = facts.said[0];
  if (word !== undefined && robots.length > 0 && shows(robots, wanted)) {
    const told = `${word.by} said: ${word.text}; ${wordsOf(robots)}`.slice(0, 600);
    return { row: { mark: 'equivalent', plan, people: told, at: word.at }, used };
  }
  if (people.length > 0) {
    const told = `other content in the same files: ${words}`.slice(0, 600);
    return { row: { mark: 'unknown', plan, people: told, at: null }, used };
  }
  const blind = wanted.files.length === 0 || isBlindRepository(action.target, facts);
  return { row: { mark: blind ? 'unknown' : 'extra', plan, people: null, at: null }, used: [] };
}

function touches(change: SeenChange, { files }: PlannedCommit): boolean {
  return files.some(({ path }) => change.fields.includes(path));
}

function shows(changes: readonly SeenChange[], { files }: PlannedCommit): boolean {
  return files.every(({ path, after }) =>
    changes.some((change) => Object.hasOwn(change.values, path) && change.values[path] === after),
  );
}

/** Controllers that bring an object to what stands in git. Others (an autoscaler) write for reasons of their own. */
const APPLIERS = ['argocd', 'argocd-*', 'kustomize-controller', 'helm-controller', 'flux*'];

/**
 * Commits that a GitOps controller may have applied when it brought the planned object to the planned state: then the
 * person's commit and the controller's write are one act, and the commit must not stand there as a second one. Proof
 * there is none, since the object does not say which commit it came from; a controller also undoes what somebody did by
 * hand. So a commit is credited only when it came to a protected branch, a path of it names the object, and the
 * controller wrote after it. A single other commit is shown beside the action and counts neither way; of several nobody
 * knows which, they stay rows of their own.
 */
export function appliedCommits(
  action: ComparedAction,
  writes: readonly SeenChange[],
  seen: readonly SeenChange[],
): { readonly commits: readonly SeenChange[]; readonly used: readonly string[]; readonly named: boolean } {
  const last = writes.filter(isApplier).toSorted(byTime).at(-1);
  if (last === undefined) return { commits: [], used: [], named: false };
  const before = seen.filter(({ commit, robot, at }) => commit !== undefined && !robot && at <= last.at);
  const naming = before.filter((change) => isFor(change, action.target)).toSorted(byTime);
  const one = new Set(before.map(({ uid }) => uid)).size === 1;
  const commits = naming.length > 0 ? naming : one ? before : [];
  return { commits, used: sameCommits(commits, seen), named: naming.length > 0 };
}

/** Whether a GitOps controller wrote to the object that this commit is for, after it: then it has reached it. */
export function hasReached(change: SeenChange, target: string, seen: readonly SeenChange[]): boolean {
  const write = (other: SeenChange): boolean =>
    other.target === target && other.at >= change.at && isApplier(other);
  return isFor(change, target) && seen.some(write);
}

/** By what the controller calls itself; a user whom the cluster knows as a person is none, whatever they call themselves. */
function isApplier({ robot, authenticated, client, manager }: SeenChange): boolean {
  return (robot || authenticated !== true) && isListed(client ?? manager, APPLIERS);
}

/**
 * On a protected branch, with a folder or file of the object's name, whatever its ending:
 * `apps/settlement-api/values.yaml`, `settlement-api.yaml`. Work on other branches is not for anything yet.
 */
function isFor(change: SeenChange, target: string): boolean {
  const { system, name } = parseTarget(target);
  if (system !== 'k8s' || name === '-' || change.commit?.protected !== true) return false;
  return change.fields.some((path) =>
    path.split('/').some((part) => part === name || part.startsWith(`${name}.`)),
  );
}

/** A commit that came to two branches is seen twice and is one act. */
function sameCommits(changes: readonly SeenChange[], seen: readonly SeenChange[]): string[] {
  const uids = new Set(changes.map(({ uid }) => uid));
  return seen.filter(({ commit, uid }) => commit !== undefined && uids.has(uid)).map(({ key }) => key);
}

export function wordsOf(changes: readonly SeenChange[]): string {
  return changes.map(changeWords).join('; ').slice(0, 600);
}

function byTime(a: SeenChange, b: SeenChange): number {
  return a.at === b.at ? 0 : a.at < b.at ? -1 : 1;
}
