import type { Severity } from '../contract/incident.ts';
import type { InboxRow } from '../store/store.ts';
import { AlertBatch } from './intake.ts';

/** Most alerts that one step takes in: as many as its event holds. */
const ALERTS_MAX = 500;

/** Inbox rows that become one step: one row, or deliveries of one alert group that wait together. */
export interface Delivered {
  /** What the step takes in; of several deliveries, their alerts in one. */
  readonly row: InboxRow;
  /** The rows behind it, oldest first. */
  readonly rows: readonly InboxRow[];
}

/**
 * Deliveries of one alert group that wait at the same moment become one step: a storm is then as many steps as it has
 * groups, not as it has alerts. A delivery never passes another one of its group with another status, nor what a person
 * did. Pure.
 */
export function mergeAlerts(rows: readonly InboxRow[]): Delivered[] {
  const units: { rows: InboxRow[]; batch: AlertBatch | null }[] = [];
  const open = new Map<string, (typeof units)[number]>();
  for (const row of rows) {
    if (row.kind !== 'alerts') {
      if (row.kind === 'person' || row.kind === 'signed') open.clear();
      units.push({ rows: [row], batch: null });
      continue;
    }
    // A row that is no batch is somebody else's to refuse.
    const parsed = AlertBatch.safeParse(row.payload);
    const batch = parsed.success ? parsed.data : null;
    const key = batch === null ? '' : JSON.stringify([batch.trigger, batch.group_key, batch.place]);
    const unit = batch === null ? undefined : open.get(key);
    const both = batch === null || unit?.batch == null ? null : merged(unit.batch, batch);
    if (unit !== undefined && both !== null) {
      unit.rows.push(row);
      unit.batch = both;
      continue;
    }
    const fresh = { rows: [row], batch };
    units.push(fresh);
    if (batch !== null) open.set(key, fresh);
  }
  return units.map(deliveredOf);
}

/** The later delivery says how an alert is now; null when the two are not one step. */
function merged(first: AlertBatch, second: AlertBatch): AlertBatch | null {
  if (first.status !== second.status) return null;
  const alerts = new Map(
    [...first.alerts, ...second.alerts].map((a) => [`${a.fingerprint} ${a.starts_at}`, a]),
  );
  if (alerts.size > ALERTS_MAX) return null;
  return { ...first, severity: worse(first.severity, second.severity), alerts: [...alerts.values()] };
}

const worse = (a: Severity, b: Severity): Severity => (a < b ? a : b);

function deliveredOf({ rows, batch }: { rows: InboxRow[]; batch: AlertBatch | null }): Delivered {
  const last = rows.at(-1) as InboxRow;
  return { rows, row: rows.length === 1 || batch === null ? last : { ...last, payload: batch } };
}
