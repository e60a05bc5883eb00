import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { INCIDENT_STATES } from '../../src/contract/incident.ts';
import { MOVES } from '../../src/harness/moves.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { Store } from '../../src/store/store.ts';
import { BEGIN_MS } from './explore/fitting.ts';
import { liveThrough } from './explore/lives.ts';
import { storedLives } from './explore/stored-lives.ts';

/** Ten thousand lives of the pure machine, and some hundred through the real store and the real runner. */
const LIVES = 10_000;
const EVENTS_MAX = 24;
/** Rows that hardly any life comes to; each has a test of its own in `machine.test.ts`. */
const RARE = ['OBSERVING timer OBSERVING', 'HALTED timer HALTED'];
const STORED_LIVES = 200;
const STORED_EVENTS_MAX = 30;

describe('ten thousand random lives', () => {
  it(`${LIVES} lives: no law is broken, every row of the table is taken, each replay equals the live state`, () => {
    const seen = liveThrough({ first: 1_000_001, count: LIVES }, EVENTS_MAX);
    expect(seen.lives).toBe(LIVES);
    expect([...seen.states].toSorted()).toEqual(INCIDENT_STATES.filter((s) => s !== 'IDLE').toSorted());
    expect(
      seen.untaken.filter((row) => !RARE.includes(row)),
      `rows of MOVES (${MOVES.length}) that nothing takes`,
    ).toEqual([]);
  }, 300_000);
});

describe('random lives through the store and the runner', () => {
  let home = '';
  let store: Store;

  beforeAll(async () => {
    home = mkdtempSync(join(tmpdir(), 'aegis-lives-'));
    store = await openStore({ home, clock: { now: () => BEGIN_MS } });
  });
  afterAll(async () => {
    await store.close();
    rmSync(home, { recursive: true, force: true });
  });

  it(`${STORED_LIVES} lives: what is stored is what the ledger folds to, every refusal is an entry, every row is taken in`, async () => {
    const seen = await storedLives(store, { first: 2_000_001, count: STORED_LIVES }, STORED_EVENTS_MAX);
    expect(seen.lives).toBe(STORED_LIVES);
    expect(seen.events).toBeGreaterThan(STORED_LIVES * STORED_EVENTS_MAX * 0.5);
    expect(seen.refusals).toBeGreaterThan(STORED_LIVES);
    expect((await store.ledger.verify({})).problems).toEqual([]);
  }, 300_000);
});
