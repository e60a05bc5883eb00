import {
  bulkhead,
  BrokenCircuitError,
  BulkheadRejectedError,
  circuitBreaker,
  ConsecutiveBreaker,
  handleWhenResult,
  wrap,
  type IPolicy,
} from 'cockatiel';
import type { Clock } from '../../contract/ports.ts';
import { refuse, type Refusal } from '../../contract/verdict.ts';

/**
 * Keeps one ill or slow system from hurting the others: per upstream and class a bounded number of calls, a bounded
 * queue and a breaker; per tenant and class a rate.
 */
export interface Guarded<T> {
  readonly value: T;
  /** The upstream is ill: counts for the breaker. */
  readonly ill: boolean;
}

const CONCURRENT_MAX = 16;
const QUEUED_MAX = 128;
const FAILURES_TO_OPEN = 5;
const HALF_OPEN_AFTER_MS = 3000;
const RATES = {
  read: { per_second: 1000, burst: 2000 },
  write: { per_second: 1, burst: 20 },
} as const;
type Lane = keyof typeof RATES;

export class Throttle {
  readonly #clock: Clock;
  readonly #policies = new Map<string, IPolicy>();
  readonly #buckets = new Map<string, { tokens: number; at_ms: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Runs `work`, or refuses at once when the lane is full, broken or used up. */
  async run<T>(
    place: { readonly upstream: string; readonly tenant: string; readonly lane: Lane },
    work: () => Promise<Guarded<T>>,
  ): Promise<T | Refusal> {
    if (!this.#take(`${place.tenant} ${place.lane}`, place.lane))
      return refuse(
        'rate-limited',
        `${place.tenant} has used up its ${place.lane} calls for the moment.`,
        'Wait a few seconds and ask again.',
      );
    try {
      const answer = await this.#policy(`${place.upstream} ${place.lane}`).execute(() => work());
      return answer.value;
    } catch (error) {
      if (error instanceof BrokenCircuitError)
        return refuse(
          'breaker-open',
          `${place.upstream} failed ${FAILURES_TO_OPEN} times in a row and is left alone for a moment.`,
          'Aegis tries again by itself within seconds.',
        );
      if (error instanceof BulkheadRejectedError)
        return refuse(
          'queue-full',
          `Too many calls wait for ${place.upstream}.`,
          'Ask again in a moment, or ask for less.',
        );
      throw error;
    }
  }

  #policy(key: string): IPolicy {
    let policy = this.#policies.get(key);
    if (policy === undefined) {
      const breaker = circuitBreaker(
        handleWhenResult((result) => (result as Guarded<unknown>).ill),
        { halfOpenAfter: HALF_OPEN_AFTER_MS, breaker: new ConsecutiveBreaker(FAILURES_TO_OPEN) },
      );
      policy = wrap(bulkhead(CONCURRENT_MAX, QUEUED_MAX), breaker);
      this.#policies.set(key, policy);
    }
    return policy;
  }

  #take(key: string, lane: Lane): boolean {
    const { per_second, burst } = RATES[lane];
    const now = this.#clock.now();
    const bucket = this.#buckets.get(key) ?? { tokens: burst, at_ms: now };
    const refilled = Math.min(burst, bucket.tokens + (Math.max(0, now - bucket.at_ms) / 1000) * per_second);
    const allowed = refilled >= 1;
    this.#buckets.set(key, { tokens: allowed ? refilled - 1 : refilled, at_ms: now });
    return allowed;
  }
}
