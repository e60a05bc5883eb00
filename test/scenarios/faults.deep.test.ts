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
} from './range-for-test.ts';

/**
 * Faults that outlast Aegis's patience: four tries, then the incident halts, says why and what to do, and Resume carries
 * it to its end. Each story has a range of its own; they run side by side, since they mostly wait.
 */
const HALT_MS = 60_000;
const CLOSE_MS = 90_000;

describe.concurrent('faults that last', () => {
  const ranges: Range[] = [];
  const newRange = async (): Promise<Range> => {
    const range = await startStory();
    ranges.push(range);
    return range;
  };
  afterAll(async () => {
    await Promise.all(ranges.map((range) => range.close()));
  }, 60_000);

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
    expect(shown(range, card)).toContain('Approved, but not run');
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
  expect(threadText(range, root)).toMatch(why);
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
