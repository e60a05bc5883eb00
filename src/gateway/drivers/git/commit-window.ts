import type { BranchMoves } from '../driver-git.ts';

/**
 * When a commit came to a branch. Its own dates are what somebody's clock said; what our mirror saw is proof: at one
 * fetch the commit was not there, at the next one it was. Pure.
 */
export interface ArrivalWindow {
  /** The last time that the remote was asked and the commit was not there; null: nobody asked before. */
  readonly absent_ms: number | null;
  /** The fetch that brought it; null: it was there before moves were remembered. */
  readonly seen_ms: number | null;
}

/** A clock may be this much ahead and still be believed. */
const CLOCK_AHEAD_MS_MAX = 5 * 60_000;
const SECOND_MS = 1000;

/** The window of what a move at `at_s` brought. Moves have whole seconds, so only an earlier second counts as before. */
export function windowOf(asked_ms: BranchMoves['asked_ms'], at_s: number): ArrivalWindow {
  const absent_ms = asked_ms.findLast((ms) => Math.floor(ms / SECOND_MS) < at_s) ?? null;
  return { absent_ms, seen_ms: at_s * SECOND_MS + SECOND_MS - 1 };
}

/** Whether a commit came after a moment: proven by the mirror, else by its date, if that can be true. */
export function cameAfter(
  { absent_ms, seen_ms }: ArrivalWindow,
  committed_ms: number | null,
  since_ms: number,
): 'after' | 'before' | 'unknown' {
  if (absent_ms !== null && absent_ms >= since_ms) return 'after';
  if (seen_ms !== null && seen_ms < since_ms) return 'before';
  if (committed_ms === null || (seen_ms !== null && committed_ms > seen_ms + CLOCK_AHEAD_MS_MAX))
    return 'unknown';
  return committed_ms >= since_ms ? 'after' : 'before';
}

/**
 * The time that is told: the commit's own when it lies inside the window, else the earliest possible one, so that a
 * wrong clock makes nobody look slower than they were.
 */
export function timeOf(
  { absent_ms, seen_ms }: ArrivalWindow,
  committed_ms: number | null,
  since_ms: number,
): number | null {
  const earliest_ms = Math.max(absent_ms ?? Number.NEGATIVE_INFINITY, since_ms);
  const latest_ms = seen_ms ?? Number.POSITIVE_INFINITY;
  // The commit's date has whole seconds.
  if (committed_ms !== null && committed_ms + SECOND_MS > earliest_ms && committed_ms <= latest_ms)
    return committed_ms;
  if (Number.isFinite(earliest_ms)) return earliest_ms;
  return seen_ms;
}
