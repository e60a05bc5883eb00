import { AUTONOMY_LEVELS } from './incident.ts';
import type { Autonomy } from './incident.ts';
import type { LadderRaise, Score } from './shadow.ts';

/**
 * Where a place stands on the ladder of autonomy: read_only, suggest, approve, limited. Down is automatic and at once, up
 * is earned step by step and decided by two people. Harness and gateway both ask before anything runs without a person.
 * Pure.
 */

/** Newest scores of one place that count. */
export const SCORES_MAX = 1000;

export interface Standing {
  /** Highest level that the ladder allows; configuration may allow less. */
  readonly cap: Autonomy;
  /** Why it was lowered last; null when it never was, or was raised since. */
  readonly lowered: { readonly incident_id: string; readonly at: string; readonly why: string } | null;
  /** Only what came after the last change of level counts for the next. */
  readonly since: string | null;
}

/** Where a place stands by everything that was scored and decided there, in the order in which it happened. */
export function standingOf(scores: readonly Score[], raises: readonly LadderRaise[]): Standing {
  const facts = [
    ...scores.map((score) => ({ at: score.at, score, raise: null })),
    ...raises.map((raise) => ({ at: raise.at, score: null, raise })),
  ].toSorted((a, b) => (a.at === b.at ? 0 : a.at < b.at ? -1 : 1));
  let standing: Standing = { cap: 'limited', lowered: null, since: null };
  for (const { at, score, raise } of facts) {
    if (raise !== null) {
      const raised = minLevel(raise.to, oneUp(standing.cap));
      if (rank(raised) > rank(standing.cap)) standing = { cap: raised, lowered: null, since: at };
      continue;
    }
    const why = badness(score);
    if (why === null) continue;
    const cap = oneDown(minLevel(standing.cap, score.autonomy));
    standing = { cap, lowered: { incident_id: score.incident_id, at, why }, since: at };
  }
  return standing;
}

/** Why a score takes a step down by itself; null when it does not. */
export function badness(score: Score): string | null {
  if (score.wrong_and_confident) return 'the plan was sure and wrong';
  return score.kind === 'run' && score.verdict === 'failed'
    ? 'a check said that the change did not help'
    : null;
}

export function minLevel(a: Autonomy, b: Autonomy): Autonomy {
  return rank(a) <= rank(b) ? a : b;
}

export function oneUp(level: Autonomy): Autonomy {
  return AUTONOMY_LEVELS[rank(level) + 1] ?? level;
}

function oneDown(level: Autonomy): Autonomy {
  return AUTONOMY_LEVELS[rank(level) - 1] ?? level;
}

export function rank(level: Autonomy): number {
  return AUTONOMY_LEVELS.indexOf(level);
}
