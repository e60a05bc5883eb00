// What one member sees right now, as JSON with ready HTML pieces. The page's script only places the pieces.
import { createHash } from 'node:crypto';
import { formatDate } from '../slack/mrkdwn.ts';
import { str, type Json } from '../slack/json.ts';
import type { OpenView, StoredEphemeral, StoredMessage } from '../slack/store.ts';
import type { SlackTwin } from '../slack/twin.ts';
import type { Channel, UserDefinition } from '../slack/workspace.ts';
import type { BlockDrawer } from './draw-blocks.ts';
import { drawMrkdwn, drawText, esc, type Viewer } from './draw-text.ts';

export interface Row {
  key: string;
  version: string;
  html: string;
}

export interface SnapshotInput {
  twin: SlackTwin;
  draw: BlockDrawer;
  user: UserDefinition;
  channel: Channel | undefined;
  thread_ts: string | undefined;
  /** When this member last looked at each channel, in ms. */
  seen: ReadonlyMap<string, number>;
  /** Lines about the running scenario, shown in the sidebar. */
  info: readonly string[];
}

const ROLE_NAMES: Readonly<Record<string, string>> = {
  owner: 'owner',
  admin: 'admin',
  guest: 'guest',
  deactivated: 'deactivated',
  foreign: 'other workspace',
  bot: 'app',
};

function row(key: string, html: string): Row {
  return { key, version: createHash('sha1').update(html).digest('hex').slice(0, 12), html };
}

function colour(id: string): number {
  return createHash('sha1').update(id).digest()[0]! % 8;
}

const SHIELD =
  '<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M12 2.5 4.5 5.4v5.8c0 4.9 3.2 8.6 7.5 10.3 4.3-1.7 7.5-5.4 7.5-10.3V5.4L12 2.5Z" fill="#1d9bd1"/><path d="m8.2 12.1 2.7 2.7 5-5.3" fill="none" stroke="#fff" stroke-width="2" stroke-linecap="round" stroke-linejoin="round"/></svg>';

function avatar(user: UserDefinition | undefined, id: string, bot_id: string): string {
  if (id === bot_id) return `<span class="avatar app" aria-hidden="true">${SHIELD}</span>`;
  const name = user?.real_name ?? user?.name ?? '?';
  const initials = name
    .split(/\s+/)
    .map((word) => word[0] ?? '')
    .join('')
    .slice(0, 2)
    .toUpperCase();
  return `<span class="avatar c${colour(id)}" aria-hidden="true">${esc(initials)}</span>`;
}

function clock(ts: string, viewer: Viewer): string {
  const unix = Number(ts.split('.')[0]);
  const full = formatDate(unix, '{date_long} {time_secs}', viewer.time_zone);
  return `<time class="at" title="${esc(full)}">${esc(formatDate(unix, '{time}', viewer.time_zone))}</time>`;
}

interface Content {
  user: string;
  ts: string;
  channel: string;
  text: string;
  blocks: Json[];
}

function body(input: SnapshotInput, viewer: Viewer, content: Content): string {
  if (content.blocks.length > 0) return `<div class="blocks">${input.draw(content.blocks, viewer)}</div>`;
  return `<div class="text">${drawMrkdwn(content.text, viewer)}</div>`;
}

/** What stands above the words, under the name, and below them. */
interface Around {
  lead: string;
  tail: string;
}

function frame(input: SnapshotInput, viewer: Viewer, content: Content, kind: string, around: Around): string {
  const { workspace } = input.twin;
  const user = workspace.users.get(content.user);
  const is_app = user?.role === 'bot';
  const name = user?.real_name ?? user?.name ?? (content.user === 'USLACKBOT' ? 'Slackbot' : content.user);
  const badge = is_app ? '<span class="badge">APP</span>' : '';
  const only = kind === 'ephemeral' ? '<div class="only">Only visible to you</div>' : '';
  return `<article class="message ${kind}" data-testid="${kind}" data-channel="${esc(content.channel)}" data-ts="${esc(content.ts)}">${avatar(user, content.user, workspace.bot_user_id)}<div class="content">${only}<div class="by"><strong>${esc(name)}</strong>${badge}${clock(content.ts, viewer)}</div>${around.lead}${body(input, viewer, content)}${around.tail}</div></article>`;
}

function filesOf(message: StoredMessage): string {
  const files = message.files ?? [];
  return files
    .map(
      (file) =>
        `<div class="file">📄 ${esc(str(file['title']))} <small>${esc(str(file['size']))} bytes</small></div>`,
    )
    .join('');
}

function repliesOf(input: SnapshotInput, viewer: Viewer, message: StoredMessage): string {
  const replies = input.twin.store
    .thread(message.channel, message.ts)
    .filter((reply) => reply.ts !== message.ts);
  const last = replies.at(-1);
  if (!last) return '';
  const { workspace } = input.twin;
  const people = [...new Set(replies.map((reply) => reply.user))].slice(0, 4);
  const faces = people.map((id) => avatar(workspace.users.get(id), id, workspace.bot_user_id)).join('');
  const count = `${replies.length} ${replies.length === 1 ? 'reply' : 'replies'}`;
  return `<button type="button" class="replies" data-testid="replies" data-thread="${esc(message.ts)}"><span class="faces">${faces}</span><strong>${count}</strong><span class="note">Last reply ${clock(last.ts, viewer)}</span></button>`;
}

function messageRow(input: SnapshotInput, viewer: Viewer, message: StoredMessage, in_thread: boolean): Row {
  const marks = [
    message.edited ? '<span class="note">(edited)</span>' : '',
    message.pinned ? '<div class="note">📌 Pinned</div>' : '',
    filesOf(message),
    in_thread || message.thread_ts ? '' : repliesOf(input, viewer, message),
  ].join('');
  const lead = message.reply_broadcast && !in_thread ? '<div class="note">replied to a thread</div>' : '';
  return row(
    `${message.channel}/${message.ts}`,
    frame(input, viewer, message, 'message', { lead, tail: marks }),
  );
}

function ephemeralRow(input: SnapshotInput, viewer: Viewer, shown: StoredEphemeral): Row {
  const from = shown.from === 'app' ? input.twin.workspace.bot_user_id : 'USLACKBOT';
  return row(
    `e/${shown.channel}/${shown.ts}`,
    frame(input, viewer, { ...shown, user: from }, 'ephemeral', { lead: '', tail: '' }),
  );
}

function channelRows(input: SnapshotInput, viewer: Viewer, channel: Channel): Row[] {
  const top = input.twin.store
    .messages(channel.id)
    .filter((message) => !message.thread_ts || message.thread_ts === message.ts || message.reply_broadcast)
    .map((message) => ({ ts: message.ts, row: messageRow(input, viewer, message, false) }));
  const mine = ephemeralsIn(input, channel.id, undefined).map((shown) => ({
    ts: shown.ts,
    row: ephemeralRow(input, viewer, shown),
  }));
  return inOrder([...top, ...mine]);
}

function inOrder(rows: { ts: string; row: Row }[]): Row[] {
  return rows.sort((a, b) => Number(a.ts) - Number(b.ts)).map((each) => each.row);
}

function ephemeralsIn(
  input: SnapshotInput,
  channel: string,
  thread_ts: string | undefined,
): StoredEphemeral[] {
  return input.twin.store.ephemerals.filter(
    (shown) =>
      shown.user === input.user.id &&
      !shown.deleted &&
      shown.channel === channel &&
      shown.thread_ts === thread_ts,
  );
}

function threadOf(input: SnapshotInput, viewer: Viewer): Json | null {
  const { channel, thread_ts, twin } = input;
  if (!channel || thread_ts === undefined || !twin.store.get(channel.id, thread_ts)) return null;
  const said = twin.store.thread(channel.id, thread_ts).map((message) => ({
    ts: message.ts,
    row: messageRow(input, viewer, message, true),
  }));
  const mine = ephemeralsIn(input, channel.id, thread_ts).map((shown) => ({
    ts: shown.ts,
    row: ephemeralRow(input, viewer, shown),
  }));
  return {
    ts: thread_ts,
    channel: channel.name,
    rows: inOrder([...said, ...mine]),
    status: twin.store.thread_status.get(`${channel.id}/${thread_ts}`) ?? '',
  };
}

function modalOf(input: SnapshotInput, viewer: Viewer): Json | null {
  const top: OpenView | undefined = input.twin.store.stackOf(input.user.id).at(-1);
  if (!top) return null;
  const { view, errors } = top;
  const general = errors[''] === undefined ? '' : `<p class="fault" role="alert">${esc(errors[''])}</p>`;
  const close = view['close'] ? drawText(view['close'], viewer) : 'Close';
  const submit = view['submit']
    ? `<button type="submit" class="btn primary" data-testid="modal-submit">${drawText(view['submit'], viewer)}</button>`
    : '';
  const html = `<header><h2>${drawText(view['title'], viewer)}</h2><button type="button" class="x" data-close aria-label="Close">×</button></header><div class="body">${general}${input.draw(view.blocks, viewer, errors)}</div><footer><button type="button" class="btn" data-close data-testid="modal-close">${close}</button>${submit}</footer>`;
  return { id: view.id, ...row(view.id, html) };
}

function channelList(input: SnapshotInput): Json[] {
  const { twin, user, seen } = input;
  const mine = [...twin.workspace.channels.values()].filter((channel) => channel.members.includes(user.id));
  return mine.map((channel) => {
    const since = seen.get(channel.id) ?? 0;
    const heard = twin.store.notifications.filter(
      (each) => each.user === user.id && each.channel === channel.id && each.at_ms > since,
    );
    const last = twin.store.messages(channel.id).at(-1);
    return {
      id: channel.id,
      name: channel.im_user ? twin.workspace.definition.bot.name : channel.name,
      kind: channel.im_user ? 'im' : channel.private ? 'private' : 'public',
      mentions: heard.length,
      unread: last !== undefined && Number(last.ts) * 1000 > since,
    };
  });
}

/** Everything the page shows to this member. */
export function snapshotFor(input: SnapshotInput): Json {
  const { twin, user, channel } = input;
  const viewer: Viewer = { workspace: twin.workspace, user_id: user.id, time_zone: user.tz ?? 'Etc/UTC' };
  const home = twin.store.homeOf(user.id);
  return {
    team: twin.workspace.definition.team.name,
    bot: twin.workspace.definition.bot.name,
    me: { id: user.id, name: user.name, avatar: avatar(user, user.id, twin.workspace.bot_user_id) },
    members: [...twin.workspace.users.values()]
      .filter((member) => member.role !== 'bot')
      .map((member) => ({
        id: member.id,
        name: member.real_name ?? member.name,
        role: ROLE_NAMES[member.role ?? 'member'] ?? '',
      })),
    channels: channelList(input),
    channel: channel
      ? {
          id: channel.id,
          name: channel.im_user ? twin.workspace.definition.bot.name : channel.name,
          kind: channel.im_user ? 'im' : channel.private ? 'private' : 'public',
          topic: channel.topic ?? '',
          members: channel.members.length,
          archived: channel.archived === true,
          rows: channelRows(input, viewer, channel),
        }
      : null,
    home: channel ? null : home ? row(home.view.id, input.draw(home.view.blocks, viewer)) : row('empty', ''),
    thread: threadOf(input, viewer),
    modal: modalOf(input, viewer),
    troubles: twin.store.troubles
      .filter((each) => each.user === user.id)
      .map(({ what, at_ms }) => ({ what, at_ms })),
    info: [...input.info],
  };
}
