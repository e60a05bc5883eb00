// Bolt without its HTTP server: requests come from the product's one listener, already examined. The answer to Slack is
// what `ack` was called with; without an ack inside the time that Slack waits it is a 503, never a silent "ok".
import type { App, Receiver } from '@slack/bolt';
import type { HttpResponse } from '../contract/http.ts';
import type { Log } from '../contract/ports.ts';
import type { SlackBody } from './ingress-guard.ts';

/** Slack gives up after 3 s; answering earlier leaves room for the way back. */
const ANSWER_MS = 2_800;
/** An event that fails is delivered again by Slack; a person who gets an error presses again. */
const FAILED: HttpResponse = { status: 500, body: 'not recorded' };
const LATE: HttpResponse = { status: 503, body: 'not acknowledged in time' };

export interface Delivery {
  readonly body: SlackBody;
  readonly retry_num: number | undefined;
  readonly retry_reason: string | undefined;
}

/** The part of Bolt's context that our event listeners use: Bolt acknowledges events before they run, we do not. */
export interface ReceiverContext {
  readonly eventIsDurable: () => void;
}

export class BoltReceiver implements Receiver {
  readonly #log: Log;
  #app: App | undefined;

  constructor(log: Log) {
    this.#log = log;
  }

  init(app: App): void {
    this.#app = app;
  }

  async start(): Promise<void> {}

  async stop(): Promise<void> {}

  handle(delivery: Delivery): Promise<HttpResponse> {
    const app = this.#app;
    if (app === undefined) return Promise.resolve(LATE);
    const is_event = delivery.body['type'] === 'event_callback';
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(LATE), ANSWER_MS);
      const answer = (response: HttpResponse): void => {
        clearTimeout(timer);
        resolve(response);
      };
      const custom: ReceiverContext = { eventIsDurable: () => answer({ status: 200 }) };
      const work = app.processEvent({
        body: { ...delivery.body },
        ...(delivery.retry_num === undefined ? {} : { retryNum: delivery.retry_num }),
        ...(delivery.retry_reason === undefined ? {} : { retryReason: delivery.retry_reason }),
        customProperties: { ...custom },
        ack: async (content?: unknown) => {
          if (!is_event) answer(responseOf(content));
        },
      });
      work.then(
        // Nobody listens to this event, or the listener is done: either way Slack need not send it again.
        () => answer(is_event ? { status: 200 } : FAILED),
        (error: unknown) => {
          this.#log.error({ room: 'slack', error: String(error) }, 'a listener failed');
          answer(FAILED);
        },
      );
    });
  }
}

function responseOf(content: unknown): HttpResponse {
  if (content === undefined || content === null || content === '') return { status: 200 };
  if (content instanceof Error) return FAILED;
  if (typeof content === 'string')
    return { status: 200, headers: { 'content-type': 'text/plain; charset=utf-8' }, body: content };
  return { status: 200, headers: { 'content-type': 'application/json' }, body: JSON.stringify(content) };
}
