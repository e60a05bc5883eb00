import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { canonicalJson } from '../contract/canonical.ts';
import type { ResultAbout, ResultStore } from './authority.ts';
import type { Core } from './database.ts';

const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** Expired results that each new one erases on the way. */
const ERASE_PER_PUT = 20;

/** Full results behind pointers: AES-256-GCM under the tenant's key, with all that is known of the result as its seal. */
export function resultStore(core: Core): ResultStore {
  const { db, keys, clock } = core;
  const insert = db.prepare<[string, string, Buffer, number]>(
    'INSERT INTO sealed_result (result_id, about, sealed, expires_at_ms) VALUES (?, ?, ?, ?)',
  );
  const find = db.prepare<[string, number], { about: string; sealed: Buffer }>(
    'SELECT about, sealed FROM sealed_result WHERE result_id = ? AND expires_at_ms > ?',
  );
  const erase = db.prepare<[number, number]>(
    `DELETE FROM sealed_result WHERE result_id IN
       (SELECT result_id FROM sealed_result WHERE expires_at_ms <= ? ORDER BY expires_at_ms LIMIT ?)`,
  );
  return {
    async put(about, text) {
      const about_text = canonicalJson(about);
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv('aes-256-gcm', keys.blobKey(about), nonce);
      cipher.setAAD(Buffer.from(about_text, 'utf8'));
      const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
      core.immediate(() => {
        erase.run(clock.now(), ERASE_PER_PUT);
        insert.run(
          about.result_id,
          about_text,
          Buffer.concat([nonce, cipher.getAuthTag(), sealed]),
          about.expires_at_ms,
        );
      });
    },
    async open(result_id) {
      const row = find.get(result_id, clock.now());
      if (row === undefined) return null;
      const about = JSON.parse(row.about) as ResultAbout;
      const { sealed } = row;
      const head = NONCE_BYTES + TAG_BYTES;
      try {
        const nonce = sealed.subarray(0, NONCE_BYTES);
        const decipher = createDecipheriv('aes-256-gcm', keys.blobKey(about), nonce, {
          authTagLength: TAG_BYTES,
        });
        decipher.setAAD(Buffer.from(row.about, 'utf8'));
        decipher.setAuthTag(sealed.subarray(NONCE_BYTES, head));
        const plain = Buffer.concat([decipher.update(sealed.subarray(head)), decipher.final()]);
        return { about, text: plain.toString('utf8') };
      } catch {
        return null;
      }
    },
  };
}
