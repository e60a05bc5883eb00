import type { Autonomy } from '../../contract/incident.ts';
import { minLevel, oneUp, rank, standingOf } from '../../contract/ladder.ts';
import type { Standing } from '../../contract/ladder.ts';
import type { LadderRaise, Score } from '../../contract/shadow.ts';
import { runStatistics, shadowStatistics } from './statistics.ts';

/**
 * The ladder of autonomy: read_only, suggest, approve, limited. Down is automatic and at once, up is earned step by step
 * and decided by two people. Configuration is the ceiling: the ladder only ever lowers what aegis.yaml allows. Pure.
 */
export interface Place {
  readonly team: string;
  readonly env: string;
  /** `-`: incidents that name no service. */
  readonly service: string;
}

/** What the next step up asks for. */
interface Requirement {
  readonly incidents_min: number;
  /** Lower end of the 95 % interval of the hit rate. */
  readonly lower_bound_min: number;
  /** Counted are plans against people, or approved runs. */
  readonly counts: 'shadow' | 'run';
}

const REQUIREMENTS: Readonly<Record<Autonomy, Requirement | null>> = {
  read_only: { incidents_min: 5, lower_bound_min: 0.5, counts: 'shadow' },
  suggest: { incidents_min: 20, lower_bound_min: 0.8, counts: 'shadow' },
  approve: { incidents_min: 50, lower_bound_min: 0.9, counts: 'run' },
  limited: null,
};

export interface Proposal {
  readonly from: Autonomy;
  /** Null at the top. */
  readonly to: Autonomy | null;
  readonly ready: boolean;
  /** "7 of 20 scored incidents, 0 wrong and confident, lower bound 0.61 of 0.80" */
  readonly figures: string;
}

/** The next step up, and what is missing for it. */
export function proposalOf(level: Autonomy, scores: readonly Score[], since: string | null): Proposal {
  const wanted = REQUIREMENTS[level];
  if (wanted === null) return { from: level, to: null, ready: false, figures: 'the top of the ladder' };
  const counted = scores.filter((score) => since === null || score.at > since);
  const { n, bad, low } = wanted.counts === 'shadow' ? shadowFigures(counted) : runFigures(counted);
  const kind = wanted.counts === 'shadow' ? 'scored incidents' : 'checked runs';
  const bad_words = wanted.counts === 'shadow' ? 'wrong and confident' : 'failed or denied for the cause';
  return {
    from: level,
    to: oneUp(level),
    ready: n >= wanted.incidents_min && bad === 0 && low >= wanted.lower_bound_min,
    figures: `${n} of ${wanted.incidents_min} ${kind}, ${bad} ${bad_words}, lower bound ${low.toFixed(2)} of ${wanted.lower_bound_min.toFixed(2)}`,
  };
}

interface Figures {
  readonly n: number;
  readonly bad: number;
  readonly low: number;
}

function shadowFigures(scores: readonly Score[]): Figures {
  const found = shadowStatistics(scores);
  return { n: found.n, bad: found.wrong_and_confident, low: found.interval.low };
}

function runFigures(scores: readonly Score[]): Figures {
  const found = runStatistics(scores);
  return { n: found.n, bad: found.failed, low: found.interval.low };
}

export interface LadderView extends Proposal {
  readonly configured: Autonomy;
  readonly standing: Standing;
  /** One line for a card or a terminal. */
  readonly line: string;
}

export function ladderOf(
  place: Place,
  configured: Autonomy,
  scores: readonly Score[],
  raises: readonly LadderRaise[],
): LadderView {
  const standing = standingOf(scores, raises);
  const level = minLevel(configured, standing.cap);
  const proposal = proposalOf(level, scores, standing.since);
  const { lowered } = standing;
  const fell =
    lowered !== null && rank(standing.cap) < rank(configured)
      ? ` It went down from ${configured} after ${lowered.incident_id}: ${lowered.why}.`
      : '';
  return {
    ...proposal,
    configured,
    standing,
    line: `${placeWords(place)} is on ${level}.${fell} ${nextWords(place, configured, level, proposal)}`,
  };
}

function nextWords(place: Place, configured: Autonomy, level: Autonomy, proposal: Proposal): string {
  if (proposal.to === null) return 'That is the top of the ladder.';
  const figures = `${proposal.figures}.`;
  if (!proposal.ready) return `For ${proposal.to}: ${figures}`;
  return rank(level) < rank(configured)
    ? `Ready for ${proposal.to}: ${figures} Two people raise it with /aegis raise ${placeWords(place)}.`
    : `Ready for ${proposal.to}: ${figures} Two people decide it: a reviewed change of autonomy in aegis.yaml.`;
}

export function placeWords({ team, env, service }: Place): string {
  return service === '-' ? `${team}/${env}` : `${team}/${env}/${service}`;
}
