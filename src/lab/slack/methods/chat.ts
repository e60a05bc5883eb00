// chat.*: posting, editing, deleting. Strict where a bot gets it wrong in real life: unknown channel, not invited,
// archived, foreign message, bad blocks, oversized metadata.
import type { Json } from '../json.ts';
import { checkMessageBlocks } from '../../block-kit/check-blocks.ts';
import { isRecord } from '../../block-kit/findings.ts';
import { messageRecord, permalink, post, withBlockIds, type Core } from '../core.ts';
import { type Args, joinedChannel, type Method, refuse, refuseFindings, visibleChannel } from '../method.ts';
import { noteEditedMentions } from '../notifications.ts';
import { slackId } from '../short-lived.ts';
import type { StoredMessage } from '../store.ts';
import type { Channel } from '../workspace.ts';

const TEXT_CHARS_MAX = 40_000;
/** No figure is published; this is the twin's own ceiling. */
const METADATA_BYTES_MAX = 8_192;

export function checkedBlocks(value: unknown): Json[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) return refuse('invalid_blocks_format');
  const verdict = checkMessageBlocks(value);
  if (verdict.error === 'invalid_blocks') refuseFindings('invalid_blocks', verdict.findings, true);
  if (verdict.error) refuse(verdict.error);
  return withBlockIds(value as Json[], () => slackId('b').slice(1, 6));
}

interface Content {
  text: string;
  blocks: Json[];
}

function contentOf(args: Args): Content {
  args.unsupported(
    'attachments',
    'markdown_text',
    'link_names',
    'parse',
    'as_user',
    'username',
    'icon_emoji',
    'icon_url',
  );
  const text = (args.text('text') ?? '').slice(0, TEXT_CHARS_MAX);
  const blocks = checkedBlocks(args.structure('blocks', 'invalid_blocks_format'));
  if (text === '' && blocks.length === 0) refuse('no_text');
  return { text, blocks };
}

function metadataOf(args: Args): Json | undefined {
  const metadata = args.structure('metadata', 'invalid_metadata_format');
  if (metadata === undefined) return undefined;
  if (!isRecord(metadata)) return refuse('invalid_metadata_format');
  if (Object.keys(metadata).length === 0) return {};
  const { event_type, event_payload, ...rest } = metadata;
  const formed =
    typeof event_type === 'string' && typeof event_payload === 'object' && event_payload !== null;
  if (!formed || Object.keys(rest).length > 0) refuse('invalid_metadata_format');
  if (Buffer.byteLength(JSON.stringify(metadata)) > METADATA_BYTES_MAX) refuse('metadata_too_large');
  return metadata;
}

/** Posting takes an id, a name, or a user id (which opens the direct message). */
function postTarget(core: Core, wanted: string): Channel {
  const user = core.workspace.users.get(wanted);
  if (user) {
    if (user.role === 'bot') return refuse('cannot_dm_bot');
    return core.workspace.directMessage(user.id);
  }
  const found = core.workspace.findChannel(wanted);
  return found ? joinedChannel(core, found.id) : refuse('channel_not_found');
}

function rootOf(core: Core, channel: Channel, thread_ts: string | undefined): string | undefined {
  if (thread_ts === undefined) return undefined;
  const parent = core.store.get(channel.id, thread_ts);
  if (!parent || parent.deleted) return refuse('thread_not_found');
  return parent.thread_ts ?? parent.ts;
}

function postMessage(core: Core, args: Args): Json {
  const channel = postTarget(core, args.need('channel'));
  if (channel.archived) refuse('is_archived');
  const content = contentOf(args);
  const metadata = metadataOf(args);
  const thread_ts = rootOf(core, channel, args.text('thread_ts'));
  const message = post(core, {
    channel: channel.id,
    user: core.workspace.bot_user_id,
    bot_id: core.workspace.definition.bot.bot_id,
    ...content,
    ...(metadata ? { metadata } : {}),
    ...(thread_ts ? { thread_ts } : {}),
    ...(thread_ts && args.flag('reply_broadcast') ? { reply_broadcast: true } : {}),
  });
  // A post into an assistant thread clears its status line.
  if (thread_ts) core.store.thread_status.delete(`${channel.id}/${thread_ts}`);
  return { ok: true, channel: channel.id, ts: message.ts, message: shown(core, message) };
}

function shown(core: Core, message: StoredMessage): Json {
  const record = messageRecord(core, message);
  return message.metadata ? { ...record, metadata: message.metadata } : record;
}

function ownMessage(core: Core, args: Args, error: string): StoredMessage {
  const channel = visibleChannel(core, args.need('channel'));
  const message = core.store.get(channel.id, args.need('ts'));
  if (!message || message.deleted) return refuse('message_not_found');
  if (message.bot_id !== core.workspace.definition.bot.bot_id) return refuse(error);
  if (channel.archived) return refuse('is_archived');
  return message;
}

function update(core: Core, args: Args): Json {
  const message = ownMessage(core, args, 'cant_update_message');
  // `text` without `blocks` removes the blocks: documented, and a classic way to lose the buttons.
  const content = contentOf(args);
  const metadata = metadataOf(args);
  if (metadata) message.metadata = metadata;
  const before = { text: message.text, blocks: message.blocks };
  core.store.revise(message, content, core.workspace.bot_user_id);
  noteEditedMentions(core.workspace, core.store, message, before);
  return {
    ok: true,
    channel: message.channel,
    ts: message.ts,
    text: message.text,
    message: shown(core, message),
  };
}

function remove(core: Core, args: Args): Json {
  const message = ownMessage(core, args, 'cant_delete_message');
  core.store.remove(message);
  return { ok: true, channel: message.channel, ts: message.ts };
}

function postEphemeral(core: Core, args: Args): Json {
  const channel = joinedChannel(core, args.need('channel'));
  if (channel.archived) refuse('is_archived');
  const user = args.need('user');
  if (!channel.members.includes(user)) refuse('user_not_in_channel');
  const content = contentOf(args);
  const thread_ts = args.text('thread_ts');
  const ts = core.store.nextTs();
  core.store.addEphemeral({
    channel: channel.id,
    ts,
    user,
    ...content,
    from: 'app',
    ...(thread_ts ? { thread_ts } : {}),
  });
  return { ok: true, message_ts: ts };
}

function getPermalink(core: Core, args: Args): Json {
  const channel = visibleChannel(core, args.need('channel'));
  const message = core.store.get(channel.id, args.need('message_ts'));
  if (!message || message.deleted) return refuse('message_not_found');
  return { ok: true, channel: channel.id, permalink: permalink(core, message) };
}

export const chatMethods: Readonly<Record<string, Method>> = {
  'chat.postMessage': { tier: 'post', scope: 'chat:write', run: postMessage },
  'chat.update': { tier: 3, scope: 'chat:write', run: update },
  'chat.delete': { tier: 3, scope: 'chat:write', run: remove },
  'chat.postEphemeral': { tier: 4, scope: 'chat:write', run: postEphemeral },
  'chat.getPermalink': { tier: 'special', run: getPermalink },
};
