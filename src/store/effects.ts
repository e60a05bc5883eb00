import type { Core } from './database.ts';
import type { AppendToInbox } from './inbox.ts';
import type { Owner } from './owner.ts';
import type { EffectRow, EffectStore } from './store.ts';

const OPEN_LIMIT_MAX = 1000;

type StoredEffect = Omit<EffectRow, 'payload'> & { readonly payload: string; readonly owner: string | null };

/** Work that a step asked for. It may be started again after a crash; its result arrives exactly once. */
export function effectStore(core: Core, owner: Owner | null, appendInbox: AppendToInbox): EffectStore {
  const { db } = core;
  const columns = 'effect_id, incident_id, kind, payload, state, attempts, owner';
  const open = db.prepare<[], StoredEffect>(
    `SELECT ${columns} FROM effect WHERE state IN ('pending', 'running') ORDER BY n`,
  );
  const get = db.prepare<[string], StoredEffect>(`SELECT ${columns} FROM effect WHERE effect_id = ?`);
  const start = db.prepare<[string, string]>(
    "UPDATE effect SET state = 'running', owner = ?, attempts = attempts + 1 WHERE effect_id = ?",
  );
  const done = db.prepare<[string]>(
    "UPDATE effect SET state = 'done', owner = NULL WHERE effect_id = ? AND state <> 'done'",
  );
  const cancel = db.prepare<[string], { effect_id: string }>(
    "UPDATE effect SET state = 'cancelled' WHERE incident_id = ? AND state IN ('pending', 'running') RETURNING effect_id",
  );
  const isFree = (row: StoredEffect, alive: Map<string, boolean>) => {
    if (row.state === 'pending') return true;
    if (row.state !== 'running') return false;
    if (row.owner === null || owner === null) return row.owner === null;
    const known = alive.get(row.owner) ?? owner.isAlive(row.owner);
    alive.set(row.owner, known);
    return !known;
  };
  return {
    async open(limit) {
      const rows: EffectRow[] = [];
      const alive = new Map<string, boolean>();
      for (const row of open.all()) {
        if (rows.length >= Math.min(limit, OPEN_LIMIT_MAX)) break;
        if (isFree(row, alive)) rows.push(effectOf(row));
      }
      return rows;
    },
    /** False when it is done, cancelled, or in the hands of a living process. */
    async start(effect_id) {
      return core.grouped(() => {
        const row = get.get(effect_id);
        if (owner === null || row === undefined || !isFree(row, new Map())) return false;
        return start.run(owner.id, effect_id).changes === 1;
      });
    },
    /** A cancelled effect still reports: what it did is a fact, and the machine knows a stale result by its id. */
    async finish(effect_id, result) {
      await core.grouped(() => {
        if (done.run(effect_id).changes === 1) appendInbox(result);
      });
    },
    async cancelOf(incident_id) {
      return core.grouped(() => cancel.all(incident_id).map((row) => row.effect_id));
    },
  };
}

function effectOf(row: StoredEffect): EffectRow {
  const { effect_id, incident_id, kind, state, attempts } = row;
  return {
    effect_id,
    incident_id,
    kind,
    payload: JSON.parse(row.payload) as Record<string, unknown>,
    state,
    attempts,
  };
}
