import { canonicalJson } from '../contract/canonical.ts';
import type { Autonomy } from '../contract/incident.ts';
import { isoTime } from '../contract/ports.ts';
import { Permit, ToolOutcome } from '../contract/tool.ts';
import { refuse } from '../contract/verdict.ts';
import type { Refusal } from '../contract/verdict.ts';
import type { AppendToChain } from './chain.ts';
import type { Core } from './database.ts';
import { freezeRemedy } from './freezes.ts';
import type { Brakes } from './freezes.ts';
import type { JournalRow, JournalStatus, JournalStore } from './authority.ts';
import type { TakeLocks } from './target-locks.ts';
import { unattendedReader } from './unattended.ts';

interface StoredJournalRow {
  readonly key: string;
  readonly args_hash: string;
  readonly incident_id: string;
  readonly change_id: string;
  readonly tool: string;
  readonly target: string;
  readonly status: JournalStatus;
  readonly permit: string;
  readonly before_image: string | null;
  readonly object_uid: string | null;
  readonly dispatched_at_ms: number | null;
  readonly outcome: string | null;
  readonly updated_at_ms: number;
}

/** Where a row may go from where it is; a final status never changes. "Unknown" may be settled by `observe` later. */
const MOVES: Readonly<Record<JournalStatus, readonly JournalStatus[]>> = {
  accepted: ['failed', 'conflict'],
  dispatched: ['done', 'failed', 'conflict', 'outcome_unknown'],
  outcome_unknown: ['done', 'failed', 'conflict', 'outcome_unknown'],
  done: [],
  failed: [],
  conflict: [],
};

/** Law 2: in every other autonomy Aegis proposes and people act, so there is no right to act to hand out. */
const MAY_ACT: ReadonlySet<string> = new Set(['approve', 'limited'] satisfies Autonomy[]);

/** The memory of writes. One key acts at most once: accepted -> dispatched -> an outcome, each step in a transaction. */
export function journalStore(
  core: Core,
  append: AppendToChain,
  brakes: Brakes,
  takeLocks: TakeLocks,
): JournalStore {
  const { db } = core;
  const get = db.prepare<[string], StoredJournalRow>('SELECT * FROM journal WHERE key = ?');
  const past = unattendedReader(core);
  const unfinished = db.prepare<[], StoredJournalRow>(
    "SELECT * FROM journal WHERE status IN ('accepted', 'dispatched') ORDER BY n",
  );
  return {
    ...permitMethods(core, append, brakes, takeLocks),
    accept: acceptMethod(core, append),
    async unattended() {
      return past();
    },
    dispatch: dispatchMethod(core, brakes),
    finish: finishMethod(core),
    reopen: reopenMethod(core),
    async get(key) {
      const row = get.get(key);
      return row === undefined ? null : rowOf(row);
    },
    async unfinished() {
      return unfinished.all().map(rowOf);
    },
  };
}

function permitMethods(
  core: Core,
  append: AppendToChain,
  brakes: Brakes,
  takeLocks: TakeLocks,
): Pick<JournalStore, 'mintPermit' | 'permit'> {
  const mint = core.db.prepare<[string, string, string, number]>(
    'INSERT INTO permit (permit_id, incident_id, body, expires_at_ms) VALUES (?, ?, ?, ?)',
  );
  const permit = core.db.prepare<[string], { body: string }>('SELECT body FROM permit WHERE permit_id = ?');
  // The level may only fall: the opening names it, a later event may lower it, and any low one counts.
  const levels = core.db.prepare<[string], { level: string }>(
    `SELECT level FROM (
       SELECT coalesce(json_extract(payload, '$.context.autonomy'), json_extract(payload, '$.autonomy')) AS level
         FROM ledger WHERE chain = ? AND kind = 'event')
      WHERE level IS NOT NULL`,
  );
  return {
    async mintPermit(granted, entry, targets = []) {
      return core.immediate(() => {
        const shadow = levels.all(granted.incident_id).find(({ level }) => !MAY_ACT.has(level));
        if (shadow !== undefined)
          return refuse(
            'autonomy-forbids',
            `${granted.incident_id} runs with autonomy ${shadow.level}: no permit is minted.`,
            'Run the planned change by hand.',
          );
        const rewind = brakes.rewound();
        if (rewind !== null) return refuse('database-rewound', rewind.what, rewind.remedy);
        const locked = takeLocks(granted.incident_id, targets);
        if (locked !== null) return locked;
        mint.run(granted.permit_id, granted.incident_id, canonicalJson(granted), granted.expires_at_ms);
        append(granted.incident_id, [entry]);
        return 'minted';
      });
    },
    async permit(permit_id) {
      const row = permit.get(permit_id);
      return row === undefined ? null : permitOf(row.body);
    },
  };
}

function acceptMethod(core: Core, append: AppendToChain): JournalStore['accept'] {
  const { db } = core;
  const get = db.prepare<[string], StoredJournalRow>('SELECT * FROM journal WHERE key = ?');
  const find = db.prepare<[string], { body: string; used_at_ms: number | null }>(
    'SELECT body, used_at_ms FROM permit WHERE permit_id = ?',
  );
  const use = db.prepare<[number, string]>(
    'UPDATE permit SET used_at_ms = ? WHERE permit_id = ? AND used_at_ms IS NULL',
  );
  const insert = db.prepare<[string, string, string, string, string, string, string, number]>(
    `INSERT INTO journal (key, args_hash, incident_id, change_id, tool, target, status, permit, updated_at_ms)
     VALUES (?, ?, ?, ?, ?, ?, 'accepted', ?, ?)`,
  );
  const again = db.prepare<[string, number, string]>(
    'UPDATE journal SET permit = ?, updated_at_ms = ? WHERE key = ?',
  );
  const past = unattendedReader(core);
  return ({ permit_id, key, args_hash, audit, attendance }) =>
    core.grouped(() => {
      const known = get.get(key);
      const row = known === undefined ? null : rowOf(known);
      const found = find.get(permit_id);
      if (found === undefined) throw new Error(`permit ${permit_id} was never minted`);
      const permit = permitOf(found.body);
      const now = core.clock.now();
      if (found.used_at_ms !== null) return { result: 'permit_used', row };
      if (now >= permit.expires_at_ms) return { result: 'permit_expired', row };
      const will_run = row === null || (row.args_hash === args_hash && row.status === 'accepted');
      const attended = attendance === undefined || !will_run ? [] : attendance(past());
      if ('allow' in attended) return { result: 'refused', refusal: attended, row };
      use.run(now, permit_id);
      if (row !== null && row.args_hash !== args_hash) return { result: 'conflict', row };
      if (row !== null && row.status !== 'accepted') return { result: 'existing', row };
      // Accepted and never dispatched means: it did not run. It may go on under the fresh permit.
      if (row !== null) again.run(found.body, now, key);
      else
        insert.run(
          key,
          args_hash,
          permit.incident_id,
          permit.change_id,
          permit.tool,
          permit.target,
          found.body,
          now,
        );
      append(permit.incident_id, [audit]);
      append(
        'SYSTEM',
        attended.map((payload) => ({ kind: 'permit', actor: 'aegis:gateway', payload })),
      );
      return { result: 'accepted', row: rowOf(requireRow(get.get(key), key)) };
    });
}

function dispatchMethod(core: Core, brakes: Brakes): JournalStore['dispatch'] {
  const { db } = core;
  const get = db.prepare<[string], StoredJournalRow>('SELECT * FROM journal WHERE key = ?');
  const mark = db.prepare<[{ image: string | null; uid: string | null; now: number; key: string }]>(
    `UPDATE journal SET status = 'dispatched', before_image = @image, object_uid = @uid, dispatched_at_ms = @now,
       updated_at_ms = @now WHERE key = @key`,
  );
  return (key, before) =>
    core.grouped(() => {
      const row = rowOf(requireRow(get.get(key), key));
      const refusal = refusalOf(row, brakes, core.clock.now());
      if (refusal !== null) return refusal;
      const image = before.before_image === null ? null : canonicalJson(before.before_image);
      mark.run({ image, uid: before.object_uid, now: core.clock.now(), key });
      return 'dispatched';
    });
}

function refusalOf(row: JournalRow, brakes: Brakes, now: number): Refusal | null {
  if (row.status !== 'accepted')
    return refuse(
      'already-dispatched',
      `${row.key} was dispatched before (${row.status}); it is not run twice`,
      'Look at its outcome.',
    );
  const stop = brakes.stopOf(row.incident_id);
  if (stop !== null)
    return refuse(
      'stopped',
      `${row.incident_id} was stopped by ${stop.by}: ${stop.reason}`,
      'Resume the incident; its gates run again.',
    );
  const freeze = brakes.freezesOf(row.incident_id)[0];
  if (freeze !== undefined) {
    const until = freeze.until_ms === null ? 'until it is lifted' : `until ${isoTime(freeze.until_ms)}`;
    return refuse(
      'frozen',
      `Changes in ${freeze.scope} are frozen ${until} by ${freeze.by}: ${freeze.reason}`,
      freezeRemedy(freeze),
    );
  }
  if (now >= row.permit.expires_at_ms)
    return refuse(
      'permit-expired',
      `The permit of ${row.change_id} expired at ${isoTime(row.permit.expires_at_ms)}`,
      'Run the gates again for a fresh permit.',
    );
  return null;
}

function finishMethod(core: Core): JournalStore['finish'] {
  const { db } = core;
  const get = db.prepare<[string], StoredJournalRow>('SELECT * FROM journal WHERE key = ?');
  const finish = db.prepare<[string, string, number, string]>(
    'UPDATE journal SET status = ?, outcome = ?, updated_at_ms = ? WHERE key = ?',
  );
  return async (key, status, outcome) =>
    core.immediate(() => {
      const row = requireRow(get.get(key), key);
      const text = canonicalJson(outcome);
      if (row.status === status && row.outcome === text) return;
      if (!MOVES[row.status].includes(status))
        throw new Error(`journal ${key} is ${row.status} and cannot become ${status}`);
      finish.run(status, text, core.clock.now(), key);
    });
}

function reopenMethod(core: Core): JournalStore['reopen'] {
  const reopen = core.db.prepare<[number, string]>(
    `UPDATE journal SET status = 'accepted', before_image = NULL, object_uid = NULL, dispatched_at_ms = NULL, updated_at_ms = ?
      WHERE key = ? AND status = 'dispatched'`,
  );
  return async (key) => {
    const { changes } = core.immediate(() => reopen.run(core.clock.now(), key));
    if (changes !== 1) throw new Error(`journal ${key} is not dispatched and cannot be opened again`);
  };
}

function requireRow(row: StoredJournalRow | undefined, key: string): StoredJournalRow {
  if (row === undefined) throw new Error(`journal has no row ${key}`);
  return row;
}

function permitOf(body: string): Permit {
  return Permit.parse(JSON.parse(body));
}

function rowOf(row: StoredJournalRow): JournalRow {
  return {
    key: row.key,
    args_hash: row.args_hash,
    incident_id: row.incident_id,
    change_id: row.change_id,
    tool: row.tool,
    target: row.target,
    status: row.status,
    permit: permitOf(row.permit),
    before_image:
      row.before_image === null ? null : (JSON.parse(row.before_image) as Record<string, unknown>),
    object_uid: row.object_uid,
    dispatched_at_ms: row.dispatched_at_ms,
    outcome: row.outcome === null ? null : ToolOutcome.parse(JSON.parse(row.outcome)),
    updated_at_ms: row.updated_at_ms,
  };
}
