import { beforeAll, describe, expect, it } from 'vitest';
import type { Range } from '../../src/lab/range.ts';
import { pointText } from '../kill/kill-plan.ts';
import type { KillPoint } from '../kill/kill-plan.ts';
import { inLanes } from '../kill/lanes.ts';
import { crashStory } from './crash-story.ts';
import type { CrashEnd, CrashOptions } from './crash-story.ts';

/** A story mostly waits for the simulated job, so a few run side by side. */
const SIDE_BY_SIDE = 5;
const ALL_MS = 600_000;

/**
 * Operations that change something and are no kill points of the two-write story (`test/harness/crash.test.ts`), which
 * dies at all others: at rows of the inbox, effects, evidence, cards, steps and around each write.
 */
const CHANGES = ['tokens.revoke', 'ledger.append', 'leases.intent', 'leases.live', 'leases.ended'] as const;

interface Crash extends CrashOptions {
  readonly name: string;
}

describe('the whole story through power cuts', () => {
  let operations: readonly string[] = [];

  beforeAll(async () => {
    const clean = await crashStory({ points: [] });
    expect(clean).toMatchObject({ deaths: 0, patches: 1, state: 'CLOSED', halts: [], call_tokens: 0 });
    ({ operations } = clean);
  }, 120_000);

  it('one patch and a true end, wherever one kill falls', { timeout: ALL_MS }, async () => {
    const points = amongChanges(operations);
    await surviveAll(points.map((point) => ({ name: pointText(point), points: [point] })));
  });

  it('one patch and a true end when it is killed again while it recovers', { timeout: ALL_MS }, async () => {
    await surviveAll(RECOVERIES.map((points) => ({ name: points.map(pointText).join(', then '), points })));
  });

  it('one patch when it is killed while the server still works on it', { timeout: ALL_MS }, async () => {
    await surviveAll(
      SERVER_PAUSES_MS.map((ms) => ({ name: `server took ${ms} ms`, points: [], prepare: killOnPatch(ms) })),
      1,
    );
  });
});

/** After Aegis has given up waiting (10 s) and sent the patch once more; within that time: the two-write story. */
const SERVER_PAUSES_MS = [13_000];

/** The twin has read the patch and answers later; nobody is there to hear it. */
function killOnPatch(ms: number): (range: Range) => void {
  return (range) => {
    const isPatch = (request: { method: string; dry_run: boolean }): boolean => {
      const hit = request.method === 'PATCH' && !request.dry_run;
      if (hit) void range.product().kill();
      return hit;
    };
    range.twins.kubernetes.faults.delay({ ms, times: 1, match: isPatch });
  };
}

const RECOVERIES: readonly (readonly KillPoint[])[] = [
  [
    { op: 'journal.finish', n: 1, when: 'before' },
    { op: 'outbox.rerenderOpen', n: 1, when: 'before' },
  ],
  [
    { op: 'journal.finish', n: 1, when: 'before' },
    { op: 'journal.finish', n: 1, when: 'after' },
  ],
  [
    { op: 'journal.dispatch', n: 1, when: 'after' },
    { op: 'journal.reopen', n: 1, when: 'after' },
  ],
];

/** The middle occurrence of each: it is reached also when a run has a few more or fewer of them. */
function amongChanges(operations: readonly string[]): KillPoint[] {
  return CHANGES.map((op, i) => {
    const count = operations.filter((o) => o === op).length;
    expect(count, `${op} in a clean run`).toBeGreaterThan(0);
    return { op, n: Math.ceil(count / 2), when: i % 2 === 0 ? 'after' : 'before' };
  });
}

/** Runs all and then names each that did not end well. */
async function surviveAll(crashes: readonly Crash[], kills_from_outside = 0): Promise<void> {
  const bad: string[] = [];
  await inLanes(SIDE_BY_SIDE, crashes, async (crash) => {
    try {
      const problem = problemOf(await crashStory(crash), crash.points.length + kills_from_outside);
      if (problem !== null) bad.push(`${crash.name}: ${problem}`);
    } catch (error) {
      bad.push(`${crash.name}: ${String(error)}`);
    }
  });
  expect(bad).toEqual([]);
}

function problemOf(end: CrashEnd, deaths: number): string | null {
  const shown = JSON.stringify({ ...end, operations: end.operations.length, log: end.log.slice(-1500) });
  if (end.deaths !== deaths) return `died ${end.deaths} times: ${shown}`;
  const closed = end.state === 'CLOSED' && end.patches === 1;
  const honest = end.state === 'HALTED' && end.halt === 'unknown_outcome' && end.patches <= 1;
  if (!closed && !honest) return `no true end: ${shown}`;
  if (end.repeated_cards.length > 0) return `cards were posted twice: ${shown}`;
  // A token whose accessor was never heard of cannot be revoked by anybody; it has leased nothing and dies with its TTL.
  if (end.call_tokens > 1) return `call tokens are alive: ${shown}`;
  return null;
}
