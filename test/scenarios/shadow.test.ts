import { Agent, request } from 'undici';
import { afterAll, describe, expect, it } from 'vitest';
import { isRefusal } from '../../src/contract/verdict.ts';
import { rollBackByHand } from '../../src/lab/by-hand.ts';
import type { LabAutonomy } from '../../src/lab/lab-config.ts';
import { clusterUser, DATA_CHANNEL } from '../../src/lab/people.ts';
import type { Range } from '../../src/lab/range.ts';
import { badDeploy, crashLoopAlert } from '../../src/lab/scenarios/bad-deploy.ts';
import type { StoredMessage } from '../../src/lab/slack/store.ts';
import { pressWhenThere, rootCard, until } from '../../src/lab/watching.ts';
import { openStore } from '../../src/store/open-store.ts';
import { aegis, duplicateCards, eventsOf, ledgerOf, replayed, standing, untilState } from './looking-in.ts';
import { startStory, threadText, untilThread } from './range-for-test.ts';

/** A Deployment crash-loops, and Aegis only proposes: what people do by hand is seen, compared, reported and counted. */
const PATIENCE_MS = 90_000;

/** A loaded machine is several times slower; the stories themselves take about fifteen seconds. */
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

/** From the alert to the plan that nobody can approve. */
async function planned(range: Range, began_ms: number): Promise<StoredMessage> {
  const { slack } = range.twins;
  await range.webhook(crashLoopAlert(began_ms));
  const root = await until('the root card', () => rootCard(slack, DATA_CHANNEL));
  await pressWhenThere(slack, 'maya', root, 'incident.activate');
  await untilThread(range, root, /Nothing here can be approved/, PATIENCE_MS);
  return root;
}

/** A person deletes the first pod of the API with an account of their own; the name of the pod. */
async function deletePodByHand({ twins }: Range, person: string): Promise<string> {
  const pods = twins.world.store.list('Pod', 'spark-jobs');
  const pod = pods.find(({ metadata }) => metadata.labels?.['app'] === 'settlement-api')?.metadata.name;
  const { token } = twins.kubernetes.issueToken({
    serviceAccount: person,
    namespace: 'spark-jobs',
    user: clusterUser(person),
    rules: [{ verbs: ['delete'], apiGroups: [''], resources: ['pods'] }],
  });
  const answer = await request(`${twins.kubernetes.url}/api/v1/namespaces/spark-jobs/pods/${pod}`, {
    method: 'DELETE',
    dispatcher: new Agent({ connect: { ca: twins.kubernetes.ca_pem } }),
    headers: { authorization: `Bearer ${token}`, 'user-agent': 'curl/8.5.0' },
  });
  await answer.body.dump();
  expect(answer.statusCode).toBe(200);
  return pod as string;
}

/** Law 2: no permit exists and none can be minted, and the cluster saw no change of Aegis that was not a dry run. */
async function nothingWritten(range: Range, incident_id: string, by_hand: number): Promise<void> {
  const mutating = range.twins.kubernetes.requests().filter((request) => request.method !== 'GET');
  const people = mutating.filter((request) => /^(?:dan|ines)@|:lab-viewer$/.test(request.user));
  const ours = mutating.filter((request) => !people.includes(request));
  expect(ours.length).toBeGreaterThan(0);
  expect(ours.filter((request) => !request.dry_run)).toEqual([]);
  expect(range.twins.kubernetes.mutations()).toHaveLength(by_hand);
  const ledger = await ledgerOf(range, incident_id);
  expect(ledger.filter((entry) => ['permit', 'approval', 'outcome'].includes(entry.kind))).toEqual([]);
  const store = await openStore({ home: range.files.home, clock: { now: Date.now } });
  try {
    const plan = ledger.find((entry) => entry.kind === 'plan')?.payload as {
      plan_hash: string;
      effect_hash: string;
    };
    const minted = await store.journal.mintPermit(
      {
        permit_id: 'prm_forged',
        incident_id,
        change_id: 'CHG-1',
        phase: 'apply',
        revision: 1,
        plan_hash: plan.plan_hash,
        effect_hash: plan.effect_hash,
        tool: 'k8s.rollout_undo',
        target: 'mcp://k8s/prod-1/spark-jobs/deployment/settlement-api',
        args_hash: plan.effect_hash,
        expires_at_ms: Date.now() + 60_000,
      },
      { kind: 'permit', actor: 'aegis:harness', payload: {} },
    );
    expect(isRefusal(minted) ? minted.code : minted).toBe('autonomy-forbids');
    expect(await store.journal.permit('prm_forged')).toBeNull();
  } finally {
    await store.close();
  }
}

async function cleanEnd(range: Range, incident_id: string): Promise<void> {
  await until('leases to be given back', () =>
    range.twins.vault.outstanding().leases.length === 0 ? true : undefined,
  );
  expect(duplicateCards(range)).toEqual([]);
  expect(range.twins.slack.store.troubles).toEqual([]);
  expect(await replayed(range, incident_id)).toMatchObject({ equal: true });
}
