import { execFile } from 'node:child_process';
import type { Approval } from '../../src/contract/approval.ts';
import type { IncidentState } from '../../src/contract/incident.ts';
import type { LedgerEntry } from '../../src/contract/ledger.ts';
import type { Range } from '../../src/lab/range.ts';
import { until } from '../../src/lab/watching.ts';
import { replayIncident } from '../../src/harness/replay.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { Store } from '../../src/store/store.ts';
import { PRODUCT } from './range-for-test.ts';

/** What a test sees of the running product from outside: its ledger and rows, read-only, and its command line. */
export interface Standing {
  readonly incident_id: string;
  readonly state: IncidentState;
  readonly step: number;
  readonly approval: Approval | null;
  readonly halt: {
    readonly reason: string;
    readonly text: string;
    readonly next_step: string;
    readonly resume_to: string | null;
  } | null;
  readonly running: { readonly kind: string } | null;
}

async function lookInto<T>(range: Range, look: (store: Store) => Promise<T>): Promise<T> {
  const store = await openStore({ home: range.files.home, clock: { now: Date.now }, readonly: true });
  try {
    return await look(store);
  } finally {
    await store.close();
  }
}

/** An incident as it stands now; the newest when none is named. */
export async function standing(range: Range, named?: string): Promise<Standing> {
  return lookInto(range, async (store) => {
    const rows = (await store.incidents.list({ limit: 10 })).toSorted(
      (a, b) => b.opened_at_ms - a.opened_at_ms,
    );
    const row = named === undefined ? rows[0] : rows.find((r) => r.incident_id === named);
    if (row === undefined) throw new Error('no incident has been opened yet');
    const { incident_id, state, step } = row;
    const { context } = row.snapshot as { context: Pick<Standing, 'approval' | 'halt' | 'running'> };
    const { approval, halt, running } = context;
    return { incident_id, state, step, approval, halt, running };
  });
}

export async function ledgerOf(range: Range, chain: string): Promise<readonly LedgerEntry[]> {
  return lookInto(range, (store) => store.ledger.read(chain, { limit: 10_000 }));
}

/** What a replay of the incident's events says, beside the running product. */
export function replayed(range: Range, incident_id: string): ReturnType<typeof replayIncident> {
  return lookInto(range, (store) => replayIncident(store, incident_id));
}

export interface RecordedRefusal {
  readonly code: string;
  readonly reason: string;
  readonly by: string | null;
  readonly about: string;
}

export async function refusalsIn(range: Range, chain: string): Promise<RecordedRefusal[]> {
  const entries = await ledgerOf(range, chain);
  return entries.filter((e) => e.kind === 'refusal').map((e) => e.payload as unknown as RecordedRefusal);
}

/** Waits for a state. @throws with where the incident stands instead, at once when it has halted on the way. */
export async function untilState(
  range: Range,
  state: IncidentState,
  patience_ms = 40_000,
): Promise<Standing> {
  let last = 'nothing';
  const stuck = (): string => `the incident is ${last}, not ${state}`;
  return until(
    `the incident to be ${state}`,
    async () => {
      const now = await standing(range);
      last = `${now.state}${now.halt === null ? '' : ` (${now.halt.text})`}`;
      if (now.state === 'HALTED' && state !== 'HALTED') throw new Error(stuck());
      return now.state === state ? now : undefined;
    },
    patience_ms,
  ).catch((error: unknown) => {
    throw new Error(stuck(), { cause: error });
  });
}

/** Runs one verb of the command line against the range's configuration. */
export function aegis(
  range: Range,
  ...args: string[]
): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(
      PRODUCT.command,
      [...PRODUCT.args, '--config', range.files.config, ...args],
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
        resolve({ code, stdout, stderr });
      },
    );
  });
}

/** Patches that the cluster really took, dry runs left out. */
export function patches(range: Range): { method: string; status: number; path: string }[] {
  return range.twins.kubernetes.mutations().map(({ method, status, path }) => ({ method, status, path }));
}

/** Events of one type that the incident has folded, oldest first. */
export async function eventsOf(
  range: Range,
  chain: string,
  type: string,
): Promise<Record<string, unknown>[]> {
  const entries = await ledgerOf(range, chain);
  return entries.filter((e) => e.kind === 'event' && e.payload['type'] === type).map((e) => e.payload);
}

/** Cards that stand more than once in Slack, and replies that say the same: empty when nothing was posted twice. */
export function duplicateCards(range: Range): string[] {
  const seen = new Map<string, number>();
  for (const message of range.twins.slack.store
    .all()
    .filter((m) => m.bot_id !== undefined && m.deleted !== true)) {
    const payload = message.metadata?.['event_payload'] as { card_key?: string } | undefined;
    const key =
      payload?.card_key ?? `${message.thread_ts ?? 'root'}: ${range.twins.slack.plainText(message)}`;
    seen.set(key, (seen.get(key) ?? 0) + 1);
  }
  return [...seen].filter(([, n]) => n > 1).map(([key]) => key);
}

/** What the simulated operator says of the story's job, and the version of the object. */
export function jobNow(range: Range): { state: string; version: string } {
  const job = range.twins.world.store.get('SparkApplication', 'spark-jobs', 'nightly-settlement');
  const status = job?.['status'] as { applicationState?: { state?: string } } | undefined;
  return { state: status?.applicationState?.state ?? '', version: job?.metadata.resourceVersion ?? '' };
}
