import { isProtected } from '../../git/branch-names.ts';
import type { BranchMoves, DriverGit, LoggedCommit, SeenMove } from '../driver-git.ts';
import { cameAfter, windowOf, type ArrivalWindow } from './commit-window.ts';

/**
 * Which commits came to which branch since a moment. Where the mirror is older than that, what a branch held then is
 * left out, whatever the dates in it claim; where it is younger, only dates can tell.
 */
export interface Arrival {
  readonly branch: string;
  readonly commit: LoggedCommit;
  readonly window: ArrivalWindow;
}

export interface Arrivals {
  readonly found: readonly Arrival[];
  /** There may be more than was looked at. */
  readonly more: boolean;
  /** Commits whose dates cannot be true and whose arrival nobody saw. */
  readonly undated: number;
}

export interface ArrivalsAsked {
  /** Null: all branches. */
  readonly branch: string | null;
  readonly since_ms: number;
  /** Commits of one branch. */
  readonly limit: number;
  readonly protected: readonly string[];
}

const BRANCHES_MAX = 100;
const MOVES_MAX = 10;
const EXCLUDED_MAX = 2000;
const UNSEEN: ArrivalWindow = { absent_ms: null, seen_ms: null };
const SECOND_MS = 1000;

interface Looking {
  readonly git: DriverGit;
  readonly known: BranchMoves;
  readonly asked: ArrivalsAsked;
  /** Where branches were at the moment; null: nobody looked before it. */
  readonly bases: ReadonlyMap<string, string> | null;
}

export async function arrivalsSince(
  git: DriverGit,
  known: BranchMoves,
  asked: ArrivalsAsked,
): Promise<Arrivals> {
  const look: Looking = { git, known, asked, bases: basesAt(known, asked.since_ms) };
  const moved = movedBranches(look);
  const found: Arrival[] = [];
  let more = moved.length > BRANCHES_MAX;
  let undated = 0;
  const earlier: string[] = [];
  for (const branch of moved.slice(0, BRANCHES_MAX)) {
    const all = await arrivalsOf(look, branch, earlier);
    earlier.push(tipOf(look, branch));
    const judged = all.map((each) => cameAfter(each.window, each.commit.committed_ms, asked.since_ms));
    found.push(...all.slice(0, asked.limit).filter((_, n) => judged[n] === 'after'));
    undated += judged.filter((came) => came === 'unknown').length;
    more ||= all.length > asked.limit && judged.at(-1) !== 'before';
  }
  return { found, more, undated };
}

function basesAt({ asked_ms, moves }: BranchMoves, since_ms: number): ReadonlyMap<string, string> | null {
  if (!asked_ms.some((ms) => ms <= since_ms)) return null;
  const bases = new Map<string, string>();
  for (const [branch, list] of moves) {
    const base = list.findLast(({ at_s }) => at_s * SECOND_MS <= since_ms);
    if (base !== undefined) bases.set(branch, base.commit);
  }
  return bases;
}

/** Protected branches come first, so that a commit stands under the one that is deployed. */
function movedBranches({ known, asked, bases }: Looking): readonly string[] {
  const moved = [...known.tips].filter(([branch, { commit, committed_ms }]) => {
    if (asked.branch !== null) return branch === asked.branch;
    if (bases !== null) return bases.get(branch) !== commit;
    const fetches = known.moves.get(branch)?.length ?? 0;
    return fetches > 1 || committed_ms === null || committed_ms >= asked.since_ms;
  });
  const rank = (branch: string): number => (isProtected(asked.protected, branch) ? 0 : 1);
  return moved.map(([branch]) => branch).toSorted((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
}

async function arrivalsOf(
  look: Looking,
  branch: string,
  earlier: readonly string[],
): Promise<readonly Arrival[]> {
  const { git, asked } = look;
  const not = (await excluded(look, branch, earlier)).slice(0, EXCLUDED_MAX);
  const commits = await git.history(tipOf(look, branch), not, asked.limit + 1);
  if (commits.length === 0) return [];
  const windows = await windowsOf(look, branch, not);
  return commits.map((commit) => ({ branch, commit, window: windows(commit.id) }));
}

/**
 * A branch that went forward keeps what it got: also a commit that another branch had before, since promoting it is the
 * act. A new or rewritten branch shows only commits that no branch had.
 */
async function excluded(
  { git, known, asked, bases }: Looking,
  branch: string,
  earlier: readonly string[],
): Promise<readonly string[]> {
  const tip = known.tips.get(branch)?.commit ?? '';
  const base = bases?.get(branch);
  const forward = base !== undefined && (await git.isAncestor(base, tip));
  const before = forward ? [base] : [...(bases?.values() ?? [])];
  if (asked.branch !== null || (isProtected(asked.protected, branch) && (forward || bases === null)))
    return before;
  const deployed = [...known.tips].filter(([name]) => name !== branch && isProtected(asked.protected, name));
  return [...new Set([...before, ...deployed.map(([, { commit }]) => commit), ...earlier])];
}

/** For each commit the move that brought it to the branch. */
async function windowsOf(
  { git, known, asked, bases }: Looking,
  branch: string,
  not: readonly string[],
): Promise<(id: string) => ArrivalWindow> {
  const all = known.moves.get(branch) ?? [];
  const later = bases === null ? all : all.filter(({ at_s }) => at_s * SECOND_MS > asked.since_ms);
  const last = later.at(-1);
  if (last === undefined) return () => UNSEEN;
  // A branch that is seen for the first time, or again, may hold commits of any age.
  const window = (move: SeenMove): ArrivalWindow => {
    const found = windowOf(known.asked_ms, move.at_s);
    return move === all[0] ? { ...found, absent_ms: null } : found;
  };
  const brought = new Map<string, ArrivalWindow>();
  const walked = later.slice(0, -1).slice(0, MOVES_MAX);
  for (const move of walked)
    for (const { id } of await git.history(move.commit, not, asked.limit + 1))
      if (!brought.has(id)) brought.set(id, window(move));
  // With more moves than are walked, what is left came at some time after those.
  const { absent_ms } = window(later[walked.length] ?? last);
  return (id) => brought.get(id) ?? { absent_ms, seen_ms: window(last).seen_ms };
}

function tipOf({ known }: Looking, branch: string): string {
  return known.tips.get(branch)?.commit ?? '';
}
