/**
 * The outbox worker turns desired card states into Slack messages. Serial per incident, only the newest revision, at most
 * one edit per card in two seconds (an approval's at once), rate limits honoured per method and channel, nothing lost
 * while Slack is down. It never decides what a card says and never acknowledges a click.
 */
import type { CardDelivery } from '../store/store.ts';
import { CardSender, type Delivered, type SenderOptions } from './card-sender.ts';
import { AUTH_FAULTS } from './slack-api.ts';

const BATCH = 200;
const POLL_MS = 1_000;
const LANES_MAX = 8;
const COALESCE_MS = 2_000;
/** After no answer: this long, doubling, until the cap. Also the time a lost post is given to become visible. */
const DOWN_FIRST_MS = 1_000;
const DOWN_CAP_MS = 10_000;
/** So many calls without an answer in a row and the room is not healthy. */
const DOWN_UNHEALTHY = 3;

interface CardMemory {
  not_before_ms: number;
  last_sent_ms: number;
}

export class OutboxWorker {
  readonly #options: SenderOptions;
  readonly #sender: CardSender;
  readonly #memory = new Map<string, CardMemory>();
  readonly #busy = new Set<string>();
  readonly #lanes = new Set<Promise<void>>();
  #timer: NodeJS.Timeout | undefined;
  #pass: Promise<void> | undefined;
  #again = false;
  #running = false;
  #down_count = 0;
  #down_until_ms = 0;
  #unwelcome = false;

  constructor(options: SenderOptions) {
    this.#options = options;
    this.#sender = new CardSender(options);
  }

  /** Sends what was wanted before a crash, then whatever comes. */
  async start(): Promise<void> {
    this.#running = true;
    const open = await this.#options.outbox.rerenderOpen();
    if (open > 0)
      this.#options.log.info({ room: 'slack', cards: open }, 'cards of open incidents are drawn again');
    this.wake();
  }

  /** Waits for the calls under way; a card that was being sent is looked for at the next start. */
  async stop(): Promise<void> {
    this.#running = false;
    clearTimeout(this.#timer);
    await this.#pass;
    await Promise.all(this.#lanes);
  }

  /** Call after a commit: new cards go out now instead of at the next poll. */
  wake(): void {
    if (!this.#running) return;
    if (this.#pass !== undefined) {
      this.#again = true;
      return;
    }
    clearTimeout(this.#timer);
    this.#pass = this.#run().finally(() => {
      this.#pass = undefined;
      if (this.#again) {
        this.#again = false;
        this.wake();
      }
    });
  }

  /** False while Slack does not answer or refuses our token. */
  healthy(): boolean {
    return this.#running && !this.#unwelcome && this.#down_count < DOWN_UNHEALTHY;
  }

  async #run(): Promise<void> {
    let next_ms = POLL_MS;
    try {
      const now = this.#options.clock.now();
      this.#forget(now);
      if (now < this.#down_until_ms) next_ms = this.#down_until_ms - now;
      else
        for (const [lane, cards] of lanesOf(await this.#options.outbox.due(BATCH)))
          next_ms = Math.min(next_ms, this.#open(lane, cards, now));
    } catch (error) {
      this.#options.log.error({ room: 'slack', error: String(error) }, 'the outbox could not be read');
    }
    if (this.#running) this.#timer = setTimeout(() => this.wake(), Math.max(5, next_ms));
  }

  /** Starts a lane unless it is busy or has to wait; answers when to look again. */
  #open(lane: string, cards: readonly CardDelivery[], now_ms: number): number {
    // While Slack is silent one lane asks whether it is back; the others wait for its answer.
    const lanes_max = this.#down_count > 0 ? 1 : LANES_MAX;
    if (this.#busy.has(lane) || this.#busy.size >= lanes_max) return POLL_MS;
    const wait_ms = this.#waitOfLane(cards, now_ms);
    if (wait_ms > 0) return wait_ms;
    this.#busy.add(lane);
    const work = this.#work(cards).finally(() => {
      this.#busy.delete(lane);
      this.#lanes.delete(work);
      // More may have become due while this lane was away.
      this.wake();
    });
    this.#lanes.add(work);
    return POLL_MS;
  }

  /** One incident's cards, one after the other. A new message that must wait holds back the new messages behind it. */
  async #work(cards: readonly CardDelivery[]): Promise<void> {
    let posts_wait = false;
    for (const card of inOrder(cards)) {
      const now = this.#options.clock.now();
      if (!this.#running || now < this.#down_until_ms) return;
      const is_post = isPost(card);
      if (is_post && posts_wait) continue;
      if (this.#waitOf(card, now) > 0 || (await this.#deliver(card)) !== 'sent') posts_wait ||= is_post;
    }
  }

  async #deliver(card: CardDelivery): Promise<Delivered['result']> {
    let delivered: Delivered;
    try {
      delivered = await this.#sender.send(card);
    } catch (error) {
      // The store failed us after or before the call; the row says which, and the next pass goes by it.
      this.#options.log.error(
        { room: 'slack', card: card.card_key, error: String(error) },
        'a card could not be handled',
      );
      delivered = { result: 'wait', wait_ms: DOWN_FIRST_MS, why: 'store' };
    }
    const now = this.#options.clock.now();
    const memory = this.#memory.get(card.card_key) ?? { not_before_ms: 0, last_sent_ms: 0 };
    this.#memory.set(card.card_key, memory);
    if (delivered.result === 'down') {
      memory.not_before_ms = now + DOWN_FIRST_MS;
      this.#slackIsSilent(card.card_key, delivered.why, now);
      return delivered.result;
    }
    if (delivered.result !== 'wait') {
      this.#down_count = 0;
      this.#down_until_ms = 0;
    }
    if (delivered.result === 'sent') memory.last_sent_ms = now;
    this.#unwelcome = delivered.result === 'wait' && AUTH_FAULTS.has(delivered.why);
    memory.not_before_ms = delivered.result === 'wait' ? now + delivered.wait_ms : 0;
    return delivered.result;
  }

  /** Calls that fail side by side are one silence: the wait grows only when one fails after the last wait was over. */
  #slackIsSilent(card_key: string, why: string, now_ms: number): void {
    if (now_ms < this.#down_until_ms) return;
    const wait_ms = Math.min(DOWN_CAP_MS, DOWN_FIRST_MS * 2 ** this.#down_count);
    this.#down_count += 1;
    this.#down_until_ms = now_ms + wait_ms;
    this.#options.log.warn(
      { room: 'slack', card: card_key, why, wait_ms },
      'Slack does not answer; cards are kept',
    );
  }

  /** When a lane has something to do again: a new message behind one that waits, waits as long. */
  #waitOfLane(cards: readonly CardDelivery[], now_ms: number): number {
    let posts_ms = 0;
    const waits = inOrder(cards).map((card) => {
      const own_ms = this.#waitOf(card, now_ms);
      if (!isPost(card)) return own_ms;
      posts_ms = Math.max(posts_ms, own_ms);
      return posts_ms;
    });
    return Math.min(...waits);
  }

  #waitOf(card: CardDelivery, now_ms: number): number {
    const memory = this.#memory.get(card.card_key);
    if (memory === undefined) return 0;
    const calm_ms =
      card.ts === null || card.notice.kind === 'approval' ? 0 : memory.last_sent_ms + COALESCE_MS;
    return Math.max(0, memory.not_before_ms - now_ms, calm_ms - now_ms);
  }

  #forget(now_ms: number): void {
    for (const [key, memory] of this.#memory) {
      if (Math.max(memory.not_before_ms, memory.last_sent_ms + COALESCE_MS) < now_ms)
        this.#memory.delete(key);
    }
  }
}

function isPost(card: CardDelivery): boolean {
  return card.ts === null && card.placement === 'thread';
}

function lanesOf(cards: readonly CardDelivery[]): Map<string, CardDelivery[]> {
  const lanes = new Map<string, CardDelivery[]>();
  for (const card of cards) {
    const lane =
      card.placement === 'private' ? `private ${card.card_key}` : (card.incident_id ?? card.card_key);
    lanes.set(lane, [...(lanes.get(lane) ?? []), card]);
  }
  return lanes;
}

/**
 * A root that is not posted comes first, everything hangs on it. A root that is on screen waits for an approval card that
 * is about to be posted, because it links to it. The rest keeps the order of the commits.
 */
function inOrder(cards: readonly CardDelivery[]): CardDelivery[] {
  const unposted = new Set(cards.filter((card) => card.ts === null).map((card) => card.card_key));
  const rank = (card: CardDelivery): number => {
    if (
      card.notice.kind === 'incident' &&
      card.ts !== null &&
      card.notice.approval_card !== null &&
      unposted.has(card.notice.approval_card)
    )
      return 2;
    return card.placement === 'root' ? 0 : 1;
  };
  return cards.toSorted((a, b) => rank(a) - rank(b));
}
