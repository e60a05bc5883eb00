import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import type { CredentialSource } from '../../src/contract/credentials.ts';
import { startKubernetesTwin, type KubernetesTwin } from '../../src/lab/kubernetes/kubernetes-twin.ts';
import { prod1 } from '../../src/lab/world/prod-1.ts';
import { World } from '../../src/lab/world/world.ts';
import { KILL_PLAN_ENV, pointText, writeKillPoints, type KillPoint } from '../kill/kill-plan.ts';
import { KILL_LOG_ENV } from '../kill/wrap-store.ts';
import { openBench } from './broker-bench.ts';
import type { Life } from './lease-life.ts';
import { openTwinPlace, SOURCES } from './vault-place.ts';
import { compiledOnce } from '../kill/compile-entry.ts';

const ENTRY = fileURLToPath(new URL('./lease-life.ts', import.meta.url));
const TIMEOUT_MS = 150_000;
const NAMESPACE = 'spark-jobs';

const TOKEN_REQUEST = {
  engine: 'kubernetes_token_request',
  minter: { env: 'MINTER' },
  read_account: 'aegis-write',
  write_account: 'aegis-write',
  ttl_s: 600,
} as const satisfies CredentialSource;
export const LEASED = { ...SOURCES, kubernetes_token_request: TOKEN_REQUEST } as const;
export type LeasedEngine = keyof typeof LEASED;

/** Where a life ends: at an operation of the store, or while the system works on the mint. */
export type Death = KillPoint | 'while it is minted' | null;

export interface Ended {
  readonly killed: boolean;
  /** Operations of the life in order. */
  readonly operations: readonly string[];
}

/** Twins of its own for each life, so that lives run side by side. */
export async function liveAndRecover(engine: LeasedEngine, death: Death): Promise<Ended> {
  const where = `${engine}, ${death === null ? 'alive' : typeof death === 'string' ? death : pointText(death)}`;
  const dir = mkdtempSync(join(tmpdir(), 'aegis-lease-life-'));
  const world = new World({ definition: prod1(), clock: () => Date.now(), seed: 'lease-life' });
  const kubernetes = await startKubernetesTwin({ world });
  writeFileSync(join(dir, 'ca.pem'), kubernetes.ca_pem);
  const secrets = { MINTER: prepareMinter(kubernetes) };
  const place = await openTwinPlace({ secrets });
  const clusters = {
    'prod-1': {
      server: kubernetes.url,
      ca_file: join(dir, 'ca.pem'),
      credentials: TOKEN_REQUEST,
    },
  };
  try {
    const home = join(dir, 'home');
    const life: Life = {
      home,
      vault: place.config,
      clusters,
      secrets: { ...place.secrets },
      source: LEASED[engine],
    };
    writeFileSync(join(dir, 'life.json'), JSON.stringify(life));
    writeKillPoints(join(dir, 'plan'), typeof death === 'object' && death !== null ? [death] : []);
    const killed = await liveOnce(dir, (kill) => {
      if (death !== 'while it is minted') return;
      const hit = (path: string): boolean => {
        if (/\/(?:creds|sts|data)\/|\/token$/.test(path)) kill();
        return false;
      };
      place.vault.faults.inject({ kind: 'delay', delay_ms: 0 }, { match: (call) => hit(call.path) });
      kubernetes.faults.answer({ match: (request) => hit(request.path) });
    });
    expect(killed, where).toBe(death !== null);
    kubernetes.faults.clear();
    place.vault.faults.clear();
    const recovery = await openBench({ vault: place.config, clusters, secrets: place.secrets, home });
    // What a slow machine could not revoke at once is tried again until it is done.
    await recovery.broker.sweep();
    const rows = async () =>
      (await recovery.store.leases.outstanding()).filter((row) => row.engine !== 'vault_login');
    await expect.poll(rows, { timeout: TIMEOUT_MS, message: where }).toEqual([]);
    await recovery.close();
    const { leases, tokens } = place.vault.outstanding();
    expect(leases, where).toEqual([]);
    // A login whose accessor was not written down yet holds nothing and is known to nobody any more.
    const unnamed = typeof death === 'object' && death?.op === 'leases.live' && death.when === 'before';
    const left = unnamed ? tokens.filter((token) => token.path !== 'auth/approle/login') : tokens;
    expect(left, where).toEqual([]);
    const throwAways = world.store
      .list('Secret', NAMESPACE)
      .filter(({ metadata }) => metadata.name.startsWith('aegis-lease-'));
    expect(throwAways, where).toEqual([]);
    return { killed, operations: linesOf(join(dir, 'log')) };
  } finally {
    await place.close();
    await kubernetes.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

/** True when the life ended with SIGKILL. */
async function liveOnce(dir: string, arm: (kill: () => void) => void): Promise<boolean> {
  const env = {
    PATH: process.env['PATH'] ?? '',
    HOME: process.env['HOME'] ?? '',
    [KILL_PLAN_ENV]: join(dir, 'plan'),
    [KILL_LOG_ENV]: join(dir, 'log'),
  };
  const entry = await compiledOnce(ENTRY);
  const child = spawn(process.execPath, [entry, join(dir, 'life.json')], {
    env,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString('utf8')));
  arm(() => child.kill('SIGKILL'));
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    child.kill('SIGKILL');
  }, TIMEOUT_MS);
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (ended, by) => resolve([ended, by]));
  }).finally(() => clearTimeout(timer));
  if (late || (signal !== 'SIGKILL' && code !== 0))
    throw new Error(`the life ended with ${signal ?? code}\n${stderr}`);
  return signal === 'SIGKILL';
}

function prepareMinter(kubernetes: KubernetesTwin): string {
  const metadata = { name: 'aegis-write', namespace: NAMESPACE };
  kubernetes.setResource({ apiVersion: 'v1', kind: 'ServiceAccount', metadata });
  const rules = [
    { verbs: ['create', 'delete'], apiGroups: [''], resources: ['secrets'] },
    { verbs: ['create'], apiGroups: [''], resources: ['serviceaccounts/token'] },
  ];
  return kubernetes.issueToken({ serviceAccount: 'aegis-minter', namespace: NAMESPACE, rules }).token;
}

function linesOf(file: string): string[] {
  return existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter(Boolean) : [];
}
