import {
  bulkhead,
  BrokenCircuitError,
  BulkheadRejectedError,
  circuitBreaker,
  CircuitState,
  ConsecutiveBreaker,
  handleWhenResult,
  wrap,
  type CircuitBreakerPolicy,
  type IPolicy,
} from 'cockatiel';
import { z } from 'zod';
import type { Clock, Log } from '../../contract/ports.ts';
import { quotaOf, type Quota } from '../../contract/quotas.ts';
import { tenantKey } from '../../contract/scope.ts';
import { isRefusal, refuse, type Refusal } from '../../contract/verdict.ts';
import type { ThrottleStore } from '../../store/authority.ts';

/**
 * Keeps one ill or slow system from hurting the others: per upstream and class a bounded number of calls, a bounded
 * queue and a breaker; per team, environment and class a rate and a day's quota. Breakers and days outlive a restart.
 */
export interface Guarded<T> {
  readonly value: T;
  /** The upstream is ill: counts for the breaker. */
  readonly ill: boolean;
}

/** Under which names a call is counted. */
export interface ThrottlePlace {
  readonly upstream: string;
  readonly team: string;
  readonly env: string;
  readonly lane: Quota['class'];
}

export interface ThrottleDeps {
  readonly clock: Clock;
  readonly store: ThrottleStore;
  readonly quotas: readonly Quota[];
  readonly log: Log;
}

const CONCURRENT_MAX = 16;
const QUEUED_MAX = 128;
const FAILURES_TO_OPEN = 5;
const HALF_OPEN_AFTER_MS = 3000;
/** A full queue of calls at their usual length is through by then. */
const QUEUE_PAUSE_MS = 2000;
/** Calls of a day are taken from the store in blocks of this share of the day; a crash loses what is left of one. */
const BLOCKS_PER_DAY = 1000;
const DAY_MS = 86_400_000;

/** The part of cockatiel's state that is kept: an open breaker. A closed one has no row. */
const OpenBreaker = z.object({
  ownState: z.object({
    value: z.literal(CircuitState.Open),
    openedAt: z.number(),
    attemptNo: z.int().min(1),
  }),
  breakerState: z.int().min(0),
});

interface Lane {
  readonly policy: IPolicy;
  readonly breaker: CircuitBreakerPolicy;
}

/** Calls of a day that were taken from the store and not made yet. */
interface Block {
  readonly day: string;
  left: number;
  waiting: number;
  claim: Promise<number | Refusal> | null;
}

export class Throttle {
  readonly #deps: ThrottleDeps;
  readonly #lanes = new Map<string, Promise<Lane>>();
  readonly #buckets = new Map<string, { tokens: number; at_ms: number }>();
  readonly #blocks = new Map<string, Block>();

  constructor(deps: ThrottleDeps) {
    this.#deps = deps;
  }

  /** Runs `work`, or refuses at once when the lane is full, broken or used up. Every refusal says when to ask again. */
  async run<T>(place: ThrottlePlace, work: () => Promise<Guarded<T>>): Promise<T | Refusal> {
    const spent = await this.take(place);
    return spent ?? this.pass(place, work);
  }

  /** Counts one call of the tenant; null when it may go on. */
  async take(place: ThrottlePlace): Promise<Refusal | null> {
    const quota = quotaOf(this.#deps.quotas, place);
    return this.#takeRate(place, quota) ?? (await this.#takeDay(place, quota));
  }

  /** Through queue and breaker of the upstream, without counting. */
  async pass<T>(place: ThrottlePlace, work: () => Promise<Guarded<T>>): Promise<T | Refusal> {
    const lane = await this.#lane(`${place.upstream} ${place.lane}`);
    try {
      const answer = await lane.policy.execute(() => work());
      return answer.value;
    } catch (error) {
      if (error instanceof BrokenCircuitError)
        return refuse(
          'breaker-open',
          `${place.upstream} failed ${FAILURES_TO_OPEN} times in a row and is left alone for a moment.`,
          `Ask again in ${words(openForMs(lane.breaker))}; one call then tries whether it is back.`,
        );
      if (error instanceof BulkheadRejectedError)
        return refuse(
          'queue-full',
          `${CONCURRENT_MAX} calls of ${place.upstream} are under way and ${QUEUED_MAX} wait.`,
          `Ask again in ${words(QUEUE_PAUSE_MS)}, or ask for less.`,
        );
      throw error;
    }
  }

  #lane(key: string): Promise<Lane> {
    let lane = this.#lanes.get(key);
    if (lane === undefined) {
      lane = this.#openLane(key);
      this.#lanes.set(key, lane);
      // A store that cannot be read now may be readable for the next call.
      lane.catch(() => this.#lanes.delete(key));
    }
    return lane;
  }

  async #openLane(key: string): Promise<Lane> {
    const saved = OpenBreaker.safeParse(await this.#deps.store.breaker(key));
    const breaker = circuitBreaker(
      handleWhenResult((result) => (result as Guarded<unknown>).ill),
      {
        halfOpenAfter: HALF_OPEN_AFTER_MS,
        breaker: new ConsecutiveBreaker(FAILURES_TO_OPEN),
        ...(saved.success ? { initialState: notLater(saved.data) } : {}),
      },
    );
    breaker.onStateChange((state) => {
      if (state === CircuitState.HalfOpen) return;
      const kept = state === CircuitState.Open ? breaker.toJSON() : null;
      this.#deps.store.saveBreaker(key, kept).catch((error: unknown) => {
        this.#deps.log.error({ key, error: String(error) }, 'the state of a breaker was not saved');
      });
    });
    return { breaker, policy: wrap(bulkhead(CONCURRENT_MAX, QUEUED_MAX), breaker) };
  }

  #takeRate(place: ThrottlePlace, { per_second, burst }: Quota): Refusal | null {
    const key = `${tenantKey(place)} ${place.lane}`;
    const now = this.#deps.clock.now();
    const bucket = this.#buckets.get(key) ?? { tokens: burst, at_ms: now };
    const refilled = Math.min(burst, bucket.tokens + (Math.max(0, now - bucket.at_ms) / 1000) * per_second);
    const allowed = refilled >= 1;
    this.#buckets.set(key, { tokens: allowed ? refilled - 1 : refilled, at_ms: now });
    if (allowed) return null;
    return refuse(
      'rate-limited',
      `${tenantKey(place)} has used up its ${place.lane} calls for the moment: ${per_second} a second, ${burst} at once.`,
      `Ask again in ${words(((1 - refilled) / per_second) * 1000)}.`,
    );
  }

  async #takeDay(place: ThrottlePlace, { per_day }: Quota): Promise<Refusal | null> {
    if (per_day === undefined) return null;
    const key = `${tenantKey(place)} ${place.lane}`;
    const now = this.#deps.clock.now();
    const day = new Date(now).toISOString().slice(0, 10);
    const block = this.#blockOf(key, day);
    block.waiting += 1;
    try {
      while (block.left === 0) {
        const claim = (block.claim ??= this.#claim(key, block, per_day));
        const granted = await claim;
        if (block.claim === claim) block.claim = null;
        if (isRefusal(granted)) return granted;
        if (granted === 0 && block.left === 0) return spent(place, per_day, day, now);
      }
      block.left -= 1;
      return null;
    } finally {
      block.waiting -= 1;
    }
  }

  #blockOf(key: string, day: string): Block {
    const known = this.#blocks.get(key);
    if (known?.day === day) return known;
    const block: Block = { day, left: 0, waiting: 0, claim: null };
    this.#blocks.set(key, block);
    return block;
  }

  /** One claim at a time, for all who wait by then. */
  async #claim(key: string, block: Block, per_day: number): Promise<number | Refusal> {
    try {
      const wanted = Math.max(block.waiting, Math.floor(per_day / BLOCKS_PER_DAY));
      const granted = await this.#deps.store.claim(key, block.day, wanted, per_day);
      block.left += granted;
      return granted;
    } catch (error) {
      this.#deps.log.error({ key, error: String(error) }, 'calls of the day could not be counted');
      return refuse(
        'quota-unknown',
        'The calls of the day could not be counted, so nothing was called.',
        'Check disk space and the database in AEGIS_HOME.',
      );
    }
  }
}

function spent(place: ThrottlePlace, per_day: number, day: string, now_ms: number): Refusal {
  const wait = words(Date.parse(`${day}T00:00:00Z`) + DAY_MS - now_ms);
  return refuse(
    'quota-spent',
    `${tenantKey(place)} has made the ${per_day} ${place.lane} calls of its day.`,
    `Ask again after 00:00 UTC, in ${wait}, or raise per_day under quotas in aegis.yaml.`,
  );
}

/** An opening that lies ahead, by a clock that was set back, would keep the breaker open until then. */
function notLater(saved: z.infer<typeof OpenBreaker>): z.infer<typeof OpenBreaker> {
  return {
    ...saved,
    ownState: { ...saved.ownState, openedAt: Math.min(saved.ownState.openedAt, Date.now()) },
  };
}

function openForMs(breaker: CircuitBreakerPolicy): number {
  const parsed = OpenBreaker.safeParse(breaker.toJSON());
  return parsed.success ? parsed.data.ownState.openedAt + HALF_OPEN_AFTER_MS - Date.now() : 0;
}

/** A wait as people say it, never zero: `1 s`, `5 min`, `3 h`. */
function words(ms: number): string {
  const seconds = Math.max(1, Math.ceil(ms / 1000));
  if (seconds < 120) return `${seconds} s`;
  return seconds < 7200 ? `${Math.ceil(seconds / 60)} min` : `${Math.ceil(seconds / 3600)} h`;
}
