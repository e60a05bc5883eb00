import { Budgets } from '../../../src/contract/budgets.ts';
import { canonicalJson } from '../../../src/contract/canonical.ts';
import type { Log } from '../../../src/contract/ports.ts';
import { commitOf } from '../../../src/harness/commit-of.ts';
import type { HarnessDeps } from '../../../src/harness/deps.ts';
import type { HarnessEvent } from '../../../src/harness/events.ts';
import { replayIncident } from '../../../src/harness/replay.ts';
import { Runner } from '../../../src/harness/runner.ts';
import { emptySnapshot } from '../../../src/harness/state.ts';
import type { Snapshot } from '../../../src/harness/state.ts';
import type { Store } from '../../../src/store/store.ts';
import { until } from '../../../src/lab/watching.ts';
import { ID } from '../fixtures.ts';
import { walk } from './walk.ts';
import type { WalkStep } from './walk.ts';

const VIEW = { ledger_head: '0'.repeat(64), tool_calls: 0, simulated: true, approvers: 'nobody' };
/** Refusals of something late are no ledger entries. */
const STALE: readonly string[] = ['stale-effect', 'stale-timer'];
const PATIENCE_MS = 60_000;

interface StoredSeen {
  readonly lives: number;
  readonly events: number;
  readonly refusals: number;
}

/**
 * The same lives as inbox rows of the real runner over the real store: what the pure machine came to must be what is
 * stored and what the ledger folds to. No effect works; its results are events of the life.
 */
export async function storedLives(
  store: Store,
  seeds: { first: number; count: number },
  events_max: number,
): Promise<StoredSeen> {
  const errors: string[] = [];
  const runner = new Runner(depsOf(store, errors));
  let [events, refusals] = [0, 0];
  for (let seed = seeds.first; seed < seeds.first + seeds.count; seed++) {
    const incident_id = `INC-2026-1123-${String(100 + seed - seeds.first)}`;
    const life = [...walk(seed, events_max)].map((taken) => renamed(taken, incident_id));
    const opened = life.findIndex(({ stepped }) => stepped.ok);
    const first = life[opened];
    if (first === undefined || !first.stepped.ok) continue;
    await store.step.commit(
      commitOf(first.from, first.event, first.stepped.snapshot, 'aegis:test', [], VIEW),
    );
    const rest = life
      .slice(opened + 1)
      .filter(({ event, stepped }) => stepped.ok || event.type !== 'decided');
    for (const part of partsOf(rest)) {
      await takenIn(store, runner, incident_id, part.rows);
      if (errors.length > 0) throw new Error(`life ${seed}: ${errors.join('\n')}`);
      const { decision } = part;
      if (decision?.stepped.ok === true)
        await store.step.commit(
          commitOf(decision.from, decision.event, decision.stepped.snapshot, 'aegis:test', [], VIEW),
        );
    }
    refusals += await compare(store, incident_id, [first, ...rest]);
    events += rest.length;
  }
  await runner.stop();
  return { lives: seeds.count, events, refusals };
}

/** What people decide never comes ready-made out of the inbox: those steps are committed between the others. */
function partsOf(life: readonly WalkStep[]): { rows: WalkStep[]; decision: WalkStep | null }[] {
  const parts: { rows: WalkStep[]; decision: WalkStep | null }[] = [{ rows: [], decision: null }];
  for (const taken of life) {
    const part = parts.at(-1);
    if (part === undefined) continue;
    if (taken.event.type !== 'decided') part.rows.push(taken);
    else {
      part.decision = taken;
      parts.push({ rows: [], decision: null });
    }
  }
  return parts;
}

let rows_made = 0;

async function takenIn(
  store: Store,
  runner: Runner,
  incident_id: string,
  life: readonly WalkStep[],
): Promise<void> {
  if (life.length === 0) return;
  await store.inbox.appendAll(
    life.map(({ event }) => ({
      source: 'effect' as const,
      dedup_key: `life:${++rows_made}`,
      incident_id,
      kind: 'event',
      payload: event,
    })),
  );
  runner.wake();
  await until(
    `${incident_id} to be taken in`,
    async () => ((await store.inbox.pending(1)).length === 0 ? true : undefined),
    PATIENCE_MS,
  );
}

/** @returns how many refusals stand in the ledger. */
async function compare(store: Store, incident_id: string, life: readonly WalkStep[]): Promise<number> {
  const end = life.reduce<Snapshot>(
    (last, { stepped }) => (stepped.ok ? stepped.snapshot : last),
    emptySnapshot(),
  );
  const row = await store.incidents.get(incident_id);
  if (canonicalJson(row?.snapshot) !== canonicalJson(end))
    throw new Error(`${incident_id}: stored is not what the machine came to`);
  const report = await replayIncident(store, incident_id);
  const accepted = life.filter(({ stepped }) => stepped.ok);
  if (report?.equal !== true || report.events !== accepted.length)
    throw new Error(`${incident_id}: the replay differs`);
  const entries = await store.ledger.read(incident_id, { kinds: ['refusal'], limit: 1000 });
  const refused = life.filter(({ stepped }) => !stepped.ok && !STALE.includes(stepped.refusal.code));
  const said = accepted.filter(({ event }) => tellsRefusal(event));
  if (entries.length !== refused.length + said.length)
    throw new Error(
      `${incident_id}: ${entries.length} refusals stand in the ledger, ${refused.length} + ${said.length} were made`,
    );
  return entries.length;
}

function tellsRefusal(event: HarnessEvent): boolean {
  if (event.type === 'cleared') return event.verdict !== 'passed';
  return [
    'plan_failed',
    'prepare_refused',
    'execute_refused',
    'undo_refused',
    'out_of_budget',
    'looped',
  ].includes(event.type);
}

/** The life under a name of its own, so that many fit into one store. */
function renamed(taken: WalkStep, incident_id: string): WalkStep {
  const text = JSON.stringify(taken)
    .replaceAll(ID, incident_id)
    .replaceAll('"group_key":"g"', `"group_key":"${incident_id}"`);
  return JSON.parse(text) as WalkStep;
}

function depsOf(store: Store, errors: string[]): HarnessDeps {
  const log: Log = {
    debug() {},
    info() {},
    warn() {},
    error: (fields, message) => void errors.push(`${message} ${JSON.stringify(fields)}`),
  };
  // No work begins: an effect that cannot be started is somebody else's.
  const effects = { ...store.effects, start: () => Promise.resolve(false) };
  const deps: Pick<HarnessDeps, 'store' | 'clock' | 'log' | 'notify'> & {
    gateway: object;
    settings: object;
  } = {
    store: { ...store, effects },
    clock: { now: () => 0 },
    log,
    notify: () => undefined,
    gateway: { policyDigest: () => 'a'.repeat(64) },
    settings: {
      identity: [],
      services: [],
      teams: {},
      unsafe_endpoints: true,
      http: {},
      budgets: Budgets.parse({}),
    },
  };
  return deps as unknown as HarnessDeps;
}
