import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Log } from '../../src/contract/ports.ts';
import { isRefusal } from '../../src/contract/verdict.ts';
import { createGateway } from '../../src/gateway/create-gateway.ts';
import type { Gateway } from '../../src/gateway/gateway.ts';
import type { GatewaySettings } from '../../src/gateway/pipeline/core.ts';
import type { ReadRequest } from '../../src/gateway/read.ts';
import { loadPolicySet } from '../../src/gateway/policy/policy-set.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { Store } from '../../src/store/store.ts';
import { systemClock, systemIds } from '../../src/system-ports.ts';
import { measurement } from './bench.ts';
import type { Bench, Measurement } from './bench.ts';
import { durableFloor } from './durable-floor.ts';

/**
 * A read through the whole pipeline: token, route, pins, Cedar, throttle, audit before, a real HTTP call to a loopback
 * server, redaction, audit after. The floor does per call only what no gateway with a durable audit can leave out.
 */
export const gateway: Bench = {
  name: 'gateway',
  about: 'in-process read, 1 and 16 callers (floor: two durable inserts and one Cedar decision a call)',
  run: measureGateway,
};

const ROUNDS = 5;
const POLICIES = join(import.meta.dirname, '..', '..', 'policies');
/** Several tenants take turns, or the rate that one of them may reach would be what is measured. */
const TEAMS = ['data', 'fraud', 'risk', 'web'] as const;
const ENV = 'prod';
/** Callers, and calls of all of them together in one round. */
const SIZES = [
  { callers: 1, calls: 300 },
  { callers: 16, calls: 1200 },
] as const;

/** What one round gave, milliseconds and calls a second. */
interface Round {
  readonly p50: number;
  readonly p99: number;
  readonly per_s: number;
}

async function measureGateway(): Promise<Measurement[]> {
  const dir = mkdtempSync(join(tmpdir(), 'aegis-bench-'));
  const upstream = await startUpstream();
  const store = await openStore({ home: join(dir, 'home'), clock: systemClock });
  const door = await openDoor(store, upstream.url);
  const floor = await floorCall(dir);
  try {
    const measured: Measurement[] = [];
    for (const size of SIZES) {
      const rounds: { gateway: Round; floor: Round }[] = [];
      // The first round compiles and connects; it does not count. Floor and gateway alternate: a loaded machine hits both.
      for (let n = -1; n < ROUNDS; n += 1) {
        const least = await round(1, SIZES[0].calls, floor.call);
        const real = await round(size.callers, size.calls, door.call);
        if (n >= 0) rounds.push({ gateway: real, floor: least });
      }
      measured.push(...figures(size, rounds));
    }
    return measured;
  } finally {
    floor.close();
    await door.gateway.close();
    await store.close();
    upstream.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

function figures(
  { callers, calls }: (typeof SIZES)[number],
  rounds: readonly { gateway: Round; floor: Round }[],
): Measurement[] {
  const of = (figure: keyof Round, unit: string): Measurement => ({
    ...measurement(
      `gateway read, ${callers} caller${callers === 1 ? '' : 's'}, ${figure}`,
      unit,
      rounds.map((r) => r.gateway[figure]),
      rounds.map((r) => r.floor[figure]),
    ),
    n: calls * rounds.length,
  });
  return [of('p50', 'ms'), of('p99', 'ms'), of('per_s', 'calls/s')];
}

async function round(callers: number, calls: number, call: () => Promise<void>): Promise<Round> {
  const took: number[] = [];
  let left = calls;
  const caller = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      const started = performance.now();
      await call();
      took.push(performance.now() - started);
    }
  };
  const started = performance.now();
  await Promise.all(Array.from({ length: callers }, caller));
  const per_s = (calls / (performance.now() - started)) * 1000;
  took.sort((a, b) => a - b);
  const at = (share: number): number => took[Math.ceil(took.length * share) - 1] ?? Number.NaN;
  return { p50: at(0.5), p99: at(0.99), per_s };
}

async function floorCall(dir: string): Promise<{ call: () => Promise<void>; close: () => void }> {
  const { set } = await loadPolicySet(POLICIES);
  if (set === null) throw new Error('the shipped policies did not load');
  const rows = durableFloor(dir);
  const [team] = TEAMS;
  const tenant = `${team}/${ENV}`;
  const question = {
    principal: { id: 'aegis', tenant, token_class: 'read', has_incident: true },
    target: {
      system: 'prometheus',
      cluster: 'main',
      namespace: namespaceOf(team),
      kind: 'query',
      name: '-',
      uri: targetOf(team),
      tenants: [tenant],
    },
    call: { action: 'read', tool: 'prom.query', action_class: 'read', env: ENV, tier: 'tier1' },
  } as const;
  let calls = 0;
  const call = async (): Promise<void> => {
    calls += 1;
    // Asked before, it would be answered from memory.
    const fresh = { ...question, principal: { ...question.principal, id: `aegis-${calls}` } };
    if (!set.authorizer.decide(fresh).allow) throw new Error('the floor was denied: its question is wrong');
    rows.insert();
    rows.insert();
  };
  return { call, close: () => rows.close() };
}

async function openDoor(store: Store, url: string): Promise<{ gateway: Gateway; call: () => Promise<void> }> {
  const opened = await createGateway({
    store,
    settings: settingsFor(url),
    secrets: () => {
      throw new Error('this bench has no secrets');
    },
    policies_dir: POLICIES,
    clock: systemClock,
    ids: systemIds,
    log: SILENT,
  });
  const requests = await Promise.all(TEAMS.map((team, n) => requestOf(store, team, n)));
  let calls = 0;
  const call = async (): Promise<void> => {
    const request = requests[calls % requests.length] as ReadRequest;
    calls += 1;
    // Each asks something else: identical reads at one time would share a call of the source.
    const args = { ...request.args, time_s: 1_795_400_000 + calls };
    const answer = await opened.read({ ...request, args });
    if (isRefusal(answer)) throw new Error(`the gateway refused: ${answer.code}: ${answer.reason}`);
  };
  return { gateway: opened, call };
}

/** A read of one team, under a token of its own incident: each has its own chain, as incidents do. */
async function requestOf(store: Store, team: string, n: number): Promise<ReadRequest> {
  const token = systemIds.secret(24);
  await store.tokens.mint(
    {
      token_id: systemIds.next('tok'),
      principal: 'aegis',
      incident_id: `INC-2026-1123-00${n + 1}`,
      team,
      env: ENV,
      action_class: 'read',
      expires_at_ms: systemClock.now() + 3_600_000,
    },
    token,
  );
  const args = { query: 'container_memory_working_set_bytes{pod=~"nightly.*"}', time_s: 1_795_400_000 };
  return { token, tool: 'prom.query', target: targetOf(team), args, why: 'How much memory is used?' };
}

function namespaceOf(team: string): string {
  return `${team}-jobs`;
}

function targetOf(team: string): string {
  return `mcp://prometheus/main/${namespaceOf(team)}/query/-`;
}

/** A Prometheus with one answer: the cost of a real one would drown what is measured here. */
async function startUpstream(): Promise<{ url: string; close: () => void }> {
  const series = Array.from({ length: 4 }, (_, n) => ({
    metric: { __name__: 'container_memory_working_set_bytes', namespace: 'spark-jobs', pod: `nightly-${n}` },
    value: [1_795_400_000, `${1_073_741_824 + n}`],
  }));
  const body = JSON.stringify({ status: 'success', data: { resultType: 'vector', result: series } });
  const server = createServer((request, response) => {
    request.resume();
    response.setHeader('content-type', 'application/json');
    response.end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

function settingsFor(url: string): GatewaySettings {
  const environment = (team: string) => ({
    tier: 'tier1' as const,
    autonomy: 'approve' as const,
    activation: 'button' as const,
    channel: 'C0BENCH',
    on_call: [],
    approval_policy: 'default',
    budget: { tokens_max: 1, tool_calls_max: 1, cost_usd_max: 1, minutes_max: 1 },
    change_window: null,
    systems: [],
    mounts: [{ kind: 'metrics' as const, source: 'main', namespaces: [namespaceOf(team)] }],
  });
  const source = {
    url,
    credentials: { engine: 'none' as const },
    namespace_label: 'namespace',
    ingest_interval_s: 1,
  };
  return {
    home: tmpdir(),
    databases: {},
    repositories: {},
    terraform: {},
    aws: {},
    upstreams: {},
    unsafe_endpoints: true,
    identity: [],
    vault: undefined,
    clusters: {},
    sources: { loki: {}, prometheus: { main: source } },
    teams: Object.fromEntries(TEAMS.map((team) => [team, { environments: { [ENV]: environment(team) } }])),
    services: [],
  };
}

const SILENT: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};
