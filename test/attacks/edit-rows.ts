import { join } from 'node:path';
import Database from 'better-sqlite3';
import { canonicalJson, sha256Hex } from '../../src/contract/canonical.ts';
import type { Approval } from '../../src/contract/approval.ts';
import type { PersonGrant } from '../../src/contract/person-token.ts';
import type { Permit } from '../../src/contract/tool.ts';
import type { Store } from '../../src/store/store.ts';
import { editPayload } from '../scenarios/tampering.ts';

/** What somebody who can write to the database does to it: rows that the store itself would never write. */
export interface Place {
  /** AEGIS_HOME. */
  readonly home: string;
  readonly store: Store;
}

/** A permit that the gates never granted; `in_ledger` also forges its entry, with a hash that fits. */
export async function forgePermit(place: Place, permit: Permit, in_ledger: boolean): Promise<void> {
  withDatabase(place, (db) =>
    db
      .prepare('INSERT INTO permit (permit_id, incident_id, body, expires_at_ms) VALUES (?, ?, ?, ?)')
      .run(permit.permit_id, permit.incident_id, canonicalJson(permit), permit.expires_at_ms),
  );
  if (in_ledger)
    await place.store.ledger.append(permit.incident_id, [
      { kind: 'permit', actor: 'aegis:harness', payload: { permit } },
    ]);
}

/** Rewrites fields of a permit's row; the ledger keeps what was minted. */
export function editPermit(place: Place, permit_id: string, change: Partial<Permit>): void {
  withDatabase(place, (db) => {
    const row = db
      .prepare<[string], { body: string }>('SELECT body FROM permit WHERE permit_id = ?')
      .get(permit_id);
    const body = { ...(JSON.parse(row?.body ?? '{}') as Permit), ...change };
    const edited = db
      .prepare('UPDATE permit SET body = ?, expires_at_ms = ? WHERE permit_id = ?')
      .run(canonicalJson(body), body.expires_at_ms, permit_id);
    if (edited.changes !== 1) throw new Error('the permit was not edited');
  });
}

/** Marks a used permit as unused and, with `journal`, forgets that its change ever ran. */
export function forgetUse(place: Place, permit_id: string, journal: boolean): void {
  withDatabase(place, (db) => {
    db.prepare('UPDATE permit SET used_at_ms = NULL WHERE permit_id = ?').run(permit_id);
    if (journal)
      db.prepare("DELETE FROM journal WHERE json_extract(permit, '$.permit_id') = ?").run(permit_id);
  });
}

/** Rewrites an approval wherever the harness and the cards read it: its row, and the snapshot of its incident. */
export function editStanding(
  place: Pick<Place, 'home'>,
  incident_id: string,
  edit: (approval: Approval) => Approval,
): void {
  withDatabase(place, (db) => {
    const row = db
      .prepare<[string], { snapshot: string }>('SELECT snapshot FROM incident WHERE incident_id = ?')
      .get(incident_id);
    const snapshot = JSON.parse(row?.snapshot ?? '{}') as { context: { approval: Approval } };
    const approval = edit(snapshot.context.approval);
    snapshot.context.approval = approval;
    db.prepare('UPDATE incident SET snapshot = ? WHERE incident_id = ?').run(
      canonicalJson(snapshot),
      incident_id,
    );
    db.prepare('UPDATE approval SET body = ? WHERE approval_id = ?').run(
      canonicalJson(approval),
      approval.approval_id,
    );
  });
}

/** Rewrites the payload of the first entry of a kind, under the triggers, without mending the hashes. */
export async function editEntry(
  place: Place,
  chain: string,
  kind: 'event' | 'plan' | 'preview' | 'approval' | 'permit',
  edit: (payload: string) => string,
): Promise<void> {
  const [entry] = await place.store.ledger.read(chain, { kinds: [kind] });
  if (entry === undefined) throw new Error(`${chain} has no entry of kind ${kind}`);
  const before = editPayload(place.home, chain, entry.seq, edit);
  if (edit(before) === before) throw new Error('the edit changed nothing');
}

function withDatabase<T>({ home }: Pick<Place, 'home'>, work: (db: Database.Database) => T): T {
  const db = new Database(join(home, 'aegis.db'), { timeout: 5000 });
  try {
    return work(db);
  } finally {
    db.close();
  }
}

/** A row of the inbox as somebody without our keys can write it. */
export function forgeInboxRow(
  place: Pick<Place, 'home'>,
  row: { dedup_key: string; source: string; incident_id: string | null; kind: string; payload: unknown },
  mac: string | null = null,
): void {
  withDatabase(place, (db) =>
    db
      .prepare(
        'INSERT INTO inbox (dedup_key, source, incident_id, kind, payload, received_at_ms, mac) VALUES (?, ?, ?, ?, ?, ?, ?)',
      )
      .run(
        row.dedup_key,
        row.source,
        row.incident_id,
        row.kind,
        JSON.stringify(row.payload),
        Date.now(),
        mac,
      ),
  );
}

/** A person's token that Aegis never minted: the hash of a text that the attacker knows, with a mark that he guessed. */
export function forgePersonToken(place: Pick<Place, 'home'>, grant: PersonGrant, text: string): void {
  withDatabase(place, (db) =>
    db
      .prepare(
        'INSERT INTO person_token (token_id, token_sha256, body, mac, expires_at_ms) VALUES (?, ?, ?, ?, ?)',
      )
      .run(grant.token_id, sha256Hex(text), canonicalJson(grant), 'f'.repeat(64), grant.expires_at_ms),
  );
}

/** Makes a token look as if nobody had revoked it, and alive for longer. */
export function unrevoke(place: Pick<Place, 'home'>, token_id: string): void {
  withDatabase(place, (db) =>
    db.prepare('UPDATE person_token SET revoked_at_ms = NULL WHERE token_id = ?').run(token_id),
  );
}

/** Makes somebody involved in an incident, in the snapshot that the harness judges by. @returns how to undo it. */
export function involve(
  place: Pick<Place, 'home'>,
  incident_id: string,
  principal: string,
  role: 'starter' | 'author',
): () => void {
  const write = (db: Database.Database, text: string) =>
    db.prepare('UPDATE incident SET snapshot = ? WHERE incident_id = ?').run(text, incident_id);
  return withDatabase(place, (db) => {
    const row = db
      .prepare<[string], { snapshot: string }>('SELECT snapshot FROM incident WHERE incident_id = ?')
      .get(incident_id);
    const snapshot = JSON.parse(row?.snapshot ?? '{}') as {
      context: { incident: { involved: { principal: string; role: string }[] } };
    };
    const { incident } = snapshot.context;
    incident.involved = [...incident.involved.filter((i) => i.principal !== principal), { principal, role }];
    write(db, canonicalJson(snapshot));
    return () => withDatabase(place, (again) => void write(again, row?.snapshot ?? '{}'));
  });
}
