import { createHash } from 'node:crypto';
import { canonicalJson } from '../contract/canonical.ts';
import { isoTime } from '../contract/ports.ts';
import { connect } from './database.ts';
import type { Core } from './database.ts';
import { endText, EXPORT_FORMAT, exportLine } from './export-format.ts';
import type { ExportChain, ExportHeader, LineKind } from './export-format.ts';
import { textAfter, textBefore } from './row-check.ts';
import type { RowHead } from './row-check.ts';

type StoredRow = RowHead & { readonly payload: Buffer; readonly hash: string };

/**
 * The stored rows of one chain, or of all, as lines of text that can be checked without us. It writes down what is
 * stored and judges nothing: rows that somebody changed come out as they are, for the check to name. One snapshot over
 * a connection of its own, one row in memory.
 */
export async function* exportLedger(core: Core, only: string | null): AsyncGenerator<Buffer> {
  const db = connect(core.home, true);
  const seen = createHash('sha256');
  function line(kind: LineKind, body: string | Uint8Array, sha256?: string): Buffer {
    const bytes = exportLine(kind, typeof body === 'string' ? Buffer.from(body) : body, sha256);
    seen.update(bytes);
    return bytes;
  }
  try {
    db.exec('BEGIN');
    yield line('header', canonicalJson(headerOf(core, only)));
    const names = db.prepare<[string | null, string | null], { chain: string }>(
      `SELECT chain FROM (SELECT chain FROM chain_head UNION SELECT DISTINCT chain FROM ledger)
        WHERE ? IS NULL OR chain = ? ORDER BY chain`,
    );
    const noted = db.prepare<[string], Omit<ExportChain, 'chain'>>(
      'SELECT seq AS entries, hash AS last FROM chain_head WHERE chain = ?',
    );
    const rows = db.prepare<[string], StoredRow>(
      `SELECT chain, seq, v, at, kind, actor, CAST(payload AS BLOB) AS payload, prev_hash, hash FROM ledger
        WHERE chain = ? ORDER BY seq`,
    );
    let chains = 0;
    let entries = 0;
    for (const { chain } of names.iterate(only, only)) {
      chains += 1;
      yield line('chain', canonicalJson({ chain, ...noted.get(chain) }));
      for (const row of rows.iterate(chain)) {
        entries += 1;
        const body = [Buffer.from(textBefore(row)), row.payload, Buffer.from(textAfter(row))];
        yield line('entry', Buffer.concat(body), row.hash);
      }
    }
    const end = { chains, entries, lines_sha256: seen.digest('hex') };
    const signed = { ...end, signature: core.keys.sign(endText(end)) };
    yield exportLine('end', Buffer.from(canonicalJson(signed)));
  } finally {
    db.close();
  }
}

function headerOf(core: Core, only: string | null): ExportHeader {
  const { key_id, der_base64 } = core.keys.public_key;
  return {
    format: EXPORT_FORMAT,
    entry_v: 1,
    exported_at: isoTime(core.clock.now()),
    chain: only,
    key_id,
    public_key: der_base64,
  };
}
