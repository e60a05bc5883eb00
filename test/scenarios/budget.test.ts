import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { DATA_CHANNEL } from '../../src/lab/people.ts';
import type { Range } from '../../src/lab/range.ts';
import type { StoredMessage } from '../../src/lab/slack/store.ts';
import { approvalCard, pressWhenThere, until } from '../../src/lab/watching.ts';
import { untilState } from './looking-in.ts';
import { openIncident, shown, startStory, untilShown, untilThread } from './range-for-test.ts';

/** A day without a budget, through Slack: the incident opens and says why it waits, and a person's Resume goes on. */
describe('a budget of the day that is used up', () => {
  let range: Range;
  let root: StoredMessage;

  beforeAll(async () => {
    range = await startStory();
    await range.product().stop();
    const settings = parse(readFileSync(range.files.config, 'utf8')) as Record<string, unknown>;
    settings['budgets'] = { teams: { data: { investigations_per_day_max: 0 } } };
    writeFileSync(range.files.config, stringify(settings, { aliasDuplicateObjects: false }));
    await range.restart();
    root = await openIncident(range);
  }, 60_000);
  afterAll(async () => {
    await range?.close();
  });

  it('the thread says whose it is, how much, and when it renews; nothing was looked at', async () => {
    await pressWhenThere(range.twins.slack, 'maya', root, 'incident.activate');
    const halted = await untilState(range, 'HALTED');
    expect(halted.halt).toMatchObject({ reason: 'budget', resume_to: 'DIAGNOSING' });
    await untilThread(range, root, /The budget of team data for \d{4}-\d\d-\d\d \(UTC\) is used up: 0 of 0/);
    const card = await untilShown(range, root, /Halted \(budget\)/);
    expect(card).toMatch(/It renews at \d{4}-\d\d-\d\d 00:00 UTC/);
    for (const words of ['Resume', 'Plan again', 'Hand over']) expect(card).toContain(words);
    expect(range.twins.kubernetes.requests().filter((r) => r.path.includes('sparkapplications'))).toEqual([]);
  });

  it('Resume by a person lets this incident go on; the approval card shows what is used, of what, and whose', async () => {
    await pressWhenThere(range.twins.slack, 'maya', root, 'incident.resume');
    const card = await until('the approval card', () =>
      approvalCard(range.twins.slack, DATA_CHANNEL, root.ts),
    );
    expect(shown(range, card)).toMatch(
      /\d+ of 60 calls used by the investigation; reserve for change, checks and undo: 0 of 300 calls/,
    );
    expect(await untilShown(range, root, /Pending approval/)).toMatch(/\d+ of 60 calls · \$0\.00 of \$2\.00/);
  });
});
