import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** The product as a child process: the same command that a real user runs, with an environment of its own. */
export interface Product {
  readonly port: number;
  readonly pid: number;
  /** Standard error so far: the product's log. */
  log(): string;
  /** SIGTERM, then waits. */
  stop(): Promise<void>;
  /** SIGKILL, then waits: a power cut as far as the process is concerned. */
  kill(): Promise<void>;
}

export interface ProductCommand {
  readonly command: string;
  readonly args: readonly string[];
}

const READY_TIMEOUT_MS = 90_000;
const STOP_TIMEOUT_MS = 10_000;
const LOG_CHARS_MAX = 2_000_000;
const PORT_FIRST = 20_000;
const PORT_LAST = 31_999;
const PORT_TRIES_MAX = 50;

/** Starts `aegis start` and waits for /readyz. @throws with the product's last words when it ends or stays silent. */
export async function startProduct(
  run: ProductCommand,
  config: string,
  port: number,
  extra_env: Readonly<Record<string, string>> = {},
): Promise<Product> {
  // Nothing of the caller's environment reaches the product except what a process needs to run at all.
  const env = { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '', ...extra_env };
  const child = spawn(run.command, [...run.args, '--config', config, 'start'], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  // However the lab ends, the product does not outlive it (a power cut of the lab itself excepted).
  const kill = (): void => void child.kill('SIGKILL');
  process.once('exit', kill);
  child.once('exit', () => process.off('exit', kill));
  let log = '';
  const keep = (chunk: Buffer): void => {
    log = (log + chunk.toString('utf8')).slice(-LOG_CHARS_MAX);
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  await waitReady(child, port, () => log);
  return {
    port,
    pid: child.pid ?? 0,
    log: () => log,
    stop: () => end(child, 'SIGTERM'),
    kill: () => end(child, 'SIGKILL'),
  };
}

/**
 * A free loopback port: the configuration must name it before the product starts. It lies below those that systems give
 * to outgoing connections, since one of these could take it while the product is down.
 */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < PORT_TRIES_MAX; tries += 1) {
    const port = randomInt(PORT_FIRST, PORT_LAST + 1);
    if (await isFree(port)) return port;
  }
  throw new Error(`no free port was found between ${PORT_FIRST} and ${PORT_LAST}; end what listens there`);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

async function waitReady(child: ChildProcess, port: number, log: () => string): Promise<void> {
  const deadline = Date.now() + READY_TIMEOUT_MS;
  while (Date.now() < deadline) {
    if (child.exitCode !== null || child.signalCode !== null)
      throw new Error(`the product ended before it was ready:\n${log()}`);
    const response = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => null);
    if (response?.status === 200) return;
    await sleep(25);
  }
  child.kill('SIGKILL');
  throw new Error(`the product was not ready after ${READY_TIMEOUT_MS} ms:\n${log()}`);
}

async function end(child: ChildProcess, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill(signal);
  const slow = sleep(STOP_TIMEOUT_MS, 'slow' as const, { ref: false });
  if ((await Promise.race([ended, slow])) === 'slow') {
    child.kill('SIGKILL');
    await ended;
  }
}
