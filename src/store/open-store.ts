import { approvalStore } from './approvals.ts';
import { budgetStore } from './budgets.ts';
import { chainAppender } from './chain.ts';
import { connect, immediate, migrate } from './database.ts';
import type { Core } from './database.ts';
import { effectStore } from './effects.ts';
import { evidenceStore, expiredEraser } from './evidence.ts';
import { brakes, freezeStore } from './freezes.ts';
import { GroupCommit } from './group-commit.ts';
import { openHome } from './home.ts';
import { inboxAppender, inboxMac, inboxStore } from './inbox.ts';
import { incidentStore } from './incidents.ts';
import { journalStore } from './journal.ts';
import { loadKeys } from './keys.ts';
import type { Keys } from './keys.ts';
import { ladderStore } from './ladder.ts';
import { leaseStore } from './leases.ts';
import { ledgerStore } from './ledger.ts';
import { cardPutter, outboxStore } from './outbox.ts';
import { Owner } from './owner.ts';
import { personTokenStore } from './person-tokens.ts';
import { rewindWatch } from './rewind.ts';
import { resultStore } from './results.ts';
import { stepStore } from './step.ts';
import type { Store } from './store.ts';
import { targetLockStore } from './target-locks.ts';
import { throttleStore } from './throttle.ts';
import { timerStore } from './timers.ts';
import { tokenStore } from './tokens.ts';
import { upstreamPinStore } from './upstream-pins.ts';
import type { Clock, Log } from '../contract/ports.ts';

/** Expired evidence files erased at one start; more follow with each capture. */
const ERASE_AT_START_MAX = 10_000;

export interface StoreOptions {
  /** AEGIS_HOME: database, keys, blobs, witness and FREEZE file; made with mode 0700. */
  readonly home: string;
  readonly clock: Clock;
  readonly log?: Log;
  /** For reading beside a running service (CLI): creates, migrates and writes nothing; every write method throws. */
  readonly readonly?: boolean;
}

/**
 * Opens the store: the one place that touches the disk for state. It makes or checks AEGIS_HOME, brings the schema up
 * to date and hands out the aggregates; nothing outside sees SQL, a transaction or a key. Several processes may open
 * the same home at once.
 *
 * @throws Error when AEGIS_HOME is open to others, a key is missing, or an applied migration was edited.
 */
export async function openStore(options: StoreOptions): Promise<Store> {
  const readonly = options.readonly ?? false;
  const home = openHome(options.home, readonly);
  const keys = loadKeys(home);
  const db = connect(home, readonly);
  let owner: Owner | null = null;
  try {
    if (!readonly) markForMigrations(db, keys);
    migrate(db, options.clock, readonly);
    const group = new GroupCommit(db);
    const core: Core = {
      db,
      home,
      keys,
      clock: options.clock,
      log: options.log,
      immediate: (work) => {
        group.flush();
        return immediate(db, work);
      },
      grouped: (work) => group.run(work),
    };
    if (!readonly) {
      core.immediate(() => expiredEraser(core)(ERASE_AT_START_MAX));
      owner = new Owner(home);
    }
    return assemble(core, owner, group);
  } catch (error) {
    owner?.close();
    db.close();
    throw error;
  }
}

/** What migrations need of the keys; SQL alone cannot compute it. */
function markForMigrations(db: ReturnType<typeof connect>, keys: Keys): void {
  db.function(
    'aegis_inbox_mac',
    { deterministic: true },
    (dedup_key, source, incident_id, kind, payload, received_at_ms) =>
      inboxMac(keys, { dedup_key, source, incident_id, kind, payload, received_at_ms }),
  );
}

function assemble(core: Core, owner: Owner | null, group: GroupCommit): Store {
  const append = chainAppender(core);
  const appendInbox = inboxAppender(core);
  const putCard = cardPutter(core);
  const rewound = rewindWatch(core);
  const brake = brakes(core, rewound);
  const locks = targetLockStore(core);
  return {
    step: stepStore(core, append, putCard),
    ledger: ledgerStore(core, append, rewound),
    incidents: incidentStore(core),
    approvals: approvalStore(core),
    evidence: evidenceStore(core),
    journal: journalStore(core, append, brake, locks.take),
    locks,
    leases: leaseStore(core),
    tokens: tokenStore(core),
    persons: personTokenStore(core, append),
    freezes: freezeStore(core, append, brake),
    upstream_pins: upstreamPinStore(core, append),
    throttle: throttleStore(core),
    budgets: budgetStore(core),
    results: resultStore(core),
    inbox: inboxStore(core, appendInbox),
    outbox: outboxStore(core, putCard),
    timers: timerStore(core),
    effects: effectStore(core, owner, appendInbox),
    ladder: ladderStore(core, append),
    async close() {
      group.flush();
      owner?.close();
      core.db.close();
    },
  };
}
