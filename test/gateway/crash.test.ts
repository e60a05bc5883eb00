import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inLanes } from '../kill/lanes.ts';
import {
  expectWhole,
  startWriteStage,
  writeLives,
  writePointText,
  type WriteEnd,
  type WritePoint,
  type WriteStage,
} from '../kill/write-lives.ts';

/**
 * Kill -9 at every step of a write: each life is a process of its own that dies right before or after an operation of
 * the store, or before, during or after a request to Vault or the API server. Then the write is started again. It must
 * end with exactly one effect, or with an unknown outcome that halts the incident and asks a person; nothing stays
 * leased. Second deaths, and operations that only look, are in `crash.deep.test.ts`.
 */
const POINTS: readonly WritePoint[] = [
  // Nothing has happened yet.
  { op: 'journal.mintPermit', n: 1, when: 'after' },
  { op: 'journal.accept', n: 1, when: 'before' },
  // Accepted: permit, journal row and audit row stand; a fresh permit goes on.
  { op: 'journal.accept', n: 1, when: 'after' },
  { op: 'leases.intent', n: 1, when: 'after' },
  { system: 'vault', request: 'auth/token/create', n: 1, when: 'before' },
  { system: 'vault', request: 'auth/token/create', n: 1, when: 'after' },
  { op: 'leases.live', n: 1, when: 'after' },
  { system: 'vault', request: 'kubernetes/creds', n: 1, when: 'during' },
  { system: 'vault', request: 'kubernetes/creds', n: 1, when: 'after' },
  { system: 'kubernetes', request: 'GET', n: 1, when: 'after' },
  { op: 'journal.dispatch', n: 1, when: 'before' },
  // Dispatched: the bytes may have left.
  { op: 'journal.dispatch', n: 1, when: 'after' },
  { system: 'kubernetes', request: 'PATCH', n: 1, when: 'before' },
  { system: 'kubernetes', request: 'PATCH', n: 1, when: 'during' },
  { system: 'kubernetes', request: 'PATCH', n: 1, when: 'after' },
  { op: 'journal.finish', n: 1, when: 'before' },
  // Done: what is left is to give back, to note and to tell.
  { op: 'journal.finish', n: 1, when: 'after' },
  { system: 'vault', request: 'revoke-accessor', n: 1, when: 'before' },
  { system: 'vault', request: 'revoke-accessor', n: 1, when: 'after' },
  { op: 'leases.ended', n: 1, when: 'after' },
  { op: 'ledger.append', n: 2, when: 'before' },
];
const SIDE_BY_SIDE = 4;
/** A machine that eight people share needs minutes for what takes one alone. */
const TIMEOUT_MS = 600_000;

let place: WriteStage;
const ends = new Map<WritePoint, WriteEnd>();
const faults = new Map<WritePoint, unknown>();
beforeAll(async () => {
  place = await startWriteStage();
  await inLanes(SIDE_BY_SIDE, POINTS, async (point) => {
    await writeLives(place, [point]).then(
      (end) => ends.set(point, end),
      (error: unknown) => faults.set(point, error),
    );
  });
}, TIMEOUT_MS);
afterAll(() => place.close());

describe('a write that is killed', () => {
  it('dies at twenty points at least, each another', () => {
    expect(new Set(POINTS.map(writePointText)).size).toBeGreaterThanOrEqual(20);
  });

  it.each(POINTS.map((point) => [writePointText(point), point] as const))(
    '%s: exactly one effect, or unknown and a person asked; nothing leased',
    (where, point) => {
      if (faults.has(point)) throw faults.get(point);
      expectWhole(ends.get(point) as WriteEnd, where);
    },
  );

  it('no credential that was minted for these lives still works at Vault', () => {
    expect(place.stage.vault.outstanding().leases).toEqual([]);
  });
});
