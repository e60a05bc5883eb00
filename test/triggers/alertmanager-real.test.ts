import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AlertBatch, createIntake } from '../../src/harness/intake.ts';
import { startHttpServer } from '../../src/http-server.ts';
import type { RunningServer } from '../../src/http-server.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { Store } from '../../src/store/store.ts';
import { alertmanagerRoute } from '../../src/triggers/alertmanager.ts';
import { ALERTMANAGER, startAlertmanager } from './real-alertmanager.ts';
import type { RealAlertmanager } from './real-alertmanager.ts';
import { sender, silent } from './webhook-samples.ts';

// A real Alertmanager posts to our route: nobody's idea of its webhook stands in between.

const SECRET = 'a-secret-of-this-test';
const SENDER = sender('prod-alerts', SECRET, [
  { team: 'data', env: 'prod', cluster: 'prod-1', namespaces: ['spark-jobs'] },
]);

describe.skipIf(ALERTMANAGER === undefined)('a real Alertmanager', () => {
  let dir = '';
  let store: Store;
  let server: RunningServer;
  let alertmanager: RealAlertmanager;

  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'aegis-trigger-'));
    store = await openStore({ home: join(dir, 'home'), clock: { now: () => Date.now() } });
    const route = alertmanagerRoute(
      [SENDER],
      createIntake(store.inbox, () => {}),
      silent,
    );
    server = await startHttpServer({ host: '127.0.0.1', port: 0, routes: [route], log: silent });
    alertmanager = await startAlertmanager(
      ALERTMANAGER ?? '',
      `http://127.0.0.1:${server.port}/hooks/alertmanager`,
      SECRET,
    );
  });

  afterAll(async () => {
    await alertmanager?.close();
    await server?.close();
    await store?.close();
    rmSync(dir, { recursive: true, force: true });
  });

  async function batches(): Promise<AlertBatch[]> {
    return (await store.inbox.pending(100)).map((row) => AlertBatch.parse(row.payload));
  }

  const labels = {
    alertname: 'SparkApplicationFailed',
    team: 'data',
    env: 'prod',
    namespace: 'spark-jobs',
    service: 'nightly-settlement',
    severity: 'page',
  };
  const annotations = { summary: 'nightly-settlement FAILED' };
  const startsAt = new Date(Date.now() - 60_000).toISOString();

  it('puts a firing alert into the inbox, in the scope of its secret', async () => {
    await alertmanager.send({ labels, annotations, startsAt });
    await expect.poll(batches, { timeout: 15_000 }).toHaveLength(1);
    expect((await batches())[0]).toMatchObject({
      trigger: 'prod-alerts',
      status: 'firing',
      severity: 'sev2',
      title: 'SparkApplicationFailed: nightly-settlement FAILED',
      place: {
        team: 'data',
        env: 'prod',
        cluster: 'prod-1',
        namespace: 'spark-jobs',
        service: 'nightly-settlement',
      },
      alerts: [{ status: 'firing', starts_at: startsAt }],
    });
  });

  it('adds the resolution as its own row, with the same fingerprint and start', async () => {
    await alertmanager.send({
      labels,
      annotations,
      startsAt,
      endsAt: new Date(Date.now() - 1000).toISOString(),
    });
    await expect
      .poll(async () => (await batches()).map((b) => b.status), { timeout: 15_000 })
      .toEqual(['firing', 'resolved']);
    const [fired, resolved] = (await batches()).map((b) => b.alerts[0]);
    expect(resolved?.fingerprint).toBe(fired?.fingerprint);
    expect(resolved?.starts_at).toBe(fired?.starts_at);
    expect(resolved?.ends_at).toBeDefined();
  });

  it("cannot carry another team's alert in", async () => {
    await alertmanager.send({ labels: { ...labels, team: 'fraud' }, annotations: {}, startsAt });
    await alertmanager.send({ labels: { ...labels, alertname: 'Marker' }, annotations: {}, startsAt });
    await expect
      .poll(async () => (await batches()).some((b) => b.title === 'Marker'), { timeout: 15_000 })
      .toBe(true);
    expect((await batches()).map((b) => b.place.team)).toEqual(['data', 'data', 'data']);
  });
});
