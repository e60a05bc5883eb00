import { execFile } from 'node:child_process';
import type { Approval } from '../../src/contract/approval.ts';
import type { IncidentState } from '../../src/contract/incident.ts';
import type { LedgerEntry } from '../../src/contract/ledger.ts';
import type { Range } from '../../src/lab/range.ts';
import { until } from '../../src/lab/watching.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { Store } from '../../src/store/store.ts';
import { PRODUCT } from './range-for-test.ts';

/** What a test sees of the running product from outside: its ledger and rows, read-only, and its command line. */
export interface Standing {
  readonly incident_id: string;
  readonly state: IncidentState;
  readonly step: number;
  readonly approval: Approval | null;
}

async function lookInto<T>(range: Range, look: (store: Store) => Promise<T>): Promise<T> {
  const store = await openStore({ home: range.files.home, clock: { now: Date.now }, readonly: true });
  try {
    return await look(store);
  } finally {
    await store.close();
  }
}

/** The newest incident as it stands now. */
export async function standing(range: Range): Promise<Standing> {
  return lookInto(range, async (store) => {
    const row = (await store.incidents.list({ limit: 10 })).toSorted(
      (a, b) => b.opened_at_ms - a.opened_at_ms,
    )[0];
    if (row === undefined) throw new Error('no incident has been opened yet');
    const { incident_id, state, step } = row;
    const approval = (row.snapshot as { context: { approval: Approval | null } }).context.approval;
    return { incident_id, state, step, approval };
  });
}

export async function ledgerOf(range: Range, chain: string): Promise<readonly LedgerEntry[]> {
  return lookInto(range, (store) => store.ledger.read(chain, { limit: 10_000 }));
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

export async function untilState(
  range: Range,
  state: IncidentState,
  patience_ms = 40_000,
): Promise<Standing> {
  return until(
    `the incident to be ${state}`,
    async () => {
      const now = await standing(range);
      return now.state === state ? now : undefined;
    },
    patience_ms,
  );
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
