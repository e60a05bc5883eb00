import { isoTime } from '../contract/ports.ts';
import { refuse } from '../contract/verdict.ts';
import type { Refusal } from '../contract/verdict.ts';
import type { TargetLock, TargetLockStore } from './authority.ts';
import type { Core } from './database.ts';

/** A lock that nobody renews is over after this long. Longer than a restart, shorter than a person's patience. */
const LEASE_MS = 600_000;

/** Inside a transaction: takes every target for an incident, or none and says who has one of them. */
export type TakeLocks = (incident_id: string, targets: readonly string[]) => Refusal | null;

/** Which incident changes which object. */
export function targetLockStore(core: Core): TargetLockStore & { readonly take: TakeLocks } {
  const { db, clock } = core;
  const find = db.prepare<[string], TargetLock>('SELECT * FROM target_lock WHERE target = ?');
  const put = db.prepare<[string, string, number]>(
    `INSERT INTO target_lock (target, incident_id, until_ms) VALUES (?, ?, ?)
     ON CONFLICT (target) DO UPDATE SET incident_id = excluded.incident_id, until_ms = excluded.until_ms`,
  );
  const held = db.prepare<[number], TargetLock>(
    'SELECT * FROM target_lock WHERE until_ms > ? ORDER BY target',
  );
  // Only what is still its own: a lock that ran out may belong to somebody else by now.
  const renew = db.prepare<[number]>(
    `UPDATE target_lock SET until_ms = ? WHERE incident_id IN
       (SELECT incident_id FROM incident WHERE state IN ('EXECUTING', 'VERIFYING', 'ROLLING_BACK'))`,
  );
  return {
    take(incident_id, targets) {
      const now = clock.now();
      for (const target of targets) {
        const lock = find.get(target);
        if (lock !== undefined && lock.incident_id !== incident_id && lock.until_ms > now)
          return locked(lock);
      }
      for (const target of new Set(targets)) put.run(target, incident_id, now + LEASE_MS);
      return null;
    },
    async held() {
      return held.all(clock.now());
    },
    async renew() {
      await core.grouped(() => renew.run(clock.now() + LEASE_MS));
    },
  };
}

function locked({ incident_id, target, until_ms }: TargetLock): Refusal {
  return refuse(
    'target-locked',
    `${incident_id} is changing ${target} right now; its lock ends at ${isoTime(until_ms)} unless it is renewed.`,
    `Wait until ${incident_id} is closed or handed over.`,
  );
}

/** What a step does with the locks of its incident, inside its transaction. */
export function stepLocks(core: Core): (incident_id: string, locks: 'renew' | 'keep' | 'release') => void {
  const renew = core.db.prepare<[number, string]>(
    'UPDATE target_lock SET until_ms = ? WHERE incident_id = ?',
  );
  const release = core.db.prepare<[string]>('DELETE FROM target_lock WHERE incident_id = ?');
  return (incident_id, locks) => {
    if (locks === 'renew') renew.run(core.clock.now() + LEASE_MS, incident_id);
    else if (locks === 'release') release.run(incident_id);
  };
}
