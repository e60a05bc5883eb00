import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** A real Alertmanager on loopback that posts to one webhook; tests skip, and say so, where none is installed. */
export interface RealAlertmanager {
  /** Posts one alert to its API, as Prometheus does. */
  send(alert: Readonly<Record<string, unknown>>): Promise<void>;
  close(): Promise<void>;
}

/** Debian's name first; the binary needs its package installed (it reads default.tmpl from /usr/share). */
export const ALERTMANAGER = [
  '/usr/bin/prometheus-alertmanager',
  '/usr/local/bin/alertmanager',
  '/usr/bin/alertmanager',
].find((path) => existsSync(path));
if (ALERTMANAGER === undefined)
  console.log('skipped: no Alertmanager on this machine (apt-get install prometheus-alertmanager)');

const READY_TIMEOUT_MS = 20_000;

function configuration(webhook: string, secret: string): string {
  return `route:
  receiver: aegis
  group_by: [alertname, team]
  group_wait: 100ms
  group_interval: 1s
  repeat_interval: 1h
receivers:
  - name: aegis
    webhook_configs:
      - url: ${webhook}
        send_resolved: true
        http_config:
          authorization: { credentials: ${secret} }
`;
}

/** @throws with its last words when it does not become ready. */
export async function startAlertmanager(
  binary: string,
  webhook: string,
  secret: string,
): Promise<RealAlertmanager> {
  const dir = mkdtempSync(join(tmpdir(), 'aegis-alertmanager-'));
  const file = join(dir, 'alertmanager.yml');
  writeFileSync(file, configuration(webhook, secret), { mode: 0o600 });
  const api = `127.0.0.1:${await freePort()}`;
  const args = [
    `--config.file=${file}`,
    `--storage.path=${join(dir, 'data')}`,
    `--web.listen-address=${api}`,
    '--cluster.listen-address=',
  ];
  const child = spawn(binary, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let words = '';
  child.stderr.on('data', (chunk: Buffer) => (words = (words + chunk.toString()).slice(-4000)));
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  async function close(): Promise<void> {
    child.kill('SIGKILL');
    await ended;
    rmSync(dir, { recursive: true, force: true });
  }
  const deadline = Date.now() + READY_TIMEOUT_MS;
  while ((await fetch(`http://${api}/-/ready`).catch(() => null))?.status !== 200) {
    if (child.exitCode !== null || Date.now() > deadline) {
      await close();
      throw new Error(`Alertmanager did not become ready:\n${words}`);
    }
    await sleep(50);
  }
  return {
    close,
    async send(alert) {
      const response = await fetch(`http://${api}/api/v2/alerts`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify([alert]),
      });
      if (response.status !== 200)
        throw new Error(`Alertmanager answers ${response.status}: ${await response.text()}`);
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
