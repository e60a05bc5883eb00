import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { canonicalJson, sha256Hex } from '../../src/contract/canonical.ts';
import type { NewLedgerEntry } from '../../src/contract/ledger.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { Store } from '../../src/store/store.ts';
import { systemClock, systemIds } from '../../src/system-ports.ts';
import { measurement } from './bench.ts';
import type { Bench, Measurement } from './bench.ts';
import { durableFloor } from './durable-floor.ts';

/** The ledger by itself: durable appends, one after another and side by side, and the check of a whole chain. */
export const ledger: Bench = {
  name: 'ledger',
  about: 'durable appends a second (floor: bare INSERT and SHA-256), verification (floor: iterate and hash)',
  run: measureLedger,
};

/** Many short rounds, floor and ledger in turns: what else happens on the machine hits both, and few of the rounds. */
const ROUNDS = 25;
const APPENDS = 100;
const SIDE_BY_SIDE = 16;
const CHAIN = 'INC-2026-1123-001';

const ENTRY: NewLedgerEntry = {
  kind: 'event',
  actor: 'aegis:bench',
  payload: { type: 'bench', text: systemIds.secret(450) },
};

async function measureLedger(): Promise<Measurement[]> {
  const dir = mkdtempSync(join(tmpdir(), 'aegis-bench-'));
  const store = await openStore({ home: join(dir, 'home'), clock: systemClock });
  const floor = durableFloor(dir, canonicalJson(ENTRY.payload));
  const rows = storedRows(join(dir, 'home'));
  const rates = { bare: [] as number[], one: [] as number[], many: [] as number[] };
  try {
    // The first round compiles and warms the disk; it does not count.
    for (let n = -1; n < ROUNDS; n += 1) {
      const bare = await perSecond(1, async () => floor.insert());
      const one = await perSecond(1, () => append(store));
      const many = await perSecond(SIDE_BY_SIDE, () => append(store));
      if (n < 0) continue;
      rates.bare.push(bare);
      rates.one.push(one);
      rates.many.push(many);
    }
    const appends = (callers: string, values: readonly number[]): Measurement => ({
      ...measurement(`ledger append, ${callers}`, 'appends/s', values, rates.bare),
      n: APPENDS * ROUNDS,
    });
    return [
      appends('1 caller', rates.one),
      appends(`${SIDE_BY_SIDE} callers`, rates.many),
      await measureVerify(store, rows.hashAll),
    ];
  } finally {
    floor.close();
    rows.close();
    await store.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

async function append(store: Store): Promise<void> {
  await store.ledger.append(CHAIN, [ENTRY]);
}

async function perSecond(callers: number, work: () => Promise<void>): Promise<number> {
  let left = APPENDS;
  const caller = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      await work();
    }
  };
  const started = performance.now();
  await Promise.all(Array.from({ length: callers }, caller));
  return (APPENDS / (performance.now() - started)) * 1000;
}

/** The floor of verification: the same rows of the same file, read in order, and the stored bytes hashed. */
function storedRows(home: string): { hashAll: () => number; close: () => void } {
  const db = new Database(join(home, 'aegis.db'), { readonly: true });
  const all = db.prepare<[], { payload: Buffer }>(
    `SELECT chain, seq, v, at, kind, actor, CAST(payload AS BLOB) AS payload, prev_hash, hash FROM ledger
      ORDER BY chain, seq`,
  );
  return {
    hashAll() {
      let rows = 0;
      for (const row of all.iterate()) {
        sha256Hex(row.payload);
        rows += 1;
      }
      return rows;
    },
    close: () => void db.close(),
  };
}

async function measureVerify(store: Store, hashAll: () => number): Promise<Measurement> {
  const values: number[] = [];
  const floors: number[] = [];
  let checked = 0;
  for (let n = -1; n < ROUNDS; n += 1) {
    const began = performance.now();
    const hashed = hashAll();
    const between = performance.now();
    const verdict = await store.ledger.verify();
    const ended = performance.now();
    if (!verdict.ok) throw new Error(`the ledger does not verify: ${verdict.problems[0]?.what}`);
    if (n < 0) continue;
    floors.push((hashed / (between - began)) * 1000);
    values.push((verdict.entries / (ended - between)) * 1000);
    checked += verdict.entries;
  }
  return { ...measurement('ledger verify', 'entries/s', values, floors), n: checked };
}
