import { afterAll, describe, expect, it } from 'vitest';
import type { Range } from '../../src/lab/range.ts';
import { badDeploy, badDeployNoWayBack } from '../../src/lab/scenarios/bad-deploy.ts';
import type { Scenario } from '../../src/lab/scenarios/scenario.ts';
import type { StoredMessage } from '../../src/lab/slack/store.ts';
import { pressWhenThere, until } from '../../src/lab/watching.ts';
import { atTheUndo, imageNow, release, startDeployStory } from './deploy-story.ts';
import { patches, replayed, standing, untilState } from './looking-in.ts';
import { approveByTwo, planIncident, shown, threadText, untilShown } from './range-for-test.ts';

/**
 * What else happens to a rollback: somebody releases a third version meanwhile, somebody presses Stop, and a log that is
 * empty or stale, which never lets the incident close as a success.
 */
const PATIENCE_MS = 90_000;

describe.concurrent('bad deploy, at worse moments', () => {
  const ranges: Range[] = [];
  const approved = async (
    scenario: Scenario,
    prepare: (range: Range) => void = () => undefined,
  ): Promise<{ range: Range; root: StoredMessage }> => {
    const range = await startDeployStory(scenario);
    ranges.push(range);
    const { root, card } = await planIncident(range);
    prepare(range);
    await approveByTwo(range, card);
    return { range, root };
  };
  afterAll(async () => {
    for (const range of ranges) {
      const { incident_id } = await standing(range);
      expect(await replayed(range, incident_id)).toMatchObject({ equal: true });
    }
    await Promise.all(ranges.map((range) => range.close()));
  }, 60_000);

  it('does not overwrite a release that came in between: it names the field and is not tried again', async () => {
    const { range, root } = await approved(badDeployNoWayBack, (ready) =>
      atTheUndo(ready, () => release(ready, '2.16.0')),
    );
    const halted = await untilState(range, 'HALTED', PATIENCE_MS);
    expect(halted.halt).toMatchObject({ reason: 'conflict', resume_to: null });
    expect(await untilShown(range, root, /The rollback stopped\./)).toMatch(
      /was not put back, since it was changed meanwhile: \/spec\/template is now "sha256:[0-9a-f]{12}…"/,
    );
    expect(patches(range)).toHaveLength(1);
    expect(imageNow(range)).toBe('2.16.0');
  });

  it('Stop holds it before anything is written, and the card says what is in force', async () => {
    const { range, root } = await approved(badDeployNoWayBack, (ready) => {
      let held = false;
      ready.twins.kubernetes.faults.delay({
        ms: 4000,
        match: (request) => {
          const is_undo =
            request.method === 'PATCH' && request.dry_run && ready.twins.kubernetes.mutations().length === 1;
          const first = is_undo && !held;
          held ||= is_undo;
          return first;
        },
      });
    });
    await untilState(range, 'ROLLING_BACK', PATIENCE_MS);
    await pressWhenThere(range.twins.slack, 'maya', root, 'incident.stop');
    const halted = await untilState(range, 'HALTED', PATIENCE_MS);
    expect(halted.halt).toMatchObject({ reason: 'stopped', resume_to: null });
    const text = await untilShown(range, root, /was not put back: .*was stopped by/, PATIENCE_MS);
    expect(text).toMatch(/Stopped by maya.*during the rollback\. Still in force: CHG-1\. Put back: nothing/);
    expect(patches(range)).toHaveLength(1);
    expect(imageNow(range)).toBe('2.14.0');
  });

  it('with an empty and with a stale log it waits for a person, and closes when the log is back', async () => {
    const { range, root } = await approved(badDeploy);
    const { loki, slack } = range.twins;
    await until('the rollback', () => (patches(range).length === 1 ? true : undefined));
    let step = 0;
    for (const streams of [[], [staleStream()]]) {
      const answer = { status: 'success', data: { resultType: 'streams', result: streams, stats: {} } };
      loki.faults.clear();
      loki.faults.inject({ kind: 'status', status: 200, body: JSON.stringify(answer) }, { times: Infinity });
      if (step > 0) await pressWhenThere(slack, 'maya', root, 'incident.resume');
      const waiting = await until(
        'the checks to end without an answer',
        async () => {
          const now = await standing(range);
          expect(now.state).not.toBe('CLOSED');
          return now.state === 'HALTED' && now.step > step + 1 ? now : undefined;
        },
        PATIENCE_MS,
      );
      expect(waiting.halt).toMatchObject({ reason: 'inconclusive', resume_to: 'VERIFYING' });
      expect(waiting.halt?.text).toContain('The log of settlement-api');
      ({ step } = waiting);
    }
    loki.faults.clear();
    await pressWhenThere(slack, 'maya', root, 'incident.resume');
    await untilShown(range, root, /Outcome: .*2 of 2 checks passed/, PATIENCE_MS);
    expect(patches(range)).toHaveLength(1);
    expect(threadText(range, root)).not.toContain('Rolling back');
    expect(shown(range, root)).not.toContain('put back');
  });
});

/** A healthy line of before the change, as a log whose ingestion stands still would show it. */
function staleStream(): unknown {
  const labels = { namespace: 'spark-jobs', app: 'settlement-api', pod: 'settlement-api-x', container: 'c' };
  const at_ns = `${Date.now() - 600_000}000000`;
  return { stream: labels, values: [[at_ns, 'INFO request status=200']] };
}
