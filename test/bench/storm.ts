import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Agent, request } from 'undici';
import { openStore } from '../../src/store/open-store.ts';
import { systemClock } from '../../src/system-ports.ts';
import { startAway, writeAwayConfig } from './away-product.ts';
import type { AwayConfig } from './away-product.ts';
import { measurement } from './bench.ts';
import type { Measurement } from './bench.ts';

/**
 * 10,000 alerts in 60 s over 50 groups, one webhook each, as a mass outage sends them: with every other system away, so
 * that nothing helps. Each must be durable, in its group's incident, and answered quickly meanwhile.
 */
const ALERTS = 10_000;
const SECONDS = 60;
const GROUPS = 50;
/** The floor is asked for a tenth of it, at the same pace. */
const FLOOR_ALERTS = 1000;
const DRAIN_TIMEOUT_MS = 180_000;

/** Reads a webhook, makes it durable, answers: what no receiver can do without. */
const FLOOR = `
import { createServer } from 'node:http';
import Database from 'better-sqlite3';
const db = new Database(process.argv[1]);
db.pragma('journal_mode = WAL');
db.pragma('synchronous = FULL');
db.exec('CREATE TABLE t (n INTEGER PRIMARY KEY, body TEXT NOT NULL)');
const insert = db.prepare('INSERT INTO t (body) VALUES (?)');
const server = createServer((request, response) => {
  const parts = [];
  request.on('data', (part) => parts.push(part));
  request.on('end', () => {
    insert.run(JSON.stringify(JSON.parse(Buffer.concat(parts).toString())));
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
  });
});
server.listen(0, '127.0.0.1', () => process.stdout.write(String(server.address().port)));`;

/** `share` of the alerts, at the same pace. */
export async function storm(share: number): Promise<Measurement[]> {
  const dir = mkdtempSync(join(tmpdir(), 'aegis-bench-'));
  try {
    const floor = await floorLatencies(join(dir, 'floor.db'), FLOOR_ALERTS * share);
    const config = await writeAwayConfig(dir, { activation: 'auto' });
    const product = await startAway(config);
    try {
      const latencies = await send(
        `http://127.0.0.1:${config.port}/hooks/alertmanager`,
        ALERTS * share,
        config,
      );
      const drain_ms = await drained(config);
      return [
        atPercentile('storm webhook p50', 50, latencies, floor),
        atPercentile('storm webhook p99', 99, latencies, floor),
        measurement('storm: last alert to last step', 'ms', [drain_ms], [(SECONDS * 1000) / ALERTS]),
      ];
    } finally {
      await product.stop();
      await checkGroups(config, (ALERTS * share) / GROUPS);
    }
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Sends at an even pace whether answers come or not. @returns how long each answer took, milliseconds. */
async function send(
  url: string,
  count: number,
  { webhook_secret }: Pick<AwayConfig, 'webhook_secret'>,
): Promise<number[]> {
  const agent = new Agent({ connections: 8 });
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${webhook_secret}` };
  const started = performance.now();
  const answers: Promise<number>[] = [];
  for (let n = 0; n < count; n += 1) {
    const due_ms = (n * SECONDS * 1000) / ALERTS;
    while (performance.now() - started < due_ms) await sleep(1);
    const sent = performance.now();
    const body = JSON.stringify(webhookOf(n));
    answers.push(
      request(url, { method: 'POST', headers, body, dispatcher: agent }).then(async (response) => {
        const text = await response.body.text();
        if (response.statusCode !== 200) throw new Error(`alert ${n}: ${response.statusCode} ${text}`);
        return performance.now() - sent;
      }),
    );
  }
  try {
    return await Promise.all(answers);
  } finally {
    await agent.close();
  }
}

/** Alert n as Alertmanager 0.25 posts it. */
function webhookOf(n: number): Record<string, unknown> {
  const group = n % GROUPS;
  const labels = {
    alertname: 'KubePodCrashLooping',
    team: 'data',
    env: 'prod',
    severity: 'page',
    service: `service-${group}`,
    pod: `service-${group}-${Math.floor(n / GROUPS)}`,
  };
  const annotations = { summary: `Pods of service-${group} are crash looping`, description: 'x'.repeat(300) };
  return {
    version: '4',
    groupKey: `{}:{service="service-${group}"}`,
    truncatedAlerts: 0,
    status: 'firing',
    receiver: 'aegis',
    groupLabels: { service: `service-${group}` },
    commonLabels: labels,
    commonAnnotations: annotations,
    externalURL: 'http://alertmanager.example:9093',
    alerts: [
      {
        status: 'firing',
        labels,
        annotations,
        startsAt: new Date(Date.now() - 60_000).toISOString(),
        endsAt: '0001-01-01T00:00:00Z',
        generatorURL: 'http://prometheus.example:9090/graph',
        fingerprint: n.toString(16).padStart(16, '0'),
      },
    ],
  };
}

/** Waits until every alert that was stored has become a step. @returns how long it took after the last answer. */
async function drained(config: AwayConfig): Promise<number> {
  const started = performance.now();
  for (;;) {
    const pending = await withReader(config, async (store) => {
      const rows = await store.inbox.pending(10_000);
      return rows.filter((row) => row.kind === 'alerts').length;
    });
    const waited = performance.now() - started;
    if (pending === 0) return waited;
    if (waited > DRAIN_TIMEOUT_MS) throw new Error(`${pending} alerts are not taken in after ${waited} ms`);
    await sleep(20);
  }
}

/** Every group is one incident that knows all of its alerts. */
async function checkGroups(config: AwayConfig, each: number): Promise<void> {
  const rows = await withReader(config, (store) => store.incidents.list({ limit: 1000 }));
  const counts = rows.map((row) => {
    const { context } = row.snapshot as { context: { incident: { alerts: unknown[] } } };
    return context.incident.alerts.length;
  });
  if (rows.length !== GROUPS || counts.some((count) => count !== each))
    throw new Error(`${rows.length} incidents with ${counts.join(', ')} alerts`);
}

async function withReader<T>(
  { home }: AwayConfig,
  work: (store: Awaited<ReturnType<typeof openStore>>) => Promise<T>,
): Promise<T> {
  const store = await openStore({ home, clock: systemClock, readonly: true });
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}

async function floorLatencies(file: string, count: number): Promise<number[]> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', FLOOR, file], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    const port = await firstWord(child);
    return await send(`http://127.0.0.1:${port}/`, count, { webhook_secret: 'none' });
  } finally {
    child.kill();
  }
}

function firstWord(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    child.stdout?.once('data', (chunk: Buffer) => resolve(chunk.toString()));
    child.once('exit', (code) => reject(new Error(`the floor process ended with ${code}`)));
  });
}

function atPercentile(
  name: string,
  percent: number,
  values: readonly number[],
  floors: readonly number[],
): Measurement {
  const pick = (list: readonly number[]) => {
    const sorted = list.toSorted((a, b) => a - b);
    return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * percent) / 100))] ?? Number.NaN;
  };
  return { ...measurement(name, 'ms', [pick(values)], [pick(floors)]), n: values.length };
}
