import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openStore } from '../../src/store/open-store.ts';
import { entry, handClock, INC } from './samples.ts';

describe('the ledger table refuses every statement but the next append', () => {
  let home = '';
  let db: Database.Database;
  beforeEach(async () => {
    home = mkdtempSync(join(tmpdir(), 'aegis-append-'));
    const store = await openStore({ home, clock: handClock() });
    await store.ledger.append(INC, [entry(), entry(), entry()]);
    await store.close();
    db = new Database(join(home, 'aegis.db'));
  });
  afterEach(() => {
    db.close();
    rmSync(home, { recursive: true, force: true });
  });

  const insert = (verb: string, seq: string, prev = 'hash', at = 'at') =>
    `${verb} INTO ledger SELECT chain, ${seq}, v, ${at}, kind, actor, '{}', ${prev}, 'f' FROM ledger WHERE seq = 3`;

  it.each([
    ['an update', "UPDATE ledger SET actor = 'x' WHERE seq = 2"],
    ['an update that changes nothing', 'UPDATE ledger SET actor = actor'],
    ['an update or replace', 'UPDATE OR REPLACE ledger SET seq = 1 WHERE seq = 2'],
    ['a delete', 'DELETE FROM ledger WHERE seq = 3'],
    ['a replace of an entry', insert('INSERT OR REPLACE', '3')],
    ['a replace of an earlier entry', insert('REPLACE', '1')],
    ['an upsert', `${insert('INSERT', '3')} ON CONFLICT DO UPDATE SET actor = 'x'`],
    ['a gap', insert('INSERT', '5')],
    ['a number before the first', insert('INSERT', '0')],
    ['a link to nowhere', insert('INSERT', '4', "'0'")],
    ['a step back in time', insert('INSERT', '4', 'hash', "'2020-01-01T00:00:00.000Z'")],
  ])('%s', (_, statement) => {
    const before = db.prepare('SELECT * FROM ledger').all();
    expect(() => db.exec(statement)).toThrow(/append-only/);
    expect(db.prepare('SELECT * FROM ledger').all()).toEqual(before);
  });

  it('and takes the next append, so that the refusals above prove something', () => {
    db.exec(insert('INSERT', '4'));
    expect(db.prepare('SELECT seq FROM chain_head').pluck().all()).toEqual([4]);
  });
});
