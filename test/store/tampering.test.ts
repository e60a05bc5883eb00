import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openStore } from '../../src/store/open-store.ts';
import type { LedgerVerdict } from '../../src/store/store.ts';
import { entry, evidence, handClock, INC, readEntry, step } from './samples.ts';

const OTHER = 'INC-2026-1123-002';
const TEXT = 'driver log\nout of memory';
const RECORD = evidence('EV-aaaaaaaa', TEXT);
/** Entries of each chain in the sample; CHECKPOINT holds two. */
const LENGTHS = { [INC]: 7, [OTHER]: 3, SYSTEM: 4, CHECKPOINT: 2 };
type Chain = keyof typeof LENGTHS;

let root = '';
let copies = 0;
const clock = handClock();

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'aegis-tamper-'));
  const store = await openStore({ home: join(root, 'good'), clock });
  await store.evidence.put(RECORD, TEXT);
  await store.step.commit(step(0, { entries: [entry(), readEntry(RECORD), marked(3), marked(4)] }));
  await store.ledger.append('SYSTEM', [marked(1), marked(2), marked(3)]);
  await store.ledger.checkpoint('first');
  clock.at += 1000;
  await store.step.commit(step(0, { incident_id: OTHER, entries: [entry(), entry(), entry()] }));
  await store.ledger.append(INC, [marked(5), marked(6), marked(7)]);
  await store.ledger.append('SYSTEM', [marked(4)]);
  await store.ledger.checkpoint('second');
  await store.close();
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

function marked(n: number) {
  return entry({ type: 'marked', n, text: `marker-${n}-ünïcode-${'x'.repeat(40)}` });
}

/** With modes, which `cpSync` of Node 22 and later does not keep for folders. */
function copyHome(home: string): void {
  execFileSync('cp', ['-a', join(root, 'good'), home]);
}

/** A copy of the good home, changed by `change`, verified read-only. */
async function verified(
  change: (home: string) => void,
  options: { chain?: string; witness?: boolean } = {},
): Promise<LedgerVerdict> {
  const home = join(root, `copy-${(copies += 1)}`);
  copyHome(home);
  change(home);
  const store = await openStore({ home, clock, readonly: true });
  try {
    return await store.ledger.verify(options);
  } finally {
    await store.close();
    rmSync(home, { recursive: true, force: true });
  }
}

/** What somebody with the file can do: no triggers, then any statement. */
function sql(work: (db: Database.Database) => void): (home: string) => void {
  return (home) => {
    const db = new Database(join(home, 'aegis.db'));
    const triggers = db
      .prepare<[], { name: string }>("SELECT name FROM sqlite_master WHERE type = 'trigger'")
      .all();
    for (const { name } of triggers) db.exec(`DROP TRIGGER ${name}`);
    work(db);
    db.close();
  };
}

const FFFD_CHAIN = 'INC-2026-1123-003';
const marked_with = (text: string) => entry({ type: 'marked', text });

/** A copy of the good home with one more chain, then changed in its last row. */
async function withEntry(
  one: ReturnType<typeof entry>,
  change: (db: Database.Database) => void,
): Promise<LedgerVerdict> {
  const home = join(root, `with-${(copies += 1)}`);
  copyHome(home);
  const writer = await openStore({ home, clock });
  await writer.ledger.append(FFFD_CHAIN, [one]);
  await writer.close();
  sql(change)(home);
  const store = await openStore({ home, clock, readonly: true });
  try {
    return await store.ledger.verify();
  } finally {
    await store.close();
  }
}

function replaceBytes(db: Database.Database, text: string, bytes: Buffer): void {
  const stored = db
    .prepare<[string], Buffer>('SELECT CAST(payload AS BLOB) FROM ledger WHERE chain = ?')
    .pluck()
    .get(FFFD_CHAIN)!;
  const at = stored.indexOf(text);
  const changed = Buffer.concat([
    stored.subarray(0, at),
    bytes,
    stored.subarray(at + Buffer.byteLength(text)),
  ]);
  db.prepare('UPDATE ledger SET payload = CAST(? AS TEXT) WHERE chain = ?').run(changed, FFFD_CHAIN);
}

const anyRow = fc
  .constantFrom<Chain>(INC, OTHER, 'SYSTEM', 'CHECKPOINT')
  .chain((chain) =>
    fc.record({ chain: fc.constant(chain), seq: fc.integer({ min: 1, max: LENGTHS[chain] }) }),
  );

const first = (verdict: LedgerVerdict, chain: string) => verdict.problems.find((p) => p.chain === chain)?.seq;

describe('a ledger that somebody changed', () => {
  it('is not the one that nobody changed: that one verifies, with dropped triggers, too', async () => {
    const good = { ok: true, entries: 16, chains: 4, blobs: 1, problems: [] };
    expect(await verified(() => undefined, { witness: true })).toEqual(good);
    expect(
      await verified(
        sql(() => undefined),
        { witness: true },
      ),
    ).toEqual(good);
    for (const chain of Object.keys(LENGTHS))
      expect((await verified(() => undefined, { chain })).ok).toBe(true);
  });

  it('shows any flipped bit of any column and names the entry', async () => {
    const column = fc.constantFrom('at', 'kind', 'actor', 'payload', 'prev_hash', 'hash');
    await fc.assert(
      fc.asyncProperty(
        anyRow,
        column,
        fc.nat(),
        fc.integer({ min: 0, max: 6 }),
        async ({ chain, seq }, name, position, bit) => {
          const verdict = await verified(
            sql((db) => {
              const where = 'WHERE chain = ? AND seq = ?';
              const bytes = db
                .prepare(`SELECT CAST(${name} AS BLOB) FROM ledger ${where}`)
                .pluck()
                .get(chain, seq) as Buffer;
              const at = position % bytes.length;
              bytes[at] = bytes[at]! ^ (1 << bit);
              db.prepare(`UPDATE ledger SET ${name} = CAST(? AS TEXT) ${where}`).run(bytes, chain, seq);
            }),
          );
          expect(verdict.ok).toBe(false);
          expect(first(verdict, chain)).toBe(seq);
        },
      ),
      { numRuns: 80 },
    );
  });

  it('tells a stored replacement character from bytes that only read as one', async () => {
    const honest = marked_with('\ufffd');
    const kept = await withEntry(honest, () => undefined);
    expect(kept.problems).toEqual([]);
    for (const bytes of [[0xff], [0xe2, 0x82], [0xf0, 0x9f, 0x98]]) {
      const verdict = await withEntry(honest, (db) => replaceBytes(db, '\ufffd', Buffer.from(bytes)));
      expect(verdict.problems).toMatchObject([{ chain: FFFD_CHAIN, seq: 1 }]);
    }
  });

  it('shows bytes that were put in the place of a text, though they read the same', async () => {
    for (const column of ['at', 'kind', 'actor', 'prev_hash', 'hash']) {
      const verdict = await verified(
        sql((db) => {
          db.unsafeMode(true);
          db.pragma('writable_schema = ON');
          db.exec("UPDATE sqlite_master SET sql = replace(sql, ' STRICT,', '') WHERE name = 'ledger'");
          db.pragma('writable_schema = RESET');
          const update = `UPDATE ledger SET ${column} = CAST(${column} AS BLOB) WHERE chain = ? AND seq = 3`;
          db.prepare(update).run(INC);
        }),
      );
      expect(first(verdict, INC)).toBe(3);
    }
  });

  it('shows any flipped bit of a payload in the raw file', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 3, max: 7 }),
        fc.nat({ max: 50 }),
        fc.integer({ min: 0, max: 7 }),
        async (n, offset, bit) => {
          const marker = Buffer.from(`marker-${n}-`);
          const verdict = await verified((home) => {
            const bytes = readFileSync(join(home, 'aegis.db'));
            let at = bytes.indexOf(marker);
            for (; at >= 0; at = bytes.indexOf(marker, at + 1))
              bytes[at + offset] = bytes[at + offset]! ^ (1 << bit);
            writeFileSync(join(home, 'aegis.db'), bytes);
          });
          expect(first(verdict, INC)).toBe(n);
        },
      ),
      { numRuns: 40 },
    );
  });
});

describe('a ledger with entries out of place', () => {
  it('shows any deleted entry and names the first one that is missing', async () => {
    await fc.assert(
      fc.asyncProperty(anyRow, fc.boolean(), async ({ chain, seq }, rest_too) => {
        const which = rest_too ? 'seq >= ?' : 'seq = ?';
        const verdict = await verified(
          sql((db) => db.prepare(`DELETE FROM ledger WHERE chain = ? AND ${which}`).run(chain, seq)),
        );
        expect(first(verdict, chain)).toBe(seq);
      }),
      { numRuns: 40 },
    );
  });

  it('shows any two entries that changed places and names the lower one', async () => {
    const pair = fc
      .tuple(fc.integer({ min: 1, max: 7 }), fc.integer({ min: 1, max: 7 }))
      .filter(([a, b]) => a < b);
    await fc.assert(
      fc.asyncProperty(pair, async ([a, b]) => {
        const move = (db: Database.Database, from: number, to: number) =>
          db.prepare('UPDATE ledger SET seq = ? WHERE chain = ? AND seq = ?').run(to, INC, from);
        const verdict = await verified(
          sql((db) => {
            move(db, a, 99);
            move(db, b, a);
            move(db, 99, b);
          }),
        );
        expect(first(verdict, INC)).toBe(a);
      }),
      { numRuns: 20 },
    );
  });
});

describe('a careful liar', () => {
  const cut = (db: Database.Database, chain: string, from_seq: number) => {
    db.prepare('DELETE FROM ledger WHERE chain = ? AND seq >= ?').run(chain, from_seq);
    const last = db.prepare('SELECT hash FROM ledger WHERE chain = ? ORDER BY seq DESC').pluck().get(chain);
    if (last === undefined) db.prepare('DELETE FROM chain_head WHERE chain = ?').run(chain);
    else db.prepare('UPDATE chain_head SET seq = ?, hash = ? WHERE chain = ?').run(from_seq - 1, last, chain);
  };

  it('who cuts a chain and corrects the noted head is found by the checkpoint', async () => {
    const verdict = await verified(sql((db) => cut(db, INC, 6)));
    expect(verdict.problems).toMatchObject([{ chain: INC, seq: 7 }]);
    expect(
      (
        await verified(
          sql((db) => cut(db, INC, 6)),
          { chain: INC },
        )
      ).problems,
    ).toMatchObject([{ chain: INC, seq: 7 }]);
    const gone = sql((db) => {
      cut(db, OTHER, 1);
      db.prepare('DELETE FROM incident WHERE incident_id = ?').run(OTHER);
    });
    expect((await verified(gone)).problems).toMatchObject([{ chain: OTHER, seq: 3 }]);
  });

  it('who cuts the checkpoints as well is found by the witness file', async () => {
    const change = sql((db) => {
      cut(db, 'CHECKPOINT', 2);
      cut(db, INC, 5);
      cut(db, 'SYSTEM', 4);
    });
    expect((await verified(change)).ok).toBe(true);
    expect((await verified(change, { witness: true })).problems).toMatchObject([
      { chain: 'CHECKPOINT', seq: 2 },
    ]);
  });

  it('who edits or removes the witness file is found, and a torn last line is not held against anybody', async () => {
    const witness = (home: string) => join(home, 'witness.jsonl');
    const lines = readFileSync(witness(join(root, 'good')), 'utf8');
    const put = (text: string) => verified((home) => writeFileSync(witness(home), text), { witness: true });
    expect((await verified((home) => rmSync(witness(home)), { witness: true })).problems).toMatchObject([
      { chain: 'CHECKPOINT' },
    ]);
    expect((await put(lines.replace('"seq":2', '"seq":3'))).ok).toBe(false);
    expect((await put(`nonsense\n${lines}`)).ok).toBe(false);
    expect((await put(`${lines}${lines.slice(0, 50)}`)).ok).toBe(true);
  });

  it('who signs checkpoints with another key is found', async () => {
    const with_other_key = await verified((home) =>
      cpSync(strangersKey(), join(home, 'keys', 'checkpoint.pem')),
    );
    expect(with_other_key.problems).toMatchObject([{ chain: 'CHECKPOINT', seq: 1 }]);
  });
});

describe('sealed evidence that somebody changed', () => {
  const blob = (home: string) => join(home, 'blobs', INC, 'EV-aaaaaaaa');

  it('shows any flipped bit of the sealed file, and names the entry that read it', async () => {
    const length = readFileSync(blob(join(root, 'good'))).length;
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: length - 1 }), fc.integer({ min: 0, max: 7 }), async (at, bit) => {
        const verdict = await verified((home) => {
          const bytes = readFileSync(blob(home));
          bytes[at] = bytes[at]! ^ (1 << bit);
          writeFileSync(blob(home), bytes);
        });
        expect(verdict.problems).toMatchObject([{ chain: INC, seq: 2 }]);
      }),
      { numRuns: 40 },
    );
  });

  it('shows a missing, cut or empty file, and a record that was edited in any field', async () => {
    const problems = async (change: (home: string) => void) => (await verified(change)).problems;
    const named = [{ chain: INC, seq: 2 }];
    expect(await problems((home) => rmSync(blob(home)))).toMatchObject(named);
    expect(await problems((home) => writeFileSync(blob(home), ''))).toMatchObject(named);
    expect(
      await problems((home) => writeFileSync(blob(home), readFileSync(blob(home)).subarray(0, 40))),
    ).toMatchObject(named);
    for (const [field, value] of Object.entries({
      path: '/x',
      query: 'cat /x',
      expires_at: '2020-01-01T00:00:00.000Z',
      attacker_writable: false,
    })) {
      const record = JSON.stringify({ ...RECORD, [field]: value });
      expect(
        await problems(sql((db) => db.prepare('UPDATE evidence SET record = ?').run(record))),
      ).toMatchObject(named);
    }
    expect(await problems(sql((db) => db.exec('DELETE FROM evidence')))).toMatchObject(named);
  });
});

/** The signing key of another installation. */
function strangersKey(): string {
  return join(root, 'stranger', 'keys', 'checkpoint.pem');
}

beforeAll(async () => {
  const stranger = await openStore({ home: join(root, 'stranger'), clock });
  await stranger.close();
});
