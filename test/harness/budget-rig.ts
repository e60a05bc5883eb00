import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Cognition } from '../../src/cognition/cognition.ts';
import { sha256Hex } from '../../src/contract/canonical.ts';
import type { IncidentContext } from '../../src/contract/incident.ts';
import type { Clock, Ids, Log } from '../../src/contract/ports.ts';
import { isoTime } from '../../src/contract/ports.ts';
import { Settings } from '../../src/contract/settings.ts';
import { refuse } from '../../src/contract/verdict.ts';
import type { World, WorldResponse } from '../../src/contract/world.ts';
import { commitOf } from '../../src/harness/commit-of.ts';
import type { HarnessDeps } from '../../src/harness/deps.ts';
import type { HarnessEvent } from '../../src/harness/events.ts';
import { createIntake } from '../../src/harness/intake.ts';
import type { AlertBatch, Intake } from '../../src/harness/intake.ts';
import { parseSnapshot, step } from '../../src/harness/machine.ts';
import { Runner } from '../../src/harness/runner.ts';
import { emptySnapshot } from '../../src/harness/state.ts';
import type { Snapshot } from '../../src/harness/state.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { Store } from '../../src/store/store.ts';
import type { VfsSession } from '../../src/vfs/session.ts';
import { findings, T0 } from './fixtures.ts';

/**
 * The real runner over the real store in a home of its own; the world and cognition are played. The played world charges
 * what the real one does: a call as its audit row is written, a read as its evidence is kept.
 */
const QUIET: Log = { debug() {}, info() {}, warn() {}, error() {} };
export const PLACE = { team: 'data', env: 'prod', cluster: 'prod-1', namespace: 'spark-jobs' };
const DIGEST = 'a'.repeat(64);

export interface RigOptions {
  readonly cognition?: Partial<Cognition>;
  /** As in aegis.yaml. */
  readonly budgets?: unknown;
  readonly budget?: Partial<IncidentContext['budget']>;
  /** What a file holds; by default something else each time. */
  readonly content?: (command: string, read: number) => string;
  readonly cost_usd?: number;
  /** Stands around the store of one life: to inject failures. */
  readonly wrap?: (store: Store) => Store;
}

export interface Rig {
  readonly store: Store;
  readonly clock: Clock & { ms: number };
  readonly deps: HarnessDeps;
  readonly intake: Intake;
  readonly reads: () => number;
  /** Investigations that cognition has really begun. */
  readonly begun: () => number;
  start(): Promise<void>;
  /** The next life over the same home. */
  restart(options?: RigOptions): Promise<Rig>;
  close(): Promise<void>;
}

export async function startRig(options: RigOptions = {}, home = newHome()): Promise<Rig> {
  const clock = { ms: T0, now: () => clock.ms };
  const opened = await openStore({ home, clock });
  const store = options.wrap?.(opened) ?? opened;
  const played = playedWorld(store, options);
  let begun = 0;
  const deps = {
    store,
    clock,
    ids: countedIds(),
    log: QUIET,
    settings: settingsWith(options),
    gateway: { policyDigest: () => DIGEST },
    vfs: { world: played.world },
    cognition: {
      async investigate(...args: Parameters<Cognition['investigate']>) {
        begun += 1;
        return await (options.cognition?.investigate ?? nothingFound)(...args);
      },
      plan: options.cognition?.plan ?? noPlan,
    },
    notify() {},
    review: () => ({ title: 't', markdown: 'm' }),
  } as unknown as HarnessDeps;
  const runner = new Runner(deps);
  let closed = false;
  const close = async (): Promise<void> => {
    if (closed) return;
    closed = true;
    await runner.stop();
    await opened.close();
  };
  return {
    store: opened,
    clock,
    deps,
    intake: createIntake(store.inbox, () => runner.wake()),
    reads: played.reads,
    begun: () => begun,
    start: () => runner.start(),
    async restart(next = options) {
      await close();
      const rig = await startRig(next, home);
      rig.clock.ms = clock.ms;
      await rig.start();
      return rig;
    },
    async close() {
      await close();
      rmSync(home, { recursive: true, force: true });
    },
  };
}

export function newHome(): string {
  return join(mkdtempSync(join(tmpdir(), 'aegis-budget-')), 'home');
}

let counted = 0;
function countedIds(): Ids {
  return {
    next: (prefix) => `${prefix}_${String(++counted).padStart(22, '0')}`,
    secret: () => `s${++counted}`,
  };
}

const nothingFound: Cognition['investigate'] = async () => findings(false);
const noPlan: Cognition['plan'] = async () => ({
  ok: false,
  refusal: refuse('diagnosis-only', 'There is no plan for it.', 'Act by hand.'),
});

function playedWorld(store: Store, options: RigOptions) {
  let reads = 0;
  const world = (session: VfsSession): World => ({
    async call(request, signal): Promise<WorldResponse> {
      signal?.throwIfAborted();
      if (request.op !== 'run' || request.command.includes('/context/'))
        return { ok: false, refusal: refuse('no-such-path', 'There is no such path.', 'Use ls.') };
      reads += 1;
      const text = options.content?.(request.command, reads) ?? `line ${reads}`;
      const payer = session.payer;
      if (payer === undefined || session.incident_id === null) throw new Error('a read that nobody pays for');
      const cost = { reads: 1, bytes: text.length, tokens: 100, cost_usd: options.cost_usd ?? 0 };
      await store.ledger.append(session.incident_id, [
        { kind: 'call', actor: 'aegis:gateway', payload: { phase: 'before' }, spend: { payer, calls: 1 } },
        { kind: 'read', actor: 'aegis:vfs', payload: { n: reads }, spend: { payer, ...cost } },
      ]);
      const lines = text.split('\n');
      return {
        ok: true,
        op: 'run',
        capture: {
          pointer: {
            evidence_id: `EV-${String(reads).padStart(8, '0')}`,
            path: '/x',
            query: request.command,
            lines: '1-1',
            sha256: sha256Hex(text),
            captured_at: isoTime(T0),
          },
          line_count: lines.length,
          bytes: text.length,
          mount: 'played',
          kind: 'stream',
          redactions: 0,
          attacker_writable: false,
          lines,
          complete: true,
          summary: '',
        },
      };
    },
  });
  return { world, reads: () => reads };
}

function settingsWith({ budgets, budget }: RigOptions): Settings {
  const environment = {
    tier: 'tier2',
    channel: 'C00000001',
    autonomy: 'approve',
    activation: 'auto',
    budget: { tokens_max: 200_000, tool_calls_max: 60, cost_usd_max: 2, minutes_max: 120, ...budget },
  };
  return Settings.parse({
    v: 1,
    slack: {
      workspace: 'T00000000',
      bot_token: { env: 'A' },
      signing_secret: { env: 'B' },
      fallback_channel: 'C00000000',
    },
    teams: { data: { environments: { prod: environment } }, web: { environments: { prod: environment } } },
    identity: [
      {
        principal: 'maya',
        name: 'Maya',
        slack: [{ workspace: 'T00000000', user: 'U0MAYA' }],
        roles: [
          { team: 'data', env: 'prod', role: 'oncall' },
          { team: 'web', env: 'prod', role: 'oncall' },
        ],
      },
    ],
    ...(budgets === undefined ? {} : { budgets }),
  });
}

/** One alert group of a trigger. */
export function alertGroup(group: string, change: Partial<AlertBatch> & { n?: number } = {}): AlertBatch {
  const { n = 0, ...rest } = change;
  return {
    trigger: 'prod-alerts',
    status: 'firing',
    group_key: group,
    title: `SparkApplication failed ${group}`,
    severity: 'sev2',
    place: PLACE,
    labels: {},
    alerts: [
      {
        name: 'SparkApplicationFailed',
        status: 'firing',
        fingerprint: `${group}-${n}`,
        starts_at: isoTime(T0 - 60_000),
        labels: {},
        annotations: {},
      },
    ],
    ...rest,
  };
}

let presses = 0;
export async function press(
  rig: Rig,
  act: 'resume' | 'plan_again' | 'hand_over' | 'stop',
  incident_id: string,
): Promise<void> {
  const account = {
    workspace: 'T00000000',
    user: 'U0MAYA',
    is_bot: false,
    is_guest: false,
    is_deactivated: false,
  };
  const origin = { account, channel: 'C00000001', thread_ts: null };
  const reason = act === 'stop' ? { reason: 'enough' } : {};
  await rig.intake.person({ act, origin, incident_id, ...reason } as never, `press-${++presses}`);
}

/** Polls until `look` gives a value. Generous: a loaded machine is several times slower. */
export async function until<T>(what: string, look: () => Promise<T | null | undefined | false>): Promise<T> {
  for (let tries = 0; tries < 3000; tries++) {
    const found = await look();
    if (found !== null && found !== undefined && found !== false) return found;
    await sleep(10);
  }
  throw new Error(`waited in vain for ${what}`);
}

/** The snapshot of an incident once it stands still in this state, at or beyond this step. */
export async function standsIn(
  rig: Rig,
  incident_id: string,
  state: Snapshot['state'],
  beyond = 0,
): Promise<Snapshot> {
  return until(`${incident_id} in ${state}`, async () => {
    const row = await rig.store.incidents.get(incident_id);
    return row !== null && row.state === state && row.step > beyond ? parseSnapshot(row.snapshot) : null;
  });
}

export async function incidents(rig: Rig): Promise<{ incident_id: string; state: string; team: string }[]> {
  return [...(await rig.store.incidents.list({ open: true, limit: 1000 }))].toSorted((a, b) =>
    a.incident_id.localeCompare(b.incident_id),
  );
}

/** Raises one incident from an alert group and gives its id. */
export async function raise(rig: Rig, group: string, change: Partial<AlertBatch> = {}): Promise<string> {
  const before = new Set((await incidents(rig)).map((i) => i.incident_id));
  await rig.intake.alerts([alertGroup(group, change)]);
  return until(`the incident of ${group}`, async () =>
    (await incidents(rig)).map((i) => i.incident_id).find((id) => !before.has(id)),
  );
}

/** Writes these events as the runner would have: the past of an incident. */
export async function past(
  rig: Rig,
  events: readonly HarnessEvent[],
  since: Snapshot = emptySnapshot(),
): Promise<Snapshot> {
  let from = since;
  for (const event of events) {
    const stepped = step(from, event);
    if (!stepped.ok) throw new Error(`${event.type} in ${from.state}: ${stepped.refusal.reason}`);
    const view = { ledger_head: '0'.repeat(64), tool_calls: 0, simulated: false, approvers: 'Dan' };
    await rig.store.step.commit(commitOf(from, event, stepped.snapshot, 'aegis:test', [], view));
    from = stepped.snapshot;
  }
  return from;
}

/** What the thread of an incident was sent, message by message. */
export async function thread(rig: Rig, incident_id: string): Promise<string> {
  const steps = (await rig.store.incidents.get(incident_id))?.step ?? 0;
  const texts: string[] = [];
  for (let at = 1; at <= steps; at++)
    for (let n = 0; n < 3; n++) {
      const card = await rig.store.outbox.get(`timeline:${incident_id}:${at}:${n}`);
      if (card?.notice.kind !== 'timeline') continue;
      texts.push(card.notice.segments.map((part) => ('text' in part ? part.text : '')).join(''));
    }
  return texts.join('\n');
}
