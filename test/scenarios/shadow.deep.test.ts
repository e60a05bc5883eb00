import { afterAll, describe, expect, it } from 'vitest';
import { rollBackByHand } from '../../src/lab/by-hand.ts';
import type { LabAutonomy } from '../../src/lab/lab-config.ts';
import type { Range } from '../../src/lab/range.ts';
import { badDeploy, crashLoopAlert } from '../../src/lab/scenarios/bad-deploy.ts';
import { aegis, eventsOf, untilState } from './looking-in.ts';
import { startStory, threadText, untilThread } from './range-for-test.ts';
import { cleanEnd, deletePodByHand, nothingWritten, PATIENCE_MS, planned } from './shadow-story.ts';

/** As in `shadow.test.ts`, at worse moments: over power cuts, and when nobody acts. */

// A loaded machine is several times slower; the stories themselves take about fifteen seconds.
const TEST_TIMEOUT_MS = 240_000;

describe.concurrent('shadow mode, at worse moments', { timeout: TEST_TIMEOUT_MS }, () => {
  const ranges: Range[] = [];
  const newRange = async (autonomy: LabAutonomy): Promise<Range> => {
    const range = await startStory({ autonomy }, badDeploy);
    ranges.push(range);
    return range;
  };
  afterAll(async () => {
    await Promise.all(ranges.map((range) => range.close()));
  }, 60_000);

  it('read_only: the act of a person is taken once over a power cut, and the count survives', async () => {
    const range = await newRange('read_only');
    const began_ms = Date.now();
    const root = await planned(range, began_ms);
    await range.product().kill();
    await rollBackByHand(range.twins, 'dan', 'settlement-api');
    const pod = await deletePodByHand(range, 'ines');
    await range.restart();
    await untilThread(range, root, /done by hand/, PATIENCE_MS);
    await range.product().kill();
    await range.restart();
    await range.webhook(crashLoopAlert(began_ms, 'resolved'));
    await untilThread(range, root, /Shadow report: People did what the plan says/, PATIENCE_MS);
    const { incident_id } = await untilState(range, 'CLOSED', PATIENCE_MS);
    expect(threadText(range, root).match(/done by hand/g)).toHaveLength(1);
    // Nobody watched, and nothing is left that could show it: only the audit log knows of the deletion.
    expect(threadText(range, root)).toMatch(
      new RegExp(`only people.*ines \\(curl\\) deleted pod/${pod}`, 's'),
    );
    const acts = (await eventsOf(range, incident_id, 'observed')).flatMap(
      (e) => e['changes'] as { key: string }[],
    );
    expect(new Set(acts.map((act) => act.key)).size).toBe(acts.length);
    // The watches went on where they ended before the power cut.
    expect((await eventsOf(range, incident_id, 'observed')).at(-1)).toMatchObject({
      unseen: [],
      positions: { 'prod-1/spark-jobs/deployment': { anew_at: null } },
    });
    await nothingWritten(range, incident_id, 2);
    await cleanEnd(range, incident_id);
    const told = await aegis(range, 'ladder', 'data/prod/settlement-api');
    expect(told.stdout).toContain('is on read_only. For suggest: 1 of 5 scored incidents');
  });

  it('says that it resolved by itself when nobody acted, and does not count it', async () => {
    const range = await newRange('suggest');
    const began_ms = Date.now();
    const root = await planned(range, began_ms);
    await range.webhook(crashLoopAlert(began_ms, 'resolved'));
    const text = await untilThread(range, root, /Shadow report: It resolved by itself/, PATIENCE_MS);
    expect(text).toMatch(/only the plan/);
    expect(text).toContain('For approve: 0 of 20 scored incidents');
    const { incident_id } = await untilState(range, 'CLOSED', PATIENCE_MS);
    await nothingWritten(range, incident_id, 0);
    await cleanEnd(range, incident_id);
  });
});
