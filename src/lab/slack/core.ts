// What the parts of the twin share. The Web API, the deliveries and the people (actors) meet only here.
import type { Json } from './json.ts';
import type { Deliveries } from './deliveries.ts';
import { notifyOfPost } from './notifications.ts';
import type { ResponseUrls, Triggers } from './short-lived.ts';
import type { SlackStore, StoredMessage } from './store.ts';
import type { Workspace } from './workspace.ts';

export interface Core {
  workspace: Workspace;
  store: SlackStore;
  deliveries: Deliveries;
  triggers: Triggers;
  response_urls: ResponseUrls;
  clock: () => number;
  /** False between stop and start: people can do nothing then. */
  up: () => boolean;
  base_url: () => string;
  /** The old verification token that Slack still puts into payloads. */
  verification_token: string;
  bot_events: readonly string[];
  commands: readonly string[];
}

/** Stores a post, counts who hears of it, and gives it back. */
export function post(core: Core, message: Omit<StoredMessage, 'ts' | 'revisions'>): StoredMessage {
  const stored: StoredMessage = {
    ...message,
    ts: core.store.nextTs(),
    revisions: [{ at_ms: core.clock(), text: message.text, blocks: message.blocks }],
  };
  core.store.add(stored);
  notifyOfPost(core.workspace, core.store, stored);
  return stored;
}

/** Slack gives every block an id when the app gave none. */
export function withBlockIds(blocks: readonly Json[], fresh: () => string): Json[] {
  return blocks.map((block) =>
    block['block_id'] === undefined ? { ...block, block_id: fresh() } : { ...block },
  );
}

/** A message as the Web API and payloads show it. */
export function messageRecord(core: Core, message: StoredMessage): Json {
  const replies = core.store
    .messages(message.channel)
    .filter((other) => other.thread_ts === message.ts && other.ts !== message.ts);
  const root: Json =
    replies.length > 0
      ? {
          thread_ts: message.ts,
          reply_count: replies.length,
          reply_users_count: new Set(replies.map((reply) => reply.user)).size,
          latest_reply: replies.at(-1)!.ts,
          reply_users: [...new Set(replies.map((reply) => reply.user))],
        }
      : {};
  return {
    type: 'message',
    ...(message.reply_broadcast ? { subtype: 'thread_broadcast' } : {}),
    user: message.user,
    ts: message.ts,
    ...(message.bot_id ? { bot_id: message.bot_id, app_id: core.workspace.definition.app_id } : {}),
    text: message.text,
    team: core.workspace.team_id,
    ...(message.blocks.length > 0 ? { blocks: message.blocks } : {}),
    ...(message.thread_ts ? { thread_ts: message.thread_ts } : {}),
    ...(message.edited ? { edited: message.edited } : {}),
    ...(message.files ? { files: message.files } : {}),
    ...(message.pinned ? { pinned_to: [message.channel] } : {}),
    ...root,
  };
}

/** The address under which people see a message. */
export function permalink(core: Core, message: StoredMessage): string {
  const base = `https://${core.workspace.definition.team.domain}.slack.com/archives/${message.channel}`;
  const own = `${base}/p${message.ts.replace('.', '')}`;
  return message.thread_ts && message.thread_ts !== message.ts
    ? `${own}?thread_ts=${message.thread_ts}&cid=${message.channel}`
    : own;
}
