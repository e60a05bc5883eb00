import { afterAll, describe, expect, it } from 'vitest';
import type { Range } from '../../src/lab/range.ts';
import { badDeploy } from '../../src/lab/scenarios/bad-deploy.ts';
import type { Scenario } from '../../src/lab/scenarios/scenario.ts';
import { pressWhenThere, until } from '../../src/lab/watching.ts';
import { cleanEnd, imageNow, paceNow, startDeployStory } from './deploy-story.ts';
import { patches, untilState } from './looking-in.ts';
import { approveByTwo, planIncident, shown, untilShown, untilThread } from './range-for-test.ts';

/**
 * A Deployment crash-loops after a release, and the rollback helps, with a check that has no answer on the way. What else
 * may happen is in `bad-deploy.deep.test.ts`.
 */
const PATIENCE_MS = 90_000;

describe.concurrent('bad deploy', () => {
  const ranges: Range[] = [];
  const newRange = async (scenario: Scenario): Promise<Range> => {
    const range = await startDeployStory(scenario);
    ranges.push(range);
    return range;
  };
  afterAll(async () => {
    await Promise.all(ranges.map((range) => range.close()));
  }, 60_000);

  it('goes back to the release before; without an answer it waits for a person, and then it closes', async () => {
    const range = await newRange(badDeploy);
    const { root, card } = await planIncident(range);
    const plan = shown(range, card);
    expect(plan).toMatch(/-\s+- image: \S+settlement-api:2\.15\.0/);
    expect(plan).toMatch(/\+\s+- image: \S+settlement-api:2\.14\.0/);
    expect(plan).toContain('put the observed prior values back');
    expect(plan).toMatch(
      /First one pod of settlement-api goes back to revision 1 for 4 s, judged by 1 check/,
    );
    expect(plan).toContain('/spec/minReadySeconds: null -> 300');
    await approveByTwo(range, card);
    await until('the canary', () => (patches(range).length === 1 ? true : undefined), PATIENCE_MS);
    expect(paceNow(range)).toEqual({ min_ready_s: 300, surge: 1, unavailable: 0 });
    await until('the rest', () => (patches(range).length === 2 ? true : undefined), PATIENCE_MS);
    expect(paceNow(range)).toEqual({ min_ready_s: undefined, surge: '25%', unavailable: '25%' });
    range.twins.loki.faults.inject({ kind: 'status', status: 503 }, { times: Infinity });
    const waiting = await untilState(range, 'HALTED', PATIENCE_MS);
    expect(waiting.halt).toMatchObject({ reason: 'inconclusive', resume_to: 'VERIFYING' });
    expect(patches(range)).toHaveLength(2);
    expect(imageNow(range)).toBe('2.14.0');
    expect(await untilThread(range, root, /Halted: Check "The log of settlement-api/)).not.toContain(
      'Rolling back',
    );

    range.twins.loki.faults.clear();
    await pressWhenThere(range.twins.slack, 'maya', root, 'incident.resume');
    await untilShown(range, root, /Outcome: .*2 of 2 checks passed/, PATIENCE_MS);
    const text = await untilThread(range, root, /Postmortem INC/);
    expect(text).toMatch(/Cause: Revision 2 of settlement-api crashes/);
    expect(text).toMatch(/CHG-1 canary: 1 of 1 checks passed\. It held for 4 s; now the rest\./);
    await cleanEnd(range);
  });
});
