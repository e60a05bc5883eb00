// Sends one card state: a post for a new card, an edit for a known one. A post is never repeated blindly: when its answer
// did not come, we look for our own metadata first. What cannot be shown as drawn is shown as plain words; what cannot be
// shown in its channel goes to the fallback channel. Nothing here decides when: outbox.ts does.
import type { CardDelivery, OutboxStore } from '../store/store.ts';
import type { Clock } from '../contract/ports.ts';
import { drawCard, metadataOf, type DrawTools } from './card-drawing.ts';
import type { Card } from './cards/card.ts';
import { postmortemFileName, postmortemFitsCard } from './cards/postmortem.ts';
import { AUTH_FAULTS, type ApiAnswer, type SlackApi } from './slack-api.ts';
import type { SendLimiter } from './send-limiter.ts';
import { lookForCard, lookForFile } from './sent-lookup.ts';

export interface SenderOptions extends DrawTools {
  readonly outbox: OutboxStore;
  readonly api: SlackApi;
  readonly limiter: SendLimiter;
  readonly fallback_channel: string;
  readonly clock: Clock;
  readonly bot_user_id: () => string | null;
}

/** `sent`: on screen. `wait`: not before so many ms. `down`: Slack did not answer. `given_up`: will not be shown. */
export type Delivered =
  | { readonly result: 'sent' }
  | { readonly result: 'wait'; readonly wait_ms: number; readonly why: string }
  | { readonly result: 'down'; readonly why: string }
  | { readonly result: 'given_up'; readonly why: string };

const CHANNEL_FAULTS: ReadonlySet<string> = new Set(['channel_not_found', 'not_in_channel', 'is_archived']);
const GONE: ReadonlySet<string> = new Set(['message_not_found', 'cant_update_message', 'edit_window_closed']);
const BLOCK_FAULTS: ReadonlySet<string> = new Set([
  'invalid_blocks',
  'invalid_blocks_format',
  'msg_blocks_too_long',
  'msg_too_long',
  'block_mismatch',
]);
/** Time that Slack is given to make a stored file visible before we look for it. */
const LOOK_AFTER_MS = 2_000;
const REFUSED_WAIT_MS = [1_000, 5_000, 30_000, 120_000] as const;
const EPHEMERAL_TRIES_MAX = 3;
const REPEAT = 'This may be a repeat: Slack did not confirm the first copy.';
const PLAIN_LEVELS = 3;

export class CardSender {
  readonly #options: SenderOptions;
  /** Cards that live in the fallback channel, and why; the note stays on them. */
  readonly #moved = new Map<string, string>();
  /** Refusals in a row per card: each waits longer. */
  readonly #refusals = new Map<string, number>();

  constructor(options: SenderOptions) {
    this.#options = options;
  }

  async send(card: CardDelivery): Promise<Delivered> {
    if (card.placement === 'private') return this.#ephemeral(card);
    if (card.ts !== null) {
      // Timeline messages are never edited: one that is on screen is as wanted.
      if (card.notice.kind === 'timeline')
        return this.#done(card, card.wanted_revision, card.channel, card.ts);
      return this.#update(card, card.ts);
    }
    if (card.placement === 'root' || card.incident_id === null) return this.#post(card, card.channel, null);
    const root = await this.#rootOf(card);
    if (root === null) return { result: 'wait', wait_ms: 250, why: 'the root card is not posted yet' };
    if (card.notice.kind === 'postmortem' && !postmortemFitsCard(card.notice)) {
      const waiting = await this.#attach(card, root);
      if (waiting !== null) return waiting;
    }
    return this.#post(card, root.channel, root.ts);
  }

  async #rootOf(card: CardDelivery): Promise<{ channel: string; ts: string } | null> {
    if (card.thread_ts === null) return null;
    const root =
      card.incident_id === null ? null : await this.#options.outbox.get(`root:${card.incident_id}`);
    return { channel: root?.channel ?? card.channel, ts: root?.ts ?? card.thread_ts };
  }

  // ---------------------------------------------------------------- edit

  async #update(card: CardDelivery, ts: string): Promise<Delivered> {
    for (let level = 0; level < PLAIN_LEVELS; level++) {
      const wait = this.#pace('chat.update', card.channel);
      if (wait !== null) return wait;
      const drawn = await this.#drawing(card, level, false);
      const answer = await this.#options.api.call('chat.update', {
        channel: card.channel,
        ts,
        text: drawn.text,
        blocks: drawn.blocks,
        metadata: metadataOf(card),
      });
      if (answer.ok) return this.#done(card, card.wanted_revision, card.channel, ts);
      if (answer.kind === 'unknown') return { result: 'down', why: answer.error };
      if (answer.kind === 'limited') return this.#limited('chat.update', card.channel, answer.retry_after_ms);
      if (CHANNEL_FAULTS.has(answer.error)) return this.#move(card, answer.error);
      if (GONE.has(answer.error)) return this.#repost(card);
      if (!BLOCK_FAULTS.has(answer.error)) return this.#refused(card, answer.error);
      this.#alarm(card, level, answer);
    }
    return this.#refused(card, 'invalid_blocks');
  }

  // ---------------------------------------------------------------- post

  async #post(
    card: CardDelivery,
    channel: string,
    thread_ts: string | null,
    doubtful = card.state === 'sending',
  ): Promise<Delivered> {
    let repeat = false;
    if (doubtful) {
      const found = await lookForCard(this.#options, card, channel, thread_ts);
      if (found.is === 'there') return this.#done(card, found.revision, channel, found.ts);
      if (found.is === 'limited') return this.#limited(found.method, channel, found.wait_ms);
      if (found.is === 'down') return { result: 'down', why: found.why };
      repeat = found.is === 'blind';
    }
    for (let level = 0; level < PLAIN_LEVELS; level++) {
      const wait = this.#pace('chat.postMessage', channel);
      if (wait !== null) return wait;
      const drawn = await this.#drawing(card, level, true, repeat);
      await this.#options.outbox.sending(card.card_key, card.wanted_revision);
      const answer = await this.#options.api.call('chat.postMessage', {
        channel,
        text: drawn.text,
        ...(drawn.blocks.length === 0 ? {} : { blocks: drawn.blocks }),
        ...(thread_ts === null ? {} : { thread_ts, reply_broadcast: broadcasts(card) }),
        metadata: metadataOf(card),
        unfurl_links: false,
        unfurl_media: false,
      });
      const end = await this.#judgePost(card, channel, answer, level);
      if (end !== null) return end;
    }
    return this.#refused(card, 'invalid_blocks');
  }

  /** Null: try again in plainer words. */
  async #judgePost(
    card: CardDelivery,
    channel: string,
    answer: ApiAnswer,
    level: number,
  ): Promise<Delivered | null> {
    if (answer.ok) {
      const { ts } = answer.body;
      if (typeof ts === 'string') return this.#done(card, card.wanted_revision, channel, ts);
      return { result: 'down', why: 'Slack answered a post without its ts' };
    }
    // The row stays `sending`: whoever comes next, also after a crash, looks before posting.
    if (answer.kind === 'unknown') return { result: 'down', why: `no answer to a post: ${answer.error}` };
    if (answer.kind === 'limited') {
      await this.#failed(card, answer.error, answer.retry_after_ms);
      return this.#limited('chat.postMessage', channel, answer.retry_after_ms);
    }
    if (CHANNEL_FAULTS.has(answer.error)) return this.#move(card, answer.error);
    if (answer.error === 'thread_not_found') return this.#rootGone(card);
    if (!BLOCK_FAULTS.has(answer.error)) return this.#refused(card, answer.error);
    this.#alarm(card, level, answer);
    return null;
  }

  /** The message was deleted: a new one takes its place. */
  async #repost(card: CardDelivery): Promise<Delivered> {
    if (card.placement === 'root') return this.#post(card, card.channel, null, true);
    const root = await this.#rootOf(card);
    if (root === null) return { result: 'wait', wait_ms: 250, why: 'the root card is not posted yet' };
    return this.#post(card, root.channel, root.ts, true);
  }

  /** The thread's parent was deleted: the root is posted anew, then the card follows it. */
  async #rootGone(card: CardDelivery): Promise<Delivered> {
    await this.#failed(card, 'thread_not_found', 0);
    const root =
      card.incident_id === null ? null : await this.#options.outbox.get(`root:${card.incident_id}`);
    if (root === null) return this.#refused(card, 'thread_not_found');
    const posted = await this.#post(root, root.channel, null, true);
    return posted.result === 'sent'
      ? { result: 'wait', wait_ms: 0, why: 'the root card was posted again' }
      : posted;
  }

  async #move(card: CardDelivery, error: string): Promise<Delivered> {
    const fallback = this.#options.fallback_channel;
    if (card.channel === fallback || this.#moved.has(card.card_key)) return this.#refused(card, error);
    // A reply follows its root; when the root's channel is lost, the root moves first.
    if (card.placement !== 'root') {
      const root =
        card.incident_id === null ? null : await this.#options.outbox.get(`root:${card.incident_id}`);
      if (root !== null && root.channel !== fallback) {
        await this.#failed(card, error, 0);
        const moved = await this.#move(root, error);
        return moved.result === 'sent' ? { result: 'wait', wait_ms: 0, why: 'the root card moved' } : moved;
      }
      if (root?.ts !== null && root !== null) return this.#post(card, root.channel, root.ts);
    }
    this.#moved.set(card.card_key, moveWords(error));
    this.#options.log.warn(
      { room: 'slack', card: card.card_key, channel: card.channel, error },
      'card goes to the fallback channel',
    );
    const sent = await this.#post(
      { ...card, channel: fallback, ts: null },
      fallback,
      null,
      card.state === 'sending',
    );
    if (sent.result === 'given_up') this.#moved.delete(card.card_key);
    return sent;
  }

  // ---------------------------------------------------------------- ephemeral

  async #ephemeral(card: CardDelivery): Promise<Delivered> {
    const { notice } = card;
    if (notice.kind !== 'private') return this.#giveUp(card, 'only private notices are ephemeral');
    const wait = this.#pace('chat.postEphemeral', notice.channel);
    if (wait !== null) return wait;
    const drawn = await this.#drawing(card, 0, true);
    await this.#options.outbox.sending(card.card_key, card.wanted_revision);
    const answer = await this.#options.api.call('chat.postEphemeral', {
      channel: notice.channel,
      user: notice.user,
      text: drawn.text,
      blocks: drawn.blocks,
      ...(notice.thread_ts === null ? {} : { thread_ts: notice.thread_ts }),
    });
    if (answer.ok)
      return this.#done(card, card.wanted_revision, notice.channel, textOr(answer.body['message_ts'], '0'));
    if (answer.kind === 'limited') {
      await this.#failed(card, answer.error, answer.retry_after_ms);
      return this.#limited('chat.postEphemeral', notice.channel, answer.retry_after_ms);
    }
    // A second copy for one person does no harm, a lost refusal does: an unknown result is sent again.
    if (answer.kind === 'unknown') {
      await this.#failed(card, answer.error, 0);
      return { result: 'down', why: answer.error };
    }
    if (card.attempts + 1 < EPHEMERAL_TRIES_MAX && !CHANNEL_FAULTS.has(answer.error))
      return this.#refused(card, answer.error);
    return this.#giveUp(card, answer.error);
  }

  // ---------------------------------------------------------------- the file of a long postmortem

  async #attach(card: CardDelivery, root: { channel: string; ts: string }): Promise<Delivered | null> {
    if (card.notice.kind !== 'postmortem') return null;
    const filename = postmortemFileName(card.notice, card.wanted_revision);
    const found = await lookForFile(this.#options, filename, root.channel, root.ts);
    if (found.is === 'there') return null;
    if (found.is === 'limited') return this.#limited(found.method, root.channel, found.wait_ms);
    if (found.is === 'down') return { result: 'down', why: found.why };
    const content = this.#options.redact(card.notice.markdown);
    const answer = await this.#options.api.upload({
      channel: root.channel,
      thread_ts: root.ts,
      filename,
      title: filename,
      content,
    });
    if (answer.ok) return null;
    if (answer.kind === 'limited')
      return { result: 'wait', wait_ms: answer.retry_after_ms, why: answer.error };
    if (answer.kind === 'unknown') return { result: 'wait', wait_ms: LOOK_AFTER_MS, why: answer.error };
    this.#options.log.warn(
      { room: 'slack', card: card.card_key, error: answer.error },
      'the postmortem file could not be attached',
    );
    return null;
  }

  // ---------------------------------------------------------------- drawing and outcomes

  #drawing(card: CardDelivery, level: number, first: boolean, repeat = false): Promise<Card> {
    const notes = [this.#moved.get(card.card_key), repeat ? REPEAT : undefined].filter(
      (note) => note !== undefined,
    );
    return drawCard(this.#options, card, { level, first, notes });
  }

  #pace(method: string, channel: string): Delivered | null {
    const wait_ms = this.#options.limiter.take(method, channel, this.#options.clock.now());
    return wait_ms === 0 ? null : { result: 'wait', wait_ms, why: `${method} is paced` };
  }

  #limited(method: string, channel: string, retry_after_ms: number): Delivered {
    this.#options.limiter.stop(method, channel, this.#options.clock.now() + retry_after_ms);
    return { result: 'wait', wait_ms: retry_after_ms, why: `${method} is rate limited` };
  }

  async #done(card: CardDelivery, revision: number, channel: string, ts: string): Promise<Delivered> {
    await this.#options.outbox.sent(card.card_key, revision, channel, ts);
    this.#refusals.delete(card.card_key);
    return { result: 'sent' };
  }

  async #failed(card: CardDelivery, error: string, wait_ms: number): Promise<void> {
    await this.#options.outbox.failed(
      card.card_key,
      card.wanted_revision,
      error,
      this.#options.clock.now() + wait_ms,
    );
  }

  /** Slack said no for a reason that time or an admin may mend: kept, tried again ever more slowly. */
  async #refused(card: CardDelivery, error: string): Promise<Delivered> {
    const refusals = this.#refusals.get(card.card_key) ?? 0;
    this.#refusals.set(card.card_key, refusals + 1);
    const wait_ms = AUTH_FAULTS.has(error) ? 60_000 : (REFUSED_WAIT_MS[refusals] ?? 300_000);
    await this.#failed(card, error, wait_ms);
    this.#options.log.warn(
      { room: 'slack', card: card.card_key, error, wait_ms },
      'Slack refused a card; it is kept',
    );
    return { result: 'wait', wait_ms, why: error };
  }

  async #giveUp(card: CardDelivery, why: string): Promise<Delivered> {
    await this.#options.outbox.failed(card.card_key, card.wanted_revision, why, null);
    this.#options.log.warn(
      { room: 'slack', card: card.card_key, error: why },
      'a private answer could not be shown',
    );
    return { result: 'given_up', why };
  }

  #alarm(card: CardDelivery, level: number, answer: ApiAnswer): void {
    const messages = !answer.ok && answer.kind === 'refused' ? answer.messages.slice(0, 5) : [];
    this.#options.log.error(
      { room: 'slack', card: card.card_key, level, messages },
      'Slack refused the blocks of a card; plainer words follow',
    );
  }
}

function broadcasts(card: CardDelivery): boolean {
  return card.notice.kind === 'timeline' && card.notice.broadcast;
}

function moveWords(error: string): string {
  if (error === 'is_archived') return 'Moved here: the channel of this service is archived.';
  return 'Moved here: Aegis is not in the channel of this service. Type /invite @aegis there.';
}

function textOr(value: unknown, otherwise: string): string {
  return typeof value === 'string' ? value : otherwise;
}
