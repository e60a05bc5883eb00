import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { DATA_CHANNEL } from '../../src/lab/people.ts';
import { freePort } from '../../src/lab/product.ts';
import type { Range } from '../../src/lab/range.ts';
import { sparkAlert } from '../../src/lab/scenarios/spark-driver-oom.ts';
import type { StoredMessage } from '../../src/lab/slack/store.ts';
import { rootCard, until } from '../../src/lab/watching.ts';
import { openStore } from '../../src/store/open-store.ts';
import { shown, startStory, untilShown, untilThread } from './range-for-test.ts';

/** Debian's package `prometheus-alertmanager`: the sender itself, not our idea of it. */
const ALERTMANAGER = '/usr/bin/prometheus-alertmanager';
if (!existsSync(ALERTMANAGER))
  process.stdout.write(`SKIPPED: a real Alertmanager opens an incident, ${ALERTMANAGER} is not installed\n`);

interface SentAlert {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly startsAt: string;
  readonly endsAt?: string;
}

interface RealAlertmanager {
  readonly url: string;
  log(): string;
  post(alert: SentAlert): Promise<void>;
  stop(): Promise<void>;
}

describe.skipIf(!existsSync(ALERTMANAGER))('a real Alertmanager as the sender', () => {
  let range: Range;
  let sender: RealAlertmanager;
  let root: StoredMessage;
  const alert = alertOf(sparkAlert(Date.now()));
  const rootCards = () =>
    range.twins.slack.store
      .messages(DATA_CHANNEL)
      .filter((m) => m.thread_ts === undefined && m.bot_id !== undefined);

  beforeAll(async () => {
    range = await startStory();
    sender = await startAlertmanager(
      `http://127.0.0.1:${range.product().port}/hooks/alertmanager`,
      range.files.webhook_secret,
    );
  }, 60_000);
  afterAll(async () => {
    await sender?.stop();
    await range?.close();
  });

  it('opens an incident through its own webhook', async () => {
    await sender.post(alert);
    root = await until('the root card', () => rootCard(range.twins.slack, DATA_CHANNEL));
    expect(shown(range, root)).toMatch(/SEV2 · INC-\d{4}-\d{4}-001 · SparkApplicationFailed/);
    expect(shown(range, root)).toContain('1 firing, 0 resolved');
  });

  it('is told that an alert of another team is refused, and nothing opens', async () => {
    await sender.post({ ...alert, labels: { ...alert.labels, team: 'fraud', alertname: 'Forged' } });
    await until('the refusal in the log of Alertmanager', () =>
      /status code 403/.test(sender.log()) ? true : undefined,
    );
    expect(rootCards()).toHaveLength(1);
  });

  it('resolves the alert on the incident that it opened', async () => {
    await sender.post({ ...alert, endsAt: new Date(Date.now() - 1000).toISOString() });
    await untilShown(range, root, /0 firing, 1 resolved/);
    await untilThread(range, root, /Alertmanager says resolved/);
    expect(rootCards()).toHaveLength(1);
  });

  it('leaves one incident, whose identity is the group of Alertmanager', async () => {
    const store = await openStore({ home: range.files.home, clock: { now: Date.now }, readonly: true });
    const rows = await store.incidents.list({ limit: 10 });
    await store.close();
    expect(rows).toHaveLength(1);
    expect(JSON.stringify(rows[0]?.snapshot)).toContain(
      JSON.stringify('{}:{alertname="SparkApplicationFailed", namespace="spark-jobs"}'),
    );
    expect(sender.log()).not.toMatch(/status code (400|401|5\d\d)/);
  });
});

/** The scenario's alert as `POST /api/v2/alerts` takes it. */
function alertOf(webhook: unknown): SentAlert {
  const { alerts } = webhook as { alerts: SentAlert[] };
  const { labels, annotations, startsAt } = alerts[0] as SentAlert;
  return { labels, annotations, startsAt };
}

async function startAlertmanager(webhook_url: string, secret: string): Promise<RealAlertmanager> {
  const dir = mkdtempSync(join(tmpdir(), 'aegis-alertmanager-'));
  const settings = {
    route: {
      receiver: 'aegis',
      group_by: ['alertname', 'namespace'],
      group_wait: '1s',
      group_interval: '5s',
      repeat_interval: '1h',
    },
    receivers: [
      {
        name: 'aegis',
        webhook_configs: [
          {
            url: webhook_url,
            send_resolved: true,
            http_config: { authorization: { type: 'Bearer', credentials: secret } },
          },
        ],
      },
    ],
  };
  writeFileSync(join(dir, 'alertmanager.yml'), stringify(settings), { mode: 0o600 });
  const port = await freePort();
  const child = spawn(
    ALERTMANAGER,
    [
      `--config.file=${join(dir, 'alertmanager.yml')}`,
      `--storage.path=${join(dir, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
      '--cluster.listen-address=',
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let log = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (log += chunk.toString('utf8')));
  const url = `http://127.0.0.1:${port}`;
  const stop = async (): Promise<void> => {
    await endChild(child);
    rmSync(dir, { recursive: true, force: true });
  };
  try {
    await until('Alertmanager to be ready', async () => {
      if (child.exitCode !== null) throw new Error(`Alertmanager ended:\n${log}`);
      const ready = await fetch(`${url}/-/ready`).catch(() => null);
      return ready?.status === 200 ? true : undefined;
    });
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    url,
    log: () => log,
    async post(alert) {
      const answer = await fetch(`${url}/api/v2/alerts`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify([alert]),
      });
      if (answer.status !== 200)
        throw new Error(`Alertmanager answered ${answer.status}: ${await answer.text()}`);
    },
    stop,
  };
}

async function endChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  await ended;
}
