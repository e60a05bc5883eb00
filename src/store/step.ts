import { canonicalJson } from '../contract/canonical.ts';
import { genesisHash } from '../contract/ledger.ts';
import type { AppendToChain } from './chain.ts';
import type { Core } from './database.ts';
import { DuplicateIncidentError, SeqConflictError } from './errors.ts';
import { inboxNumber } from './inbox.ts';
import { scoreWriter } from './ladder.ts';
import type { PutCard } from './outbox.ts';
import { stepLocks } from './target-locks.ts';
import type { StepCommit, StepResult, StepStore } from './store.ts';

type Write = (step: StepCommit, next_step: number) => void;

/**
 * The one transaction of the state machine. Either the inbox row is consumed and everything that follows from it is
 * written, or nothing is: after a crash there is no half step to repair.
 */
export function stepStore(core: Core, append: AppendToChain, putCard: PutCard): StepStore {
  const { db } = core;
  const current = db.prepare<[string], { step: number }>('SELECT step FROM incident WHERE incident_id = ?');
  const same_identity = db.prepare<[string, string], { incident_id: string }>(
    'SELECT incident_id FROM incident WHERE identity = ? AND open = 1 AND incident_id <> ?',
  );
  const consume = db.prepare<[number]>(
    "UPDATE inbox SET state = 'consumed', note = NULL WHERE n = ? AND state = 'pending'",
  );
  const head = db.prepare<[string], { hash: string }>('SELECT hash FROM chain_head WHERE chain = ?');
  const writeRow = rowWriter(core);
  const writeWork = workWriter(core);
  const writeScores = scoreWriter(core);
  return {
    async commit(step: StepCommit): Promise<StepResult> {
      return core.grouped(() => {
        const id = step.incident_id;
        if (step.entries.length === 0)
          throw new RangeError(`commit step of ${id}: a step leaves at least one ledger entry`);
        const found = current.get(id)?.step ?? 0;
        if (found !== step.expected_step) throw new SeqConflictError(id, step.expected_step, found);
        for (const inbox_id of step.inbox_ids)
          if (consume.run(inboxNumber(inbox_id)).changes !== 1)
            throw new SeqConflictError(
              id,
              step.expected_step,
              found,
              `inbox row ${inbox_id} is not pending any more`,
            );
        const other = step.row.open ? same_identity.get(step.row.identity, id) : undefined;
        if (other !== undefined) throw new DuplicateIncidentError(other.incident_id);
        writeRow(step, found + 1);
        const entries = append(id, step.entries);
        writeWork(step, found + 1);
        writeScores(step.scores ?? []);
        for (const card of step.cards) putCard(card, id);
        return { step: found + 1, entries, head: head.get(id)?.hash ?? genesisHash(id) };
      });
    },
  };
}

function rowWriter(core: Core): Write {
  const upsert = core.db.prepare<[Record<string, string | number>]>(
    `INSERT INTO incident (incident_id, state, open, title, team, env, channel, identity, step, snapshot, opened_at_ms, updated_at_ms)
     VALUES (@incident_id, @state, @open, @title, @team, @env, @channel, @identity, @step, @snapshot, @now, @now)
     ON CONFLICT (incident_id) DO UPDATE SET state = excluded.state, open = excluded.open, title = excluded.title,
       team = excluded.team, env = excluded.env, channel = excluded.channel, identity = excluded.identity,
       step = excluded.step, snapshot = excluded.snapshot, updated_at_ms = excluded.updated_at_ms`,
  );
  return (step, next_step) => {
    upsert.run({
      ...step.row,
      open: step.row.open ? 1 : 0,
      incident_id: step.incident_id,
      step: next_step,
      snapshot: canonicalJson(step.snapshot),
      now: core.clock.now(),
    });
  };
}

/** Effects to run, timers (cancelled first, so that one step may cancel and arm the same kind), approvals to show. */
function workWriter(core: Core): Write {
  const { db } = core;
  const add_effect = db.prepare<[string, string, string, string]>(
    'INSERT INTO effect (effect_id, incident_id, kind, payload) VALUES (?, ?, ?, ?)',
  );
  const cancel_timer = db.prepare<[string, string]>('DELETE FROM timer WHERE incident_id = ? AND kind = ?');
  const arm_timer = db.prepare<[string, string, number, number]>(
    `INSERT INTO timer (incident_id, kind, due_at_ms, armed_step) VALUES (?, ?, ?, ?)
     ON CONFLICT (incident_id, kind) DO UPDATE SET due_at_ms = excluded.due_at_ms, armed_step = excluded.armed_step`,
  );
  const put_approval = db.prepare<[string, string, string, string]>(
    `INSERT INTO approval (approval_id, incident_id, status, body) VALUES (?, ?, ?, ?)
     ON CONFLICT (approval_id) DO UPDATE SET status = excluded.status, body = excluded.body`,
  );
  const put_planned = db.prepare<[string, string, string]>(
    'INSERT OR IGNORE INTO planned_effect (target, tool, incident_id) VALUES (?, ?, ?)',
  );
  const lockWith = stepLocks(core);
  return (step, next_step) => {
    const id = step.incident_id;
    lockWith(id, step.locks);
    for (const { target, tool } of step.planned) put_planned.run(target, tool, id);
    for (const effect of step.effects)
      add_effect.run(effect.effect_id, id, effect.kind, canonicalJson(effect.payload));
    for (const kind of step.cancel_timers) cancel_timer.run(id, kind);
    for (const timer of step.arm_timers) arm_timer.run(id, timer.kind, timer.due_at_ms, next_step);
    for (const approval of step.approvals)
      put_approval.run(approval.approval_id, approval.incident_id, approval.status, canonicalJson(approval));
  };
}
