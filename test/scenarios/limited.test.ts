import { afterAll, describe, expect, it } from 'vitest';
import { DATA_CHANNEL } from '../../src/lab/people.ts';
import type { Range } from '../../src/lab/range.ts';
import { approvalCard, hasAction, pressWhenThere, until } from '../../src/lab/watching.ts';
import { ledgerOf, patches, replayed, standing } from './looking-in.ts';
import { shown, untilThread } from './range-for-test.ts';
import { alerted, PATIENCE_MS, startLimited, unattended } from './limited-story.ts';

/** Autonomy `limited`: whoever is awake can deny the plan while it is shown. The rest is in `limited.deep.test.ts`. */
describe.concurrent('limited autonomy', { timeout: 240_000 }, () => {
  const ranges: Range[] = [];
  const newRange = async (announce_s: number): Promise<Range> => {
    const range = await startLimited(announce_s);
    ranges.push(range);
    return range;
  };
  afterAll(async () => {
    await Promise.all(ranges.map((range) => range.close()));
  }, 60_000);

  it('a person denies it while it is shown, and nothing runs', async () => {
    const range = await newRange(60);
    const root = await alerted(range);
    const { slack } = range.twins;
    await untilThread(range, root, /Nobody is asked: CHG-1 /, PATIENCE_MS);
    const card = slack.store.thread(DATA_CHANNEL, root.ts).find((m) => hasAction(m, 'approval.deny'));
    if (card === undefined) throw new Error('the plan’s card has no Deny');
    expect(hasAction(card, 'approval.review')).toBe(false);
    expect(shown(range, card)).toMatch(/Runs at .* unless somebody denies it or presses Stop/);
    const dan = slack.as('dan');
    await dan.click({ channel: card.channel, ts: card.ts, action_id: 'approval.deny' });
    await until('the dialog', () => (dan.views().at(-1)?.view['submit'] ? true : undefined));
    await dan.submit({ because: 'too_risky', reason: 'the new schema does not fit the old release' });
    const { incident_id } = await until('the halt', async () => {
      const now = await standing(range);
      return now.state === 'HALTED' ? now : undefined;
    });
    await untilThread(range, root, /the new schema does not fit the old release/);
    expect(patches(range)).toEqual([]);
    await pressWhenThere(slack, 'maya', root, 'incident.plan_again');
    const asking = await until(
      'people to be asked',
      () => approvalCard(slack, DATA_CHANNEL, root.ts),
      PATIENCE_MS,
    );
    expect(shown(range, asking)).toContain(
      `0 of 1 given. People are asked: dan denied a plan of ${incident_id}.`,
    );
    const kinds = (await ledgerOf(range, incident_id)).map((entry) => entry.kind);
    expect(kinds).not.toContain('permit');
    expect(unattended(await ledgerOf(range, 'SYSTEM'))).toEqual([]);
    expect(await replayed(range, incident_id)).toMatchObject({ equal: true });
  });
});
