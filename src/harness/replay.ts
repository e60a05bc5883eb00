import { canonicalJson } from '../contract/canonical.ts';
import type { IncidentState } from '../contract/incident.ts';
import type { LedgerEntry } from '../contract/ledger.ts';
import type { Store } from '../store/store.ts';
import { HarnessEvent } from './events.ts';
import { step } from './machine.ts';
import { emptySnapshot, Snapshot } from './state.ts';

/** Ledger rows read at a time. */
const PAGE_ROWS = 5000;

export interface ReplayReport {
  readonly incident_id: string;
  readonly events: number;
  /** State after each event, as folded from the ledger alone. */
  readonly steps: readonly ReplayStep[];
  /** The ledger verifies, and the folded snapshot equals the stored one, byte for byte in canonical JSON. */
  readonly equal: boolean;
  /** Why not, most telling first: a broken chain, an event that cannot have happened, a missing end. */
  readonly problems: readonly string[];
}

interface ReplayStep {
  readonly seq: number;
  readonly at: string;
  readonly type: string;
  readonly from: IncidentState;
  readonly to: IncidentState;
}

/**
 * Folds the `event` entries of an incident and compares with the snapshot that the service works from. A fold over an
 * edited ledger would prove nothing, so the chain is verified first; whatever is wrong is told, never thrown.
 */
export async function replayIncident(
  store: Pick<Store, 'ledger' | 'incidents'>,
  incident_id: string,
): Promise<ReplayReport | null> {
  const row = await store.incidents.get(incident_id);
  if (row === null) return null;
  const { problems: broken } = await store.ledger.verify({ chain: incident_id });
  const problems = broken.map(
    ({ chain, seq, what }) =>
      `the ledger does not verify: ${chain}${seq === null ? '' : ` entry ${seq}`}: ${what}`,
  );
  const entries = await eventEntries(store, incident_id).catch((error: unknown) => {
    problems.push(`the events cannot be read: ${error instanceof Error ? error.message : String(error)}`);
    return [];
  });
  const steps: ReplayStep[] = [];
  let folded = emptySnapshot();
  for (const { seq, at, payload } of entries) {
    const parsed = HarnessEvent.safeParse(payload);
    const stepped = parsed.success ? step(folded, parsed.data) : null;
    if (!parsed.success || stepped === null) {
      problems.push(`entry ${seq} is not an event that this version knows`);
      break;
    }
    if (!stepped.ok) {
      problems.push(`entry ${seq} cannot have happened: ${stepped.refusal.reason}`);
      break;
    }
    steps.push({ seq, at, type: parsed.data.type, from: folded.state, to: stepped.snapshot.state });
    folded = stepped.snapshot;
  }
  const stored = Snapshot.safeParse(row.snapshot);
  if (!stored.success) problems.push('the stored state is damaged: it is not a state of any version');
  const live = stored.success ? stored.data : folded;
  const missing = live.context.step - folded.context.step;
  if (problems.length === 0 && missing > 0)
    problems.push(
      `the ledger ends after ${folded.context.step} events, the stored state has seen ${live.context.step}: ${missing} missing`,
    );
  if (problems.length === 0 && canonicalJson(folded) !== canonicalJson(live))
    problems.push(
      'the stored state is not what the events lead to: it was edited, or made by another version',
    );
  return { incident_id, events: entries.length, steps, equal: problems.length === 0, problems };
}

async function eventEntries(
  store: Pick<Store, 'ledger'>,
  incident_id: string,
): Promise<readonly LedgerEntry[]> {
  const entries: LedgerEntry[] = [];
  for (let from_seq = 1; ;) {
    const page = await store.ledger.read(incident_id, { from_seq, limit: PAGE_ROWS, kinds: ['event'] });
    entries.push(...page);
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE_ROWS) return entries;
    from_seq = last.seq + 1;
  }
}
