import { canonicalJson } from '../contract/canonical.ts';
import { genesisHash } from '../contract/ledger.ts';
import type { LedgerEntry, LedgerKind, NewLedgerEntry } from '../contract/ledger.ts';
import { isoTime } from '../contract/ports.ts';
import { spendCharger } from './budgets.ts';
import type { Core } from './database.ts';
import { LedgerBrokenError } from './errors.ts';
import { isLedgerKind, rowHash } from './row-check.ts';

/** One payload, as canonical text, in UTF-8 bytes. Longer content belongs into an evidence blob. */
const PAYLOAD_BYTES_MAX = 4 * 1024 * 1024;

/** Of the form of an entry. */
const VERSION = 1;

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
  const last = core.db
    .prepare<[string], [seq: number, hash: string, at: string]>(
      'SELECT seq, hash, at FROM ledger WHERE chain = ? ORDER BY seq DESC LIMIT 1',
    )
    .raw();
  const insert = core.db.prepare<[string, number, number, string, string, string, string, string, string]>(
    'INSERT INTO ledger (chain, seq, v, at, kind, actor, payload, prev_hash, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)',
  );
  const charge = spendCharger(core);
  return (chain, drafts) => {
    const head = last.get(chain);
    const now = isoTime(core.clock.now());
    const at = head !== undefined && head[2] > now ? head[2] : now;
    let seq = head?.[0] ?? 0;
    let prev_hash = head?.[1] ?? genesisHash(chain);
    const entries: LedgerEntry[] = [];
    for (const draft of drafts) {
      seq += 1;
      const { kind, actor } = draft;
      const payload = payloadText(chain, draft, { seq, prev_hash });
      const hash = rowHash({ chain, seq, v: VERSION, at, kind, actor, prev_hash }, payload);
      if (draft.spend !== undefined) charge(draft.spend);
      insert.run(chain, seq, VERSION, at, kind, actor, payload, prev_hash, hash);
      entries.push(entryOf({ chain, seq, v: VERSION, at, kind, actor, payload, prev_hash, hash }));
      prev_hash = hash;
    }
    return entries;
  };
}

/**
 * Canonical text of a payload.
 *
 * @throws RangeError when the entry is none that the ledger takes.
 */
function payloadText(chain: string, draft: EntryDraft, place: { seq: number; prev_hash: string }): string {
  const about = `ledger entry "${draft.kind}" of ${chain}`;
  if (!isLedgerKind(draft.kind)) throw new RangeError(`${about}: there is no such kind`);
  if (draft.actor.length === 0 || draft.actor.length > 100)
    throw new RangeError(`${about}: an actor has 1 to 100 characters`);
  const payload = canonicalJson(typeof draft.payload === 'function' ? draft.payload(place) : draft.payload);
  const bytes = Buffer.byteLength(payload);
  if (bytes > PAYLOAD_BYTES_MAX)
    throw new RangeError(`${about} has ${bytes} bytes; at most ${PAYLOAD_BYTES_MAX} are kept`);
  return payload;
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
