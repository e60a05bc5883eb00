import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openStore } from '../../src/store/open-store.ts';
import type { Store } from '../../src/store/store.ts';
import { systemClock } from '../../src/system-ports.ts';
import { residentBytes, startAway, writeAwayConfig } from './away-product.ts';
import type { AwayConfig } from './away-product.ts';
import { measurement } from './bench.ts';
import type { Bench, Measurement } from './bench.ts';
import { openIncidents } from './open-incidents.ts';
import { storm } from './storm.ts';

/** What many incidents at once cost: a start with 1,000 open ones, and a storm of 10,000 alerts. */
export const harness: Bench = {
  name: 'harness',
  about:
    'start with 1,000 open incidents (floor: with none), a storm of 10,000 alerts (floor: bare durable webhook)',
  run: async ({ brief }) => [...(await measureOpen(brief ? 1 : RUNS)), ...(await storm(brief ? 0.1 : 1))],
};

const INCIDENTS = 1000;
const RUNS = 3;

async function measureOpen(runs: number): Promise<Measurement[]> {
  const dir = mkdtempSync(join(tmpdir(), 'aegis-bench-'));
  try {
    const config = await writeAwayConfig(dir);
    const empty = await starts(config, runs);
    const bytes_before = databaseBytes(config);
    await withStore(config, (store) => openIncidents(store, INCIDENTS));
    const bytes_each = (databaseBytes(config) - bytes_before) / INCIDENTS;
    const full = await starts(config, runs);
    const memory_each = full.memory.map((m, n) => (m - (empty.memory[n] ?? m)) / INCIDENTS / 1024);
    const snapshot = await withStore(config, snapshotBytes);
    return [
      measurement(`start with ${INCIDENTS} open incidents`, 'ms', full.ready_ms, empty.ready_ms),
      measurement('memory of an open incident', 'KiB', memory_each, [snapshot / 1024]),
      measurement('disk of an open incident', 'KiB', [bytes_each / 1024], [snapshot / 1024]),
    ];
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

async function starts(config: AwayConfig, runs: number): Promise<{ ready_ms: number[]; memory: number[] }> {
  const found = { ready_ms: [] as number[], memory: [] as number[] };
  for (let n = -1; n < runs; n += 1) {
    const product = await startAway(config);
    const memory = residentBytes(product.pid);
    await product.stop();
    if (n < 0) continue;
    found.ready_ms.push(product.ready_ms);
    found.memory.push(memory);
  }
  return found;
}

async function withStore<T>(config: AwayConfig, work: (store: Store) => Promise<T>): Promise<T> {
  const store = await openStore({ home: config.home, clock: systemClock });
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}

function databaseBytes({ home }: AwayConfig): number {
  return statSync(join(home, 'aegis.db')).size;
}

/** Mean size of a stored snapshot: the least that an open incident is made of. */
async function snapshotBytes(store: Store): Promise<number> {
  const rows = await store.incidents.list({ open: true, limit: 100 });
  const sizes = rows.map((row) => JSON.stringify(row.snapshot).length);
  return sizes.reduce((sum, size) => sum + size, 0) / sizes.length;
}
