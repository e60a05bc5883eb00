import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { Range } from '../../src/lab/range.ts';
import { badDeploy, badDeployNoWayBack } from '../../src/lab/scenarios/bad-deploy.ts';
import type { Scenario } from '../../src/lab/scenarios/scenario.ts';
import { pressWhenThere, until } from '../../src/lab/watching.ts';
import { atTheUndo, imageNow, paceNow, startDeployStory } from './deploy-story.ts';
import { duplicateCards, ledgerOf, patches, replayed, standing, untilState } from './looking-in.ts';
import { approveByTwo, planIncident, shown, untilShown, untilThread } from './range-for-test.ts';

/**
 * A Deployment crash-loops after a release: the rollback that helps, with a check that has no answer on the way, and the
 * one that does not help and is put back, with a freeze on the way. They run side by side, since they mostly wait; more
 * are in `bad-deploy.deep.test.ts`.
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

  it('puts the change back when the earlier release crashes too; a freeze halts that, and Resume goes on', async () => {
    const range = await newRange(badDeployNoWayBack);
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
});

/** The undo went through the same door as the change, under a permit and a journal key of its own. */
async function oncePerPhase(range: Range, incident_id: string): Promise<void> {
  const ledger = await ledgerOf(range, incident_id);
  const done = ledger.filter((e) => e.kind === 'outcome').map((e) => e.payload);
  expect(done).toMatchObject([
    { phase: 'canary', outcome: { status: 'done' } },
    { phase: 'undo', outcome: { status: 'done' } },
  ]);
  const keys = ledger.flatMap((e) =>
    e.kind === 'call' && e.payload['door'] === 'execute' ? [e.payload['journal_key']] : [],
  );
  expect([...new Set(keys)]).toEqual([`${incident_id}#CHG-1#canary`, `${incident_id}#CHG-1#undo`]);
  const permits = ledger.flatMap((e) => (e.kind === 'permit' ? [e.payload['permit']] : []));
  expect(permits.filter((p) => (p as { phase: string }).phase === 'undo').length).toBeGreaterThan(0);
}

/** Nothing leased, nothing posted twice, and the ledger tells every state by itself. */
async function cleanEnd(range: Range): Promise<void> {
  await until('leases to be given back', () =>
    range.twins.vault.outstanding().leases.length === 0 ? true : undefined,
  );
  expect(duplicateCards(range)).toEqual([]);
  expect(range.twins.slack.store.troubles).toEqual([]);
  const { incident_id } = await standing(range);
  expect(await replayed(range, incident_id)).toMatchObject({ equal: true });
}
