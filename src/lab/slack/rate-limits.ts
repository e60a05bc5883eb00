// Slack's rate limits: a tier per method and minute, and one post per second and channel with a short burst. All of it
// can be tightened, loosened or switched off, because a test wants one thing and a demo another.

export type Tier = 1 | 2 | 3 | 4 | 'post' | 'special';

export interface RateLimits {
  enforced: boolean;
  /** Calls per minute, method and workspace. */
  per_minute: Readonly<Record<1 | 2 | 3 | 4, number>>;
  /** Posts per second and channel, and how many may come at once. */
  posts_per_second: number;
  post_burst: number;
}

export const DOCUMENTED_LIMITS: RateLimits = {
  enforced: true,
  per_minute: { 1: 1, 2: 20, 3: 50, 4: 100 },
  posts_per_second: 1,
  post_burst: 5,
};

const MINUTE_MS = 60_000;

export class RateLimiter {
  private readonly calls = new Map<string, number[]>();
  private readonly buckets = new Map<string, { tokens: number; at_ms: number }>();
  private readonly clock: () => number;
  private limits: RateLimits;

  constructor(limits: RateLimits, clock: () => number) {
    this.limits = limits;
    this.clock = clock;
  }

  set(limits: Partial<RateLimits>): void {
    this.limits = { ...this.limits, ...limits };
  }

  /** Counts one call. Answers the seconds to wait when it is one too many, else 0. */
  take(method: string, tier: Tier, channel: string): number {
    if (!this.limits.enforced || tier === 'special') return 0;
    return tier === 'post' ? this.takePost(channel) : this.takeCall(method, tier);
  }

  private takeCall(method: string, tier: 1 | 2 | 3 | 4): number {
    const now = this.clock();
    const recent = (this.calls.get(method) ?? []).filter((at) => now - at < MINUTE_MS);
    this.calls.set(method, recent);
    if (recent.length >= this.limits.per_minute[tier]) {
      return Math.max(1, Math.ceil((recent[0]! + MINUTE_MS - now) / 1000));
    }
    recent.push(now);
    return 0;
  }

  private takePost(channel: string): number {
    const now = this.clock();
    const { posts_per_second, post_burst } = this.limits;
    const bucket = this.buckets.get(channel) ?? { tokens: post_burst, at_ms: now };
    const refill = ((now - bucket.at_ms) / 1000) * posts_per_second;
    const tokens = Math.min(post_burst, bucket.tokens + refill);
    const granted = tokens >= 1;
    this.buckets.set(channel, { tokens: granted ? tokens - 1 : tokens, at_ms: now });
    return granted ? 0 : Math.max(1, Math.ceil((1 - tokens) / posts_per_second));
  }
}
