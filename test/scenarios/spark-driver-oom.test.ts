import { execFile } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DATA_CHANNEL, PEOPLE } from '../../src/lab/people.ts';
import type { Range } from '../../src/lab/range.ts';
import type { StoredMessage } from '../../src/lab/slack/store.ts';
import { sparkAlert } from '../../src/lab/scenarios/spark-driver-oom.ts';
import { approvalCard, pressWhenThere, reviewAndSubmit, rootCard, until } from '../../src/lab/watching.ts';
import { openStore } from '../../src/store/open-store.ts';
import { hasBinary, PRODUCT, shown, startStory, untilShown, untilThread } from './range-for-test.ts';

/** The story of issue 2, step by step, through the doors that the real world uses. The steps build on each other. */
const run = promisify(execFile);

describe('Spark driver OOM, from alert to postmortem', () => {
  let range: Range;
  let root: StoredMessage;
  let card: StoredMessage;
  const ephemeralsOf = (user: string) => range.twins.slack.store.ephemerals.filter((e) => e.user === user);

  beforeAll(async () => {
    range = await startStory();
  }, 60_000);
  afterAll(async () => {
    await range?.close();
  });

  it('answers the webhook after the alert is durable and posts one root card', async () => {
    const posted = await range.webhook(sparkAlert(Date.now()));
    expect(posted.status).toBe(200);
    expect(JSON.parse(posted.body)).toMatchObject({ stored: 1, duplicates: 0 });
    root = await until('the root card', () => rootCard(range.twins.slack, DATA_CHANNEL));
    expect(shown(range, root)).toMatch(/SEV2 · INC-\d{4}-\d{4}-001 · SparkApplicationFailed/);
    expect(shown(range, root)).toContain('SIMULATED');
  });

  it('takes the same delivery a second time without a second incident', async () => {
    const again = await range.webhook(sparkAlert(Date.parse('2026-01-01T00:00:00Z')));
    expect(again.status).toBe(200);
    const third = await range.webhook(sparkAlert(Date.parse('2026-01-01T00:00:00Z')));
    expect(JSON.parse(third.body)).toMatchObject({ stored: 0, duplicates: 1 });
    expect(
      range.twins.slack.store
        .messages(DATA_CHANNEL)
        .filter((m) => m.thread_ts === undefined && m.bot_id !== undefined),
    ).toHaveLength(1);
  });

  it('refuses a webhook without the secret, and a label that points to another team', async () => {
    expect((await range.webhook(sparkAlert(Date.now()), 'wrong')).status).toBe(401);
    const forged = JSON.parse(
      JSON.stringify(sparkAlert(Date.now())).replaceAll('"team":"data"', '"team":"fraud"'),
    ) as unknown;
    expect((await range.webhook(forged)).status).toBe(403);
    expect((await range.webhook('{"version":"4"}')).status).toBe(400);
  });

  it('waits for a person to press Activate, who is involved from then on', async () => {
    await pressWhenThere(range.twins.slack, 'maya', root, 'incident.activate');
    card = await until(
      'the approval card',
      () => approvalCard(range.twins.slack, DATA_CHANNEL, root.ts),
      40_000,
    );
    await untilThread(range, root, /1g is too small/);
  });

  it('shows diff, risk, evidence and the rule on the approval card', () => {
    const text = shown(range, card);
    expect(text).toMatch(/-\s+memory: 1g/);
    expect(text).toMatch(/\+\s+memory: 2g/);
    expect(text).toContain('Blast radius');
    expect(text).toContain('partner banks book a day later');
    expect(text).toContain('0 of 2');
    expect(range.twins.kubernetes.mutations()).toEqual([]);
  });

  it('re-hashes the evidence when the evidence dialog is opened', async () => {
    const dan = range.twins.slack.as('dan');
    await dan.click({ channel: card.channel, ts: card.ts, action_id: 'evidence.open' });
    const view = await until('the evidence', () => {
      const text = JSON.stringify(dan.views().at(-1)?.view.blocks ?? []);
      return text.includes('Unchanged since capture') ? text : undefined;
    });
    expect(view).toContain('OOMKilled');
    await dan.closeView();
  });

  it('refuses the asker, counts a second person once, and completes with a third', async () => {
    await reviewAndSubmit(range.twins.slack, 'maya', card);
    await until('the refusal for Maya', () =>
      ephemeralsOf(PEOPLE.maya).find((e) => e.text.includes('asked for this run')),
    );
    await reviewAndSubmit(range.twins.slack, 'dan', card);
    await untilShown(range, card, /1 of 2/);
    await reviewAndSubmit(range.twins.slack, 'dan', card);
    await until('the refusal for Dan', () =>
      ephemeralsOf(PEOPLE.dan).find((e) => e.text.includes('already gave approval')),
    );
    expect(range.twins.kubernetes.mutations()).toEqual([]);
    await reviewAndSubmit(range.twins.slack, 'ines', card);
    await untilShown(range, card, /carried out/);
  });

  it('writes exactly one patch, conditioned on the prior state', () => {
    const mutations = range.twins.kubernetes.mutations();
    expect(mutations.map((m) => [m.method, m.path, m.status])).toEqual([
      [
        'PATCH',
        '/apis/sparkoperator.k8s.io/v1beta2/namespaces/spark-jobs/sparkapplications/nightly-settlement',
        200,
      ],
    ]);
    const body = JSON.stringify(mutations[0]?.body);
    expect(body).toContain('"op":"test"');
    expect(body).toContain('/metadata/uid');
  });

  it('verifies after the operator has rerun the job, closes, and drafts the postmortem', async () => {
    await untilShown(range, root, /Outcome: .*3 of 3 checks passed/);
    const text = await untilThread(range, root, /Postmortem INC/);
    expect(text).toContain('Verified 3 of 3');
    expect(range.twins.slack.store.troubles).toEqual([]);
  });

  it('mentions nobody because of a hostile log line, and no link of it is a link', () => {
    const everything = JSON.stringify(range.twins.slack.store.all());
    expect(everything).not.toMatch(/<!channel>|<!here>/);
    expect(everything).not.toContain('"url":"https://evil.example');
    expect(range.twins.slack.store.notifications.filter((n) => n.why === 'broadcast')).toEqual([]);
  });

  it('leaves no credential alive and none in any file, log, card or request', async () => {
    await until(
      'the read lease to be given back',
      () => (range.twins.vault.outstanding().leases.length === 0 ? true : undefined),
      15_000,
    );
    const callTokens = range.twins.vault
      .outstanding()
      .tokens.filter((t) => t.path.startsWith('auth/token/create'));
    expect(callTokens).toEqual([]);
    const secrets = range.twins.vault.secretsMinted();
    expect(secrets.length).toBeGreaterThan(3);
    const haystacks = [
      ...filesUnder(range.files.home).map((file) => ({ where: file, bytes: readFileSync(file) })),
      { where: 'log', bytes: Buffer.from(range.product().log()) },
      {
        where: 'slack',
        bytes: Buffer.from(
          JSON.stringify([
            range.twins.slack.store.all(),
            range.twins.slack.store.ephemerals,
            [...range.twins.slack.store.views.values()],
          ]),
        ),
      },
    ];
    for (const secret of secrets)
      for (const { where, bytes } of haystacks) {
        expect(bytes.includes(secret), `a minted secret stands in ${where}`).toBe(false);
        expect(
          bytes.includes(Buffer.from(secret).toString('base64')),
          `a minted secret stands encoded in ${where}`,
        ).toBe(false);
      }
  });

  it('refuses the credential of the write right after its call', async () => {
    const token = range.twins.kubernetes.mutations()[0]?.user;
    expect(token).toContain('system:serviceaccount:spark-jobs');
    // Every account that Vault made is gone, so each leased token is answered 401.
    const url = `${range.twins.kubernetes.url}/api/v1/namespaces/spark-jobs/pods`;
    const { Agent, fetch } = await import('undici');
    const dispatcher = new Agent({ connect: { ca: range.twins.kubernetes.ca_pem } });
    for (const secret of range.twins.vault.secretsMinted().filter((s) => !s.startsWith('hvs.'))) {
      const answer = await fetch(url, { dispatcher, headers: { authorization: `Bearer ${secret}` } });
      expect(answer.status).toBe(401);
    }
    await dispatcher.close();
  });

  it('replays every state from the ledger alone and verifies', async () => {
    const store = await openStore({ home: range.files.home, clock: { now: Date.now }, readonly: true });
    const rows = await store.incidents.list({ limit: 10 });
    await store.close();
    const id = rows[0]?.incident_id ?? '';
    const replayed = await run(PRODUCT.command, [
      ...PRODUCT.args,
      '--config',
      range.files.config,
      'replay',
      id,
    ]);
    expect(replayed.stdout).toContain('every state reproduced');
    const verified = await run(PRODUCT.command, [
      ...PRODUCT.args,
      '--config',
      range.files.config,
      'ledger',
      'verify',
    ]);
    expect(verified.stdout).toMatch(/ledger verified: \d+ entries/);
  });

  it('shows the world to kubectl', async ({ skip }) => {
    if (!hasBinary('/usr/bin/kubectl')) {
      process.stdout.write('SKIPPED: kubectl is not installed\n');
      skip();
    }
    const { stdout } = await run('kubectl', [
      '--kubeconfig',
      range.files.kubeconfig,
      'get',
      'sparkapplications,pods,events',
    ]);
    expect(stdout).toContain('sparkapplication.sparkoperator.k8s.io/nightly-settlement');
    expect(stdout).toContain('pod/nightly-settlement-driver');
  });
});

function filesUnder(dir: string): string[] {
  return readdirSync(dir).flatMap((name) => {
    const path = join(dir, name);
    return statSync(path).isDirectory() ? filesUnder(path) : [path];
  });
}
