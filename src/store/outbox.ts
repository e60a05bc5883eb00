import { canonicalJson } from '../contract/canonical.ts';
import type { Notice } from '../contract/notice.ts';
import type { Core } from './database.ts';
import type { CardDelivery, NewCard, OutboxStore } from './store.ts';

const DUE_LIMIT_MAX = 1000;

type StoredCard = Omit<CardDelivery, 'notice'> & { readonly notice: string };

/** Puts inside the caller's transaction. */
export type PutCard = (card: NewCard, incident_id: string | null) => void;

/**
 * A card is a desired state: putting it again raises the wanted revision, and only the newest revision is ever sent.
 * What a flight in progress knows (`sending`, the posted channel and ts, the pause that Slack asked for) stays.
 */
export function cardPutter(core: Core): PutCard {
  const put = core.db.prepare<[string, string | null, string, string, string]>(
    `INSERT INTO card (card_key, incident_id, placement, channel, notice) VALUES (?, ?, ?, ?, ?)
     ON CONFLICT (card_key) DO UPDATE SET
       wanted_revision = wanted_revision + 1,
       notice = excluded.notice,
       attempts = 0,
       channel = CASE WHEN ts IS NULL THEN excluded.channel ELSE channel END`,
  );
  return (card, incident_id) => {
    put.run(card.card_key, incident_id, card.placement, card.channel, canonicalJson(card.notice));
  };
}

// A private card is sent once: a second copy of "you may not do this" helps nobody, so an unclear first try ends it.
const DUE = `c.wanted_revision > c.sent_revision AND c.given_up < c.wanted_revision AND c.retry_at_ms <= ?
  AND CASE c.placement
    WHEN 'root' THEN 1
    WHEN 'private' THEN c.sent_revision = 0 AND c.state <> 'sending'
    ELSE c.incident_id IS NULL OR EXISTS (
      SELECT 1 FROM card r WHERE r.incident_id = c.incident_id AND r.placement = 'root' AND r.ts IS NOT NULL)
  END`;

const COLUMNS = `c.card_key, c.incident_id, c.placement, c.wanted_revision, c.sent_revision, c.channel, c.ts, c.state,
  c.notice, c.attempts,
  CASE WHEN c.placement = 'root' THEN NULL ELSE
    (SELECT r.ts FROM card r WHERE r.incident_id = c.incident_id AND r.placement = 'root' AND r.ts IS NOT NULL ORDER BY r.n LIMIT 1)
  END AS thread_ts`;

/** Cards on their way to Slack. Nothing here talks to Slack; it remembers what is wanted, sent and unclear. */
export function outboxStore(core: Core, put: PutCard): OutboxStore {
  const { db } = core;
  const due = db.prepare<[number, number], StoredCard>(
    `SELECT ${COLUMNS} FROM card c WHERE ${DUE} ORDER BY c.placement = 'root' DESC, c.n LIMIT ?`,
  );
  const sending = db.prepare<[string]>(
    "UPDATE card SET state = 'sending', attempts = attempts + 1 WHERE card_key = ?",
  );
  const sent = db.prepare<[number, string, string, string]>(
    `UPDATE card SET state = 'idle', attempts = 0, retry_at_ms = 0, error = NULL,
       sent_revision = MAX(sent_revision, ?), channel = ?, ts = ? WHERE card_key = ?`,
  );
  const failed = db.prepare<[string, number | null, number | null, number, string]>(
    `UPDATE card SET state = 'failed', error = ?, retry_at_ms = COALESCE(?, 0),
       given_up = CASE WHEN ? IS NULL THEN MAX(given_up, ?) ELSE given_up END WHERE card_key = ?`,
  );
  const get = db.prepare<[string], StoredCard>(`SELECT ${COLUMNS} FROM card c WHERE c.card_key = ?`);
  const by_message = db.prepare<[string, string], StoredCard>(
    `SELECT ${COLUMNS} FROM card c WHERE c.channel = ? AND c.ts = ?`,
  );
  // Timeline messages are never edited and private ones are gone: both stay as they are.
  const rerender = db.prepare(
    `UPDATE card SET wanted_revision = wanted_revision + 1, attempts = 0, retry_at_ms = 0
      WHERE placement <> 'private' AND json_extract(notice, '$.kind') <> 'timeline' AND (wanted_revision = sent_revision OR given_up >= wanted_revision)
        AND incident_id IN (SELECT incident_id FROM incident WHERE open = 1)`,
  );
  return {
    async due(limit) {
      return due.all(core.clock.now(), Math.min(limit, DUE_LIMIT_MAX)).map(deliveryOf);
    },
    async put(card, incident_id) {
      await core.grouped(() => put(card, incident_id));
    },
    async sending(card_key) {
      await core.grouped(() => sending.run(card_key));
    },
    async sent(card_key, revision, channel, ts) {
      await core.grouped(() => sent.run(revision, channel, ts, card_key));
    },
    async failed(card_key, revision, error, retry_at_ms) {
      await core.grouped(() => failed.run(error.slice(0, 500), retry_at_ms, retry_at_ms, revision, card_key));
    },
    async get(card_key) {
      return orNull(get.get(card_key));
    },
    async byMessage(channel, ts) {
      return orNull(by_message.get(channel, ts));
    },
    async rerenderOpen() {
      return core.grouped(() => rerender.run().changes);
    },
  };
}

function orNull(row: StoredCard | undefined): CardDelivery | null {
  return row === undefined ? null : deliveryOf(row);
}

function deliveryOf(row: StoredCard): CardDelivery {
  return { ...row, notice: JSON.parse(row.notice) as Notice };
}
