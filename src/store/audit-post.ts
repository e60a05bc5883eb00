import type { LedgerEntry } from '../contract/ledger.ts';
import type { CheckpointNotice } from '../contract/notice.ts';
import type { Clock } from '../contract/ports.ts';
import { CheckpointPayload } from './checkpoint-payload.ts';
import type { NewCard } from './store.ts';

/**
 * Each checkpoint commits to all before it, so the newest one of this long is enough while incidents run; those at start
 * and stop are posted at once.
 */
const POST_EVERY_MS = 10 * 60_000;

/** Decides which checkpoints go to the audit channel. What has not been posted when a process ends, the next one covers. */
export class AuditPost {
  readonly #clock: Clock;
  readonly #channel: string;
  #posted_at_ms = Number.NEGATIVE_INFINITY;

  constructor(channel: string, clock: Clock) {
    this.#channel = channel;
    this.#clock = clock;
  }

  /** The card to put for this checkpoint; null while the last one is young. */
  cardFor(entry: LedgerEntry, reason: string): NewCard | null {
    const now = this.#clock.now();
    if (reason === 'interval' && now - this.#posted_at_ms < POST_EVERY_MS) return null;
    this.#posted_at_ms = now;
    const { moved, key_id } = CheckpointPayload.parse(entry.payload);
    const { seq, hash, at } = entry;
    const notice: CheckpointNotice = { kind: 'checkpoint', seq, hash, at, key_id, chains: moved.length };
    return { card_key: `checkpoint:${seq}`, placement: 'root', channel: this.#channel, notice };
  }
}
