import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Alert } from '../../src/contract/incident.ts';
import type { AlertBatch } from '../../src/harness/intake.ts';
import { mergeAlerts } from '../../src/harness/merge-alerts.ts';
import type { InboxRow } from '../../src/store/store.ts';
import { at } from './fixtures.ts';

type Status = 'firing' | 'resolved';

let next = 0;
function row(kind: string, payload: object): InboxRow {
  next += 1;
  return {
    inbox_id: `in_${next}`,
    source: 'alertmanager',
    dedup_key: `k${next}`,
    incident_id: null,
    kind,
    payload: payload as Record<string, unknown>,
    received_at_ms: next,
    attempts: 0,
    genuine: true,
  };
}

const alert = (fingerprint: string, status: Status): Alert => ({
  name: 'A',
  status,
  fingerprint,
  starts_at: at(),
  labels: {},
  annotations: {},
});

function batch(group_key: string, alerts: readonly Alert[], change: Partial<AlertBatch> = {}): AlertBatch {
  const status: Status = alerts.every((a) => a.status === 'resolved') ? 'resolved' : 'firing';
  return {
    trigger: 'prod-alerts',
    status,
    group_key,
    title: 'A',
    severity: 'sev3',
    place: { team: 'data', env: 'prod' },
    labels: {},
    alerts: [...alerts],
    ...change,
  };
}

const alerts = (b: AlertBatch) => row('alerts', b);
const shape = (rows: readonly InboxRow[]) => mergeAlerts(rows).map((d) => d.rows.length);
const payloadOf = (rows: readonly InboxRow[]) => mergeAlerts(rows)[0]?.row.payload as AlertBatch;

describe('deliveries that wait together', () => {
  it('of one group become one step, with the worst severity and the newest word about each alert', () => {
    const rows = [
      alerts(batch('g', [alert('a', 'firing')])),
      alerts(batch('other', [alert('x', 'firing')])),
      alerts(batch('g', [alert('a', 'resolved'), alert('b', 'firing')], { severity: 'sev1' })),
    ];
    expect(shape(rows)).toEqual([2, 1]);
    expect(payloadOf(rows)).toMatchObject({
      severity: 'sev1',
      alerts: [
        { fingerprint: 'a', status: 'resolved' },
        { fingerprint: 'b', status: 'firing' },
      ],
    });
  });

  const g = batch('g', [alert('a', 'firing')]);
  it.each<[string, InboxRow[], number[]]>([
    ['of another trigger', [alerts(g), alerts({ ...g, trigger: 't2' })], [1, 1]],
    ['of another place', [alerts(g), alerts({ ...g, place: { team: 'data', env: 'dev' } })], [1, 1]],
    ['with another status', [alerts(g), alerts(batch('g', [alert('a', 'resolved')])), alerts(g)], [1, 1, 1]],
    ['after what a person did', [alerts(g), row('person', { act: 'stop' }), alerts(g)], [1, 1, 1]],
    ['past what an effect brought', [alerts(g), row('event', { type: 'triaged' }), alerts(g)], [2, 1]],
    ['that are none', [row('alerts', { nonsense: 1 }), row('alerts', { nonsense: 1 })], [1, 1]],
  ])('are not the same step: %s', (_what, rows, expected) => {
    expect(shape(rows)).toEqual(expected);
  });

  it('hold no more than an event holds', () => {
    const many = (from: number) => Array.from({ length: 300 }, (_, n) => alert(`f${from + n}`, 'firing'));
    expect(shape([alerts(batch('g', many(0))), alerts(batch('g', many(300)))])).toEqual([1, 1]);
    expect(shape([alerts(batch('g', many(0))), alerts(batch('g', many(100)))])).toEqual([2]);
  });

  it('lose, double and reorder nothing, and say of each group what they say one after another', () => {
    const anyAlert = fc.record({
      f: fc.constantFrom('a', 'b', 'c'),
      s: fc.constantFrom<Status>('firing', 'resolved'),
    });
    const anyRow = fc.oneof(
      fc.record({ g: fc.constantFrom('g', 'h'), list: fc.array(anyAlert, { minLength: 1, maxLength: 4 }) }),
      fc.constantFrom('person', 'event'),
    );
    fc.assert(
      fc.property(fc.array(anyRow, { maxLength: 30 }), (wanted) => {
        const rows = wanted.map((w) =>
          typeof w === 'string'
            ? row(w, {})
            : alerts(
                batch(
                  w.g,
                  w.list.map(({ f, s }) => alert(f, s)),
                ),
              ),
        );
        const units = mergeAlerts(rows);
        expect(
          units
            .flatMap((u) => u.rows)
            .map((r) => r.inbox_id)
            .toSorted(),
        ).toEqual(rows.map((r) => r.inbox_id).toSorted());
        expect(known(units.map((u) => u.row))).toEqual(known(rows));
      }),
    );
  });
});

/** What an incident of each group knows in the end. */
function known(rows: readonly InboxRow[]): Record<string, string> {
  const found: Record<string, string> = {};
  for (const r of rows) {
    if (r.kind !== 'alerts') continue;
    const b = r.payload as unknown as AlertBatch;
    for (const a of b.alerts) found[`${b.group_key} ${a.fingerprint}`] = a.status;
    found[`${b.group_key} last`] = b.status;
  }
  return found;
}
