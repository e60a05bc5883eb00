import { afterAll, describe, expect, it } from 'vitest';
import { DATA_CHANNEL } from '../../src/lab/people.ts';
import type { Range } from '../../src/lab/range.ts';
import { approvalCard, until } from '../../src/lab/watching.ts';
import { imageNow, release } from './deploy-story.ts';
import { duplicateCards, ledgerOf, patches, replayed, untilState } from './looking-in.ts';
import { shown, untilShown, untilThread } from './range-for-test.ts';
import { alerted, crashes, PATIENCE_MS, startLimited, unattended } from './limited-story.ts';

/**
 * Autonomy `limited`: nobody presses anything, and the rollback runs within its caps, over a power cut; when the caps are
 * used up people are asked.
 */
describe.concurrent('limited autonomy, from the alert to the end', { timeout: 240_000 }, () => {
  const ranges: Range[] = [];
  const newRange = async (announce_s: number): Promise<Range> => {
    const range = await startLimited(announce_s);
    ranges.push(range);
    return range;
  };
  afterAll(async () => {
    await Promise.all(ranges.map((range) => range.close()));
  }, 60_000);

  it('runs after a power cut in the time in which it is shown, once; the second one of a day asks people', async () => {
    const range = await newRange(6);
    const first = await alerted(range);
    await untilThread(range, first, /Nobody is asked: CHG-1 .*It runs in 6 s/s, PATIENCE_MS);
    expect(patches(range)).toEqual([]);
    await range.product().kill();
    await range.restart();
    const { incident_id } = await untilState(range, 'CLOSED', PATIENCE_MS);
    expect(imageNow(range)).toBe('2.14.0');
    expect(patches(range)).toHaveLength(2);
    const text = await untilThread(range, first, /Postmortem INC/);
    expect(text).toMatch(/Executed as planned, without a person’s approval \(autonomy limited\)\./);
    expect(text).toContain('Autonomy limited, nobody is asked: rule tier3-nobody-asked;');
    expect(text).toContain('1 of 1 of deployment/settlement-api');
    expect(text).toMatch(/APR-1 opened: nobody is asked, under autonomy limited/);
    const ledger = await ledgerOf(range, incident_id);
    const at = (kind: string): number => Date.parse(ledger.find((entry) => entry.kind === kind)?.at ?? '');
    expect(at('permit') - at('approval')).toBeGreaterThanOrEqual(5900);
    expect(unattended(await ledgerOf(range, 'SYSTEM'))).toEqual([incident_id]);
    expect(await replayed(range, incident_id)).toMatchObject({ equal: true });

    release(range, '2.15.0');
    await until('the pods to crash again', () => crashes(range) || undefined, PATIENCE_MS);
    const second = await alerted(range, first);
    const card = await until(
      'an approval card',
      () => approvalCard(range.twins.slack, DATA_CHANNEL, second.ts),
      PATIENCE_MS,
    );
    expect(shown(range, card)).toMatch(
      /0 of 1 given\. People are asked: Aegis has changed deployment\/settlement-api once in 24 h without a person.*at most 1 are allowed/s,
    );
    await untilShown(range, second, /1 person asked for this plan/);
    expect(patches(range)).toHaveLength(2);
    expect(duplicateCards(range)).toEqual([]);
  });
});
