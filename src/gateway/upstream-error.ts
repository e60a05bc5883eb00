/**
 * Why a call to an upstream gave no usable answer. `sent` decides what a write may conclude: `no` proves that nothing
 * ran, `answered` proves that the server decided, `maybe` proves nothing (then only a look at the object helps).
 */
export const UPSTREAM_PROBLEMS = [
  'unreachable',
  'dropped',
  'timeout',
  'aborted',
  'unauthorized',
  'forbidden',
  'not-found',
  'conflict',
  'invalid',
  'throttled',
  /** Not now, by a rule of that system that nobody may force: a disruption budget. */
  'held',
  'failed',
  'too-large',
  'redirect',
  'malformed',
  'blocked',
] as const;
export type UpstreamProblem = (typeof UPSTREAM_PROBLEMS)[number];

export interface UpstreamErrorInfo {
  readonly problem: UpstreamProblem;
  readonly sent: 'no' | 'maybe' | 'answered';
  readonly status: number | null;
  /** What happened, in words; never a credential (the pipeline scrubs it once more). */
  readonly message: string;
  /** Milliseconds that the server asked to wait, for `throttled`. */
  readonly retry_after_ms?: number;
}

export class UpstreamError extends Error {
  readonly info: UpstreamErrorInfo;

  constructor(info: UpstreamErrorInfo) {
    super(info.message);
    this.name = 'UpstreamError';
    this.info = info;
  }
}

/** Faults of the other side that say "it is ill"; a refusal such as 404 says nothing about its health. */
export function meansIllness({ problem }: UpstreamErrorInfo): boolean {
  return ['unreachable', 'dropped', 'timeout', 'failed', 'malformed', 'redirect'].includes(problem);
}
