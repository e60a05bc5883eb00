// Who hears about a message. The twin counts so that "quiet" can be tested: one notification per person and message,
// with the strongest reason. Edits notify nobody; an edit that adds a mention is written down as `edit_mention`, because
// nobody has measured what real Slack does there, and the product should not do it.
import { str, type Json } from './json.ts';
import { piecesOf, type Inline } from './mrkdwn.ts';
import type { NotificationReason, SlackStore, StoredMessage } from './store.ts';
import type { Workspace } from './workspace.ts';

export interface Mentions {
  users: Set<string>;
  usergroups: Set<string>;
  broadcast: boolean;
}

function addPiece(piece: Inline, into: Mentions): void {
  if (piece.kind === 'user') into.users.add(piece.id);
  if (piece.kind === 'usergroup') into.usergroups.add(piece.id);
  if (piece.kind === 'broadcast') into.broadcast = true;
}

function addRichText(node: Json, into: Mentions): void {
  if (node['type'] === 'user') into.users.add(str(node['user_id']));
  if (node['type'] === 'usergroup') into.usergroups.add(str(node['usergroup_id']));
  if (node['type'] === 'broadcast') into.broadcast = true;
}

function walk(value: unknown, into: Mentions): void {
  if (Array.isArray(value)) {
    for (const item of value) walk(item, into);
    return;
  }
  if (typeof value !== 'object' || value === null) return;
  const node = value as Json;
  // A confirm dialog or an option is shown on demand to one person: it notifies nobody.
  if (node['type'] === 'mrkdwn' || node['type'] === 'markdown') {
    for (const piece of piecesOf(str(node['text']))) addPiece(piece, into);
    return;
  }
  addRichText(node, into);
  for (const [key, inner] of Object.entries(node)) {
    if (key !== 'confirm' && key !== 'options' && key !== 'accessory') walk(inner, into);
  }
}

/** Mentions in a message as Slack reads them: in mrkdwn and rich_text, never in plain_text or raw cells. */
export function mentionsOf(message: { text: string; blocks: readonly Json[] }): Mentions {
  const into: Mentions = { users: new Set(), usergroups: new Set(), broadcast: false };
  walk(message.blocks, into);
  for (const piece of piecesOf(message.text)) addPiece(piece, into);
  return into;
}

function followers(store: SlackStore, message: StoredMessage): Set<string> {
  const found = new Set<string>();
  if (!message.thread_ts) return found;
  for (const other of store.thread(message.channel, message.thread_ts)) {
    if (other.ts === message.ts) continue;
    found.add(other.user);
    for (const user of mentionsOf(other).users) found.add(user);
  }
  return found;
}

function reasons(
  workspace: Workspace,
  store: SlackStore,
  message: StoredMessage,
): Map<string, NotificationReason> {
  const channel = workspace.channels.get(message.channel)!;
  const mentions = mentionsOf(message);
  const why = new Map<string, NotificationReason>();
  // Weakest first: a later line overwrites an earlier one.
  for (const user of followers(store, message)) why.set(user, 'thread');
  if (mentions.broadcast) for (const user of channel.members) why.set(user, 'broadcast');
  for (const id of mentions.usergroups) {
    for (const user of workspace.usergroups.get(id)?.users ?? []) why.set(user, 'usergroup');
  }
  for (const user of mentions.users) if (channel.members.includes(user)) why.set(user, 'mention');
  if (channel.im_user) why.set(channel.im_user, 'dm');
  return why;
}

function hears(workspace: Workspace, user_id: string): boolean {
  const user = workspace.users.get(user_id);
  return user !== undefined && user.role !== 'bot' && user.role !== 'deactivated';
}

export function notifyOfPost(workspace: Workspace, store: SlackStore, message: StoredMessage): void {
  for (const [user, why] of reasons(workspace, store, message)) {
    if (user === message.user || !hears(workspace, user)) continue;
    const { channel, ts, text } = message;
    store.notify({ user, why, channel, ts, text, at_ms: store.now() });
  }
}

export function noteEditedMentions(
  workspace: Workspace,
  store: SlackStore,
  message: StoredMessage,
  before: { text: string; blocks: readonly Json[] },
): void {
  const [old, now] = [mentionsOf(before), mentionsOf(message)];
  const added = new Set([...now.users].filter((user) => !old.users.has(user)));
  for (const id of now.usergroups) {
    if (old.usergroups.has(id)) continue;
    for (const user of workspace.usergroups.get(id)?.users ?? []) added.add(user);
  }
  for (const user of added) {
    if (!hears(workspace, user)) continue;
    const { channel, ts, text } = message;
    store.notify({ user, why: 'edit_mention', channel, ts, text, at_ms: store.now() });
  }
}
