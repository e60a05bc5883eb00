import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DATA_CHANNEL } from '../../src/lab/people.ts';
import type { Range } from '../../src/lab/range.ts';
import { sparkAlert } from '../../src/lab/scenarios/spark-driver-oom.ts';
import type { StoredMessage } from '../../src/lab/slack/store.ts';
import { approvalCard, pressWhenThere, reviewAndSubmit, rootCard, until } from '../../src/lab/watching.ts';
import { duplicateCards, eventsOf, ledgerOf, patches, standing, untilState } from './looking-in.ts';
import { shown, startStory, untilShown, untilThread } from './range-for-test.ts';

/**
 * A bad night: every system around Aegis goes away once while one incident runs, and comes back. Nothing is lost,
 * nothing happens twice. The steps build on each other; those that wait for a halt stand in faults.deep.test.ts.
 */
describe('faults that pass', () => {
  let range: Range;
  let root: StoredMessage;
  let card: StoredMessage;
  let incident_id: string;

  beforeAll(async () => {
    range = await startStory();
  }, 60_000);
  afterAll(async () => {
    await range?.close();
  });

  it('answers the webhook when the alert is durable, and posts the root card soon after', async () => {
    const started = performance.now();
    const posted = await range.webhook(sparkAlert(Date.now()));
    expect(posted.status).toBe(200);
    expect(JSON.parse(posted.body)).toMatchObject({ stored: 1 });
    root = await until('the root card', () => rootCard(range.twins.slack, DATA_CHANNEL));
    const root_ms = Math.round(performance.now() - started);
    ({ incident_id } = await standing(range));
    const again: number[] = [];
    for (let n = 0; n < 5; n += 1)
      again.push(Math.round((await range.webhook(sparkAlert(Date.now() - n))).ms));
    process.stdout.write(
      `measured: first webhook answered in ${Math.round(posted.ms)} ms (bar 100), then ${again.join(', ')} ms; root card after ${root_ms} ms (bar 2000)\n`,
    );
  });

  it('tries again when Kubernetes answers 500 during the investigation and during the dry run', async () => {
    const { faults } = range.twins.kubernetes;
    faults.answer({ status: 500, times: 1, match: (r) => r.method === 'GET' });
    faults.answer({ status: 500, times: 1, match: (r) => r.dry_run });
    await pressWhenThere(range.twins.slack, 'maya', root, 'incident.activate');
    await until('the first failed try', async () =>
      (await eventsOf(range, incident_id, 'effect_failed')).length > 0 ? true : undefined,
    );
    expect((await standing(range)).state).toBe('DIAGNOSING');
  });

  it('keeps the approval card while Slack is away and posts it once when Slack is back', async () => {
    const { slack } = range.twins;
    await slack.stop();
    const planned = await untilState(range, 'PENDING_APPROVAL');
    expect(planned.approval).toMatchObject({ status: 'open' });
    expect(approvalCard(slack, DATA_CHANNEL, root.ts)).toBeUndefined();
    await slack.start();
    card = await until('the approval card', () => approvalCard(slack, DATA_CHANNEL, root.ts));
    await untilShown(range, root, /Pending approval/);
    expect(duplicateCards(range)).toEqual([]);
    const failures = await eventsOf(range, incident_id, 'effect_failed');
    expect(failures.map((f) => f['reason']).join('\n')).toMatch(/500/);
    expect(failures.length).toBeGreaterThanOrEqual(2);
  });

  it('keeps an approval that was given right before Slack went away', async () => {
    const { slack } = range.twins;
    await reviewAndSubmit(slack, 'dan', card);
    await slack.stop();
    await until('the first approval in the ledger', async () =>
      (await standing(range)).approval?.decisions.length === 1 ? true : undefined,
    );
    await slack.start();
    await untilShown(range, card, /1 of 2/);
    expect(duplicateCards(range)).toEqual([]);
  });

  it('tries the gates again when Kubernetes answers 500 after the second approval', async () => {
    const { faults } = range.twins.kubernetes;
    faults.answer({ status: 500, times: 1, match: (r) => r.dry_run });
    faults.dropAfter({ times: 1, match: (r) => r.method === 'PATCH' && !r.dry_run });
    await reviewAndSubmit(range.twins.slack, 'ines', card);
    await untilShown(range, card, /carried out/, 18_000);
    const failures = await eventsOf(range, incident_id, 'effect_failed');
    expect(failures).toHaveLength(3);
  });

  it('finds out that a patch arrived whose answer was lost, and does not send it again', async () => {
    expect(patches(range)).toEqual([
      {
        method: 'PATCH',
        status: 200,
        path: '/apis/sparkoperator.k8s.io/v1beta2/namespaces/spark-jobs/sparkapplications/nightly-settlement',
      },
    ]);
    const outcomes = (await ledgerOf(range, incident_id)).filter((e) => e.kind === 'outcome');
    expect(outcomes).toHaveLength(1);
    expect(outcomes[0]?.payload).toMatchObject({ outcome: { status: 'done' } });
    expect(JSON.stringify(outcomes[0]?.payload)).toContain('The answer was lost');
    // The thread's messages follow the cards, one after the other.
    await untilThread(range, root, /The answer was lost/);
  });

  it('says in the thread nothing twice and shows no button that did not answer', () => {
    expect(duplicateCards(range)).toEqual([]);
    expect(range.twins.slack.store.troubles).toEqual([]);
    expect(shown(range, root)).not.toMatch(/Halted/i);
  });
});
