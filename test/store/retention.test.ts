import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { KEPT_BY_DEFAULT } from '../../src/contract/retention.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { Store } from '../../src/store/store.ts';
import { sweepRetention } from '../../src/store/sweep-retention.ts';
import { createLog } from '../../src/system-ports.ts';
import { verifyExport } from '../../src/store/verify-export.ts';
import {
  approval,
  card,
  entry,
  evidence,
  handClock,
  H,
  inboxRow,
  permit,
  readEntry,
  step,
} from './samples.ts';

const DAY_MS = 86_400_000;
const A = 'INC-2026-1123-001';
const B = 'INC-2026-1123-002';
let root = '';
let store: Store;
let clock = handClock();
beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'aegis-retention-'));
  clock = handClock();
  store = await openStore({ home: join(root, 'home'), clock });
});
afterEach(async () => {
  await store.close();
  rmSync(root, { recursive: true, force: true });
});

/** An incident with one of everything, open or closed. */
async function incident(incident_id: string, open: boolean): Promise<void> {
  const text = `what ${incident_id} saw`;
  const number = incident_id.slice(-3);
  const record = { ...evidence(`EV-${number}00000`, text), incident_id };
  const { inbox_id } = await store.inbox.append(inboxRow(`click of ${incident_id}`, incident_id));
  await store.step.commit(
    step(0, {
      incident_id,
      inbox_ids: [inbox_id],
      row: { open, state: open ? 'TRIAGE' : 'CLOSED', identity: H(incident_id) },
      effects: [{ effect_id: `${incident_id}/1/0`, kind: 'triage', payload: {} }],
      arm_timers: [{ kind: 'quiet', due_at_ms: clock.now() + 5 }],
      cards: [card('root', `root:${incident_id}`)],
      approvals: [{ ...approval(`APR-${Number(number)}`), incident_id }],
      planned: [{ tool: 'k8s.scale', target: `mcp://k8s/prod-1/ns/deployment/${number}` }],
    }),
  );
  await store.evidence.put(record, text);
  await store.ledger.append(incident_id, [readEntry(record), { ...entry(), spend: spendOf(incident_id) }]);
  await store.journal.mintPermit(permit(Number(number), { incident_id }), entry());
}

const spendOf = (incident_id: string) => ({
  payer: {
    effect_id: `${incident_id}/3/0`,
    attempt: 'a',
    accounts: [
      { key: `investigate:${incident_id}`, day: null },
      { key: `reserve:${incident_id}:2`, day: null },
      { key: 'team:data', day: '2026-11-23' },
    ],
  },
  calls: 1,
});

const prune = () => store.ledger.prune(clock.now() - 30 * DAY_MS);
const inDatabase = (work: (db: Database.Database) => void) => {
  const db = new Database(join(root, 'home', 'aegis.db'));
  try {
    work(db);
  } finally {
    db.close();
  }
};

async function expectSound(): Promise<void> {
  expect(await store.ledger.verify({ witness: true })).toMatchObject({ ok: true, problems: [] });
  expect(await store.ledger.rewind()).toBeNull();
  const parts: Uint8Array[] = [];
  for await (const part of store.ledger.export(null)) parts.push(part);
  writeFileSync(join(root, 'export.jsonl'), Buffer.concat(parts));
  expect(await verifyExport(join(root, 'export.jsonl'), null)).toMatchObject({ ok: true, problem: null });
}

describe('an incident whose time is over', () => {
  beforeEach(async () => {
    await incident(A, false);
    await incident(B, true);
    await store.ledger.checkpoint('before');
    clock.at += 40 * DAY_MS;
  });

  it('is gone with everything that was kept about it, and ledger, witness and export still verify', async () => {
    expect(existsSync(join(root, 'home', 'blobs', A))).toBe(true);
    expect(await prune()).toEqual({ pruned: [A], kept_broken: [] });
    expect(await store.incidents.get(A)).toBeNull();
    expect(await store.incidents.get(B)).not.toBeNull();
    expect(await store.ledger.read(A)).toEqual([]);
    expect(
      readdirSync(join(root, 'home', 'blobs')).includes(A) &&
        readdirSync(join(root, 'home', 'blobs', A)).length > 0,
    ).toBe(false);
    inDatabase((db) => {
      for (const { table, column } of tablesAbout(db))
        expect({
          table,
          rows: db.prepare(`SELECT 1 FROM ${table} WHERE ${column} = ?`).all(A).length,
        }).toEqual({
          table,
          rows: table === 'pruned_chain' ? 1 : 0,
        });
    });
    inDatabase((db) => {
      expect(db.prepare('SELECT effect_id FROM effect_spending').pluck().all()).toEqual([`${B}/3/0`]);
      expect(db.prepare('SELECT account FROM spending').pluck().all()).toEqual([
        `investigate:${B}`,
        `reserve:${B}:2`,
        'team:data',
      ]);
    });
    const [said] = (await store.ledger.read('SYSTEM')).filter((e) => e.payload['type'] === 'pruned');
    expect(said).toMatchObject({ actor: 'system:retention', payload: { chain: A, entries: 4 } });
    await expectSound();
    await store.ledger.checkpoint('after');
    await expectSound();
    expect(await prune()).toEqual({ pruned: [], kept_broken: [] });
  });

  it('does not begin anew under its old name', async () => {
    await prune();
    await expect(store.ledger.append(A, [entry()])).rejects.toThrow(/does not begin anew/);
    await expect(store.step.commit(step(0, { incident_id: A }))).rejects.toThrow(/does not begin anew/);
  });

  it('stays when somebody changed its record: that is the proof', async () => {
    inDatabase((db) => {
      db.exec('DROP TRIGGER ledger_no_update');
      db.prepare("UPDATE ledger SET actor = 'x' WHERE chain = ? AND seq = 2").run(A);
    });
    expect(await prune()).toEqual({ pruned: [], kept_broken: [A] });
    expect((await store.ledger.verify()).problems).toMatchObject([{ chain: A, seq: 2 }]);
  });

  it('stays while a newer database is missed', async () => {
    writeFileSync(join(root, 'home', 'witness.jsonl'), '');
    expect(await prune()).toEqual({ pruned: [], kept_broken: [] });
    expect(await store.incidents.get(A)).not.toBeNull();
  });

  it.each([
    ['its note', "DELETE FROM pruned_chain; DELETE FROM ledger WHERE chain = 'SYSTEM'", /stays on record/],
    ['a row of another chain', `DELETE FROM ledger WHERE chain = '${B}'`, /DELETE refused/],
    ['the length', 'UPDATE pruned_chain SET entries = 1', /stays on record/],
  ])('leaves a record that the database does not let go: %s', async (_what, sql, error) => {
    await prune();
    inDatabase((db) => expect(() => db.exec(sql)).toThrow(error));
  });
});

describe('what is not taken out', () => {
  it.each<[string, () => Promise<void>]>([
    ['an incident that closed lately', async () => void (clock.at += 10 * DAY_MS)],
    [
      'one that no checkpoint covers to its end',
      async () => {
        await store.ledger.append(A, [entry()]);
        clock.at += 40 * DAY_MS;
      },
    ],
  ])('%s', async (_what, then) => {
    await incident(A, false);
    await store.ledger.checkpoint('before');
    await then();
    expect(await prune()).toEqual({ pruned: [], kept_broken: [] });
    expect(await store.ledger.read(A)).not.toEqual([]);
  });
});

describe('a chain that somebody else removed', () => {
  beforeEach(async () => {
    await incident(A, false);
    await store.ledger.checkpoint('before');
  });

  it('is named though the note of a retention was forged for it', async () => {
    inDatabase((db) => {
      db.prepare('INSERT INTO pruned_chain VALUES (?, 4, ?, 1)').run(A, H('forged'));
      for (const table of ['ledger', 'chain_head']) db.prepare(`DELETE FROM ${table} WHERE chain = ?`).run(A);
      for (const table of ['evidence', 'incident'])
        db.prepare(`DELETE FROM ${table} WHERE incident_id = ?`).run(A);
    });
    const { ok, problems } = await store.ledger.verify();
    expect(ok).toBe(false);
    expect(problems.find((p) => p.chain === A)?.what).toMatch(/committed to|SYSTEM chain does not say so/);
  });

  it('is named when the note says another end than the checkpoints', async () => {
    const head = await store.ledger.head(A);
    const event = { type: 'pruned', chain: A, entries: head?.seq, last_hash: H('forged') };
    const [said] = await store.ledger.append('SYSTEM', [
      { kind: 'event', actor: 'system:retention', payload: event },
    ]);
    inDatabase((db) => {
      db.prepare('INSERT INTO pruned_chain VALUES (?, ?, ?, ?)').run(A, head?.seq, H('forged'), said?.seq);
      for (const table of ['ledger', 'chain_head']) db.prepare(`DELETE FROM ${table} WHERE chain = ?`).run(A);
      for (const table of ['evidence', 'incident'])
        db.prepare(`DELETE FROM ${table} WHERE incident_id = ?`).run(A);
    });
    expect((await store.ledger.verify()).problems).toMatchObject(
      [{ chain: A, what: /committed to/ }].map((p) => ({
        ...p,
        what: expect.stringMatching(p.what) as string,
      })),
    );
  });
});

describe('a sweep', () => {
  const sweep = (days: number | null) =>
    sweepRetention(
      { ledger: store.ledger, clock, log: createLog('silent', () => null) },
      { ...KEPT_BY_DEFAULT, closed_incidents_days: days },
    );

  it('takes out what is older than the policies say, more than one call holds, and nothing when they say nothing', async () => {
    for (let n = 1; n <= 210; n += 1) {
      const incident_id = `INC-2026-1123-${String(n).padStart(3, '0')}`;
      const row = { open: false, state: 'CLOSED' as const, identity: H(incident_id) };
      await store.step.commit(step(0, { incident_id, row }));
    }
    await store.ledger.checkpoint('before');
    clock.at += 40 * DAY_MS;
    expect(await sweep(null)).toBe(0);
    expect(await sweep(41)).toBe(0);
    expect(await sweep(40)).toBe(210);
    await expectSound();
  });
});

it('whatever is closed, checked and taken out in whatever order, what is left verifies', async () => {
  const act = fc.constantFrom('open', 'close', 'checkpoint', 'wait', 'prune');
  await fc.assert(
    fc.asyncProperty(fc.array(act, { minLength: 5, maxLength: 25 }), async (acts) => {
      await store.close();
      rmSync(join(root, 'home'), { recursive: true, force: true });
      store = await openStore({ home: join(root, 'home'), clock });
      let n = 0;
      for (const one of acts) {
        if (one === 'open' || one === 'close') {
          n += 1;
          await incident(`INC-2026-1123-${String(n).padStart(3, '0')}`, one === 'open');
        } else if (one === 'checkpoint') await store.ledger.checkpoint('now');
        else if (one === 'wait') clock.at += 40 * DAY_MS;
        else await prune();
      }
      await expectSound();
    }),
    { numRuns: 25 },
  );
});

/** Tables that say something about one incident; a lease outlives it only as a number. */
function tablesAbout(db: Database.Database): { table: string; column: string }[] {
  const tables = db
    .prepare<[], { name: string }>("SELECT name FROM sqlite_master WHERE type = 'table'")
    .all();
  return tables.flatMap(({ name }) => {
    const columns = db.prepare<[], { name: string }>(`PRAGMA table_info(${name})`).all();
    const column = columns.find((c) => c.name === 'incident_id' || c.name === 'chain');
    return column === undefined || name === 'lease' ? [] : [{ table: name, column: column.name }];
  });
}
