import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { canonicalJson } from '../../src/contract/canonical.ts';
import type { NewLedgerEntry } from '../../src/contract/ledger.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { Store } from '../../src/store/store.ts';
import { systemClock, systemIds } from '../../src/system-ports.ts';
import { measurement } from './bench.ts';
import type { Bench, Measurement } from './bench.ts';
import { durableFloor } from './durable-floor.ts';
import type { DurableFloor } from './durable-floor.ts';

/** The ledger by itself: durable appends, one after another and side by side, and the check of a whole chain. */
export const ledger: Bench = {
  name: 'ledger',
  about: 'durable appends a second (floor: bare INSERT and SHA-256), verification (floor: iterate and hash)',
  run: measureLedger,
};

const ROUNDS = 5;
const APPENDS = 500;
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
      await measureVerify(store, floor),
    ];
  } finally {
    floor.close();
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

async function measureVerify(store: Store, floor: DurableFloor): Promise<Measurement> {
  const values: number[] = [];
  const floors: number[] = [];
  let checked = 0;
  for (let n = 0; n < ROUNDS; n += 1) {
    let started = performance.now();
    const hashed = floor.hashAll();
    floors.push((hashed / (performance.now() - started)) * 1000);
    started = performance.now();
    const verdict = await store.ledger.verify();
    values.push((verdict.entries / (performance.now() - started)) * 1000);
    if (!verdict.ok) throw new Error(`the ledger does not verify: ${verdict.problems[0]?.what}`);
    checked += verdict.entries;
  }
  return { ...measurement('ledger verify', 'entries/s', values, floors), n: checked };
}
