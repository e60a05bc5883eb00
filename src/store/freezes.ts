import { IncidentContext } from '../contract/incident.ts';
import type { NewLedgerEntry } from '../contract/ledger.ts';
import type { AppendToChain } from './chain.ts';
import type { Core } from './database.ts';
import { readFreezeFile } from './home.ts';
import type { FreezeRow, FreezeStore } from './authority.ts';
import type { RewindWatch } from './rewind.ts';

const SCOPE = /^(\*|[a-z0-9][a-z0-9._-]*(\/[a-z0-9][a-z0-9._-]*){0,2})$/;

interface Place {
  readonly team: string;
  readonly env: string;
  readonly service?: string | undefined;
}

/** What forbids a dispatch right now; asked inside the transaction that marks a call as dispatched. */
export interface Brakes {
  /** Freezes that cover the place of this incident. A place that cannot be read is covered by every freeze. */
  freezesOf(incident_id: string): readonly FreezeRow[];
  freezesAt(place: Place): readonly FreezeRow[];
  stopOf(incident_id: string): { by: string; reason: string } | null;
  /** A database that went back forbids every write, until two people accept it. */
  readonly rewound: RewindWatch;
}

/** The freeze that stands while database and witness file disagree; no row, so nobody lifts it by the way. */
const REWIND_FREEZE = 'rewind';
const FILE_FREEZE = 'file';

export function brakes(core: Core, rewound: RewindWatch): Brakes {
  const { db } = core;
  const standing = db.prepare<[number], FreezeRow>(
    `SELECT freeze_id, scope, reason, set_by AS "by", until_ms, created_at_ms FROM freeze
      WHERE lifted_at_ms IS NULL AND (until_ms IS NULL OR until_ms > ?) ORDER BY n`,
  );
  const stop = db.prepare<[string], { by: string; reason: string }>(
    'SELECT stopped_by AS "by", reason FROM stop WHERE incident_id = ?',
  );
  const opening = db.prepare<[string], { context: string | null }>(
    `SELECT json_extract(payload, '$.context') AS context FROM ledger WHERE chain = ? AND seq = 1 AND kind = 'event'`,
  );
  function all(): FreezeRow[] {
    const rows = standing.all(core.clock.now());
    const file = readFreezeFile(core.home);
    const rewind = rewound();
    return [
      ...(rewind === null
        ? []
        : [
            everywhere(
              REWIND_FREEZE,
              `${rewind.what} Unfreezing does not help: run "aegis doctor".`,
              'system:witness',
              core.clock.now(),
            ),
          ]),
      ...(file === null ? [] : [everywhere(FILE_FREEZE, file.reason, 'system:freeze-file', file.since_ms)]),
      ...rows,
    ];
  }
  const freezesAt = (place: Place) => all().filter((freeze) => covers(freeze.scope, place));
  return {
    rewound,
    freezesAt,
    freezesOf(incident_id) {
      const place = placeOf(opening.get(incident_id)?.context);
      return place === null ? all() : freezesAt(place);
    },
    stopOf: (incident_id) => stop.get(incident_id) ?? null,
  };
}

/** How a freeze ends, for whoever runs into it: not every one is lifted by a command. */
export function freezeRemedy({ freeze_id, scope }: Pick<FreezeRow, 'freeze_id' | 'scope'>): string {
  if (freeze_id === FILE_FREEZE) return 'Remove the file FREEZE in AEGIS_HOME.';
  if (freeze_id === REWIND_FREEZE) return 'Run "aegis doctor"; it says what to do.';
  return `Lift it with: aegis unfreeze ${scope}`;
}

function everywhere(freeze_id: string, reason: string, by: string, created_at_ms: number): FreezeRow {
  return { freeze_id, scope: '*', reason, by, until_ms: null, created_at_ms };
}

/** The place is taken from the ledger's opening entry, not from a row or a caller that could be wrong. */
function placeOf(context: string | null | undefined): Place | null {
  if (typeof context !== 'string') return null;
  try {
    return IncidentContext.parse(JSON.parse(context)).scope;
  } catch {
    return null;
  }
}

function covers(scope: string, place: Place): boolean {
  const team_env = `${place.team}/${place.env}`;
  return (
    scope === '*' ||
    scope === place.team ||
    scope === team_env ||
    scope === `${team_env}/${place.service ?? ''}`
  );
}

/** Freezes and stops: one person, one row, at once in force. Each change is also an entry of the SYSTEM chain. */
export function freezeStore(core: Core, append: AppendToChain, active: Brakes): FreezeStore {
  const { db } = core;
  const insert = db.prepare<[string, string, string, string, number | null, number]>(
    'INSERT INTO freeze (freeze_id, scope, reason, set_by, until_ms, created_at_ms) VALUES (?, ?, ?, ?, ?, ?)',
  );
  const lift = db.prepare<[number, string]>(
    'UPDATE freeze SET lifted_at_ms = ? WHERE scope = ? AND lifted_at_ms IS NULL',
  );
  const stop = db.prepare<[string, string, string, number]>(
    'INSERT INTO stop (incident_id, stopped_by, reason, stopped_at_ms) VALUES (?, ?, ?, ?) ON CONFLICT (incident_id) DO NOTHING',
  );
  const clear = db.prepare<[string]>('DELETE FROM stop WHERE incident_id = ?');
  return {
    async set(freeze) {
      if (!SCOPE.test(freeze.scope))
        throw new Error(`freeze scope "${freeze.scope}": use *, team, team/env or team/env/service`);
      const { freeze_id, scope, reason, by, until_ms } = freeze;
      core.immediate(() => {
        insert.run(freeze_id, scope, reason, by, until_ms, core.clock.now());
        append('SYSTEM', [systemEvent(by, { type: 'freeze_set', freeze_id, scope, reason, until_ms })]);
      });
    },
    /** Number of freezes lifted. The FREEZE file is not one of them: it goes when somebody removes it. */
    async lift(scope, by, reason) {
      return core.immediate(() => {
        const lifted = lift.run(core.clock.now(), scope).changes;
        if (lifted > 0) append('SYSTEM', [systemEvent(by, { type: 'freeze_lifted', scope, reason, lifted })]);
        return lifted;
      });
    },
    async active(place) {
      return active.freezesAt(place);
    },
    async stop(incident_id, by, reason) {
      core.immediate(() => {
        if (stop.run(incident_id, by, reason, core.clock.now()).changes === 0) return;
        append('SYSTEM', [systemEvent(by, { type: 'incident_stopped', incident_id, reason })]);
      });
    },
    async clearStop(incident_id) {
      core.immediate(() => {
        if (clear.run(incident_id).changes === 0) return;
        append('SYSTEM', [systemEvent('aegis:harness', { type: 'incident_stop_cleared', incident_id })]);
      });
    },
    async stopped(incident_id) {
      return active.stopOf(incident_id) !== null;
    },
  };
}

export function systemEvent(by: string, payload: Record<string, unknown>): NewLedgerEntry {
  return { kind: 'event', actor: by.includes(':') ? by : `person:${by}`, payload: { ...payload, by } };
}
