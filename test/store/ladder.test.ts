import { describe, expect, it } from 'vitest';
import { score } from '../harness/shadow-samples.ts';
import { INC, step } from './samples.ts';
import { sqlitePlace, useBench } from './store-place.ts';

const PLACE = { team: 'data', env: 'prod', service: 'settlement-api' };
const DAY_MS = 24 * 3_600_000;

describe('the record that autonomy is earned with', () => {
  const bench = useBench(sqlitePlace);

  it('is written with the step or not at all, and survives a restart', async () => {
    const one = score(1, { incident_id: INC, step: 1 });
    await bench.store.step.commit(step(0, { scores: [one] }));
    await expect(bench.store.step.commit(step(0, { scores: [score(2, { step: 1 })] }))).rejects.toThrow();
    await bench.restart();
    expect(await bench.store.ladder.scores(PLACE, 10)).toEqual([one]);
    expect(await bench.store.ladder.places()).toEqual([PLACE]);
    expect(await bench.store.ladder.scores({ ...PLACE, service: '-' }, 10)).toEqual([]);
  });

  it('gives the newest scores of a place, oldest first', async () => {
    for (const n of [1, 2, 3])
      await bench.store.step.commit(step(n - 1, { scores: [score(n, { incident_id: INC, step: n })] }));
    const found = await bench.store.ladder.scores(PLACE, 2);
    expect(found.map((each) => each.step)).toEqual([2, 3]);
  });

  it('takes two distinct people within a day for a step up; each vote is a row of the ledger', async () => {
    const vote = (by: string) => bench.store.ladder.vote(PLACE, { to: 'approve', by, window_ms: DAY_MS });
    expect(await vote('dan')).toBe('first');
    expect(await vote('dan')).toBe('same-person');
    expect(await bench.store.ladder.raises(PLACE)).toEqual([]);
    bench.clock.at += DAY_MS + 1;
    // The first vote is too old by now, so this one begins anew.
    expect(await vote('ines')).toBe('first');
    await bench.restart();
    expect(await vote('dan')).toMatchObject({ to: 'approve', by: ['ines', 'dan'] });
    expect(await bench.store.ladder.raises(PLACE)).toHaveLength(1);
    // A decided step is used up.
    expect(await vote('maya')).toBe('first');
    const rows = await bench.store.ledger.read('SYSTEM');
    expect(rows.map((row) => [row.actor, row.payload['type']])).toEqual([
      ['person:dan', 'ladder_vote'],
      ['person:ines', 'ladder_vote'],
      ['person:dan', 'ladder_raise'],
      ['person:maya', 'ladder_vote'],
    ]);
  });
});
