import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, expect, it } from 'vitest';
import type { RequestFacts } from '../../src/lab/kubernetes/faults.ts';
import { DATA_CHANNEL } from '../../src/lab/people.ts';
import type { Range } from '../../src/lab/range.ts';
import { sparkAlert } from '../../src/lab/scenarios/spark-driver-oom.ts';
import type { StoredMessage } from '../../src/lab/slack/store.ts';
import {
  approvalCard,
  hasAction,
  pressWhenThere,
  reviewAndSubmit,
  rootCard,
  until,
} from '../../src/lab/watching.ts';
import { duplicateCards, eventsOf, jobNow, ledgerOf, patches, standing, untilState } from './looking-in.ts';
import {
  approveByTwo,
  openIncident,
  planIncident,
  shown,
  startStory,
  threadText,
  untilShown,
  untilThread,
} from './range-for-test.ts';

/**
 * Faults that outlast Aegis's patience: four tries, then the incident halts, says why and what to do, and Resume carries
 * it to its end. And somebody who edits the job before the second approval or while Aegis's own patch is on its way:
 * nothing is overwritten, and a new revision completes. Each story has a range of its own; they run side by side, since
 * they mostly wait.
 */
const HALT_MS = 60_000;
const CLOSE_MS = 90_000;

describe.concurrent('faults that last, and edits at the worst moment', () => {
  const ranges: Range[] = [];
  const newRange = async (): Promise<Range> => {
    const range = await startStory();
    ranges.push(range);
    return range;
  };
  afterAll(async () => {
    await Promise.all(ranges.map((range) => range.close()));
  }, 60_000);

  // The longest first: only five run at a time.
  it('is a conflict when it changes while Aegis’s patch is on its way', async () => {
    const range = await newRange();
    const { root, card } = await planIncident(range);
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

  it('halts when Kubernetes stays ill during the investigation, and again at the gates; Resume carries it to the end', async () => {
    const range = await newRange();
    const { kubernetes, slack } = range.twins;
    const root = await openIncident(range);
    kubernetes.faults.answer({ status: 500 });
    await pressWhenThere(slack, 'maya', root, 'incident.activate');
    await halted(range, root, /answered 500/, /reachable again, press Resume/);
    expect(await eventsOf(range, (await standing(range)).incident_id, 'effect_failed')).toHaveLength(5);
    kubernetes.faults.clear();
    await resume(range, root);
    const card = await until('the approval card', () => approvalCard(slack, DATA_CHANNEL, root.ts), 40_000);

    kubernetes.faults.answer({ status: 500, match: isDryRun });
    await approveByTwo(range, card);
    await halted(range, root, /answered 500/, /press Resume/);
    await untilShown(range, card, /Approved, but not run/);
    expect(patches(range)).toEqual([]);
    kubernetes.faults.clear();
    await resume(range, root);
    await closed(range, root);
  });

  it('halts when the dry run stays ill, so that nobody is asked about a plan that was not previewed', async () => {
    const range = await newRange();
    const { kubernetes, slack } = range.twins;
    const root = await openIncident(range);
    kubernetes.faults.answer({ status: 503, match: isDryRun });
    await pressWhenThere(slack, 'maya', root, 'incident.activate');
    await halted(range, root, /answered 503/, /press Resume/);
    expect(approvalCard(slack, DATA_CHANNEL, root.ts)).toBeUndefined();
    kubernetes.faults.clear();
    await resume(range, root);
    const card = await until('the approval card', () => approvalCard(slack, DATA_CHANNEL, root.ts), 40_000);
    await approveByTwo(range, card);
    await closed(range, root);
  });

  it('halts when Vault is sealed before the write, and after unsealing and Resume writes exactly once', async () => {
    const range = await newRange();
    const { root, card } = await planIncident(range);
    sealAtTheWrite(range);
    await approveByTwo(range, card);
    await halted(range, root, /Vault is sealed/, /press Resume/);
    expect(patches(range)).toEqual([]);
    const { incident_id } = await standing(range);
    const gates_before = (await eventsOf(range, incident_id, 'cleared')).length;
    expect(gates_before).toBe(1);
    range.twins.vault.faults.clear();
    await range.twins.vault.unseal();
    await resume(range, root);
    await closed(range, root);
    expect(await eventsOf(range, incident_id, 'cleared')).toHaveLength(gates_before + 1);
  });

  it('goes on by itself when Vault is sealed only for a moment', async () => {
    const range = await newRange();
    const { root, card } = await planIncident(range);
    range.twins.vault.seal();
    await approveByTwo(range, card);
    await until('a failed try', async () =>
      (await eventsOf(range, (await standing(range)).incident_id, 'effect_failed')).length > 0
        ? true
        : undefined,
    );
    await range.twins.vault.unseal();
    await closed(range, root);
    expect(threadText(range, root)).not.toContain('Next: ');
  });

  it('never closes as a success while Prometheus and Loki are away, and does when they are back', async () => {
    const range = await newRange();
    const { root, card } = await planIncident(range);
    const { prometheus, loki } = range.twins;
    await approveByTwo(range, card);
    await untilState(range, 'VERIFYING');
    prometheus.faults.inject({ kind: 'status', status: 503 }, { times: Infinity });
    loki.faults.inject({ kind: 'drop_before' }, { times: Infinity });
    await until('the job to be done', () => (jobNow(range).state === 'COMPLETED' ? true : undefined), 30_000);
    await sleep(8000);
    expect((await standing(range)).state).toBe('VERIFYING');
    expect(shown(range, root)).not.toContain('3 of 3 checks passed');
    prometheus.faults.clear();
    loki.faults.clear();
    await closed(range, root);
  });

  it('keeps an alert that was answered right before the process was killed', async () => {
    const range = await newRange();
    const posted = await range.webhook(sparkAlert(Date.now()));
    expect(posted.status).toBe(200);
    await range.product().kill();
    await range.restart();
    await until('the root card', () => rootCard(range.twins.slack, DATA_CHANNEL));
    expect(duplicateCards(range)).toEqual([]);
    expect((await standing(range)).state).toBe('TRIAGE');
  });

  it('reports an answer that was lost together with every later look as unknown, and never writes again', async () => {
    const range = await newRange();
    const { kubernetes, slack } = range.twins;
    const { root, card } = await planIncident(range);
    const is_write = (r: RequestFacts) => r.method === 'PATCH' && !r.dry_run;
    kubernetes.faults.dropAfter({ times: 1, match: is_write });
    await reviewAndSubmit(slack, 'dan', card);
    let written = false;
    kubernetes.faults.answer({
      status: 500,
      match: (r) => {
        const hit = written;
        written ||= is_write(r);
        return hit;
      },
    });
    await reviewAndSubmit(slack, 'ines', card);
    await untilState(range, 'HALTED');
    await untilShown(range, root, /nobody can tell whether it was applied/);
    expect(shown(range, root)).toMatch(/\/spec\/driver\/memory back to "1g"/);
    expect(hasAction(slack.store.get(root.channel, root.ts) ?? root, 'incident.resume')).toBe(false);
    kubernetes.faults.clear();
    await sleep(2000);
    expect(patches(range)).toHaveLength(1);
    const outcomes = (await ledgerOf(range, (await standing(range)).incident_id)).filter(
      (e) => e.kind === 'outcome',
    );
    expect(outcomes.map((e) => (e.payload['outcome'] as { status: string }).status)).toEqual([
      'outcome_unknown',
    ]);
  });

  it('is a conflict when it changed before the second approval', async () => {
    const range = await newRange();
    const { root, card } = await planIncident(range);
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
});

/** The gates have passed and the credential of the write is asked for: that is when Vault seals. */
function sealAtTheWrite(range: Range): void {
  const { vault } = range.twins;
  let asked = 0;
  const match = (call: { path: string }): boolean => {
    // The first one is for the dry run of the gates.
    if (call.path.endsWith('kubernetes/creds/aegis-write')) asked += 1;
    if (asked === 2) vault.seal();
    return false;
  };
  vault.faults.inject({ kind: 'delay', delay_ms: 0 }, { match, times: Infinity });
}

const isDryRun = (request: RequestFacts): boolean => request.dry_run;

/** The incident is halted, and a person reads why and what to do on the card and in the thread. */
async function halted(range: Range, root: StoredMessage, why: RegExp, next: RegExp): Promise<void> {
  await untilState(range, 'HALTED', HALT_MS);
  const text = await untilShown(range, root, next);
  expect(text).toMatch(why);
  await untilThread(range, root, why);
  await until('Resume on the card', () =>
    hasAction(range.twins.slack.store.get(root.channel, root.ts) ?? root, 'incident.resume')
      ? true
      : undefined,
  );
}

/** Maya presses Resume; answers once the incident has left HALTED. */
async function resume(range: Range, root: StoredMessage): Promise<void> {
  await pressWhenThere(range.twins.slack, 'maya', root, 'incident.resume');
  await until('the incident to go on', async () =>
    (await standing(range)).state === 'HALTED' ? undefined : true,
  );
}

/** Closed as a success: all checks passed, one patch, no card twice. */
async function closed(range: Range, root: StoredMessage): Promise<void> {
  await untilState(range, 'CLOSED', CLOSE_MS);
  await untilShown(range, root, /3 of 3 checks passed/);
  expect(patches(range).map((p) => [p.method, p.status])).toEqual([['PATCH', 200]]);
  expect(duplicateCards(range)).toEqual([]);
}

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
