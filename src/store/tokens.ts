import { canonicalJson, sha256Hex } from '../contract/canonical.ts';
import type { Core } from './database.ts';
import type { TokenGrant, TokenStore } from './authority.ts';

const LIST_LIMIT_MAX = 1000;

/** Who may call the gateway. Only the SHA-256 of a token is kept; a revoked or expired one is as unknown as a guess. */
export function tokenStore(core: Core): TokenStore {
  const { db } = core;
  const mint = db.prepare<[string, string, string, number]>(
    'INSERT INTO token (token_id, token_sha256, body, expires_at_ms) VALUES (?, ?, ?, ?)',
  );
  const find = db.prepare<[string, number], { body: string }>(
    'SELECT body FROM token WHERE token_sha256 = ? AND revoked_at_ms IS NULL AND expires_at_ms > ?',
  );
  const revoke = db.prepare<[number, string]>(
    'UPDATE token SET revoked_at_ms = ? WHERE token_id = ? AND revoked_at_ms IS NULL',
  );
  const list = db.prepare<[number, number], { body: string }>(
    'SELECT body FROM token WHERE revoked_at_ms IS NULL AND expires_at_ms > ? ORDER BY n DESC LIMIT ?',
  );
  return {
    async mint(grant, token_text) {
      await core.grouped(() =>
        mint.run(grant.token_id, sha256Hex(token_text), canonicalJson(grant), grant.expires_at_ms),
      );
    },
    async find(token_text) {
      const row = find.get(sha256Hex(token_text), core.clock.now());
      return row === undefined ? null : (JSON.parse(row.body) as TokenGrant);
    },
    async revoke(token_id) {
      return core.grouped(() => revoke.run(core.clock.now(), token_id).changes === 1);
    },
    /** Tokens in force, newest first. */
    async list(limit) {
      return list
        .all(core.clock.now(), Math.min(limit, LIST_LIMIT_MAX))
        .map((row) => JSON.parse(row.body) as TokenGrant);
    },
  };
}
