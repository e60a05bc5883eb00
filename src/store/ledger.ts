import { canonicalJson } from '../contract/canonical.ts';
import type { LedgerEntry, LedgerKind, NewLedgerEntry } from '../contract/ledger.ts';
import { entryOf } from './chain.ts';
import type { AppendToChain, StoredEntry } from './chain.ts';
import { checkpointer } from './checkpoint.ts';
import type { Core } from './database.ts';
import { exportLedger } from './export.ts';
import { pruner } from './prune.ts';
import type { RewindWatch } from './rewind.ts';
import type { ChainHead, LedgerStore } from './store.ts';
import { verifyLedger } from './verify.ts';

const READ_LIMIT_MAX = 10_000;

/** The ledger's door: append and read chains, commit to all heads, check everything. Nothing here changes a row. */
export function ledgerStore(core: Core, append: AppendToChain, rewound: RewindWatch): LedgerStore {
  const { db } = core;
  const columns = 'chain, seq, v, at, kind, actor, payload, prev_hash, hash';
  const read = db.prepare<[string, number, string | null, string | null, number], StoredEntry>(
    `SELECT ${columns} FROM ledger WHERE chain = ? AND seq >= ?
       AND (? IS NULL OR kind IN (SELECT value FROM json_each(?))) ORDER BY seq LIMIT ?`,
  );
  const count = db.prepare<[string, string], { n: number }>(
    'SELECT COUNT(*) AS n FROM ledger WHERE chain = ? AND kind IN (SELECT value FROM json_each(?))',
  );
  const heads = db.prepare<[], ChainHead>(
    'SELECT chain AS incident_id, seq, hash FROM chain_head ORDER BY chain',
  );
  const head = db.prepare<[string], ChainHead>(
    'SELECT chain AS incident_id, seq, hash FROM chain_head WHERE chain = ?',
  );
  const { checkpoint, acceptRewind } = checkpointer(core, append, rewound);
  return {
    append(chain: string, entries: readonly NewLedgerEntry[]): Promise<readonly LedgerEntry[]> {
      return core.grouped(() => append(chain, entries));
    },
    async read(chain, options = {}) {
      const kinds = options.kinds === undefined ? null : canonicalJson(options.kinds);
      const limit = Math.min(options.limit ?? READ_LIMIT_MAX, READ_LIMIT_MAX);
      return read.all(chain, options.from_seq ?? 1, kinds, kinds, limit).map(entryOf);
    },
    async count(chain: string, kinds: readonly LedgerKind[]) {
      return count.get(chain, canonicalJson(kinds))?.n ?? 0;
    },
    async heads() {
      return heads.all();
    },
    async head(chain) {
      return head.get(chain) ?? null;
    },
    checkpoint: async (reason) => checkpoint(reason),
    prune: pruner(core, append, rewound),
    rewind: async () => rewound(),
    acceptRewind: async (by, reason) => acceptRewind(by, reason),
    verify: (options = {}) => verifyLedger(core, options),
    export: (chain) => exportLedger(core, chain),
    async publicKey() {
      const { key_id, pem } = core.keys.public_key;
      return { key_id, pem };
    },
  };
}
