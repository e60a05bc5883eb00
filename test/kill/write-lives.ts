import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { IncidentContext } from '../../src/contract/incident.ts';
import { CallPayload, PlanPayload } from '../../src/contract/ledger.ts';
import { journalKey } from '../../src/contract/tool.ts';
import type { HarnessEvent } from '../../src/harness/events.ts';
import { step } from '../../src/harness/machine.ts';
import { emptySnapshot } from '../../src/harness/state.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { Store } from '../../src/store/store.ts';
import { systemClock } from '../../src/system-ports.ts';
import { approvedPlan } from '../gateway/approved-plan.ts';
import { POLICIES_DIR, startStage, type Stage, type StageOptions } from '../gateway/stage.ts';
import { compileEntry, type CompiledEntry } from './compile-entry.ts';
import { KILL_PLAN_ENV, pointText, writeKillPoints, type KillPoint } from './kill-plan.ts';
import { startKillProxy, type KillProxy, type RequestPoint } from './kill-proxy.ts';
import { runChild } from './run-child.ts';
import { KILL_LOG_ENV } from './wrap-store.ts';
import { liveWrite, type WriteSpec } from './write-life.ts';

const ENTRY = fileURLToPath(new URL('./write-entry.ts', import.meta.url));
const CHILD_TIMEOUT_MS = 120_000;
const VAULT_TIMEOUT_MS = 30_000;

export type WritePoint = KillPoint | RequestPoint;

export interface WriteEnd {
  /** What the journal says in the end: `done`, `outcome_unknown` ... */
  readonly status: string;
  /** Where the machine goes with what the last life reported. */
  readonly state: string;
  readonly halt: string | null;
  /** Patches that the cluster took. */
  readonly effects: number;
  /** Store operations of the lives that died, in order. */
  readonly operations: readonly string[];
}

/** One set of twins for all lives, and the compiled entry. */
export interface WriteStage {
  readonly stage: Stage;
  readonly entry: CompiledEntry;
  close(): Promise<void>;
}

export async function startWriteStage(): Promise<WriteStage> {
  const entry = await compileEntry(ENTRY);
  // Many lives side by side on a small machine: a slow Vault is no broken one here.
  const settings: StageOptions['settings'] = (s) =>
    s.vault === undefined ? s : { ...s, vault: { ...s.vault, timeout_ms: VAULT_TIMEOUT_MS } };
  const stage = await startStage({ settings });
  return {
    stage,
    entry,
    close: async () => {
      entry.remove();
      await stage.close();
    },
  };
}

/**
 * Lets one approved write live through its deaths, each in a process of its own, and then once more to its end, as a
 * supervisor would. Many may run side by side over one stage: each has its own home, incident, object and proxies.
 */
export async function writeLives(
  { stage, entry }: WriteStage,
  points: readonly WritePoint[],
): Promise<WriteEnd> {
  const name = `crash-${stage.ids
    .secret(6)
    .toLowerCase()
    .replaceAll(/[^a-z0-9]/g, 'x')}`;
  const dir = join(stage.home, name);
  mkdirSync(dir);
  addJob(stage, name);
  const ca = stage.kubernetes.ca_pem;
  const proxies = {
    kubernetes: await startKillProxy({ url: stage.kubernetes.url, ca }),
    vault: await startKillProxy({ url: stage.vault.url }),
  };
  try {
    const spec = await approvedSpec(stage, dir, name, proxies);
    for (const point of points) await dieAt(entry.file, dir, spec, proxies, point);
    const store = await openStore({ home: spec.home, clock: systemClock });
    try {
      const event = await liveWrite(store, spec);
      return await endOf(stage, store, spec, name, event, dir);
    } finally {
      await store.close();
    }
  } finally {
    await Promise.all([proxies.kubernetes.close(), proxies.vault.close()]);
    rmSync(dir, { recursive: true, force: true });
  }
}

export function writePointText(point: WritePoint): string {
  return 'system' in point ? `${point.when} ${point.system} ${point.request} ${point.n}` : pointText(point);
}

/** What must hold wherever the deaths fell: one effect or a person asked, nothing leased, the ledger whole. */
export function expectWhole(end: WriteEnd, where: string): void {
  if (end.status === 'done')
    expect([end.effects, end.state, end.halt], where).toEqual([1, 'VERIFYING', null]);
  else {
    expect([end.status, end.state, end.halt], where).toEqual([
      'outcome_unknown',
      'HALTED',
      'unknown_outcome',
    ]);
    expect(end.effects, where).toBeLessThanOrEqual(1);
  }
}

async function dieAt(
  entry: string,
  dir: string,
  spec: WriteSpec,
  proxies: Readonly<Record<RequestPoint['system'], KillProxy>>,
  point: WritePoint,
): Promise<void> {
  const plan = join(dir, 'plan');
  const at_request = 'system' in point;
  writeKillPoints(plan, at_request ? [] : [point]);
  const end = await runChild(entry, {
    args: [join(dir, 'spec.json')],
    env: { [KILL_PLAN_ENV]: plan, [KILL_LOG_ENV]: join(dir, 'operations') },
    timeout_ms: CHILD_TIMEOUT_MS,
    started: (pid) => {
      if (at_request) proxies[point.system].arm(point, pid);
    },
  });
  for (const proxy of Object.values(proxies)) proxy.disarm();
  if (end.signal !== 'SIGKILL')
    throw new Error(`${writePointText(point)}: nobody died (${end.code})\n${end.stdout}\n${end.stderr}`);
  expect(existsSync(spec.home)).toBe(true);
}

function addJob({ world, kubernetes }: Stage, name: string): void {
  const model = world.store.get('SparkApplication', 'spark-jobs', 'nightly-settlement');
  if (model === undefined) throw new Error('the model job is gone');
  const { apiVersion, kind, spec } = structuredClone(model) as unknown as Record<string, unknown>;
  kubernetes.setResource({
    apiVersion,
    kind,
    metadata: { name, namespace: 'spark-jobs' },
    spec: { ...(spec as object), driver: { cores: 1, memory: '1g' } },
  } as unknown as Parameters<Stage['kubernetes']['setResource']>[0]);
}

/** The incident up to its approvals in a home of its own, then in EXECUTING with its effect running. */
async function approvedSpec(
  stage: Stage,
  dir: string,
  name: string,
  proxies: Readonly<Record<'kubernetes' | 'vault', KillProxy>>,
): Promise<WriteSpec> {
  const home = join(dir, 'home');
  const store = await openStore({ home, clock: systemClock });
  try {
    const approved = await approvedPlan(
      { ...stage, store },
      {
        action: {
          tool: 'job.update_spec',
          target: `mcp://k8s/prod-1/spark-jobs/sparkapplication/${name}`,
          params: { changes: [{ path: '/spec/driver/memory', value: '2g' }] },
        },
      },
    );
    const [opened] = await store.ledger.read(approved.incident_id, { kinds: ['event'] });
    const [planned] = await store.ledger.read(approved.incident_id, { kinds: ['plan'] });
    const incident = IncidentContext.parse(opened?.payload['context']);
    const preview = {
      change_id: 'CHG-7',
      previewed_at: incident.opened_at,
      credential_revocable: true,
      preview: approved.preview,
    };
    const empty = emptySnapshot().context;
    const spec: WriteSpec = {
      home,
      policies_dir: POLICIES_DIR,
      secrets: stage.secrets,
      settings: through(stage, proxies),
      context: {
        ...empty,
        incident,
        activated: true,
        revision: 1,
        plan: { payload: PlanPayload.parse(planned?.payload), previews: [preview], gates: [] },
        running: { effect_id: `${approved.incident_id}/9/0`, kind: 'execute', change_id: 'CHG-7' },
      },
    };
    writeFileSync(join(dir, 'spec.json'), JSON.stringify(spec));
    return spec;
  } finally {
    await store.close();
  }
}

/** The stage's settings with the proxies in front of its twins. */
function through(
  { settings }: Stage,
  proxies: Readonly<Record<'kubernetes' | 'vault', KillProxy>>,
): Stage['settings'] {
  const { vault, clusters } = settings;
  const cluster = clusters['prod-1'];
  if (vault === undefined || cluster === undefined) throw new Error('the stage has no Vault or no cluster');
  const { ca_file: _ca, ...plain } = cluster;
  return {
    ...settings,
    vault: { ...vault, address: proxies.vault.url },
    clusters: { 'prod-1': { ...plain, server: proxies.kubernetes.url } },
  };
}

async function endOf(
  stage: Stage,
  store: Store,
  spec: WriteSpec,
  name: string,
  event: HarnessEvent,
  dir: string,
): Promise<WriteEnd> {
  const incident_id = spec.context.incident?.incident_id ?? '';
  const row = await store.journal.get(journalKey(incident_id, 'CHG-7', 'apply'));
  expect(await store.leases.outstanding(), 'leases').toEqual([]);
  expect((await store.ledger.verify()).problems, 'ledger').toEqual([]);
  await expectAudited(store, incident_id);
  const stepped = step({ state: 'EXECUTING', context: spec.context }, event);
  if (!stepped.ok) throw new Error(`the machine refused ${event.type}: ${stepped.refusal.reason}`);
  const operations = join(dir, 'operations');
  return {
    status: row?.status ?? 'none',
    state: stepped.snapshot.state,
    halt: stepped.snapshot.context.halt?.reason ?? null,
    effects: stage.kubernetes.mutations().filter(({ path }) => path.endsWith(`/${name}`)).length,
    operations: existsSync(operations) ? readFileSync(operations, 'utf8').split('\n').filter(Boolean) : [],
  };
}

/** No effect without its audit row: whatever was sent has a `before` row of the execute door. */
async function expectAudited(store: Store, incident_id: string): Promise<void> {
  const calls = await store.ledger.read(incident_id, { kinds: ['call'] });
  const parsed = calls.map(({ payload }) => CallPayload.parse(payload));
  expect(parsed.filter(({ door, phase }) => door === 'execute' && phase === 'before').length).toBeGreaterThan(
    0,
  );
}
