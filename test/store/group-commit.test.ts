import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { GroupCommit } from '../../src/store/group-commit.ts';
import { openStore } from '../../src/store/open-store.ts';
import { handClock } from './samples.ts';

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aegis-group-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

describe('group commit', () => {
  let db: Database.Database;
  let group: GroupCommit;
  /** What the database did and what callers were told, in order. */
  let told: string[];
  beforeEach(() => {
    told = [];
    db = new Database(join(dir, 'test.db'), { verbose: (sql) => void told.push(String(sql)) });
    db.exec('CREATE TABLE t (n INTEGER NOT NULL PRIMARY KEY) STRICT');
    db.exec(`CREATE TRIGGER fatal BEFORE INSERT ON t WHEN NEW.n = 666
      BEGIN SELECT RAISE(ROLLBACK, 'the disk is gone'); END`);
    group = new GroupCommit(db);
    told.length = 0;
  });
  afterEach(() => db.close());

  const insert = (n: number) => db.prepare('INSERT INTO t VALUES (?)').run(n);
  const rows = () => db.prepare('SELECT n FROM t ORDER BY n').pluck().all();
  const count = (word: string) => told.filter((line) => line.startsWith(word)).length;

  it('puts what comes in one turn into one transaction and tells nobody before it is committed', async () => {
    const many = Array.from({ length: 20 }, (_, n) =>
      group.run(() => insert(n)).then(() => told.push(`told ${n}`)),
    );
    expect(told).toEqual([]);
    await Promise.all(many);
    expect([count('BEGIN IMMEDIATE'), count('COMMIT')]).toEqual([1, 1]);
    expect(told.slice(told.indexOf('COMMIT') + 1)).toEqual(many.map((_, n) => `told ${n}`));
    expect(rows()).toHaveLength(20);
  });

  it('splits a flood into several transactions', async () => {
    await Promise.all(Array.from({ length: 600 }, (_, n) => group.run(() => insert(n))));
    expect(count('COMMIT')).toBe(3);
    expect(rows()).toHaveLength(600);
  });

  it('undoes all of an operation that fails and nothing of the others', async () => {
    const work = [1, 2, 3, 4].map((n) =>
      group.run(() => {
        insert(n);
        if (n === 2) insert(20);
        if (n % 2 === 0) throw new Error(`no ${n}`);
        return n;
      }),
    );
    expect(await Promise.allSettled(work)).toMatchObject([
      { value: 1 },
      { reason: { message: 'no 2' } },
      { value: 3 },
      { reason: { message: 'no 4' } },
    ]);
    expect(rows()).toEqual([1, 3]);
    expect(count('COMMIT')).toBe(1);
  });

  it('tells everybody of the group when the database gave up the whole transaction, and goes on with the next', async () => {
    const work = [1, 666, 3].map((n) => group.run(() => insert(n)));
    const settled = await Promise.allSettled(work);
    expect(settled.map((one) => one.status)).toEqual(['rejected', 'rejected', 'rejected']);
    expect(rows()).toEqual([]);
    await group.run(() => insert(4));
    expect(rows()).toEqual([4]);
  });

  it('tells everybody when another process holds the database', async () => {
    db.pragma('busy_timeout = 20');
    const other = new Database(join(dir, 'test.db'));
    other.exec('BEGIN IMMEDIATE');
    const settled = await Promise.allSettled([1, 2].map((n) => group.run(() => insert(n))));
    expect(settled).toMatchObject([{ reason: { code: 'SQLITE_BUSY' } }, { reason: { code: 'SQLITE_BUSY' } }]);
    other.exec('ROLLBACK');
    other.close();
    await group.run(() => insert(1));
    expect(rows()).toEqual([1]);
  });
});

describe('a process killed while it appends', () => {
  const WRITER = fileURLToPath(new URL('grouped-writer.ts', import.meta.url));

  it.each([40, 333])('loses nothing of the %i or more appends that were acknowledged', async (enough) => {
    const home = join(dir, 'home');
    const child = spawn(process.execPath, ['--import', 'tsx', WRITER, home], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = once(child, 'close');
    const acknowledged: { chain: string; seq: number; hash: string }[] = [];
    for await (const line of createInterface({ input: child.stdout })) {
      // The last line may be torn.
      if (line.endsWith('}')) acknowledged.push(JSON.parse(line) as (typeof acknowledged)[number]);
      if (acknowledged.length === enough) child.kill('SIGKILL');
    }
    expect(await ended).toEqual([null, 'SIGKILL']);
    expect(acknowledged.length).toBeGreaterThanOrEqual(enough);
    const store = await openStore({ home, clock: handClock() });
    const kept = new Map<string, string>();
    for (const { incident_id } of await store.ledger.heads())
      for (const { seq, hash } of await store.ledger.read(incident_id))
        kept.set(`${incident_id} ${seq}`, hash);
    for (const { chain, seq, hash } of acknowledged) expect(kept.get(`${chain} ${seq}`)).toBe(hash);
    expect((await store.ledger.verify()).problems).toEqual([]);
    await store.close();
  });
});
