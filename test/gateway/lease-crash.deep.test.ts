import { describe, expect, it } from 'vitest';
import { inLanes } from '../kill/lanes.ts';
import { LEASED, liveAndRecover, type LeasedEngine } from './lease-lives.ts';

const SIDE_BY_SIDE = 2;

describe('a broker that is killed at one step after the other', () => {
  it.each(Object.keys(LEASED) as LeasedEngine[])(
    '%s: nothing that it leased works after the next start',
    async (engine) => {
      const { operations, killed } = await liveAndRecover(engine, null);
      expect(killed).toBe(false);
      expect(operations.filter((op) => op.startsWith('leases.')).length).toBeGreaterThanOrEqual(3);
      const counts = new Map<string, number>();
      const points = operations.flatMap((op) => {
        const n = (counts.get(op) ?? 0) + 1;
        counts.set(op, n);
        return [{ op, n, when: n % 2 === 0 ? ('before' as const) : ('after' as const) }];
      });
      const deaths = points.filter(({ op }) => op.startsWith('leases.') || op === 'tokens.list');
      await inLanes(SIDE_BY_SIDE, [...deaths, 'while it is minted' as const], async (death) => {
        await liveAndRecover(engine, death);
      });
    },
    600_000,
  );
});
