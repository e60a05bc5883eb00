import type { Score } from '../../contract/shadow.ts';

/** What the scored incidents say, with how sure that is. Pure. */

/** Two-sided 95 % quantile of the standard normal distribution. */
const Z_95 = 1.959963984540054;

export interface Interval {
  readonly low: number;
  readonly high: number;
}

/**
 * Wilson's score interval for a share. E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical
 * Inference", J. Am. Stat. Assoc. 22 (1927), 209-212: (p + z²/2n ± z·sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n). It stays
 * inside 0..1 and is honest about few cases: with none it says nothing.
 */
export function wilson(hits: number, n: number): Interval {
  if (n === 0) return { low: 0, high: 1 };
  const share = hits / n;
  const z2 = Z_95 * Z_95;
  const centre = share + z2 / (2 * n);
  const spread = Z_95 * Math.sqrt((share * (1 - share)) / n + z2 / (4 * n * n));
  const scale = 1 + z2 / n;
  return {
    low: hits === 0 ? 0 : Math.max(0, (centre - spread) / scale),
    high: hits === n ? 1 : Math.min(1, (centre + spread) / scale),
  };
}

export interface Statistics {
  /** Scored incidents, and in how many of them people did what the plan says. */
  readonly n: number;
  readonly hits: number;
  readonly interval: Interval;
  readonly wrong_and_confident: number;
  /** Of hits: how much earlier the plan was there; negative, when people were. Null without hits. */
  readonly median_lead_min: number | null;
  /** Resolved by themselves, or not to be seen. */
  readonly unscored: number;
}

const SCORED = new Set<Score['verdict']>(['hit', 'partial', 'missed', 'no_plan']);
const MINUTE_MS = 60_000;

export function shadowStatistics(scores: readonly Score[]): Statistics {
  const shadow = scores.filter((score) => score.kind === 'shadow');
  const scored = shadow.filter((score) => SCORED.has(score.verdict));
  const hits = scored.filter((score) => score.verdict === 'hit');
  const leads = hits.flatMap((score) => (score.lead_ms === null ? [] : [score.lead_ms / MINUTE_MS]));
  return {
    n: scored.length,
    hits: hits.length,
    interval: wilson(hits.length, scored.length),
    wrong_and_confident: shadow.filter((score) => score.wrong_and_confident).length,
    median_lead_min: median(leads),
    unscored: shadow.length - scored.length,
  };
}

export interface RunStatistics {
  readonly n: number;
  readonly helped: number;
  readonly interval: Interval;
  /** Runs that a check said did not help, and plans that were denied for their cause. */
  readonly failed: number;
}

/** Approved runs by incident: one that failed once has failed, whatever came after it. */
export function runStatistics(scores: readonly Score[]): RunStatistics {
  const good = new Map<string, boolean>();
  for (const score of scores) {
    if (score.kind === 'shadow') continue;
    const helped = score.verdict === 'helped' && score.kind === 'run';
    good.set(score.incident_id, helped && (good.get(score.incident_id) ?? true));
  }
  const helped = [...good.values()].filter(Boolean).length;
  return { n: good.size, helped, interval: wilson(helped, good.size), failed: good.size - helped };
}

function median(values: readonly number[]): number | null {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const low = sorted[Math.ceil(middle) - 1];
  const high = sorted[Math.floor(middle)];
  return low === undefined || high === undefined ? null : (low + high) / 2;
}
