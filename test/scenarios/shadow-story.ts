import { Agent, request } from 'undici';
import { expect } from 'vitest';
import { isRefusal } from '../../src/contract/verdict.ts';
import { clusterUser, DATA_CHANNEL } from '../../src/lab/people.ts';
import type { Range } from '../../src/lab/range.ts';
import { crashLoopAlert } from '../../src/lab/scenarios/bad-deploy.ts';
import type { StoredMessage } from '../../src/lab/slack/store.ts';
import { pressWhenThere, rootCard, until } from '../../src/lab/watching.ts';
import { openStore } from '../../src/store/open-store.ts';
import { duplicateCards, ledgerOf, replayed } from './looking-in.ts';
import { untilThread } from './range-for-test.ts';

/** What the stories in shadow have in common: how they begin, and what must be true when they have ended. */
export const PATIENCE_MS = 90_000;

/** From the alert to the plan that nobody can approve. */
export async function planned(range: Range, began_ms: number): Promise<StoredMessage> {
  const { slack } = range.twins;
  await range.webhook(crashLoopAlert(began_ms));
  const root = await until('the root card', () => rootCard(slack, DATA_CHANNEL));
  await pressWhenThere(slack, 'maya', root, 'incident.activate');
  await untilThread(range, root, /Nothing here can be approved/, PATIENCE_MS);
  return root;
}

/** A person deletes the first pod of the API with an account of their own; the name of the pod. */
export async function deletePodByHand({ twins }: Range, person: string): Promise<string> {
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
export async function nothingWritten(range: Range, incident_id: string, by_hand: number): Promise<void> {
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

export async function cleanEnd(range: Range, incident_id: string): Promise<void> {
  await until('leases to be given back', () =>
    range.twins.vault.outstanding().leases.length === 0 ? true : undefined,
  );
  expect(duplicateCards(range)).toEqual([]);
  expect(range.twins.slack.store.troubles).toEqual([]);
  expect(await replayed(range, incident_id)).toMatchObject({ equal: true });
}
