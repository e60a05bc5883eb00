import { canonicalJson } from '../contract/canonical.ts';
import type { IncidentState } from '../contract/incident.ts';
import type { Store } from '../store/store.ts';
import { HarnessEvent } from './events.ts';
import { parseSnapshot, replayEvents } from './machine.ts';

/** Ledger rows read at a time. */
const PAGE_ROWS = 5000;

export interface ReplayReport {
  readonly incident_id: string;
  readonly events: number;
  /** State after each event, as folded from the ledger alone. */
  readonly steps: readonly {
    readonly seq: number;
    readonly at: string;
    readonly type: string;
    readonly from: IncidentState;
    readonly to: IncidentState;
  }[];
  /** The folded snapshot equals the stored one, byte for byte in canonical JSON. */
  readonly equal: boolean;
}

/** Folds the `event` entries of an incident and compares with the snapshot that the service works from. */
export async function replayIncident(
  store: Pick<Store, 'ledger' | 'incidents'>,
  incident_id: string,
): Promise<ReplayReport | null> {
  const row = await store.incidents.get(incident_id);
  if (row === null) return null;
  const entries: { seq: number; at: string; event: HarnessEvent }[] = [];
  for (let from_seq = 1; ;) {
    const page = await store.ledger.read(incident_id, { from_seq, limit: PAGE_ROWS, kinds: ['event'] });
    for (const entry of page)
      entries.push({ seq: entry.seq, at: entry.at, event: HarnessEvent.parse(entry.payload) });
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE_ROWS) break;
    from_seq = last.seq + 1;
  }
  const steps: { seq: number; at: string; type: string; from: IncidentState; to: IncidentState }[] = [];
  const folded = replayEvents(
    entries.map((e) => e.event),
    (from, event, to) => {
      const entry = entries[steps.length];
      steps.push({
        seq: entry?.seq ?? 0,
        at: entry?.at ?? '',
        type: event.type,
        from: from.state,
        to: to.state,
      });
    },
  );
  const equal = canonicalJson(folded) === canonicalJson(parseSnapshot(row.snapshot));
  return { incident_id, events: entries.length, steps, equal };
}
