import { canonicalJson, sha256Hex } from '../contract/canonical.ts';
import { EvidenceRecord } from '../contract/evidence.ts';
import { eraseBlob, sealBlob, unsealBlob } from './blobs.ts';
import type { Core } from './database.ts';
import type { EvidenceStore } from './store.ts';

/** One captured file, in UTF-8 bytes. */
const TEXT_BYTES_MAX = 64 * 1024 * 1024;
/** Expired files that each new capture erases on the way, so that a long-running service needs no sweep. */
const ERASE_PER_PUT = 10;

/** Captured files, sealed per tenant. A record is written once; after its expiry the text is gone, the record stays. */
export function evidenceStore(core: Core): EvidenceStore {
  const { db, home, keys } = core;
  const eraseExpired = expiredEraser(core);
  const get = db.prepare<[string], { record: string }>('SELECT record FROM evidence WHERE evidence_id = ?');
  const list = db.prepare<[string], { record: string }>(
    'SELECT record FROM evidence WHERE incident_id = ? ORDER BY rowid',
  );
  const insert = db.prepare<[string, string, string, number]>(
    'INSERT INTO evidence (evidence_id, incident_id, record, expires_at_ms) VALUES (?, ?, ?, ?)',
  );
  return {
    /** The same record a second time changes nothing; another record or text under the same id is a fault. */
    async put(given, text) {
      const record = EvidenceRecord.parse(given);
      const { evidence_id } = record;
      const bytes = Buffer.byteLength(text);
      if (sha256Hex(text) !== record.sha256 || bytes !== record.bytes)
        throw new Error(
          `evidence ${evidence_id}: record says ${record.bytes} bytes ${record.sha256}, the text has ${bytes} bytes and another hash or length`,
        );
      if (bytes > TEXT_BYTES_MAX)
        throw new RangeError(
          `evidence ${evidence_id} has ${bytes} bytes; at most ${TEXT_BYTES_MAX} are kept`,
        );
      const record_text = canonicalJson(record);
      await core.grouped(() => {
        const known = get.get(evidence_id);
        if (known !== undefined && known.record !== record_text)
          throw new Error(`evidence ${evidence_id} exists with another record`);
        if (known !== undefined) return;
        insert.run(evidence_id, record.incident_id, record_text, Date.parse(record.expires_at));
        sealBlob(home, keys, record, record_text, text);
        eraseExpired(ERASE_PER_PUT);
      });
    },
    async record(evidence_id) {
      const row = get.get(evidence_id);
      return row === undefined ? null : recordOf(row);
    },
    async open(evidence_id) {
      const row = get.get(evidence_id);
      if (row === undefined) return { problem: 'missing' };
      const record = recordOf(row);
      if (Date.parse(record.expires_at) <= core.clock.now()) return { problem: 'expired' };
      const unsealed = unsealBlob(home, keys, record, row.record);
      return 'problem' in unsealed ? unsealed : { record, text: unsealed.text };
    },
    async list(incident_id) {
      return list.all(incident_id).map(recordOf);
    },
    rawHmac: (tenant, raw) => keys.hmac(tenant, raw),
  };
}

export type EraseExpired = (limit: number) => number;

/** Erases sealed files of evidence whose time is over, oldest first; records stay, so that the ledger still names them. */
export function expiredEraser(core: Core): EraseExpired {
  const expired = core.db.prepare<[number, number], { evidence_id: string; record: string }>(
    'SELECT evidence_id, record FROM evidence WHERE blob_erased = 0 AND expires_at_ms <= ? ORDER BY expires_at_ms LIMIT ?',
  );
  const mark = core.db.prepare<[string]>('UPDATE evidence SET blob_erased = 1 WHERE evidence_id = ?');
  return (limit) => {
    const rows = expired.all(core.clock.now(), limit);
    for (const row of rows) {
      eraseBlob(core.home, recordOf(row));
      mark.run(row.evidence_id);
    }
    return rows.length;
  };
}

function recordOf(row: { record: string }): EvidenceRecord {
  return EvidenceRecord.parse(JSON.parse(row.record));
}
