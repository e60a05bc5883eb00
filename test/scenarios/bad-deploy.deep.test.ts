import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { Range } from '../../src/lab/range.ts';
import { badDeploy, badDeployLateFailure, badDeployNoWayBack } from '../../src/lab/scenarios/bad-deploy.ts';
import type { Scenario } from '../../src/lab/scenarios/scenario.ts';
import type { StoredMessage } from '../../src/lab/slack/store.ts';
import { pressWhenThere, until } from '../../src/lab/watching.ts';
import {
  atTheUndo,
  cleanEnd,
  oncePerPhase,
  imageNow,
  paceNow,
  release,
  skillsWithCanaryLog,
  startDeployStory,
} from './deploy-story.ts';
import { patches, replayed, standing, untilState } from './looking-in.ts';
import {
  approveByTwo,
  planIncident,
  shown,
  startStory,
  threadText,
  untilShown,
  untilThread,
} from './range-for-test.ts';

/**
 * What else happens to a rollback: somebody releases a third version meanwhile, somebody presses Stop, and a log that is
 * empty or stale, which never lets the incident close as a success.
 */
const PATIENCE_MS = 90_000;

const LOKI_FAULTS = [
  ['down', { kind: 'status', status: 503 }],
  ['empty', { kind: 'status', status: 200, body: answerOf([]) }],
  ['stale', { kind: 'status', status: 200, body: answerOf([staleStream()]) }],
] as const;

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

  it('puts the change back when the earlier release crashes too; a freeze halts that, and Resume goes on', async () => {
    const range = await startDeployStory(badDeployNoWayBack);
    ranges.push(range);
    const freeze = join(range.files.home, 'FREEZE');
    const { root, card } = await planIncident(range);
    atTheUndo(range, () => writeFileSync(freeze, 'audit in progress\n'));
    await approveByTwo(range, card);
    const frozen = await untilState(range, 'HALTED', PATIENCE_MS);
    expect(frozen.halt).toMatchObject({ reason: 'paused', resume_to: 'ROLLING_BACK' });
    expect(patches(range)).toHaveLength(1);
    expect(await untilShown(range, root, /The rollback stopped\./)).toMatch(
      /Still in force: CHG-1\. Put back: nothing\..*audit in progress/s,
    );

    rmSync(freeze);
    await pressWhenThere(range.twins.slack, 'maya', root, 'incident.resume');
    const text = await untilShown(range, root, /Everything was put back/, PATIENCE_MS);
    expect(text).toMatch(
      /Why: The canary of CHG-1 \(one pod of settlement-api .*\) did not pass, check "The first pod of revision 1 runs without a restart" failed: crashing\. The rest of it was not run/,
    );
    expect(text).not.toContain('To undo by hand');
    expect((await standing(range)).halt).toMatchObject({ reason: 'rolled_back', resume_to: null });
    expect(patches(range).map((p) => [p.method, p.status])).toEqual([
      ['PATCH', 200],
      ['PATCH', 200],
    ]);
    expect(imageNow(range)).toBe('2.15.0');
    expect(paceNow(range)).toEqual({ min_ready_s: undefined, surge: '25%', unavailable: '25%' });
    const thread = await untilThread(
      range,
      root,
      /Rolling back: The canary of CHG-1 .*newest change first.*CHG-\d+ put back.*Halted: Everything was put back/s,
    );
    expect(thread).not.toContain('Postmortem');
    await untilThread(range, root, /Plan revision 1 was put back\n/);
    await oncePerPhase(range, frozen.incident_id);
    await cleanEnd(range);
  });

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

  it('a canary that passes and a check that fails afterwards: both writes are put back by one', async () => {
    const { range, root } = await approved(badDeployLateFailure);
    const text = await untilShown(range, root, /Everything was put back/, PATIENCE_MS);
    expect(text).toMatch(/Why: Check "All pods of settlement-api are ready .*" failed: crashing/);
    expect(threadText(range, root)).toContain('CHG-1 canary: 1 of 1 checks passed.');
    expect(patches(range).map((p) => p.status)).toEqual([200, 200, 200]);
    expect(imageNow(range)).toBe('2.15.0');
    expect(paceNow(range)).toEqual({ min_ready_s: undefined, surge: '25%', unavailable: '25%' });
  });

  it('Stop while the canary is watched ends the wait at once, and says what is in force and how to undo it', async () => {
    const { range, root } = await approved(badDeploy);
    await until('the canary', () => (patches(range).length === 1 ? true : undefined), PATIENCE_MS);
    await until('the bake', async () =>
      (await standing(range)).running?.kind === 'bake' ? true : undefined,
    );
    await pressWhenThere(range.twins.slack, 'maya', root, 'incident.stop');
    const halted = await untilState(range, 'HALTED', PATIENCE_MS);
    expect(halted.halt).toMatchObject({ reason: 'stopped', resume_to: null });
    expect(halted.halt?.text).toMatch(
      /In force: the canary of CHG-1 \(.*\) on mcp:\/\/k8s\/prod-1\/spark-jobs\/deployment\/settlement-api\. To undo by hand: run "kubectl -n spark-jobs rollout undo deployment\/settlement-api".*"minReadySeconds":null.*"maxSurge":"25%"/,
    );
    expect(halted.running).toBeNull();
    expect(patches(range)).toHaveLength(1);
  });

  it.each(LOKI_FAULTS)(
    'Loki %s while the canary is watched: no answer, and it is put back',
    async (_name, fault) => {
      const skills_dir = skillsWithCanaryLog();
      const range = await startStory({ skills_dir }, badDeploy);
      ranges.push(range);
      const { root, card } = await planIncident(range);
      await approveByTwo(range, card);
      range.twins.loki.faults.inject(fault, { times: Infinity });
      const text = await untilShown(range, root, /Everything was put back/, PATIENCE_MS);
      expect(text).toMatch(/Why: The canary of CHG-1 .* did not pass, check "It logs" gave no answer: /);
      expect((await standing(range)).state).toBe('HALTED');
      expect(patches(range)).toHaveLength(2);
      expect(imageNow(range)).toBe('2.15.0');
    },
  );

  it('Loki down, empty or stale during verification: never closed as a success; when the log is back it closes', async () => {
    const { range, root } = await approved(badDeploy);
    const { loki, slack } = range.twins;
    await until('the rest', () => (patches(range).length === 2 ? true : undefined), PATIENCE_MS);
    let step = 0;
    for (const [name, fault] of LOKI_FAULTS) {
      loki.faults.clear();
      loki.faults.inject(fault, { times: Infinity });
      if (step > 0) await pressWhenThere(slack, 'maya', root, 'incident.resume');
      const waiting = await until(
        `the checks to end without an answer, Loki ${name}`,
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
    expect(patches(range)).toHaveLength(2);
    expect(threadText(range, root)).not.toContain('Rolling back');
    expect(shown(range, root)).not.toContain('put back');
  });
});

function answerOf(streams: readonly unknown[]): string {
  return JSON.stringify({
    status: 'success',
    data: { resultType: 'streams', result: streams, stats: {} },
  });
}

/** A healthy line of before the change, as a log whose ingestion stands still would show it. */
function staleStream(): unknown {
  const labels = { namespace: 'spark-jobs', app: 'settlement-api', pod: 'settlement-api-x', container: 'c' };
  const at_ns = `${Date.now() - 600_000}000000`;
  return { stream: labels, values: [[at_ns, 'INFO request status=200']] };
}
