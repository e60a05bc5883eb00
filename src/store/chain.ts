import { createHash } from 'node:crypto';
import { canonicalJson } from '../contract/canonical.ts';
import { genesisHash, LedgerKind } from '../contract/ledger.ts';
import type { LedgerEntry, NewLedgerEntry } from '../contract/ledger.ts';
import { isoTime } from '../contract/ports.ts';
import type { Core } from './database.ts';
import { LedgerBrokenError } from './errors.ts';

/** One payload, as canonical text, in UTF-8 bytes. Longer content belongs into an evidence blob. */
const PAYLOAD_BYTES_MAX = 4 * 1024 * 1024;

/** A ledger row as it lies in the database: the payload is canonical text and is hashed as stored. */
export interface StoredEntry {
  readonly chain: string;
  readonly seq: number;
  readonly v: number;
  readonly at: string;
  readonly kind: LedgerKind;
  readonly actor: string;
  readonly payload: string;
  readonly prev_hash: string;
  readonly hash: string;
}

/** A new entry whose payload may depend on where it lands (a checkpoint signs its own position). */
export type EntryDraft = Omit<NewLedgerEntry, 'payload'> & {
  readonly payload:
    NewLedgerEntry['payload'] | ((place: { seq: number; prev_hash: string }) => NewLedgerEntry['payload']);
};

/** Appends inside the caller's transaction; the returned entries are what was stored. */
export type AppendToChain = (chain: string, drafts: readonly EntryDraft[]) => LedgerEntry[];

/**
 * The only writer of the ledger. Every entry takes the next seq, the hash of the entry before it, and a time that is
 * never before the last one: a clock that steps back cannot reorder the story.
 */
export function chainAppender(core: Core): AppendToChain {
  const last = core.db.prepare<[string], { seq: number; hash: string; at: string }>(
    'SELECT seq, hash, at FROM ledger WHERE chain = ? ORDER BY seq DESC LIMIT 1',
  );
  const insert = core.db.prepare<[string, number, number, string, string, string, string, string, string]>(
    'INSERT INTO ledger (chain, seq, v, at, kind, actor, payload, prev_hash, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)',
  );
  return (chain, drafts) => {
    const head = last.get(chain);
    let seq = head?.seq ?? 0;
    let prev_hash = head?.hash ?? genesisHash(chain);
    const now = isoTime(core.clock.now());
    const at = head !== undefined && head.at > now ? head.at : now;
    return drafts.map((draft) => {
      seq += 1;
      const row = storedEntry(chain, seq, at, draft, prev_hash);
      insert.run(
        row.chain,
        row.seq,
        row.v,
        row.at,
        row.kind,
        row.actor,
        row.payload,
        row.prev_hash,
        row.hash,
      );
      prev_hash = row.hash;
      return entryOf(row);
    });
  };
}

function storedEntry(
  chain: string,
  seq: number,
  at: string,
  draft: EntryDraft,
  prev_hash: string,
): StoredEntry {
  const payload = canonicalJson(
    typeof draft.payload === 'function' ? draft.payload({ seq, prev_hash }) : draft.payload,
  );
  const bytes = Buffer.byteLength(payload);
  if (bytes > PAYLOAD_BYTES_MAX)
    throw new RangeError(
      `ledger entry "${draft.kind}" of ${chain} has ${bytes} bytes; at most ${PAYLOAD_BYTES_MAX} are kept`,
    );
  if (draft.actor.length === 0 || draft.actor.length > 100)
    throw new RangeError(`ledger entry "${draft.kind}" of ${chain}: an actor has 1 to 100 characters`);
  const row = {
    chain,
    seq,
    v: 1,
    at,
    kind: LedgerKind.parse(draft.kind),
    actor: draft.actor,
    payload,
    prev_hash,
  };
  return { ...row, hash: storedHash(row, Buffer.from(payload, 'utf8')) };
}

const quote = (text: string): string => JSON.stringify(text);

/**
 * Equals `entryHash` of the contract, but hashes the stored payload bytes instead of parsing and re-writing them, so
 * that every byte of the row counts. Member order is that of RFC 8785.
 */
export function storedHash(row: Omit<StoredEntry, 'hash' | 'payload'>, payload: Uint8Array): string {
  const head = `{"actor":${quote(row.actor)},"at":${quote(row.at)},"incident_id":${quote(row.chain)},"kind":${quote(row.kind)},"payload":`;
  const tail = `,"prev_hash":${quote(row.prev_hash)},"seq":${row.seq},"v":${row.v}}`;
  return createHash('sha256').update(head).update(payload).update(tail).digest('hex');
}

/** @throws LedgerBrokenError when the stored payload is no JSON object. */
export function entryOf(row: StoredEntry): LedgerEntry {
  return {
    v: 1,
    incident_id: row.chain,
    seq: row.seq,
    at: row.at,
    kind: row.kind,
    actor: row.actor,
    payload: payloadOf(row),
    prev_hash: row.prev_hash,
    hash: row.hash,
  };
}

function payloadOf(row: StoredEntry): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(row.payload);
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return value as Record<string, unknown>;
  } catch {
    // falls through: both cases are the same fault
  }
  throw new LedgerBrokenError(row.chain, row.seq, 'payload is not a JSON object');
}
