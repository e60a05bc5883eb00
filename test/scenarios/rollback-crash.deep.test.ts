import { rmSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import type { Range } from '../../src/lab/range.ts';
import { pointText } from '../kill/kill-plan.ts';
import type { KillPoint } from '../kill/kill-plan.ts';
import { inLanes } from '../kill/lanes.ts';
import { crashStory } from './crash-story.ts';
import type { CrashEnd, CrashOptions } from './crash-story.ts';
import { impatientSkills, rollbackStory } from './deploy-story.ts';

/**
 * Power cuts while a canary is watched and put back: the undo is the second write and the eighth effect of its story. Wherever they
 * fall, it is put back exactly once.
 */
const SIDE_BY_SIDE = 5;
const ALL_MS = 480_000;
const UNDO_EFFECT = 8;

/** From the watch over the canary to the report that everything is back. */
const POINTS: readonly KillPoint[] = [
  { op: 'effects.start', n: UNDO_EFFECT - 1, when: 'after' },
  { op: 'effects.start', n: UNDO_EFFECT, when: 'before' },
  { op: 'journal.mintPermit', n: 2, when: 'after' },
  { op: 'journal.dispatch', n: 2, when: 'before' },
  // Marked as dispatched, and the bytes never left; the undo is in, and its outcome stands in no journal.
  { op: 'journal.dispatch', n: 2, when: 'after' },
  { op: 'journal.finish', n: 2, when: 'before' },
  { op: 'journal.finish', n: 2, when: 'after' },
  { op: 'effects.finish', n: UNDO_EFFECT, when: 'before' },
];

/** Killed again while it recovers. */
const RECOVERIES: readonly (readonly KillPoint[])[] = [
  [
    { op: 'journal.finish', n: 2, when: 'before' },
    { op: 'journal.finish', n: 1, when: 'before' },
  ],
  [
    { op: 'journal.dispatch', n: 2, when: 'after' },
    { op: 'journal.reopen', n: 1, when: 'after' },
  ],
  [
    { op: 'journal.accept', n: 2, when: 'after' },
    { op: 'journal.dispatch', n: 1, when: 'after' },
  ],
];

describe('power cuts during a rollback', () => {
  const skills_dir = impatientSkills();
  const story = rollbackStory(skills_dir);
  afterAll(() => rmSync(skills_dir, { recursive: true, force: true }));

  it('put back exactly once, wherever they fall', { timeout: ALL_MS }, async () => {
    const lives = [...POINTS.map((point) => [point]), ...RECOVERIES];
    const crashes = lives.map((points) => ({
      name: points.map(pointText).join(', then '),
      crash: { points, story } satisfies CrashOptions,
      deaths: points.length,
    }));
    const on_the_way = {
      name: 'while the server works on the undo',
      crash: { points: [], story, prepare: killOnUndo } satisfies CrashOptions,
      deaths: 1,
    };
    const bad: string[] = [];
    await inLanes(SIDE_BY_SIDE, [...crashes, on_the_way], async ({ name, crash, deaths }) => {
      try {
        const problem = problemOf(await crashStory(crash), deaths);
        if (problem !== null) bad.push(`${name}: ${problem}`);
      } catch (error) {
        bad.push(`${name}: ${String(error)}`);
      }
    });
    expect(bad).toEqual([]);
  });
});

/** The twin has read the second patch and answers later; nobody is there to hear it. */
function killOnUndo(range: Range): void {
  const { kubernetes } = range.twins;
  kubernetes.faults.delay({
    ms: 2000,
    times: 1,
    match: (request) => {
      const hit = request.method === 'PATCH' && !request.dry_run && kubernetes.mutations().length === 1;
      if (hit) void range.product().kill();
      return hit;
    },
  });
}

function problemOf(end: CrashEnd, deaths: number): string | null {
  const shown = JSON.stringify({ ...end, operations: end.operations.length, log: end.log.slice(-1500) });
  if (end.deaths !== deaths) return `died ${end.deaths} times: ${shown}`;
  const put_back = end.halt === 'rolled_back' && end.patches === 2 && end.halts.length === 1;
  // Killed between two of its own steps, the journal always tells what became of the bytes.
  if (end.state !== 'HALTED' || !put_back) return `no true end: ${shown}`;
  if (end.repeated_cards.length > 0) return `cards were posted twice: ${shown}`;
  // A token whose accessor was never heard of cannot be revoked by anybody; it has leased nothing and dies with its TTL.
  if (end.call_tokens > 1) return `call tokens are alive: ${shown}`;
  return null;
}
