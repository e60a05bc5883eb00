import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { openStore } from '../../src/store/open-store.ts';
import type { Store } from '../../src/store/store.ts';
import { newHome, startRig, type Rig } from './budget-rig.ts';

/** What another process writes, the command line for one, is taken up at once and not at the next full look. */
describe('a row that another process writes', () => {
  let rig: Rig;
  let other: Store;
  let glances = 0;
  let is_blind = false;

  beforeEach(async () => {
    const home = newHome();
    [glances, is_blind] = [0, false];
    rig = await startRig({ wrap: watched }, home);
    other = await openStore({ home, clock: rig.clock });
    await rig.start();
  });
  afterEach(async () => {
    await other.close();
    await rig.close();
  });

  function watched(store: Store): Store {
    const inbox = {
      ...store.inbox,
      writtenElsewhere(): boolean {
        glances += 1;
        if (is_blind) throw new Error('the disk does not answer');
        return store.inbox.writtenElsewhere();
      },
    };
    return { ...store, inbox };
  }

  /** How long the runner took for one row of the other process, milliseconds. */
  async function taken(key: string): Promise<number> {
    const row = { source: 'cli', kind: 'nonsense', incident_id: null, payload: {} } as const;
    const { inbox_id } = await other.inbox.append({ ...row, dedup_key: key });
    const started = performance.now();
    const patience = { interval: 10, timeout: 30_000 };
    await vi.waitFor(
      async () => expect((await other.inbox.ended(inbox_id))?.state).not.toBe('pending'),
      patience,
    );
    return performance.now() - started;
  }

  it('is taken up long before the next full look', async () => {
    const waits: number[] = [];
    for (const key of ['a', 'b', 'c', 'd', 'e', 'f']) waits.push(await taken(key));
    // Each begins right after a round, so without a glance each would wait a whole second; a busy machine spoils some.
    expect(Math.min(...waits.slice(1))).toBeLessThan(600);
  });

  it('is taken up at the next full look by a store that cannot tell', async () => {
    is_blind = true;
    await taken('a');
    expect(glances).toBeGreaterThan(0);
    expect((await other.inbox.pending(10)).length).toBe(0);
  });
});
