import { afterAll, describe, expect, it } from 'vitest';
import type { LabAutonomy } from '../../src/lab/lab-config.ts';
import { DATA_CHANNEL } from '../../src/lab/people.ts';
import type { Range } from '../../src/lab/range.ts';
import { badDeploy } from '../../src/lab/scenarios/bad-deploy.ts';
import type { StoredMessage } from '../../src/lab/slack/store.ts';
import { rootCard } from '../../src/lab/watching.ts';
import { aegis, eventsOf, standing } from './looking-in.ts';
import { startStory, untilThread } from './range-for-test.ts';
import { cleanEnd, nothingWritten } from './shadow-story.ts';

/** A Deployment crash-loops, and Aegis only proposes: what people do by hand is seen, compared, reported and counted. */

// A loaded machine is several times slower; the stories themselves take about fifteen seconds.
const TEST_TIMEOUT_MS = 240_000;

describe.concurrent('shadow mode', { timeout: TEST_TIMEOUT_MS }, () => {
  const ranges: Range[] = [];
  const newRange = async (autonomy: LabAutonomy): Promise<Range> => {
    const range = await startStory({ autonomy }, badDeploy);
    ranges.push(range);
    return range;
  };
  afterAll(async () => {
    await Promise.all(ranges.map((range) => range.close()));
  }, 60_000);

  it('suggest: Dan’s rollback is a hit, and the thread ends with the report and the ladder line', async () => {
    const range = await newRange('suggest');
    await badDeploy.shadow?.(range, () => undefined);
    const root = rootCard(range.twins.slack, DATA_CHANNEL) as StoredMessage;
    const text = await untilThread(range, root, /Shadow report: People did what the plan says/);
    expect(text).toContain('Dan Weber did by hand: rolled settlement-api back because revision 2 crashes');
    expect(text).toMatch(/the same.*CHG-1 Roll settlement-api back from revision 2 to revision 1/s);
    // The audit log knows the user, the identity map the person; no mail address leaves the gateway.
    expect(text).toMatch(/Seen, done by hand: \n• dan \(kubectl\) changed deployment\/settlement-api: /);
    expect(text).not.toContain('acme-lab.example');
    expect(text).toContain('The cause that people named is the one of the plan.');
    expect(text).toMatch(/The plan was there \d+ s before people acted\./);
    expect(text).toMatch(
      /Ladder: data\/prod\/settlement-api is on suggest\. For approve: 1 of 20 scored incidents, 0 wrong and confident, lower bound 0\.21 of 0\.80\./,
    );
    const { incident_id } = await standing(range);
    expect((await eventsOf(range, incident_id, 'observed')).at(-1)).toMatchObject({
      final: true,
      unseen: [],
      positions: { 'prod-1/spark-jobs/deployment': { anew_at: null } },
    });
    await nothingWritten(range, incident_id, 1);
    await cleanEnd(range, incident_id);
    const told = await aegis(range, '--json', 'ladder', 'data/prod/settlement-api');
    expect(JSON.parse(told.stdout)).toMatchObject({
      ladder: [{ level: 'suggest', next: 'approve', skills: [{ skill: 'bad_deploy', hits: 1, n: 1 }] }],
    });
  });
});
