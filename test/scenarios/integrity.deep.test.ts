import { afterAll, describe, expect, it } from 'vitest';
import type { RequestFacts } from '../../src/lab/kubernetes/faults.ts';
import { DATA_CHANNEL } from '../../src/lab/people.ts';
import type { Range } from '../../src/lab/range.ts';
import type { StoredMessage } from '../../src/lab/slack/store.ts';
import { approvalCard, pressWhenThere, reviewAndSubmit, until } from '../../src/lab/watching.ts';
import { jobNow, ledgerOf, patches, standing, untilState } from './looking-in.ts';
import { approveByTwo, planIncident, shown, startStory, untilShown } from './range-for-test.ts';

/**
 * Somebody edits the job at the worst moments: before the second approval, and while Aegis's own patch is on its way.
 * Nothing is overwritten, the card names the field, and Resume leads to a new revision that completes.
 */
describe.concurrent('a job that changes under the approval', () => {
  const ranges: Range[] = [];
  const planned = async () => {
    const range = await startStory();
    ranges.push(range);
    return { range, ...(await planIncident(range)) };
  };
  afterAll(async () => {
    await Promise.all(ranges.map((range) => range.close()));
  }, 60_000);

  it('is a conflict when it changed before the second approval', async () => {
    const { range, root, card } = await planned();
    await reviewAndSubmit(range.twins.slack, 'dan', card);
    await untilShown(range, card, /1 of 2/);
    const edited = editJob(range, '1200m');
    await reviewAndSubmit(range.twins.slack, 'ines', card);
    const halted = await untilState(range, 'HALTED');
    expect(halted.approval).toMatchObject({ status: 'void', revision: 1 });
    await untilShown(range, root, /\/spec\/driver\/memory is now "1200m"/);
    await untilShown(range, card, /No longer valid/);
    expect(patches(range)).toEqual([]);
    await failedAgain(range, edited);
    await writesAnew(range, root, card, '1200m');
  });

  it('is a conflict when it changes while Aegis’s patch is on its way', async () => {
    const { range, root, card } = await planned();
    const isWrite = (r: RequestFacts) => r.method === 'PATCH' && !r.dry_run;
    let on_its_way = false;
    range.twins.kubernetes.faults.delay({
      ms: 1500,
      times: 1,
      match: (r) => {
        on_its_way ||= isWrite(r);
        return isWrite(r);
      },
    });
    await approveByTwo(range, card);
    await until('the patch to be on its way', () => (on_its_way ? true : undefined));
    const edited = editJob(range, '1300m');
    const halted = await untilState(range, 'HALTED');
    expect(halted.approval).toMatchObject({ status: 'void', revision: 1 });
    expect(patches(range)).toEqual([]);
    await untilShown(range, root, /\/spec\/driver\/memory is now "1300m", approved was "1g"/);
    await untilShown(range, card, /No longer valid/);
    const outcome = (await ledgerOf(range, halted.incident_id)).findLast((e) => e.kind === 'outcome');
    expect(outcome?.payload).toMatchObject({
      outcome: {
        status: 'conflict',
        conflict_fields: [{ path: '/spec/driver/memory', before: '1g', after: '1300m' }],
      },
    });
    await failedAgain(range, edited);
    await writesAnew(range, root, card, '1300m');
    // The memory check gives no answer while the failed run's peak is the highest of its last minute.
    await untilState(range, 'CLOSED', 150_000);
    await untilShown(range, root, /3 of 3 checks passed/);
    expect(patches(range)).toHaveLength(1);
  });
});

/** Another person's edit; answers the object's version after it. */
function editJob(range: Range, memory: string): string {
  const job = range.twins.kubernetes.patchFromOutside(
    'SparkApplication',
    'spark-jobs',
    'nightly-settlement',
    {
      spec: { driver: { memory } },
    },
  );
  return job.metadata.resourceVersion ?? '';
}

/** The operator runs the edited job again, and it fails again: still too little memory. */
function failedAgain(range: Range, edited: string): Promise<true> {
  return until(
    'the job to fail again',
    () => {
      const { state, version } = jobNow(range);
      return state === 'FAILED' && version !== edited ? true : undefined;
    },
    30_000,
  );
}

/** Resume, a second revision made from what the job says now, two approvals, one patch. */
async function writesAnew(
  range: Range,
  root: StoredMessage,
  old: StoredMessage,
  memory: string,
): Promise<void> {
  await pressWhenThere(range.twins.slack, 'maya', root, 'incident.resume');
  const card = await until(
    'the second card',
    () => {
      const found = approvalCard(range.twins.slack, DATA_CHANNEL, root.ts);
      return found !== undefined && found.ts !== old.ts ? found : undefined;
    },
    40_000,
  );
  expect(shown(range, card)).toContain(`memory: ${memory}`);
  expect((await standing(range)).approval).toMatchObject({ revision: 2, decisions: [] });
  await approveByTwo(range, card);
  await untilShown(range, card, /carried out/);
  expect(patches(range).map((p) => [p.method, p.status])).toEqual([['PATCH', 200]]);
}
