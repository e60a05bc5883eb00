// "Did it arrive?" Looks for one of our own cards or files in Slack after a call whose answer never came. Only messages
// of our own bot count: any app can write metadata that looks like ours.
import type { CardDelivery } from '../store/store.ts';
import type { Clock } from '../contract/ports.ts';
import type { SlackApi } from './slack-api.ts';
import type { SendLimiter } from './send-limiter.ts';

export type Found =
  | { readonly is: 'there'; readonly ts: string; readonly revision: number }
  | { readonly is: 'absent' }
  /** We may not read this channel's history: nobody can tell. */
  | { readonly is: 'blind' }
  | { readonly is: 'limited'; readonly method: string; readonly wait_ms: number }
  | { readonly is: 'down'; readonly why: string };

interface LookupTools {
  readonly api: SlackApi;
  readonly limiter: SendLimiter;
  readonly clock: Clock;
  readonly bot_user_id: () => string | null;
}

interface Seen {
  readonly ts?: unknown;
  readonly user?: unknown;
  readonly metadata?: {
    readonly event_type?: unknown;
    readonly event_payload?: Readonly<Record<string, unknown>>;
  };
  readonly files?: readonly { readonly name?: unknown }[];
}

/** A thread of an incident is short; a busy channel is read back a thousand messages. */
const PAGES_MAX = 5;
const PAGE_SIZE = 200;

export async function lookForCard(
  tools: LookupTools,
  card: CardDelivery,
  channel: string,
  thread_ts: string | null,
): Promise<Found> {
  return scan(tools, channel, thread_ts, (message) => {
    const { event_type, event_payload } = message.metadata ?? {};
    if (event_type !== 'aegis_card' || event_payload?.['card_key'] !== card.card_key) return null;
    const revision = event_payload['revision'];
    return typeof revision === 'number' ? revision : card.wanted_revision;
  });
}

export async function lookForFile(
  tools: LookupTools,
  filename: string,
  channel: string,
  thread_ts: string,
): Promise<Found> {
  return scan(tools, channel, thread_ts, (message) =>
    message.files?.some((file) => file.name === filename) ? 0 : null,
  );
}

async function scan(
  tools: LookupTools,
  channel: string,
  thread_ts: string | null,
  match: (message: Seen) => number | null,
): Promise<Found> {
  const method = thread_ts === null ? 'conversations.history' : 'conversations.replies';
  let cursor: string | undefined;
  for (let page = 0; page < PAGES_MAX; page++) {
    const wait_ms = tools.limiter.take(method, channel, tools.clock.now());
    if (wait_ms > 0) return { is: 'limited', method, wait_ms };
    const where = thread_ts === null ? {} : { ts: thread_ts };
    const more = cursor === undefined ? {} : { cursor };
    const answer = await tools.api.call(method, {
      channel,
      ...where,
      ...more,
      limit: PAGE_SIZE,
      include_all_metadata: true,
    });
    if (!answer.ok) {
      if (answer.kind === 'unknown') return { is: 'down', why: answer.error };
      if (answer.kind === 'limited') return { is: 'limited', method, wait_ms: answer.retry_after_ms };
      // The channel or thread is gone: so is whatever we had posted there.
      return { is: answer.error === 'missing_scope' ? 'blind' : 'absent' };
    }
    const bot = tools.bot_user_id();
    for (const message of (answer.body['messages'] ?? []) as readonly Seen[]) {
      const revision = bot === null || message.user === bot ? match(message) : null;
      if (revision !== null && typeof message.ts === 'string')
        return { is: 'there', ts: message.ts, revision };
    }
    cursor = nextCursor(answer.body);
    if (cursor === undefined) return { is: 'absent' };
  }
  return { is: 'absent' };
}

function nextCursor(body: Readonly<Record<string, unknown>>): string | undefined {
  const meta = body['response_metadata'] as { next_cursor?: unknown } | undefined;
  return typeof meta?.next_cursor === 'string' && meta.next_cursor !== '' ? meta.next_cursor : undefined;
}
