import { hash } from 'node:crypto';
import { genesisHash, LEDGER_KINDS } from '../contract/ledger.ts';

/** What a row says of itself, without its content. */
export interface RowHead {
  readonly chain: string;
  readonly seq: number;
  readonly v: number;
  readonly at: string;
  readonly kind: string;
  readonly actor: string;
  readonly prev_hash: string;
}

/** The last row of a chain as far as it was read; what the next one has to follow. */
export interface LastRow {
  readonly seq: number;
  readonly hash: string;
  readonly at: string;
}

export interface RowProblem {
  readonly seq: number;
  readonly what: string;
}

/** Text that JSON writes as it stands: nearly every one, and looking is cheaper than rewriting. */
const PLAIN = /^[ !#-[\]-~]*$/;
/** Whatever lies in the column: bytes in the place of a text must not pass for it. */
const quote = (value: unknown): string =>
  typeof value === 'string' && PLAIN.test(value) ? `"${value}"` : JSON.stringify(value);

/**
 * The text around the payload in what is hashed. Together they are the canonical JSON that `entryHash` of the contract
 * hashes; the payload stays as it is stored, so that every byte of the row counts. Member order is that of RFC 8785.
 */
export function textBefore(row: RowHead): string {
  return `{"actor":${quote(row.actor)},"at":${quote(row.at)},"incident_id":${quote(row.chain)},"kind":${quote(row.kind)},"payload":`;
}

export function textAfter(row: RowHead): string {
  return `,"prev_hash":${quote(row.prev_hash)},"seq":${row.seq},"v":${row.v}}`;
}

/** One call and no hash object: making one costs more than hashing a row. Text counts as its UTF-8 bytes. */
export function rowHash(row: RowHead, payload: string): string {
  return hash('sha256', textBefore(row) + payload + textAfter(row), 'hex');
}

const KINDS: ReadonlySet<string> = new Set(LEDGER_KINDS);

export function isLedgerKind(kind: string): boolean {
  return KINDS.has(kind);
}

/** Place, link and content of a row against the one before it; `found_hash` is what its content hashes to. */
export function rowProblem(
  row: RowHead & { readonly hash: string },
  last: LastRow | null,
  found_hash: string,
): RowProblem | null {
  const next = (last?.seq ?? 0) + 1;
  if (row.seq > next) return { seq: next, what: `entry ${next} is missing` };
  const what = row.seq < next ? 'its number is out of order' : wrongWith(row, last, found_hash);
  return what === null ? null : { seq: row.seq, what };
}

function wrongWith(
  row: RowHead & { readonly hash: string },
  last: LastRow | null,
  found_hash: string,
): string | null {
  if (row.prev_hash !== (last?.hash ?? genesisHash(row.chain)))
    return last === null
      ? 'the first entry does not belong to this chain'
      : `link broken: does not follow entry ${last.seq}`;
  if (found_hash !== row.hash) return 'content was changed: its hash does not match';
  if (last !== null && row.at < last.at) return 'time runs backwards';
  return isLedgerKind(row.kind) ? null : 'unknown kind of entry';
}
