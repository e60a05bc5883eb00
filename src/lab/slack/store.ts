// What the workspace remembers: every message with every revision, ephemerals, views, who was notified of what, and what
// people saw go wrong. It survives stop and start of the twin, as Slack's own storage survives an outage.
import type { Json } from './json.ts';
import { EventEmitter } from 'node:events';

export interface Revision {
  at_ms: number;
  text: string;
  blocks: Json[];
}

export interface StoredMessage {
  channel: string;
  ts: string;
  thread_ts?: string;
  user: string;
  bot_id?: string;
  text: string;
  blocks: Json[];
  metadata?: Json;
  reply_broadcast?: boolean;
  edited?: { user: string; ts: string };
  deleted?: boolean;
  pinned?: boolean;
  files?: Json[];
  /** Oldest first; the last one is what shows now. */
  revisions: Revision[];
}

export interface StoredEphemeral {
  channel: string;
  ts: string;
  thread_ts?: string;
  /** The only person who sees it. */
  user: string;
  text: string;
  blocks: Json[];
  from: 'app' | 'slackbot';
  deleted?: boolean;
}

export interface StoredView extends Json {
  id: string;
  type: 'modal' | 'home';
  blocks: Json[];
  hash: string;
  state: { values: Record<string, Record<string, Json>> };
  root_view_id: string;
  previous_view_id: string | null;
}

export interface OpenView {
  view: StoredView;
  user: string;
  open: boolean;
  /** Errors under inputs after `response_action: errors`, by block_id. */
  errors: Record<string, string>;
}

export type NotificationReason = 'mention' | 'usergroup' | 'broadcast' | 'thread' | 'dm' | 'edit_mention';

export interface Notification {
  user: string;
  why: NotificationReason;
  channel: string;
  ts: string;
  text: string;
  at_ms: number;
}

/** What a person sees when the app did not answer properly. */
export interface Trouble {
  user: string;
  what: string;
  at_ms: number;
}

export interface StoreEvents {
  message: StoredMessage;
  update: StoredMessage;
  delete: StoredMessage;
  ephemeral: StoredEphemeral;
  view: OpenView;
  notification: Notification;
  trouble: Trouble;
}

const CHANGE = 'change';

export class SlackStore {
  readonly ephemerals: StoredEphemeral[] = [];
  readonly views = new Map<string, OpenView>();
  readonly notifications: Notification[] = [];
  readonly troubles: Trouble[] = [];
  /** Status line of an assistant thread, by `channel/thread_ts`. */
  readonly thread_status = new Map<string, string>();
  private readonly by_channel = new Map<string, Map<string, StoredMessage>>();
  private readonly emitter = new EventEmitter();
  private readonly clock: () => number;
  private last_micros = 0;

  constructor(clock: () => number) {
    this.clock = clock;
    this.emitter.setMaxListeners(200);
  }

  /** Seconds and micros, strictly rising, unique in the workspace. */
  nextTs(): string {
    const micros = Math.max(this.clock() * 1000, this.last_micros + 100);
    this.last_micros = micros;
    const seconds = Math.floor(micros / 1_000_000);
    return `${seconds}.${String(Math.floor(micros % 1_000_000)).padStart(6, '0')}`;
  }

  now(): number {
    return this.clock();
  }

  on<K extends keyof StoreEvents>(kind: K, listener: (what: StoreEvents[K]) => void): () => void {
    this.emitter.on(kind, listener);
    return () => void this.emitter.off(kind, listener);
  }

  /** Called after anything changed; the page re-reads then. */
  onChange(listener: () => void): () => void {
    this.emitter.on(CHANGE, listener);
    return () => void this.emitter.off(CHANGE, listener);
  }

  emit<K extends keyof StoreEvents>(kind: K, what: StoreEvents[K]): void {
    this.emitter.emit(kind, what);
    this.emitter.emit(CHANGE);
  }

  touch(): void {
    this.emitter.emit(CHANGE);
  }

  get(channel: string, ts: string): StoredMessage | undefined {
    return this.by_channel.get(channel)?.get(ts);
  }

  /** Everything in a channel, oldest first, deleted ones left out. */
  messages(channel: string): StoredMessage[] {
    return [...(this.by_channel.get(channel)?.values() ?? [])].filter((message) => !message.deleted);
  }

  all(): StoredMessage[] {
    return [...this.by_channel.values()].flatMap((channel) => [...channel.values()]);
  }

  /** The root and its replies, oldest first. */
  thread(channel: string, thread_ts: string): StoredMessage[] {
    return this.messages(channel).filter(
      (message) => message.ts === thread_ts || message.thread_ts === thread_ts,
    );
  }

  add(message: StoredMessage): void {
    const channel = this.by_channel.get(message.channel) ?? new Map<string, StoredMessage>();
    channel.set(message.ts, message);
    this.by_channel.set(message.channel, channel);
    this.emit('message', message);
  }

  revise(message: StoredMessage, next: { text: string; blocks: Json[] }, by: string): void {
    message.text = next.text;
    message.blocks = next.blocks;
    // With blocks Slack shows no "(edited)" mark (documented at chat.update).
    if (next.blocks.length === 0) message.edited = { user: by, ts: this.nextTs() };
    message.revisions.push({ at_ms: this.clock(), ...next });
    this.emit('update', message);
  }

  remove(message: StoredMessage): void {
    message.deleted = true;
    this.emit('delete', message);
  }

  addEphemeral(ephemeral: StoredEphemeral): void {
    this.ephemerals.push(ephemeral);
    this.emit('ephemeral', ephemeral);
  }

  notify(notification: Notification): void {
    this.notifications.push(notification);
    this.emit('notification', notification);
  }

  trouble(user: string, what: string): void {
    const trouble = { user, what, at_ms: this.clock() };
    this.troubles.push(trouble);
    this.emit('trouble', trouble);
  }

  /** Open modals of one person, the bottom one first. */
  stackOf(user: string): OpenView[] {
    return [...this.views.values()].filter(
      (entry) => entry.user === user && entry.open && entry.view.type === 'modal',
    );
  }

  homeOf(user: string): OpenView | undefined {
    return [...this.views.values()].find((entry) => entry.user === user && entry.view.type === 'home');
  }
}
