import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { sha256Hex } from '../contract/canonical.ts';
import { EvidenceRecord } from '../contract/evidence.ts';
import { isMissing, syncFolder, writeDurably } from './home.ts';
import type { Home } from './home.ts';
import type { Keys } from './keys.ts';

/** "AEG1", 12 bytes nonce, 16 bytes tag, ciphertext. */
const MAGIC = Buffer.from('AEG1', 'ascii');
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const HEADER_BYTES = MAGIC.length + NONCE_BYTES + TAG_BYTES;

/**
 * Seals a captured file for its tenant. The additional data is the whole canonical record (evidence id, path, query,
 * expiry, ...): a blob cannot be passed off under another record, and a record cannot be edited under its blob.
 * Written whole or not at all (temporary file, fsync, rename).
 */
export function sealBlob(
  home: Home,
  keys: Keys,
  record: EvidenceRecord,
  record_text: string,
  text: string,
): void {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', keys.blobKey(record), nonce);
  cipher.setAAD(Buffer.from(record_text, 'utf8'));
  const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
  const path = blobPath(home, record);
  const folder = dirname(path);
  if (mkdirSync(folder, { recursive: true, mode: 0o700 }) !== undefined) syncFolder(home.blobs);
  const draft = `${path}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    writeDurably(draft, Buffer.concat([MAGIC, nonce, cipher.getAuthTag(), sealed]));
    renameSync(draft, path);
  } catch (error) {
    rmSync(draft, { force: true });
    throw error;
  }
  syncFolder(folder);
}

export type Unsealed = { readonly text: string } | { readonly problem: 'missing' | 'tampered' };

/** Opens a blob and proves that it is the file of this record, byte for byte. */
export function unsealBlob(home: Home, keys: Keys, record: EvidenceRecord, record_text: string): Unsealed {
  let file: Buffer;
  try {
    file = readFileSync(blobPath(home, record));
  } catch (error) {
    if (isMissing(error)) return { problem: 'missing' };
    throw error;
  }
  if (file.length < HEADER_BYTES || !file.subarray(0, MAGIC.length).equals(MAGIC))
    return { problem: 'tampered' };
  const nonce = file.subarray(MAGIC.length, MAGIC.length + NONCE_BYTES);
  const decipher = createDecipheriv('aes-256-gcm', keys.blobKey(record), nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(Buffer.from(record_text, 'utf8'));
  decipher.setAuthTag(file.subarray(MAGIC.length + NONCE_BYTES, HEADER_BYTES));
  try {
    const plain = Buffer.concat([decipher.update(file.subarray(HEADER_BYTES)), decipher.final()]);
    return sha256Hex(plain) === record.sha256 ? { text: plain.toString('utf8') } : { problem: 'tampered' };
  } catch {
    return { problem: 'tampered' };
  }
}

/** Removes the sealed file for good; gone already is fine. */
export function eraseBlob(home: Home, record: EvidenceRecord): void {
  rmSync(blobPath(home, record), { force: true });
}

/** Both parts are validated ids without a separator, so the path stays inside the blobs folder. */
function blobPath(home: Home, record: EvidenceRecord): string {
  const { incident_id, evidence_id } = EvidenceRecord.pick({ incident_id: true, evidence_id: true }).parse({
    incident_id: record.incident_id,
    evidence_id: record.evidence_id,
  });
  return join(home.blobs, incident_id, evidence_id);
}
