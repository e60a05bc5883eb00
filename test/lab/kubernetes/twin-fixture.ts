import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Agent, request } from 'undici';
import { startKubernetesTwin } from '../../../src/lab/kubernetes/kubernetes-twin.ts';
import type { AccessRule } from '../../../src/lab/kubernetes/token-store.ts';
import { prod1 } from '../../../src/lab/world/prod-1.ts';
import type { Prod1Options } from '../../../src/lab/world/prod-1.ts';
import { World } from '../../../src/lab/world/world.ts';

const EVERYTHING: AccessRule = { verbs: ['*'], apiGroups: ['*'], resources: ['*'], namespaces: ['*'] };

const START_MS = Date.parse('2026-11-23T02:30:00Z');
export const JOB_PATH =
  '/apis/sparkoperator.k8s.io/v1beta2/namespaces/spark-jobs/sparkapplications/nightly-settlement';

export interface CallOptions {
  method?: string;
  body?: unknown;
  type?: string;
  token?: string | null;
  accept?: string;
}

/** A world whose time the test moves by hand, its twin, and clients with full rights and with given rights. */
export async function startTwin(options: Prod1Options = {}, audit?: (line: string) => void) {
  const time = { now_ms: START_MS };
  const world = new World({ definition: prod1(options), clock: () => time.now_ms, seed: 'twin' });
  const twin = await startKubernetesTwin({ world, ...(audit === undefined ? {} : { audit }) });
  const admin = twin.issueToken({
    serviceAccount: 'lab-admin',
    namespace: 'kube-system',
    rules: [EVERYTHING],
  }).token;
  const agent = new Agent({ connect: { ca: twin.ca_pem } });
  async function call(path: string, call: CallOptions = {}) {
    const {
      method = 'GET',
      body,
      type = 'application/json',
      token = admin,
      accept = 'application/json',
    } = call;
    const response = await request(`${twin.url}${path}`, {
      method: method as 'GET',
      dispatcher: agent,
      headers: {
        accept,
        ...(token === null ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { 'content-type': type }),
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.body.text();
    const isJson = String(response.headers['content-type']).includes('json');
    return {
      status: response.statusCode,
      headers: response.headers,
      text,
      json: isJson ? JSON.parse(text) : undefined,
    };
  }
  const fixture = {
    world,
    twin,
    admin,
    call,
    patchJob: (patch: unknown, more: CallOptions = {}, query = '') =>
      call(`${JOB_PATH}${query}`, {
        method: 'PATCH',
        type: 'application/merge-patch+json',
        body: patch,
        ...more,
      }),
    pass(ms: number): void {
      for (const end = time.now_ms + ms; time.now_ms < end;) {
        time.now_ms += 50;
        world.tick();
      }
    },
    async close(): Promise<void> {
      await agent.close();
      await fixture.twin.close();
    },
  };
  return fixture;
}

export type TwinFixture = Awaited<ReturnType<typeof startTwin>>;

export function hasKubectl(): boolean {
  try {
    execFileSync('kubectl', ['version', '--client'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Runs the real kubectl with its own home, so that no cache or configuration of this machine takes part. */
export function kubectlFor(kubeconfig: string) {
  const home = mkdtempSync(join(tmpdir(), 'aegis-kubectl-'));
  const config = join(home, 'config');
  writeFileSync(config, kubeconfig, { mode: 0o600 });
  const run = promisify(execFile);
  async function kubectl(...parameters: string[]): Promise<{ out: string; err: string; code: number }> {
    try {
      const environment = { PATH: process.env['PATH'] ?? '', HOME: home, KUBECONFIG: config };
      const { stdout, stderr } = await run('kubectl', parameters, { env: environment, timeout: 90_000 });
      return { out: stdout, err: stderr, code: 0 };
    } catch (error) {
      const failed = error as { stdout?: string; stderr?: string; code?: number };
      return { out: failed.stdout ?? '', err: failed.stderr ?? '', code: failed.code ?? 1 };
    }
  }
  return { kubectl, home, remove: () => rmSync(home, { recursive: true, force: true }) };
}
