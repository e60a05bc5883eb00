// conversations.*, pins, reactions and thread status: what the bot can read of channels and threads.
import type { Json } from '../json.ts';
import { messageRecord, type Core } from '../core.ts';
import { type Args, joinedChannel, type Method, page, refuse, visibleChannel } from '../method.ts';
import type { StoredMessage } from '../store.ts';

function info(core: Core, args: Args): Json {
  return { ok: true, channel: core.workspace.channelRecord(visibleChannel(core, args.need('channel'))) };
}

function list(core: Core, args: Args): Json {
  const types = (args.text('types') ?? 'public_channel').split(',');
  const bot = core.workspace.bot_user_id;
  const shown = [...core.workspace.channels.values()].filter((channel) => {
    if (args.flag('exclude_archived') && channel.archived) return false;
    if (channel.im_user) return types.includes('im') && channel.members.includes(bot);
    if (channel.private) return types.includes('private_channel') && channel.members.includes(bot);
    return types.includes('public_channel');
  });
  const { items, next_cursor } = page(shown, args, 100);
  return {
    ok: true,
    channels: items.map((channel) => core.workspace.channelRecord(channel)),
    response_metadata: { next_cursor },
  };
}

function members(core: Core, args: Args): Json {
  const channel = visibleChannel(core, args.need('channel'));
  const { items, next_cursor } = page(channel.members, args, 100);
  return { ok: true, members: items, response_metadata: { next_cursor } };
}

function record(core: Core, message: StoredMessage, args: Args): Json {
  const shown = messageRecord(core, message);
  return message.metadata && args.flag('include_all_metadata')
    ? { ...shown, metadata: message.metadata }
    : shown;
}

function within(messages: readonly StoredMessage[], args: Args): StoredMessage[] {
  const [oldest, latest] = [Number(args.text('oldest') ?? 0), Number(args.text('latest') ?? Infinity)];
  const inclusive = args.flag('inclusive');
  return messages.filter(({ ts }) => {
    const at = Number(ts);
    return inclusive ? at >= oldest && at <= latest : at > oldest && at < latest;
  });
}

function replies(core: Core, args: Args): Json {
  const channel = joinedChannel(core, args.need('channel'));
  const ts = args.need('ts');
  const named = core.store.get(channel.id, ts);
  if (!named || named.deleted) return refuse('thread_not_found');
  const root = named.thread_ts ?? named.ts;
  const [parent, ...answers] = core.store.thread(channel.id, root);
  const shown = [...(parent ? [parent] : []), ...within(answers, args)];
  const { items, next_cursor } = page(shown, args, 1000);
  return {
    ok: true,
    messages: items.map((message) => record(core, message, args)),
    has_more: next_cursor !== '',
    response_metadata: { next_cursor },
  };
}

function history(core: Core, args: Args): Json {
  const channel = joinedChannel(core, args.need('channel'));
  const top = core.store
    .messages(channel.id)
    .filter((message) => !message.thread_ts || message.reply_broadcast || message.thread_ts === message.ts);
  const { items, next_cursor } = page(within(top, args).toReversed(), args, 100);
  return {
    ok: true,
    messages: items.map((message) => record(core, message, args)),
    has_more: next_cursor !== '',
    pin_count: core.store.messages(channel.id).filter((message) => message.pinned).length,
    response_metadata: { next_cursor },
  };
}

function open(core: Core, args: Args): Json {
  args.unsupported('channel');
  const users = args.need('users').split(',');
  if (users.length > 1) return refuse('twin_unsupported_argument', { argument: 'users (group messages)' });
  const user = core.workspace.users.get(users[0]!);
  if (!user) return refuse('user_not_found');
  if (user.role === 'deactivated') return refuse('user_disabled');
  const existed = [...core.workspace.channels.values()].some((channel) => channel.im_user === user.id);
  const channel = core.workspace.directMessage(user.id);
  return { ok: true, ...(existed ? { already_open: true, no_op: true } : {}), channel: { id: channel.id } };
}

function ofBot(core: Core, args: Args, name: string): StoredMessage {
  const channel = joinedChannel(core, args.need('channel'));
  const message = core.store.get(channel.id, args.need(name));
  return !message || message.deleted ? refuse('message_not_found') : message;
}

function addPin(core: Core, args: Args): Json {
  const message = ofBot(core, args, 'timestamp');
  if (message.pinned) return refuse('already_pinned');
  message.pinned = true;
  core.store.touch();
  return { ok: true };
}

function getReactions(core: Core, args: Args): Json {
  const message = ofBot(core, args, 'timestamp');
  return { ok: true, type: 'message', channel: message.channel, message: messageRecord(core, message) };
}

function setStatus(core: Core, args: Args): Json {
  const channel = joinedChannel(core, args.need('channel_id'));
  const thread_ts = args.need('thread_ts');
  if (!core.store.get(channel.id, thread_ts)) return refuse('thread_not_found');
  const key = `${channel.id}/${thread_ts}`;
  const status = args.text('status');
  if (status === undefined) core.store.thread_status.delete(key);
  else core.store.thread_status.set(key, status);
  core.store.touch();
  return { ok: true };
}

export const conversationMethods: Readonly<Record<string, Method>> = {
  'conversations.info': { tier: 3, scope: 'read', run: info },
  'conversations.list': { tier: 2, scope: 'read', run: list },
  'conversations.members': { tier: 4, scope: 'read', run: members },
  'conversations.replies': { tier: 3, scope: 'history', run: replies },
  'conversations.history': { tier: 3, scope: 'history', run: history },
  'conversations.open': { tier: 3, scope: 'im:write', run: open },
  'pins.add': { tier: 2, scope: 'pins:write', run: addPin },
  'reactions.get': { tier: 3, scope: 'reactions:read', run: getReactions },
  'assistant.threads.setStatus': { tier: 3, scope: 'assistant:write', run: setStatus },
};
