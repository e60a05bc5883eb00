import type { Core } from './database.ts';
import type { IncidentRow, IncidentStore } from './store.ts';

const LIST_LIMIT_MAX = 1000;

type StoredIncident = Omit<IncidentRow, 'open' | 'snapshot'> & {
  readonly open: number;
  readonly snapshot: string;
};

/** Read side of incidents (only a step writes them) and the counters whose numbers are never given twice. */
export function incidentStore(core: Core): IncidentStore {
  const { db } = core;
  const next = db.prepare<[string], { value: number }>(
    `INSERT INTO counter (name, value) VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value`,
  );
  const nextOf = (name: string) => core.grouped(() => next.get(name)?.value ?? 0);
  const get = db.prepare<[string], StoredIncident>('SELECT * FROM incident WHERE incident_id = ?');
  const open = db.prepare<[string], StoredIncident>('SELECT * FROM incident WHERE identity = ? AND open = 1');
  const latest = db.prepare<[string], StoredIncident>(
    'SELECT * FROM incident WHERE identity = ? ORDER BY opened_at_ms DESC, rowid DESC LIMIT 1',
  );
  const by_thread = db.prepare<[string, string], StoredIncident>(
    `SELECT i.* FROM card c JOIN incident i ON i.incident_id = c.incident_id
      WHERE c.placement = 'root' AND c.channel = ? AND c.ts = ?`,
  );
  const list = db.prepare<
    [{ open: number | null; team: string | null; env: string | null; limit: number }],
    StoredIncident
  >(
    `SELECT * FROM incident WHERE (@open IS NULL OR open = @open) AND (@team IS NULL OR team = @team)
       AND (@env IS NULL OR env = @env) ORDER BY opened_at_ms DESC, rowid DESC LIMIT @limit`,
  );
  const planning = db.prepare<[string, string, number, number], StoredIncident>(
    `SELECT i.* FROM planned_effect p JOIN incident i ON i.incident_id = p.incident_id
      WHERE p.target = ? AND p.tool = ? AND i.updated_at_ms >= ? ORDER BY i.updated_at_ms DESC LIMIT ?`,
  );
  return {
    async allocateId(now_ms) {
      const [year, month, day] = new Date(now_ms).toISOString().slice(0, 10).split('-') as [
        string,
        string,
        string,
      ];
      const prefix = `INC-${year}-${month}${day}`;
      return `${prefix}-${String(await nextOf(prefix)).padStart(3, '0')}`;
    },
    async allocateNumber(counter) {
      return nextOf(counter);
    },
    async get(incident_id) {
      return orNull(get.get(incident_id));
    },
    async findOpen(identity) {
      return orNull(open.get(identity));
    },
    async findLatest(identity) {
      return orNull(latest.get(identity));
    },
    async findByThread(channel, thread_ts) {
      return orNull(by_thread.get(channel, thread_ts));
    },
    async planning({ tool, target }, since_ms) {
      return planning.all(target, tool, since_ms, LIST_LIMIT_MAX).map(rowOf);
    },
    async list(options) {
      const rows = list.all({
        open: options.open === undefined ? null : Number(options.open),
        team: options.team ?? null,
        env: options.env ?? null,
        limit: Math.min(options.limit, LIST_LIMIT_MAX),
      });
      return rows.map(rowOf);
    },
  };
}

function orNull(row: StoredIncident | undefined): IncidentRow | null {
  return row === undefined ? null : rowOf(row);
}

function rowOf(row: StoredIncident): IncidentRow {
  return { ...row, open: row.open === 1, snapshot: JSON.parse(row.snapshot) as unknown };
}
