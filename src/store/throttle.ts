import { canonicalJson } from '../contract/canonical.ts';
import type { ThrottleStore } from './authority.ts';
import type { Core } from './database.ts';

/** Breakers that are open and calls of the day, so that a restart neither hammers an ill system nor refills a quota. */
export function throttleStore(core: Core): ThrottleStore {
  const { db } = core;
  const find = db.prepare<[string], { state: string }>('SELECT state FROM breaker WHERE key = ?');
  const save = db.prepare<[string, string, number]>(
    `INSERT INTO breaker (key, state, saved_at_ms) VALUES (?, ?, ?)
       ON CONFLICT (key) DO UPDATE SET state = excluded.state, saved_at_ms = excluded.saved_at_ms`,
  );
  const remove = db.prepare<[string]>('DELETE FROM breaker WHERE key = ?');
  const counter = db.prepare<[string], { day: string; used: number }>(
    'SELECT day, used FROM quota_day WHERE key = ?',
  );
  const count = db.prepare<[string, string, number]>(
    `INSERT INTO quota_day (key, day, used) VALUES (?, ?, ?)
       ON CONFLICT (key) DO UPDATE SET day = excluded.day, used = excluded.used`,
  );
  return {
    async breaker(key) {
      const row = find.get(key);
      return row === undefined ? null : (JSON.parse(row.state) as unknown);
    },
    async saveBreaker(key, state) {
      core.immediate(() => {
        if (state === null) remove.run(key);
        else save.run(key, canonicalJson(state), core.clock.now());
      });
    },
    claim: (key, day, wanted, day_max) =>
      core.grouped(() => {
        const row = counter.get(key);
        // A clock that was set back does not open yesterday's quota again.
        const counted = row !== undefined && row.day >= day ? row : { day, used: 0 };
        const granted = Math.max(0, Math.min(wanted, day_max - counted.used));
        if (granted > 0) count.run(key, counted.day, counted.used + granted);
        return granted;
      }),
  };
}
