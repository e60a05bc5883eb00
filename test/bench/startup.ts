import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import { measurement } from './bench.ts';
import type { Bench, Measurement } from './bench.ts';

/** Process start to `/readyz` 200, with every outside system away: the product must be ready before the world is. */
export const startup: Bench = {
  name: 'startup',
  about: 'process start to /readyz 200 (floor: node opens a SQLite database)',
  run: measureStartup,
};

const RUNS = 5;
const READY_TIMEOUT_MS = 30_000;
const BIN = join(import.meta.dirname, '..', '..', 'dist', 'cli', 'aegis.js');

/** The least that a process with a database needs: node itself and the driver. */
const FLOOR = `
import Database from 'better-sqlite3';
const db = new Database(process.argv[1]);
db.pragma('journal_mode = WAL');
db.exec('CREATE TABLE IF NOT EXISTS t (n INTEGER)');
db.close();`;

async function measureStartup(): Promise<Measurement[]> {
  if (!existsSync(BIN)) throw new Error(`${BIN} is missing; run "npm run build" first`);
  const dir = mkdtempSync(join(tmpdir(), 'aegis-bench-'));
  const values: number[] = [];
  const floors: number[] = [];
  try {
    const config = await writeConfig(dir);
    // The first run makes the home and warms the disk cache; it does not count.
    for (let n = -1; n < RUNS; n += 1) {
      const floor = await timeFloor(join(dir, 'floor.db'));
      const value = await timeReady(config.file, config.port);
      if (n < 0) continue;
      floors.push(floor);
      values.push(value);
    }
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
  return [measurement('startup', 'ms', values, floors)];
}

async function timeFloor(file: string): Promise<number> {
  const started = performance.now();
  const child = spawn(process.execPath, ['--input-type=module', '-e', FLOOR, file], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const code = await new Promise<number | null>((resolve) => child.once('exit', resolve));
  if (code !== 0) throw new Error(`the floor process ended with ${code}`);
  return performance.now() - started;
}

async function timeReady(config: string, port: number): Promise<number> {
  const started = performance.now();
  const child = spawn(process.execPath, [BIN, '--config', config, 'start'], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { PATH: process.env['PATH'] ?? '' },
  });
  let words = '';
  child.stderr.on('data', (chunk: Buffer) => (words = (words + chunk.toString()).slice(-4000)));
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  try {
    while ((await status(port)) !== 200) {
      if (child.exitCode !== null || performance.now() - started > READY_TIMEOUT_MS)
        throw new Error(`not ready:\n${words}`);
      await sleep(2);
    }
    return performance.now() - started;
  } finally {
    child.kill('SIGTERM');
    await ended;
  }
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
async function writeConfig(dir: string): Promise<{ file: string; port: number }> {
  const [port, nobody] = [await freePort(), await freePort()];
  mkdirSync(join(dir, 'secrets'));
  const secret = (name: string) => {
    writeFileSync(join(dir, 'secrets', name), `secret-of-${name}-0123456789`, { mode: 0o600 });
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
  return { file, port };
}
