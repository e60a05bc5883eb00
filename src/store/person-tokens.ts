import { timingSafeEqual } from 'node:crypto';
import { canonicalJson, sha256Hex } from '../contract/canonical.ts';
import { isoTime } from '../contract/ports.ts';
import { PersonGrant } from '../contract/person-token.ts';
import { isRefusal, refuse } from '../contract/verdict.ts';
import type { Refusal } from '../contract/verdict.ts';
import type { PersonTokenStore } from './authority.ts';
import type { AppendToChain } from './chain.ts';
import type { Core } from './database.ts';
import { systemEvent } from './freezes.ts';

const LIST_LIMIT_MAX = 1000;
const MINTED = 'person_token_minted';
const REVOKED = 'person_token_revoked';
const MINT_AGAIN = 'Have one minted: aegis token mint --person <principal>.';

interface StoredToken {
  readonly token_id: string;
  readonly token_sha256: string;
  readonly body: string;
  readonly mac: string;
  readonly revoked_at_ms: number | null;
}

/**
 * Persons' own tokens. A lookup goes by the hash of a secret of 32 random bytes, so its timing tells nothing that helps to
 * guess one. Rows carry a MAC, and a revocation also stands in the SYSTEM chain: who edits the database can neither
 * make a token nor bring a revoked one back.
 */
export function personTokenStore(core: Core, append: AppendToChain): PersonTokenStore {
  const { db } = core;
  const columns = 'token_id, token_sha256, body, mac, revoked_at_ms';
  const insert = db.prepare<[string, string, string, string, number]>(
    'INSERT INTO person_token (token_id, token_sha256, body, mac, expires_at_ms) VALUES (?, ?, ?, ?, ?)',
  );
  const by_hash = db.prepare<[string], StoredToken>(
    `SELECT ${columns} FROM person_token WHERE token_sha256 = ?`,
  );
  const by_id = db.prepare<[string], StoredToken>(`SELECT ${columns} FROM person_token WHERE token_id = ?`);
  const revoke = db.prepare<[number, string]>(
    'UPDATE person_token SET revoked_at_ms = ? WHERE token_id = ? AND revoked_at_ms IS NULL',
  );
  const list = db.prepare<[number, number], StoredToken>(
    `SELECT ${columns} FROM person_token WHERE revoked_at_ms IS NULL AND expires_at_ms > ? ORDER BY n DESC LIMIT ?`,
  );
  const macOf = macOver(core);
  const grantOf = grantReader(core, macOf);
  return {
    async mint(grant, token_text, by) {
      const body = canonicalJson(PersonGrant.parse(grant));
      const { token_id, expires_at_ms } = grant;
      const token_sha256 = sha256Hex(token_text);
      const mac = macOf({ token_id, token_sha256, body });
      core.immediate(() => {
        insert.run(token_id, token_sha256, body, mac, expires_at_ms);
        append('SYSTEM', [systemEvent(by, { type: MINTED, ...grant })]);
      });
    },
    async find(token_text) {
      return grantOf(by_hash.get(sha256Hex(token_text)));
    },
    async byId(token_id) {
      return grantOf(by_id.get(token_id));
    },
    async distrusted(token_ids) {
      return new Set(
        token_ids.filter((id) => {
          const found = grantOf(by_id.get(id));
          return isRefusal(found) && found.code !== 'token-expired';
        }),
      );
    },
    async revoke(token_id, by) {
      return core.immediate(() => {
        if (revoke.run(core.clock.now(), token_id).changes === 0) return false;
        append('SYSTEM', [systemEvent(by, { type: REVOKED, token_id })]);
        return true;
      });
    },
    async list(limit) {
      const rows = list.all(core.clock.now(), Math.min(limit, LIST_LIMIT_MAX)).map(grantOf);
      return rows.filter((row): row is PersonGrant => 'principal' in row);
    },
  };
}

function sameText(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}

type MacOf = (row: Pick<StoredToken, 'token_id' | 'token_sha256' | 'body'>) => string;

function macOver({ keys }: Core): MacOf {
  return (row) => keys.rowMac('person_token', JSON.stringify([row.token_id, row.token_sha256, row.body]));
}

/** What a row grants, or why it counts no more. */
function grantReader(core: Core, macOf: MacOf): (row: StoredToken | undefined) => PersonGrant | Refusal {
  const noted_as_revoked = core.db.prepare<[string, string], { seq: number }>(
    `SELECT seq FROM ledger WHERE chain = 'SYSTEM' AND kind = 'event' AND json_valid(payload)
        AND payload ->> '$.type' = ? AND payload ->> '$.token_id' = ? LIMIT 1`,
  );
  return (row) => {
    if (row === undefined) return refuse('token-unknown', 'Aegis does not know this token.', MINT_AGAIN);
    if (!sameText(macOf(row), row.mac))
      return refuse(
        'token-forged',
        'This token was not minted by Aegis: its row in the database was written or changed by somebody else.',
        'Tell whoever looks after AEGIS_HOME; compare the database with a backup.',
      );
    const grant = PersonGrant.parse(JSON.parse(row.body));
    if (row.revoked_at_ms !== null || noted_as_revoked.get(REVOKED, grant.token_id) !== undefined)
      return refuse('token-revoked', `The token ${grant.token_id} was revoked.`, MINT_AGAIN);
    if (grant.expires_at_ms <= core.clock.now())
      return refuse(
        'token-expired',
        `The token ${grant.token_id} expired at ${isoTime(grant.expires_at_ms)}.`,
        MINT_AGAIN,
      );
    return grant;
  };
}
