import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Log } from '../../src/contract/ports.ts';
import { AlertBatch, createIntake } from '../../src/harness/intake.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { Store } from '../../src/store/store.ts';
import { alertmanagerRoute } from '../../src/triggers/alertmanager.ts';
import { FRAUD, keepingIntake, PAYMENTS, post, recorded, sender, silent } from './webhook-samples.ts';

/** Posts one body and says what was answered and what reached the intake. */
async function deliver(
  body: unknown,
  secret: string | null = 'payments-secret',
  senders = [PAYMENTS, FRAUD],
) {
  const intake = keepingIntake();
  const response = await alertmanagerRoute(senders, intake, silent).handle(post(body, secret));
  return {
    status: response.status,
    answer: JSON.parse(response.body ?? '{}') as Record<string, unknown>,
    batches: intake.batches,
  };
}

describe('a recorded delivery', () => {
  it('of one firing alert becomes one batch in the scope of its sender', async () => {
    const { status, answer, batches } = await deliver(recorded('firing_single'));
    expect({ status, answer }).toEqual({ status: 200, answer: { stored: 1, duplicates: 0, refused: [] } });
    expect(batches).toEqual([
      {
        trigger: 'payments-alerts',
        status: 'firing',
        group_key: '{}:{alertname="AlwaysFiring", team="payments"}',
        url: 'http://prometheus.example:19093',
        title: 'AlwaysFiring: always fires',
        severity: 'sev2',
        place: { team: 'payments', env: 'prod', cluster: 'demo', namespace: 'checkout' },
        labels: { alertname: 'AlwaysFiring', team: 'payments' },
        alerts: [
          expect.objectContaining({
            name: 'AlwaysFiring',
            fingerprint: '117b05488aa8189a',
            starts_at: '2026-11-23T13:11:30.568Z',
          }),
        ],
      },
    ]);
  });

  it('never takes the year 1 for the end of an alert', async () => {
    const { batches } = await deliver(recorded('firing_single'));
    expect(batches[0]?.alerts[0]).not.toHaveProperty('ends_at');
  });

  it('of a group keeps all its alerts together', async () => {
    const { batches } = await deliver(recorded('firing_grouped'));
    expect(batches).toHaveLength(1);
    expect(batches[0]?.alerts.map((a) => a.fingerprint)).toEqual(['6d8d02faed282875', 'dcc73c1796f25a38']);
    expect(batches[0]?.severity).toBe('sev1');
  });

  it('of a resolved alert says when it ended', async () => {
    const { status, batches } = await deliver(recorded('resolved'), 'fraud-secret');
    expect(status).toBe(200);
    expect(batches[0]).toMatchObject({
      status: 'resolved',
      severity: 'sev3',
      place: { team: 'fraud', env: 'staging' },
    });
    expect(batches[0]?.alerts[0]?.ends_at).toBe('2026-11-23T13:21:02.568Z');
  });

  it('gives what the inbox accepts', async () => {
    for (const name of ['firing_single', 'firing_grouped'] as const)
      for (const batch of (await deliver(recorded(name))).batches)
        expect(AlertBatch.safeParse(batch).success).toBe(true);
  });
});

describe('who may speak', () => {
  it.each([
    ['no secret', null],
    ['a wrong secret', 'payments-secreT'],
    ['a longer secret', 'payments-secret2'],
    ['an empty secret', ''],
  ])('%s gets 401 and nothing is stored', async (_what, secret) => {
    const { status, batches } = await deliver(recorded('firing_single'), secret);
    expect({ status, batches }).toEqual({ status: 401, batches: [] });
  });

  it('is asked before the body is looked at', async () =>
    expect((await deliver('{ not json', 'wrong')).status).toBe(401));

  it('a secret in another scheme does not count', async () => {
    const request = {
      ...post(recorded('firing_single')),
      headers: { authorization: 'Basic payments-secret' },
    };
    expect((await alertmanagerRoute([PAYMENTS], keepingIntake(), silent).handle(request)).status).toBe(401);
  });
});

describe('scope comes from the secret, never from text', () => {
  it.each([
    ['team', { team: 'fraud' }],
    ['environment', { env: 'staging' }],
    ['cluster', { cluster: 'prod-eu' }],
    ['namespace', { namespace: 'kube-system' }],
    ['team by another spelling', { team: 'Payments' }],
    ['team by a path', { team: '../fraud' }],
  ])('a forged %s is refused', async (_what, labels) => {
    const body = recorded('firing_single');
    Object.assign(body.alerts[0]?.labels ?? {}, labels);
    const { status, answer, batches } = await deliver(body);
    expect({ status, batches }).toEqual({ status: 403, batches: [] });
    expect(String(answer['error'])).toContain('not a scope of this sender');
  });

  it('labels of the group and of the delivery choose nothing', async () => {
    const body = recorded('firing_single');
    body.groupLabels = { team: 'fraud', env: 'staging' };
    body.commonLabels = { team: 'fraud', severity: 'critical' };
    const { batches } = await deliver(body);
    expect(batches[0]).toMatchObject({ place: { team: 'payments', env: 'prod' }, severity: 'sev2' });
  });

  it("another team's secret cannot carry this team's alert", async () =>
    expect((await deliver(recorded('firing_single'), 'fraud-secret')).status).toBe(403));

  it('an alert without labels lands in the only scope; with two scopes it is refused', async () => {
    const body = recorded('firing_single');
    for (const alert of body.alerts) alert.labels = { alertname: 'Bare' };
    expect((await deliver(body)).batches[0]?.place).toEqual({
      team: 'payments',
      env: 'prod',
      cluster: 'demo',
    });
    const two = sender('two', 'two-secret', [
      { team: 'payments', env: 'prod' },
      { team: 'payments', env: 'staging' },
    ]);
    const { status, answer } = await deliver(body, 'two-secret', [two]);
    expect(status).toBe(403);
    expect(String(answer['error'])).toContain('several scopes');
  });

  it('labels may have other names', async () => {
    const labels = { team: 'owner', env: 'stage', cluster: 'k8s', namespace: 'ns', service: 'app' };
    const renamed = sender('renamed', 'renamed-secret', [{ team: 'payments', env: 'prod' }], { labels });
    const body = recorded('firing_single');
    for (const alert of body.alerts)
      alert.labels = {
        alertname: 'A',
        owner: 'payments',
        stage: 'prod',
        ns: 'checkout',
        app: 'cart',
        team: 'ignored',
      };
    expect((await deliver(body, 'renamed-secret', [renamed])).batches[0]?.place).toEqual({
      team: 'payments',
      env: 'prod',
      namespace: 'checkout',
      service: 'cart',
    });
  });

  it('a namespace or service that is no name is left out, never passed on', async () => {
    const open = sender('open', 'open-secret', [{ team: 'payments', env: 'prod' }]);
    const body = recorded('firing_single');
    Object.assign(body.alerts[0]?.labels ?? {}, {
      namespace: 'a/../../b',
      service: '<!channel>',
      cluster: 'x y',
    });
    expect((await deliver(body, 'open-secret', [open])).batches[0]?.place).toEqual({
      team: 'payments',
      env: 'prod',
    });
  });
});

describe('a group with mixed scopes', () => {
  it('is split, and what belongs to nobody is refused while the rest is stored', async () => {
    const body = recorded('firing_grouped');
    const [first, second] = body.alerts;
    if (first === undefined || second === undefined) throw new Error('the recording has two alerts');
    first.labels['namespace'] = 'checkout';
    second.labels['namespace'] = 'ledger';
    body.alerts.push({ ...first, fingerprint: 'f00d', labels: { ...first.labels, team: 'fraud' } });
    const { status, answer, batches } = await deliver(body);
    expect(status).toBe(200);
    expect(batches.map((b) => [b.place.namespace, b.alerts.map((a) => a.fingerprint)])).toEqual([
      ['checkout', ['6d8d02faed282875']],
      ['ledger', ['dcc73c1796f25a38']],
    ]);
    expect(answer).toMatchObject({ stored: 2, refused: [expect.stringContaining('alert f00d')] });
  });

  it('is resolved only where all of it is', async () => {
    const body = recorded('firing_grouped');
    const [first, second] = body.alerts;
    if (first === undefined || second === undefined) throw new Error('the recording has two alerts');
    first.labels['namespace'] = 'checkout';
    second.labels['namespace'] = 'ledger';
    first.status = 'resolved';
    expect((await deliver(body)).batches.map((b) => b.status)).toEqual(['resolved', 'firing']);
  });

  it('has the worst severity of what still fires', async () => {
    const body = recorded('firing_grouped');
    const [first, second] = body.alerts;
    if (first === undefined || second === undefined) throw new Error('the recording has two alerts');
    first.labels['severity'] = 'info';
    second.labels['severity'] = 'page';
    expect((await deliver(body)).batches[0]?.severity).toBe('sev2');
    second.status = 'resolved';
    expect((await deliver(body)).batches[0]?.severity).toBe('sev4');
  });
});

describe('garbage gets 400 with a reason and is not stored', () => {
  it.each([
    ['nothing', '', /not JSON/],
    ['no JSON', '<html>', /not JSON/],
    ['another JSON', '[]', /body/],
    ['a wrong version', { ...recorded('firing_single'), version: '3' }, /version/],
    ['no alerts', { ...recorded('firing_single'), alerts: [] }, /alerts/],
    ['alerts that are no list', { ...recorded('firing_single'), alerts: 'many' }, /alerts/],
    [
      'a time that is none',
      {
        ...recorded('firing_single'),
        alerts: [{ ...recorded('firing_single').alerts[0], startsAt: 'yesterday' }],
      },
      /startsAt/,
    ],
    [
      'labels that are no text',
      {
        ...recorded('firing_single'),
        alerts: [{ ...recorded('firing_single').alerts[0], labels: { a: 1 } }],
      },
      /labels/,
    ],
    ['a status that is none', { ...recorded('firing_single'), status: 'maybe' }, /status/],
    ['deep nesting', '['.repeat(100) + ']'.repeat(100), /nested deeper/],
    [
      'no fingerprint',
      { ...recorded('firing_single'), alerts: [{ ...recorded('firing_single').alerts[0], fingerprint: '' }] },
      /fingerprint/,
    ],
    [
      'a time beyond the calendar',
      {
        ...recorded('firing_single'),
        alerts: [{ ...recorded('firing_single').alerts[0], startsAt: '9999-12-31T23:59:59-23:59' }],
      },
      /./,
    ],
  ])('%s', async (_what, body, reason) => {
    const inbox = {
      append: () => Promise.reject(new Error('not here')),
      appendAll: () => Promise.reject(new Error('stored')),
    };
    const route = alertmanagerRoute(
      [PAYMENTS],
      createIntake(inbox, () => {}),
      silent,
    );
    const response = await route.handle(post(body));
    expect(response.status).toBe(400);
    expect(response.body).toMatch(reason);
  });
});

describe('odd but honest deliveries are kept, since an alert matters more than its form', () => {
  it('members that Alertmanager may add one day are ignored', async () =>
    expect((await deliver({ ...recorded('firing_single'), notificationReason: 'first' })).status).toBe(200));

  it('long texts are cut with a mark', async () => {
    const body = recorded('firing_single');
    if (body.alerts[0] !== undefined)
      body.alerts[0].annotations = { summary: 's'.repeat(500), description: 'd'.repeat(50_000) };
    const { status, batches } = await deliver(body);
    expect(status).toBe(200);
    expect(batches[0]?.title).toHaveLength(300);
    expect(batches[0]?.alerts[0]?.annotations['description']).toMatch(/^d{3999}…$/);
    expect(AlertBatch.safeParse(batches[0]).success).toBe(true);
  });

  it('a mass outage keeps what fires first', async () => {
    const body = recorded('firing_single');
    const [one] = body.alerts;
    if (one === undefined) throw new Error('the recording has an alert');
    body.alerts = Array.from({ length: 1500 }, (_, n) => ({
      ...one,
      fingerprint: `f${n}`,
      status: n < 1400 ? 'resolved' : 'firing',
    }));
    const { status, batches } = await deliver(body);
    expect(status).toBe(200);
    expect(batches[0]).toMatchObject({ status: 'firing' });
    expect(batches[0]?.alerts).toHaveLength(500);
    expect(batches[0]?.alerts[0]?.fingerprint).toBe('f1400');
  });

  it('long group keys stay different keys', async () => {
    const keyOf = async (key: string) =>
      (await deliver({ ...recorded('firing_single'), groupKey: key })).batches[0]?.group_key;
    const [a, b] = [await keyOf(`${'k'.repeat(3000)}a`), await keyOf(`${'k'.repeat(3000)}b`)];
    expect(a).not.toBe(b);
    expect(a?.length).toBeLessThanOrEqual(2000);
  });

  it.each(['constructor', '__proto__', 'toString'])(
    'a severity called %s is a severity nobody knows',
    async (severity) => {
      const body = recorded('firing_single');
      for (const alert of body.alerts) alert.labels = { ...alert.labels, severity };
      const { status, batches } = await deliver(body);
      expect(status).toBe(200);
      expect(batches[0]?.severity).toBe('sev3');
    },
  );
});

describe('durable before it is acknowledged', () => {
  let store: Store;
  let dir = '';
  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'aegis-trigger-'));
    store = await openStore({ home: join(dir, 'home'), clock: { now: () => 1_800_000_000_000 } });
  });
  afterAll(async () => {
    await store.close();
    rmSync(dir, { recursive: true });
  });

  it('stores a delivery once, however often it comes', async () => {
    let woken = 0;
    const route = alertmanagerRoute(
      [PAYMENTS, FRAUD],
      createIntake(store.inbox, () => (woken += 1)),
      silent,
    );
    const answers: unknown[] = [];
    for (let n = 0; n < 3; n += 1)
      answers.push(JSON.parse((await route.handle(post(recorded('firing_single')))).body ?? ''));
    expect(answers.map((a) => (a as { stored: number }).stored)).toEqual([1, 0, 0]);
    const rows = await store.inbox.pending(10);
    expect(rows.map((r) => [r.source, r.kind])).toEqual([['alertmanager', 'alerts']]);
    expect(woken).toBeGreaterThan(0);
  });

  it('knows the same alert by fingerprint, start and status: other texts change nothing, a new start does', async () => {
    const route = alertmanagerRoute(
      [PAYMENTS, FRAUD],
      createIntake(store.inbox, () => {}),
      silent,
    );
    const stored = async (body: unknown, secret: string) =>
      (JSON.parse((await route.handle(post(body, secret))).body ?? '') as { stored: number }).stored;
    const flag = recorded('firing_flag');
    expect(await stored(flag, 'fraud-secret')).toBe(1);
    const retold = recorded('firing_flag');
    for (const alert of retold.alerts) alert.annotations = { summary: 'the same, in other words' };
    expect(await stored(retold, 'fraud-secret')).toBe(0);
    const again = recorded('firing_flag');
    for (const alert of again.alerts) alert.startsAt = '2026-11-23T14:00:00.000Z';
    expect(await stored(again, 'fraud-secret')).toBe(1);
    expect(await stored(recorded('resolved'), 'fraud-secret')).toBe(1);
  });

  it('answers 503 when it cannot be stored, so that Alertmanager sends it again, and says why in the log', async () => {
    const lines: string[] = [];
    const log: Log = {
      ...silent,
      error: (fields, message) => lines.push(`${message} ${JSON.stringify(fields)}`),
    };
    const broken = {
      append: () => Promise.reject(new Error('disk full')),
      appendAll: () => Promise.reject(new Error('disk full')),
    };
    const response = await alertmanagerRoute(
      [PAYMENTS],
      createIntake(broken, () => {}),
      log,
    ).handle(post(recorded('firing_single')));
    expect(response.status).toBe(503);
    expect(response.body).not.toContain('disk full');
    expect(lines.join()).toContain('disk full');
  });
});
