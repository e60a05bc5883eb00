import { canonicalJson } from '../contract/canonical.ts';
import type { Core } from './database.ts';
import type { Keys } from './keys.ts';
import type { InboxRow, InboxStore, NewInboxRow } from './store.ts';

const PENDING_LIMIT_MAX = 1000;
/** Replay keys that one call removes after their lifetime. */
const FORGET_MAX = 200;

interface StoredInboxRow {
  readonly n: number;
  readonly dedup_key: string;
  readonly source: InboxRow['source'];
  readonly incident_id: string | null;
  readonly kind: string;
  readonly payload: string;
  readonly received_at_ms: number;
  readonly attempts: number;
  readonly mac: string | null;
}

/** What the MAC of a row covers: all that the runner believes. */
type MarkedRow = Pick<
  StoredInboxRow,
  'dedup_key' | 'source' | 'incident_id' | 'kind' | 'payload' | 'received_at_ms'
>;

/**
 * Who can write to the database file can put a row there that says "Dan approves". It lacks this mark, whose key lies
 * beside the database and not in it, so the runner refuses it.
 */
export function inboxMac(keys: Keys, row: MarkedRow): string {
  const { dedup_key, source, incident_id, kind, payload, received_at_ms } = row;
  return keys.rowMac(
    'inbox',
    JSON.stringify([dedup_key, source, incident_id, kind, payload, received_at_ms]),
  );
}

/** Appends inside the caller's transaction. */
export type AppendToInbox = (row: NewInboxRow) => { inbox_id: string; duplicate: boolean };

/** The key decides: a second row with a known key is not stored, whatever it says. Consumed keys are remembered. */
export function inboxAppender(core: Core): AppendToInbox {
  const insert = core.db.prepare<[string, string, string | null, string, string, number, string]>(
    `INSERT INTO inbox (dedup_key, source, incident_id, kind, payload, received_at_ms, mac) VALUES (?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT (dedup_key) DO NOTHING`,
  );
  const known = core.db.prepare<[string], { n: number }>('SELECT n FROM inbox WHERE dedup_key = ?');
  return (row) => {
    const { dedup_key, source, incident_id, kind } = row;
    const payload = canonicalJson(row.payload);
    const received_at_ms = core.clock.now();
    const mac = inboxMac(core.keys, { dedup_key, source, incident_id, kind, payload, received_at_ms });
    const done = insert.run(dedup_key, source, incident_id, kind, payload, received_at_ms, mac);
    if (done.changes === 1) return { inbox_id: inboxId(Number(done.lastInsertRowid)), duplicate: false };
    return { inbox_id: inboxId(known.get(row.dedup_key)?.n ?? 0), duplicate: true };
  };
}

export function inboxId(n: number): string {
  return `in_${n}`;
}

/** Row number of an inbox id; 0, which no row has, for any other text. */
export function inboxNumber(inbox_id: string): number {
  return /^in_[1-9]\d{0,14}$/.test(inbox_id) ? Number(inbox_id.slice(3)) : 0;
}

/** Events that wait for their step: durable before they are acknowledged, consumed exactly once. */
export function inboxStore(core: Core, append: AppendToInbox): InboxStore {
  const { db } = core;
  const pending = db.prepare<[number], StoredInboxRow>(
    "SELECT * FROM inbox WHERE state = 'pending' ORDER BY n LIMIT ?",
  );
  const consume = db.prepare<[string, number]>(
    "UPDATE inbox SET state = 'consumed', note = ? WHERE n = ? AND state = 'pending'",
  );
  const fail = db.prepare<[string, number, number], { state: string }>(
    `UPDATE inbox SET attempts = attempts + 1, note = ?, state = CASE WHEN attempts + 1 >= ? THEN 'dead' ELSE state END
      WHERE n = ? AND state = 'pending' RETURNING state`,
  );
  const ended = db.prepare<[number], { state: 'pending' | 'consumed' | 'dead'; note: string | null }>(
    'SELECT state, note FROM inbox WHERE n = ?',
  );
  const forget = db.prepare<[number, number]>(
    'DELETE FROM seen_once WHERE key IN (SELECT key FROM seen_once WHERE expires_at_ms <= ? ORDER BY expires_at_ms LIMIT ?)',
  );
  const remember = db.prepare<[string, number, number]>(
    `INSERT INTO seen_once (key, expires_at_ms) VALUES (?, ?)
     ON CONFLICT (key) DO UPDATE SET expires_at_ms = excluded.expires_at_ms WHERE seen_once.expires_at_ms <= ?`,
  );
  // Moves when another connection commits, never when this one does.
  const version = db.prepare<[], number>('PRAGMA data_version').pluck();
  let seen = version.get();
  return {
    writtenElsewhere() {
      const before = seen;
      seen = version.get();
      return seen !== before;
    },
    async append(row) {
      return core.grouped(() => append(row));
    },
    async appendAll(rows) {
      return core.grouped(() => rows.map(append));
    },
    async pending(limit) {
      return pending.all(Math.min(limit, PENDING_LIMIT_MAX)).map((row) => rowOf(core.keys, row));
    },
    async consume(inbox_id, note) {
      await core.grouped(() => consume.run(note.slice(0, 500), inboxNumber(inbox_id)));
    },
    async ended(inbox_id) {
      return ended.get(inboxNumber(inbox_id)) ?? null;
    },
    async failed(inbox_id, reason, attempts_max) {
      const row = await core.grouped(() =>
        fail.get(reason.slice(0, 500), attempts_max, inboxNumber(inbox_id)),
      );
      return row?.state === 'pending' ? 'retry' : 'dead';
    },
    async rememberOnce(key, expires_at_ms) {
      return core.grouped(() => {
        const now = core.clock.now();
        forget.run(now, FORGET_MAX);
        return remember.run(key, expires_at_ms, now).changes === 1;
      });
    },
  };
}

function rowOf(keys: Keys, row: StoredInboxRow): InboxRow {
  const genuine = row.mac === inboxMac(keys, row);
  return {
    genuine,
    inbox_id: inboxId(row.n),
    source: row.source,
    dedup_key: row.dedup_key,
    incident_id: row.incident_id,
    kind: row.kind,
    // What somebody else wrote need not even be JSON, and must not hold up the rows behind it.
    payload: genuine ? (JSON.parse(row.payload) as Record<string, unknown>) : {},
    received_at_ms: row.received_at_ms,
    attempts: row.attempts,
  };
}
