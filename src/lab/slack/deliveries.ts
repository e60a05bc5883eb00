// What Slack sends to the app: signed requests, three seconds of patience, and retries for events only. Every request
// is kept as bytes, so that a test can send it again, late, out of order, changed, or signed by somebody else.
import type { Json } from './json.ts';
import { createHmac, randomUUID } from 'node:crypto';
import { request } from 'node:http';

export type DeliveryKind = 'event' | 'command' | 'interaction';

export interface Attempt {
  at_ms: number;
  took_ms: number;
  /** HTTP status, or undefined when no answer came. */
  status: number | undefined;
  problem?: 'http_timeout' | 'connection_failed' | 'http_error';
  body: string;
  headers: Record<string, string>;
}

export interface Delivery {
  id: string;
  kind: DeliveryKind;
  content_type: 'application/json' | 'application/x-www-form-urlencoded';
  /** The exact bytes, as text. */
  body: string;
  /** Headers of the first attempt, signature included. */
  headers: Record<string, string>;
  payload: Json;
  attempts: Attempt[];
}

export interface DeliveryOptions {
  signing_secret: string;
  clock: () => number;
  ack_timeout_ms: number;
  /** Waits before the 1st, 2nd and 3rd retry of an event. */
  event_retry_delays_ms: readonly number[];
}

/** How to send a delivery again. Without any field: the same bytes with the same headers. */
export interface Redelivery {
  /** Moves `x-slack-request-timestamp` by so many seconds and signs again. */
  shift_timestamp_s?: number;
  /** Changes the timestamp header only and leaves the old signature: must be refused. */
  timestamp_without_resigning?: string;
  /** Signs with another secret: must be refused. */
  signing_secret?: string;
  /** Changes the payload and signs it properly (another workspace, another value…). */
  edit?: (payload: Json) => void;
  headers?: Record<string, string>;
}

/** A delivery that waits behind `hold`. */
interface Held {
  go: () => void;
  done: Promise<void>;
}

export function signature(secret: string, timestamp: string, body: string): string {
  return `v0=${createHmac('sha256', secret).update(`v0:${timestamp}:${body}`).digest('hex')}`;
}

function bodyOf(kind: DeliveryKind, payload: Json): string {
  if (kind === 'event') return JSON.stringify(payload);
  if (kind === 'interaction') return new URLSearchParams({ payload: JSON.stringify(payload) }).toString();
  return new URLSearchParams(payload as Record<string, string>).toString();
}

function wait(delay_ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, delay_ms).unref();
  });
}

export class Deliveries {
  readonly log: Delivery[] = [];
  /** Where the app listens; undefined until the app is connected. */
  app_url: string | undefined;
  private readonly options: DeliveryOptions;
  private held: Held[] | undefined;
  private reachable = true;

  constructor(options: DeliveryOptions) {
    this.options = options;
  }

  /** While Slack is down nothing goes out and no retry is spent. */
  setReachable(reachable: boolean): void {
    this.reachable = reachable;
  }

  /** From now on deliveries wait; the returned function lets them go one by one, in the order of the given indexes. */
  hold(): (order?: readonly number[]) => Promise<void> {
    const held: Held[] = [];
    this.held = held;
    return async (order) => {
      this.held = undefined;
      for (const index of order ?? held.keys()) {
        held[index]?.go();
        await held[index]?.done;
      }
    };
  }

  /** How many deliveries wait behind `hold`. */
  get waiting(): number {
    return this.held?.length ?? 0;
  }

  /** Sends once and, for an event that was not answered with 2xx, starts the retries in the background. */
  async send(kind: DeliveryKind, payload: Json): Promise<Attempt> {
    const delivery = this.prepare(kind, payload);
    this.log.push(delivery);
    const held = this.held;
    const attempt = held
      ? await this.sendLater(delivery, held)
      : await this.attempt(delivery, delivery.headers, delivery.body);
    if (kind === 'event' && this.wantsRetry(attempt)) void this.retry(delivery, attempt);
    return attempt;
  }

  /** Sends an old delivery again, see `Redelivery`. */
  async redeliver(delivery: Delivery, how: Redelivery = {}): Promise<Attempt> {
    let body = delivery.body;
    let headers = { ...delivery.headers };
    if (how.edit) {
      const payload = structuredClone(delivery.payload);
      how.edit(payload);
      body = bodyOf(delivery.kind, payload);
    }
    if (how.edit || how.shift_timestamp_s !== undefined || how.signing_secret !== undefined) {
      const shift = how.shift_timestamp_s ?? 0;
      headers = this.sign(delivery.content_type, body, how.signing_secret, shift);
    }
    if (how.timestamp_without_resigning !== undefined) {
      headers['x-slack-request-timestamp'] = how.timestamp_without_resigning;
    }
    return this.attempt(delivery, { ...headers, ...how.headers }, body);
  }

  private sendLater(delivery: Delivery, held: Held[]): Promise<Attempt> {
    return new Promise((resolve) => {
      let finish: () => void = () => {};
      const done = new Promise<void>((end) => (finish = end));
      const go = (): void => {
        void this.attempt(delivery, delivery.headers, delivery.body).then((attempt) => {
          resolve(attempt);
          finish();
        });
      };
      held.push({ go, done });
    });
  }

  private prepare(kind: DeliveryKind, payload: Json): Delivery {
    const content_type = kind === 'event' ? 'application/json' : 'application/x-www-form-urlencoded';
    const body = bodyOf(kind, payload);
    const headers = this.sign(content_type, body);
    return { id: randomUUID(), kind, content_type, body, headers, payload, attempts: [] };
  }

  // Bolt compares the content type exactly, and Slack sends it without a charset.
  private sign(content_type: string, body: string, secret?: string, shift_s = 0): Record<string, string> {
    const timestamp = String(Math.floor(this.options.clock() / 1000) + shift_s);
    return {
      'content-type': content_type,
      'user-agent': 'Slackbot 1.0 (+https://api.slack.com/robots)',
      'x-slack-request-timestamp': timestamp,
      'x-slack-signature': signature(secret ?? this.options.signing_secret, timestamp, body),
    };
  }

  private wantsRetry(attempt: Attempt): boolean {
    const ok = attempt.status !== undefined && attempt.status >= 200 && attempt.status < 300;
    return !ok && attempt.headers['x-slack-no-retry'] !== '1';
  }

  private async retry(delivery: Delivery, first: Attempt): Promise<void> {
    let last = first;
    for (const [index, delay_ms] of this.options.event_retry_delays_ms.entries()) {
      await wait(delay_ms);
      while (!this.reachable) await wait(50);
      const headers = {
        ...this.sign(delivery.content_type, delivery.body),
        'x-slack-retry-num': String(index + 1),
        'x-slack-retry-reason': last.problem ?? 'http_error',
      };
      last = await this.attempt(delivery, headers, delivery.body);
      if (!this.wantsRetry(last)) return;
    }
  }

  private async attempt(delivery: Delivery, headers: Record<string, string>, body: string): Promise<Attempt> {
    const started = performance.now();
    const at_ms = this.options.clock();
    const answer =
      this.app_url === undefined ? 'connection_failed' : await this.post(this.app_url, headers, body);
    const took_ms = performance.now() - started;
    const attempt: Attempt =
      typeof answer === 'string'
        ? { at_ms, took_ms, status: undefined, problem: answer, body: '', headers: {} }
        : { at_ms, took_ms, ...answer, ...(answer.status < 300 ? {} : { problem: 'http_error' as const }) };
    delivery.attempts.push(attempt);
    return attempt;
  }

  private post(
    url: string,
    headers: Record<string, string>,
    body: string,
  ): Promise<
    'http_timeout' | 'connection_failed' | { status: number; body: string; headers: Record<string, string> }
  > {
    return new Promise((resolve) => {
      const outgoing = request(url, { method: 'POST', agent: false, headers }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', () => resolve('connection_failed'));
        response.on('end', () => {
          clearTimeout(timer);
          resolve({
            status: response.statusCode ?? 0,
            body: Buffer.concat(chunks).toString('utf8'),
            headers: response.headers as Record<string, string>,
          });
        });
      });
      const timer = setTimeout(() => {
        resolve('http_timeout');
        outgoing.destroy();
      }, this.options.ack_timeout_ms);
      outgoing.on('error', () => {
        clearTimeout(timer);
        resolve('connection_failed');
      });
      outgoing.end(body);
    });
  }
}
