import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { KillPoint } from '../kill/kill-plan.ts';
import { inLanes } from '../kill/lanes.ts';
import {
  expectWhole,
  startWriteStage,
  writeLives,
  writePointText,
  type WritePoint,
  type WriteStage,
} from '../kill/write-lives.ts';

/** What `crash.test.ts` leaves out: every second store operation of a write, every request, deaths during the recovery. */
const SIDE_BY_SIDE = 2;
const TIMEOUT_MS = 900_000;
let place: WriteStage;
beforeAll(async () => {
  place = await startWriteStage();
}, 120_000);
afterAll(() => place.close());

async function expectAll(lives: readonly (readonly WritePoint[])[]): Promise<void> {
  await inLanes(SIDE_BY_SIDE, lives, async (points) => {
    const where = points.map(writePointText).join(', then ');
    try {
      expectWhole(await writeLives(place, points), where);
    } catch (error) {
      throw new Error(`${where}: ${String(error)}`, { cause: error });
    }
  });
}

describe('a write that is killed', () => {
  it(
    'before or after every second operation of the store',
    async () => {
      const { operations } = await writeLives(place, [{ op: 'close', n: 1, when: 'before' }]);
      expect(operations.length).toBeGreaterThanOrEqual(15);
      // The instants that have a name are in `crash.test.ts`; this finds one that nobody thought of.
      const points = operations
        .map((_, i): KillPoint => ({ op: null, n: i + 1, when: i % 4 === 0 ? 'before' : 'after' }))
        .filter((_, i) => i % 2 === 0);
      await expectAll(points.map((point) => [point]));
    },
    TIMEOUT_MS,
  );

  it(
    'while Vault or the API server works on a request',
    async () => {
      const requests = [
        { system: 'vault', request: 'auth/approle/login' },
        { system: 'vault', request: 'auth/token/create' },
        { system: 'vault', request: 'kubernetes/creds' },
        { system: 'vault', request: 'revoke-accessor' },
        { system: 'kubernetes', request: 'GET' },
        { system: 'kubernetes', request: 'PATCH' },
      ] as const;
      await expectAll(requests.map((request) => [{ ...request, n: 1, when: 'during' }]));
    },
    TIMEOUT_MS,
  );

  it(
    'and killed again while it recovers',
    async () => {
      const first: readonly WritePoint[] = [
        { op: 'journal.accept', n: 1, when: 'after' },
        { op: 'leases.live', n: 1, when: 'after' },
        { op: 'journal.dispatch', n: 1, when: 'after' },
        { system: 'kubernetes', request: 'PATCH', n: 1, when: 'during' },
        { system: 'kubernetes', request: 'PATCH', n: 1, when: 'after' },
      ];
      const second: readonly WritePoint[] = [
        { op: null, n: 3, when: 'after' },
        { op: null, n: 7, when: 'before' },
        { op: null, n: 10, when: 'after' },
        { system: 'kubernetes', request: 'GET', n: 1, when: 'after' },
      ];
      await expectAll(first.map((a, i) => [a, second[i % second.length] as WritePoint]));
    },
    TIMEOUT_MS,
  );
});
