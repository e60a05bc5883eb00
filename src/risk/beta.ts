/**
 * Likelihood that a change fails, from counted cases. Beta-binomial: prior Beta(1, 5) (one failure in six, the middle of
 * the change failure rates that DORA's reports give for teams of medium performance, 16-30 %, and high ones, below it), plus
 * what this skill and tool did here. The prior weighs six cases, so a handful of real ones soon outweighs it.
 */
const PRIOR = { failed: 1, succeeded: 5 } as const;

export interface Likelihood {
  readonly mean: number;
  /** Bounds of the central 90 % interval. */
  readonly low: number;
  readonly high: number;
  /** Counted cases; 0 means that only the prior speaks. */
  readonly n: number;
}

/** Past this many cases the counts are scaled down: the interval is a point by then. */
const CASES_MAX = 2000;

export function failureLikelihood(history: {
  readonly succeeded: number;
  readonly failed: number;
}): Likelihood {
  const scale = Math.min(1, CASES_MAX / Math.max(1, history.succeeded + history.failed));
  const a = PRIOR.failed + Math.round(history.failed * scale);
  const b = PRIOR.succeeded + Math.round(history.succeeded * scale);
  const round = (value: number) => Math.round(value * 1000) / 1000;
  return {
    mean: round(a / (a + b)),
    low: round(betaQuantile(0.05, a, b)),
    high: round(betaQuantile(0.95, a, b)),
    n: history.succeeded + history.failed,
  };
}

/** Inverse of the Beta distribution by bisection: 50 halvings are finer than a double needs here. */
export function betaQuantile(p: number, a: number, b: number): number {
  let [low, high] = [0, 1];
  for (let i = 0; i < 50; i++) {
    const middle = (low + high) / 2;
    if (betaCdf(middle, a, b) < p) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** Regularised incomplete beta function for whole a and b (counts): a binomial tail, summed in logarithms. */
export function betaCdf(x: number, a: number, b: number): number {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  const n = a + b - 1;
  let log_term = n * Math.log1p(-x);
  let sum = 0;
  const odds = Math.log(x) - Math.log1p(-x);
  for (let k = 0; k <= n; k++) {
    if (k >= a) sum += Math.exp(log_term);
    log_term += Math.log(n - k) - Math.log(k + 1) + odds;
  }
  return Math.min(1, sum);
}
