import type { Core } from './database.ts';
import type { TimerRow, TimerStore } from './store.ts';

const DUE_LIMIT_MAX = 1000;

/** Alarm clocks as rows, so that a restart forgets none. One per incident and kind; a step arms and cancels them. */
export function timerStore(core: Core): TimerStore {
  const due = core.db.prepare<[number, number], TimerRow>(
    'SELECT incident_id, kind, due_at_ms, armed_step FROM timer WHERE due_at_ms <= ? ORDER BY due_at_ms, incident_id, kind LIMIT ?',
  );
  // Names the arming: a timer that was armed again in the meantime stays.
  const fired = core.db.prepare<[string, string, number, number]>(
    'DELETE FROM timer WHERE incident_id = ? AND kind = ? AND armed_step = ? AND due_at_ms = ?',
  );
  const next = core.db.prepare<[], { due: number | null }>('SELECT MIN(due_at_ms) AS due FROM timer');
  return {
    async due(now_ms, limit) {
      return due.all(now_ms, Math.min(limit, DUE_LIMIT_MAX));
    },
    async fired(timer) {
      await core.grouped(() => fired.run(timer.incident_id, timer.kind, timer.armed_step, timer.due_at_ms));
    },
    async nextDue() {
      return next.get()?.due ?? null;
    },
  };
}
