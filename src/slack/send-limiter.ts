// Slack's rate limits, kept on our side: one bucket per method (and channel for posts), and a stop for as long as a 429
// says. Nothing sleeps here; the outbox asks and comes back later. Pure but for its own memory; time is passed in.

interface Rate {
  readonly per_channel: boolean;
  readonly burst: number;
  /** Tokens that come back each second. */
  readonly per_s: number;
}

// A window of 60 s may hold the burst and a minute of refill: 10 + 40 = 50 updates, Slack's tier 3 per workspace.
const RATES: Readonly<Record<string, Rate>> = {
  'chat.postMessage': { per_channel: true, burst: 4, per_s: 0.95 },
  'chat.update': { per_channel: false, burst: 10, per_s: 0.66 },
  'chat.postEphemeral': { per_channel: false, burst: 20, per_s: 1.3 },
  'conversations.replies': { per_channel: false, burst: 10, per_s: 0.66 },
  'conversations.history': { per_channel: false, burst: 10, per_s: 0.66 },
};
const UNLISTED: Rate = { per_channel: false, burst: 5, per_s: 0.3 };

export class SendLimiter {
  readonly #buckets = new Map<string, { tokens: number; at_ms: number }>();
  readonly #stopped = new Map<string, number>();

  /** Takes one token and answers 0, or answers how many ms to wait and takes nothing. */
  take(method: string, channel: string, now_ms: number): number {
    const rate = RATES[method] ?? UNLISTED;
    const key = this.#key(method, channel);
    const stopped = (this.#stopped.get(key) ?? 0) - now_ms;
    if (stopped > 0) return stopped;
    const bucket = this.#buckets.get(key) ?? { tokens: rate.burst, at_ms: now_ms };
    const refill = (Math.max(0, now_ms - bucket.at_ms) / 1000) * rate.per_s;
    const tokens = Math.min(rate.burst, bucket.tokens + refill);
    if (tokens < 1) {
      this.#buckets.set(key, { tokens, at_ms: now_ms });
      return Math.ceil(((1 - tokens) / rate.per_s) * 1000);
    }
    this.#buckets.set(key, { tokens: tokens - 1, at_ms: now_ms });
    return 0;
  }

  /** Honours a 429: nothing of this method (and channel) until then. */
  stop(method: string, channel: string, until_ms: number): void {
    const key = this.#key(method, channel);
    this.#stopped.set(key, Math.max(until_ms, this.#stopped.get(key) ?? 0));
  }

  #key(method: string, channel: string): string {
    return (RATES[method] ?? UNLISTED).per_channel ? `${method} ${channel}` : method;
  }
}
