import type { Core } from './database.ts';
import type { LeaseRow, LeaseStore } from './authority.ts';

/** Credentials that were asked for, by accessor and never by value. The intent comes first: a crash leaves a trace. */
export function leaseStore(core: Core): LeaseStore {
  const { db } = core;
  const intent = db.prepare<[string, string, string | null, string, number, number]>(
    'INSERT INTO lease (lease_id, call_id, incident_id, engine, expires_at_ms, created_at_ms) VALUES (?, ?, ?, ?, ?, ?)',
  );
  const live = db.prepare<[string, string]>(
    "UPDATE lease SET state = 'live', accessor = ? WHERE lease_id = ? AND state = 'intent'",
  );
  const ended = db.prepare<[string, string]>(
    "UPDATE lease SET state = ? WHERE lease_id = ? AND state IN ('intent', 'live')",
  );
  const outstanding = db.prepare<[], LeaseRow>(
    `SELECT lease_id, call_id, incident_id, engine, accessor, state, created_at_ms, expires_at_ms FROM lease
      WHERE state IN ('intent', 'live') ORDER BY n`,
  );
  return {
    async intent(row) {
      core.immediate(() =>
        intent.run(
          row.lease_id,
          row.call_id,
          row.incident_id,
          row.engine,
          row.expires_at_ms,
          core.clock.now(),
        ),
      );
    },
    async live(lease_id, accessor) {
      const { changes } = core.immediate(() => live.run(accessor, lease_id));
      if (changes !== 1) throw new Error(`lease ${lease_id} has no open intent`);
    },
    async ended(lease_id, state) {
      core.immediate(() => ended.run(state, lease_id));
    },
    async outstanding() {
      return outstanding.all();
    },
  };
}
