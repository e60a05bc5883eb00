import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startAway, writeAwayConfig } from './away-product.ts';
import { measurement } from './bench.ts';
import type { Bench, Measurement } from './bench.ts';

/** Process start to `/readyz` 200, with every outside system away: the product must be ready before the world is. */
export const startup: Bench = {
  name: 'startup',
  about: 'process start to /readyz 200 (floor: node opens a SQLite database)',
  run: measureStartup,
};

const RUNS = 5;

/** The least that a process with a database needs: node itself and the driver. */
const FLOOR = `
import Database from 'better-sqlite3';
const db = new Database(process.argv[1]);
db.pragma('journal_mode = WAL');
db.exec('CREATE TABLE IF NOT EXISTS t (n INTEGER)');
db.close();`;

async function measureStartup(): Promise<Measurement[]> {
  const dir = mkdtempSync(join(tmpdir(), 'aegis-bench-'));
  const values: number[] = [];
  const floors: number[] = [];
  try {
    const config = await writeAwayConfig(dir);
    // The first run makes the home and warms the disk cache; it does not count.
    for (let n = -1; n < RUNS; n += 1) {
      const floor = await timeFloor(join(dir, 'floor.db'));
      const product = await startAway(config);
      const value = product.ready_ms;
      await product.stop();
      if (n < 0) continue;
      floors.push(floor);
      values.push(value);
    }
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
  return [measurement('startup', 'ms', values, floors)];
}

async function timeFloor(file: string): Promise<number> {
  const started = performance.now();
  const child = spawn(process.execPath, ['--input-type=module', '-e', FLOOR, file], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const code = await new Promise<number | null>((resolve) => child.once('exit', resolve));
  if (code !== 0) throw new Error(`the floor process ended with ${code}`);
  return performance.now() - started;
}
