import { describe, expect, it } from 'vitest';
import type { KillPoint } from './kill-plan.ts';
import { pointText } from './kill-plan.ts';
import { inLanes } from './lanes.ts';
import { liveToy } from './toy-lives.ts';

/** Lives run side by side, as many as a small machine has cores. */
const SIDE_BY_SIDE = 2;

describe('the toy effect, killed everywhere', () => {
  it('writes its line once or reports it unknown, wherever one kill falls', async () => {
    const { operations } = await liveToy([]);
    const points = operations.flatMap((_, i) => [
      { op: null, n: i + 1, when: 'before' } as const,
      { op: null, n: i + 1, when: 'after' } as const,
    ]);
    expect(points.length).toBeGreaterThanOrEqual(40);
    await inLanes(SIDE_BY_SIDE, points, async (point) => checkEnd([point]));
  });

  it('bears a second kill during the recovery from the first', async () => {
    const first: readonly KillPoint[] = [
      { op: 'step.commit', n: 1, when: 'after' },
      { op: 'journal.accept', n: 1, when: 'after' },
      { op: 'journal.dispatch', n: 1, when: 'after' },
      { op: 'journal.finish', n: 1, when: 'before' },
    ];
    const second: readonly KillPoint[] = [
      { op: null, n: 3, when: 'after' },
      { op: null, n: 6, when: 'before' },
      { op: null, n: 9, when: 'after' },
      { op: null, n: 12, when: 'before' },
    ];
    await inLanes(
      SIDE_BY_SIDE,
      first.flatMap((a) => second.map((b) => [a, b])),
      checkEnd,
    );
  });
});

async function checkEnd(points: readonly KillPoint[]): Promise<void> {
  const where = points.map(pointText).join(', then ');
  const { lines, outcome, deaths } = await liveToy(points);
  expect(deaths, where).toBeGreaterThanOrEqual(1);
  if (outcome === 'done') expect(lines, where).toHaveLength(1);
  else expect([outcome, lines.length], where).toEqual(['outcome_unknown', 0]);
}
