/** Runs Debian's Prometheus over a given set of series, to hold the twin against it. */
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Series } from '../../../src/lab/world/telemetry.ts';

/** Debian's package `prometheus`; named here so that tools do not take them for npm binaries. */
const SERVER = 'prometheus';
const TOOL = 'promtool';

export interface RealPrometheus {
  readonly url: string;
  stop(): Promise<void>;
}

/** The installed version's first line, or undefined when Prometheus or promtool is missing. */
export function installedPrometheus(): string | undefined {
  try {
    execFileSync(TOOL, ['--version'], { stdio: 'ignore' });
    return execFileSync(SERVER, ['--version'], { encoding: 'utf8' }).split('\n')[0];
  } catch {
    return undefined;
  }
}

export async function startRealPrometheus(series: readonly Series[]): Promise<RealPrometheus> {
  const folder = mkdtempSync(join(tmpdir(), 'real-prometheus-'));
  writeFileSync(join(folder, 'in.om'), openMetrics(series));
  writeFileSync(join(folder, 'prometheus.yml'), 'global: {scrape_interval: 1h}\n');
  const data = join(folder, 'data');
  execFileSync(TOOL, ['tsdb', 'create-blocks-from', 'openmetrics', join(folder, 'in.om'), data], {
    stdio: 'ignore',
  });
  const address = `127.0.0.1:${await freePort()}`;
  const process = spawn(
    SERVER,
    [
      `--config.file=${join(folder, 'prometheus.yml')}`,
      `--storage.tsdb.path=${data}`,
      '--storage.tsdb.retention.time=3650d',
      `--web.listen-address=${address}`,
    ],
    { stdio: 'ignore' },
  );
  const exited = new Promise<void>((resolve) => process.once('exit', () => resolve()));
  await ready(`http://${address}/-/ready`);
  return {
    url: `http://${address}`,
    stop: async () => {
      process.kill('SIGKILL');
      await exited;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function openMetrics(series: readonly Series[]): string {
  const byName = new Map<string, string[]>();
  for (const { labels, samples } of series) {
    const { __name__: name = '', ...rest } = labels;
    const pairs = Object.entries(rest).map(([label, value]) => `${label}=${JSON.stringify(value)}`);
    const lines = samples.map(
      ({ ts_ms, value }) => `${name}{${pairs.join(',')}} ${goFloat(value)} ${ts_ms / 1000}`,
    );
    byName.set(name, [...(byName.get(name) ?? [`# TYPE ${name} unknown`]), ...lines]);
  }
  return `${[...byName.values()].flat().join('\n')}\n# EOF\n`;
}

function goFloat(value: number): string {
  if (Number.isFinite(value)) return String(value);
  return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf';
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function ready(url: string): Promise<void> {
  for (let attempt = 0; attempt < 150; attempt += 1) {
    try {
      if ((await fetch(url)).ok) return;
    } catch {
      // not listening yet
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error('the real Prometheus did not become ready within 15 s');
}
