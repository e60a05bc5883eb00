import type { ShadowScore } from '../../contract/shadow.ts';

/** The verdict in sentences for somebody who is tired. Pure. */

const MINUTE_MS = 60_000;

export function verdictWords({ verdict }: Pick<ShadowScore, 'verdict'>): string {
  return {
    hit: 'People did what the plan says',
    partial: 'People did a part of what the plan says',
    missed: 'People did something else than the plan says',
    no_plan: 'People acted, and Aegis had no plan',
    nobody_acted: 'It resolved by itself: nobody was seen to act',
    unknown: 'Nobody can say how the plan compares',
  }[verdict];
}

/** "The plan was there 3 min earlier." Null when there is nothing to compare. */
export function leadWords(score: Pick<ShadowScore, 'lead_ms'>): string | null {
  if (score.lead_ms === null) return null;
  const length = lengthWords(Math.abs(score.lead_ms));
  if (score.lead_ms === 0) return 'The plan and people came at the same time.';
  return score.lead_ms > 0
    ? `The plan was there ${length} before people acted.`
    : `People acted ${length} before the plan was there.`;
}

export function causeWords({ cause }: Pick<ShadowScore, 'cause'>): string {
  return {
    agrees: 'The cause that people named is the one of the plan.',
    differs: 'People named another cause than the plan.',
    unknown: 'Nobody said a cause that can be compared.',
  }[cause];
}

/** The sentence on the root card of an incident that has ended. */
export function outcomeWords(score: ShadowScore, had_plan: boolean): string {
  const lead = leadWords(score);
  const plan = had_plan || score.verdict === 'no_plan' ? '' : ' There was no plan yet.';
  return `${verdictWords(score)}.${lead === null ? '' : ` ${lead}`}${plan} Aegis changed nothing.`;
}

export function lengthWords(ms: number): string {
  if (ms < MINUTE_MS) return `${Math.round(ms / 1000)} s`;
  return `${Math.round(ms / MINUTE_MS)} min`;
}
