import { EvidenceRecord } from '../contract/evidence.ts';
import { eraseBlob } from './blobs.ts';
import { genesisHash } from '../contract/ledger.ts';
import type { AppendToChain } from './chain.ts';
import type { Core } from './database.ts';
import { systemEvent } from './freezes.ts';
import { PRUNED } from './pruned.ts';
import type { RewindWatch } from './rewind.ts';
import { rowHash, rowProblem } from './row-check.ts';
import type { LastRow, RowHead } from './row-check.ts';
import type { PruneAnswer } from './store.ts';

/** Incidents that one call takes out: the rest follows with the next one. */
const CHAINS_MAX = 200;

/** Everything that is kept about an incident besides its ledger and its evidence. */
const OTHER_TABLES = [
  'approval',
  'card',
  'effect',
  'inbox',
  'journal',
  'permit',
  'planned_effect',
  'stop',
  'timer',
  'incident',
] as const;

type Row = RowHead & { readonly payload: string; readonly hash: string };

/**
 * Takes out incidents that closed before a moment: ledger, evidence and all read models, one incident a transaction. The
 * SYSTEM chain keeps what is needed to check the checkpoints that name the chain: its length and its last hash. A chain
 * that does not verify stays, since it is the proof that somebody changed it; so does one that no checkpoint covers yet,
 * and one whose evidence has not expired.
 */
export function pruner(
  core: Core,
  append: AppendToChain,
  rewound: RewindWatch,
): (closed_before_ms: number) => Promise<PruneAnswer> {
  const { db } = core;
  const due = db.prepare<[number, number, number], { chain: string; closed_at_ms: number }>(
    `SELECT i.incident_id AS chain, i.updated_at_ms AS closed_at_ms FROM incident i
       JOIN chain_head h ON h.chain = i.incident_id
      WHERE i.open = 0 AND i.updated_at_ms <= ? AND h.checkpointed_seq = h.seq
        AND NOT EXISTS (SELECT 1 FROM evidence e WHERE e.incident_id = i.incident_id AND e.expires_at_ms > ?)
      ORDER BY i.updated_at_ms LIMIT ?`,
  );
  const takeOut = chainRemover(core, append);
  const lastGood = chainCheck(core);
  return async (closed_before_ms) => {
    const answer = { pruned: [] as string[], kept_broken: [] as string[] };
    if (rewound() !== null) return answer;
    for (const { chain } of due.all(closed_before_ms, core.clock.now(), CHAINS_MAX))
      await core.grouped(() => {
        const last = lastGood(chain);
        if (last === null) answer.kept_broken.push(chain);
        else {
          takeOut(chain, last);
          answer.pruned.push(chain);
        }
      });
    return answer;
  };
}

/** The last entry of a chain that verifies from its first one and ends at its head; null when it does not. */
function chainCheck({ db }: Core): (chain: string) => LastRow | null {
  const rows = db.prepare<[string], Row>(
    'SELECT chain, seq, v, at, kind, actor, payload, prev_hash, hash FROM ledger WHERE chain = ? ORDER BY seq',
  );
  const head = db.prepare<[string], { seq: number; hash: string }>(
    'SELECT seq, hash FROM chain_head WHERE chain = ?',
  );
  return (chain) => {
    let last: LastRow = { seq: 0, hash: genesisHash(chain), at: '' };
    for (const row of rows.iterate(chain)) {
      const before = last.seq === 0 ? null : last;
      if (rowProblem(row, before, rowHash(row, row.payload)) !== null) return null;
      last = row;
    }
    const noted = head.get(chain);
    return last.seq > 0 && noted?.seq === last.seq && noted.hash === last.hash ? last : null;
  };
}

function chainRemover(core: Core, append: AppendToChain): (chain: string, last: LastRow) => void {
  const { db } = core;
  const note = db.prepare<[string, number, string, number]>(
    'INSERT INTO pruned_chain (chain, entries, last_hash, system_seq) VALUES (?, ?, ?, ?)',
  );
  const records = db.prepare<[string], { record: string }>(
    'SELECT record FROM evidence WHERE incident_id = ?',
  );
  const removals = [
    ...['ledger', 'chain_head'].map((table) => db.prepare<[string]>(`DELETE FROM ${table} WHERE chain = ?`)),
    ...['evidence', ...OTHER_TABLES].map((table) =>
      db.prepare<[string]>(`DELETE FROM ${table} WHERE incident_id = ?`),
    ),
  ];
  // What it has spent of its own; days that it shared with others stay as they were.
  const spent = ['investigate', 'verify', 'look', 'reserve'].map((purpose) => `${purpose}:`);
  const own_accounts = db.prepare<[string, string, string]>(
    "DELETE FROM spending WHERE day = '' AND (account = ? OR account > ? AND account < ?)",
  );
  const effects = db.prepare<[string, string]>(
    'DELETE FROM effect_spending WHERE effect_id > ? AND effect_id < ?',
  );
  return (chain, { seq, hash }) => {
    const event = { type: PRUNED, chain, entries: seq, last_hash: hash };
    const [recorded] = append('SYSTEM', [systemEvent('system:retention', event)]);
    note.run(chain, seq, hash, recorded?.seq ?? 0);
    for (const { record } of records.all(chain))
      eraseBlob(core.home, EvidenceRecord.parse(JSON.parse(record)));
    for (const removal of removals) removal.run(chain);
    // Keys go on with ":" or "/" behind the incident's id; the next characters end the range.
    for (const kind of spent) own_accounts.run(kind + chain, `${kind}${chain}:`, `${kind}${chain};`);
    effects.run(`${chain}/`, `${chain}0`);
  };
}
