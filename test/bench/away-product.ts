import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';

/** The built product as a child process, with every outside system away: ports that nobody listens on. */
export interface AwayProduct {
  readonly pid: number;
  /** Process start to `/readyz` 200, milliseconds. */
  readonly ready_ms: number;
  stop(): Promise<void>;
}

export interface AwayConfig {
  readonly file: string;
  readonly home: string;
  readonly port: number;
  /** Bearer secret of the Alertmanager trigger. */
  readonly webhook_secret: string;
}

const READY_TIMEOUT_MS = 30_000;
const BIN = join(import.meta.dirname, '..', '..', 'dist', 'cli', 'aegis.js');

export async function startAway({ file, port }: AwayConfig): Promise<AwayProduct> {
  if (!existsSync(BIN)) throw new Error(`${BIN} is missing; run "npm run build" first`);
  const started = performance.now();
  const child = spawn(process.execPath, [BIN, '--config', file, 'start'], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { PATH: process.env['PATH'] ?? '' },
  });
  let words = '';
  child.stderr.on('data', (chunk: Buffer) => (words = (words + chunk.toString()).slice(-4000)));
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM');
    await ended;
  };
  try {
    while ((await status(port)) !== 200) {
      if (child.exitCode !== null || performance.now() - started > READY_TIMEOUT_MS)
        throw new Error(`not ready:\n${words}`);
      await sleep(2);
    }
  } catch (error) {
    await stop();
    throw error;
  }
  return { pid: child.pid ?? 0, ready_ms: performance.now() - started, stop };
}

/** Memory of a process that is not swapped out, bytes. */
export function residentBytes(pid: number): number {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  if (kib === undefined) throw new Error(`/proc/${pid}/status has no VmRSS`);
  return Number(kib) * 1024;
}

function status(port: number): Promise<number | null> {
  return new Promise((resolve) => {
    const request = get({ host: '127.0.0.1', port, path: '/readyz', agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode ?? null);
    });
    request.once('error', () => resolve(null));
  });
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** A configuration like the practice range's, whose systems are ports that nobody listens on. */
export async function writeAwayConfig(
  dir: string,
  environment: Readonly<Record<string, unknown>> = {},
): Promise<AwayConfig> {
  const [port, nobody] = [await freePort(), await freePort()];
  mkdirSync(join(dir, 'secrets'));
  const valueOf = (name: string): string => `secret-of-${name}-0123456789`;
  const secret = (name: string) => {
    writeFileSync(join(dir, 'secrets', name), valueOf(name), { mode: 0o600 });
    return { file: `./secrets/${name}` };
  };
  const away = `http://127.0.0.1:${nobody}`;
  const namespaces = ['spark-jobs'];
  const settings = {
    v: 1,
    home: './home',
    http: { host: '127.0.0.1', port },
    unsafe_endpoints: true,
    slack: {
      workspace: 'T0BENCH',
      bot_token: secret('bot'),
      signing_secret: secret('signing'),
      api_url: `${away}/api/`,
      fallback_channel: 'C0BENCH',
    },
    vault: { address: away, auth: { method: 'approle', role_id: secret('role'), secret_id: secret('id') } },
    clusters: {
      'prod-1': {
        server: away,
        credentials: { engine: 'vault_kubernetes', read_role: 'r', write_role: 'w', token_role: 't' },
      },
    },
    sources: { loki: { main: { url: away } }, prometheus: { main: { url: away } } },
    teams: {
      data: {
        environments: {
          prod: {
            tier: 'tier2',
            autonomy: 'approve',
            channel: 'C0BENCH',
            ...environment,
            mounts: [
              { kind: 'kubernetes', cluster: 'prod-1', namespaces },
              { kind: 'logs', source: 'main', namespaces },
              { kind: 'metrics', source: 'main', namespaces },
            ],
          },
        },
      },
    },
    triggers: [
      {
        kind: 'alertmanager',
        name: 'alerts',
        secret: secret('hook'),
        scopes: [{ team: 'data', env: 'prod' }],
      },
    ],
  };
  const file = join(dir, 'aegis.yaml');
  writeFileSync(file, stringify(settings, { aliasDuplicateObjects: false }), { mode: 0o600 });
  return { file, home: join(dir, 'home'), port, webhook_secret: valueOf('hook') };
}
