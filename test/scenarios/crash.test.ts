import { rmSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { pointText } from '../kill/kill-plan.ts';
import type { KillPoint } from '../kill/kill-plan.ts';
import { crashStory } from './crash-story.ts';
import { impatientSkills, rollbackStory } from './deploy-story.ts';

/** The two instants of issue 2: right before and right after the patch leaves. More are in `crash.deep.test.ts`. */
const POINTS: readonly KillPoint[] = [
  // Marked as dispatched, and the bytes never left: nobody knows until the object was looked at long enough.
  { op: 'journal.dispatch', n: 1, when: 'after' },
  // The patch is in, its outcome stands in no journal, and the job runs again while Aegis is away.
  { op: 'journal.finish', n: 1, when: 'before' },
];
/** The same two instants of the undo, which is the second write of its story. */
const UNDO_POINTS: readonly KillPoint[] = [
  { op: 'journal.dispatch', n: 2, when: 'after' },
  { op: 'journal.finish', n: 2, when: 'before' },
];
const STORY_TIMEOUT_MS = 160_000;

describe.concurrent('killed around the patch', () => {
  for (const point of POINTS)
    it(
      `${pointText(point)}: after the restart exactly one patch, and the incident closes with nothing leased`,
      async () => {
        const end = await crashStory({ points: [point] });
        expect(end.deaths).toBe(1);
        expect(end.patches).toBe(1);
        expect(end.state).toBe('CLOSED');
        expect(end.halts).toEqual([]);
        expect(end.repeated_cards).toEqual([]);
        expect(end.call_tokens).toBe(0);
      },
      STORY_TIMEOUT_MS,
    );
});

describe.concurrent('killed around the undo of a change that did not help', () => {
  const skills_dir = impatientSkills();
  afterAll(() => rmSync(skills_dir, { recursive: true, force: true }));

  for (const point of UNDO_POINTS)
    it(
      `${pointText(point)}: after the restart it is put back exactly once, and says so`,
      async () => {
        const end = await crashStory({ points: [point], story: rollbackStory(skills_dir) });
        expect(end.deaths).toBe(1);
        expect(end.patches).toBe(2);
        expect([end.state, end.halt]).toEqual(['HALTED', 'rolled_back']);
        expect(end.halts).toHaveLength(1);
        expect(end.repeated_cards).toEqual([]);
        expect(end.call_tokens).toBe(0);
      },
      STORY_TIMEOUT_MS,
    );
});
