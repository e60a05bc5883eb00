import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { openStore } from '../../src/store/open-store.ts';
import { systemClock } from '../../src/system-ports.ts';
import { KILL_PLAN_ENV, pointText, writeKillPoints } from './kill-plan.ts';
import type { KillPoint } from './kill-plan.ts';
import { runChild } from './run-child.ts';
import { KILL_LOG_ENV } from './wrap-store.ts';
import { compiledOnce } from './compile-entry.ts';

const ENTRY = fileURLToPath(new URL('./toy-entry.ts', import.meta.url));

/** What is left after the toy became quiet. */
export interface ToyEnd {
  /** Lives that ended with SIGKILL. */
  readonly deaths: number;
  readonly lines: readonly string[];
  readonly outcome: string;
  /** Operations of all lives in order. */
  readonly operations: readonly string[];
}

/** Lives the toy through its deaths until it is quiet and checks what must hold wherever they fell. */
export async function liveToy(
  points: readonly (KillPoint | null)[],
  mode: 'guarded' | 'careless' = 'guarded',
): Promise<ToyEnd> {
  const entry = await compiledOnce(ENTRY);
  const dir = mkdtempSync(join(tmpdir(), 'aegis-toy-'));
  try {
    const file = (name: string): string => join(dir, name);
    writeKillPoints(file('plan'), points);
    const env = { [KILL_PLAN_ENV]: file('plan'), [KILL_LOG_ENV]: file('log') };
    let deaths = 0;
    for (;;) {
      const end = await runChild(entry, { env, args: [file('home'), file('world'), mode] });
      if (end.code === 0) break;
      if (end.signal !== 'SIGKILL' || deaths >= points.length)
        throw new Error(`toy ended with ${end.signal ?? end.code} after ${deaths} deaths\n${end.stderr}`);
      deaths += 1;
    }
    const lines = linesOf(file('world'));
    const { outcome } = await checkHome(
      file('home'),
      points.map((p) => (p === null ? '-' : pointText(p))).join(', '),
    );
    return { deaths, lines, outcome, operations: linesOf(file('log')) };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** No row lost, none taken twice, effect reported once, chains whole. */
async function checkHome(home: string, where: string): Promise<{ outcome: string }> {
  const store = await openStore({ home, clock: systemClock, readonly: true });
  try {
    const verdict = await store.ledger.verify({ witness: true });
    expect(verdict.problems, `ledger after: ${where}`).toEqual([]);
    expect(await store.inbox.pending(10), `inbox after: ${where}`).toEqual([]);
    expect(await store.effects.open(10), `effects after: ${where}`).toEqual([]);
    expect(await store.journal.unfinished(), `journal after: ${where}`).toEqual([]);
    const [incident, ...others] = await store.incidents.list({ limit: 10 });
    expect(others, `incidents after: ${where}`).toEqual([]);
    const events = await store.ledger.read(incident?.incident_id ?? '', { kinds: ['event'] });
    expect(
      events.map((e) => e.payload['type']),
      `steps after: ${where}`,
    ).toEqual(['wish', 'written']);
    expect(incident?.step, `step after: ${where}`).toBe(2);
    return { outcome: String(events[1]?.payload['status']) };
  } finally {
    await store.close();
  }
}

function linesOf(file: string): string[] {
  return existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter(Boolean) : [];
}
