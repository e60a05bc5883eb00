import { isoTime } from '../contract/ports.ts';
import type { Segment } from '../contract/notice.ts';
import type { Refusal } from '../contract/verdict.ts';
import { DuplicateIncidentError, SeqConflictError } from '../store/errors.ts';
import type { TimerRow } from '../store/store.ts';
import { approversInWords } from './approvers.ts';
import { tightestShared } from './budget-accounts.ts';
import { readBudgets } from './budget-facts.ts';
import { commitOf } from './commit-of.ts';
import type { HarnessDeps } from './deps.ts';
import { EffectPool } from './effect-pool.ts';
import type { HarnessEvent } from './events.ts';
import { parseSnapshot, step } from './machine.ts';
import { mergeAlerts } from './merge-alerts.ts';
import type { Delivered } from './merge-alerts.ts';
import type { CardView } from './notices/card-view.ts';
import { ladderView, placeOf } from './shadow/ladder-facts.ts';
import { scoresOf } from './shadow/scores.ts';
import { emptySnapshot, incidentOf } from './state.ts';
import type { Snapshot } from './state.ts';
import { takeIn } from './take-in.ts';
import type { Origin, TakenIn } from './take-in.ts';
import { voidUnderOldPolicies } from './void-approvals.ts';

/** Rows taken in one round; a round ends and the next begins at once while rows are left. */
const ROUND_ROWS_MAX = 200;
/** A row that throws this often is set aside as dead, with the reason. */
const ROW_ATTEMPTS_MAX = 5;
/** Longest sleep between rounds, whatever the store says of other processes. */
const POLL_MS_MAX = 1000;
/** How often a sleeping runner asks the store whether another process wrote: somebody waits at a command line. */
const GLANCE_EVERY_MS = 50;
/** A tenth of a lock's lease. */
const LOCKS_RENEWED_EVERY_MS = 60_000;

/**
 * The one runner of L4: takes durable rows one after the other, lets the pure machine decide, commits the step in one
 * transaction, then starts the effect that the step asked for. It holds no state that a restart would miss.
 */
export class Runner {
  readonly #deps: HarnessDeps;
  readonly #effects: EffectPool;
  #timer: NodeJS.Timeout | null = null;
  #round: Promise<void> | null = null;
  #again = false;
  #locks_renewed_at_ms = 0;
  #stopping = false;

  constructor(deps: HarnessDeps) {
    this.#deps = deps;
    this.#effects = new EffectPool(deps, () => this.wake());
  }

  /** Resumes what a crash left behind, then works until `stop`. */
  async start(): Promise<void> {
    await this.policiesChanged();
    await this.#effects.resumeOpen();
    this.wake();
  }

  /** Another set may be in force: approvals that were asked for under an older one are voided by an event of their own. */
  async policiesChanged(incident_ids?: readonly string[]): Promise<void> {
    if (await voidUnderOldPolicies(this.#deps, incident_ids)) this.wake();
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#round;
    await this.#effects.stop();
  }

  /** Something new may be in the inbox. Cheap; calls while a round runs cause exactly one more. */
  wake(): void {
    if (this.#stopping) return;
    if (this.#round !== null) {
      this.#again = true;
      return;
    }
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#round = this.#runRound().finally(() => {
      this.#round = null;
      if (this.#again) {
        this.#again = false;
        this.wake();
      } else void this.#sleep();
    });
  }

  async #sleep(): Promise<void> {
    const due = await this.#deps.store.timers.nextDue().catch(() => null);
    const wait =
      due === null ? POLL_MS_MAX : Math.min(POLL_MS_MAX, Math.max(5, due - this.#deps.clock.now()));
    if (this.#stopping || this.#round !== null) return;
    this.#doze(wait);
  }

  #doze(left_ms: number): void {
    const nap_ms = Math.min(left_ms, GLANCE_EVERY_MS);
    this.#timer = setTimeout(() => {
      if (left_ms <= nap_ms || this.#writtenElsewhere()) this.wake();
      else this.#doze(left_ms - nap_ms);
    }, nap_ms);
  }

  #writtenElsewhere(): boolean {
    try {
      return this.#deps.store.inbox.writtenElsewhere();
    } catch {
      // A store that cannot be read fails the next round, which says so.
      return false;
    }
  }

  async #runRound(): Promise<void> {
    try {
      await this.#renewLocks();
      await this.#fireTimers();
      const rows = await this.#deps.store.inbox.pending(ROUND_ROWS_MAX);
      for (const delivered of mergeAlerts(rows)) await this.#handle(delivered);
      if (rows.length === ROUND_ROWS_MAX) this.#again = true;
    } catch (error) {
      this.#deps.log.error({ error: String(error) }, 'a round of the runner failed; trying again');
    }
  }

  /** A check may take longer than a lease. */
  async #renewLocks(): Promise<void> {
    const now = this.#deps.clock.now();
    if (now - this.#locks_renewed_at_ms < LOCKS_RENEWED_EVERY_MS) return;
    await this.#deps.store.locks.renew();
    this.#locks_renewed_at_ms = now;
  }

  async #fireTimers(): Promise<void> {
    for (const timer of await this.#deps.store.timers.due(this.#deps.clock.now(), ROUND_ROWS_MAX)) {
      await this.#deps.store.inbox.append({
        source: 'timer',
        dedup_key: `timer:${timer.incident_id}:${timer.kind}:${timer.armed_step}`,
        incident_id: timer.incident_id,
        kind: 'event',
        payload: timerEvent(timer, this.#deps.clock.now()),
      });
      await this.#deps.store.timers.fired(timer);
    }
  }

  async #handle(delivered: Delivered): Promise<void> {
    const { row, rows } = delivered;
    try {
      await this.#take(delivered);
    } catch (error) {
      if (error instanceof SeqConflictError || error instanceof DuplicateIncidentError)
        return void (this.#again = true);
      // One of them is at fault: each shows by itself which.
      if (rows.length > 1) {
        for (const one of rows) await this.#handle({ row: one, rows: [one] });
        return;
      }
      const outcome = await this.#deps.store.inbox.failed(row.inbox_id, String(error), ROW_ATTEMPTS_MAX);
      this.#deps.log.error(
        { inbox_id: row.inbox_id, kind: row.kind, outcome, error: String(error) },
        'inbox row could not be taken in',
      );
      if (outcome === 'retry') this.#again = true;
    }
  }

  async #take(delivered: Delivered): Promise<void> {
    const taken = await takeIn(this.#deps, delivered.row);
    if (taken.kind === 'nothing') return this.#consume(delivered, taken.note);
    if (taken.kind === 'told') return this.#tell(delivered, taken.note, taken.origin);
    if (taken.kind === 'refused')
      return this.#refuse(delivered, taken.incident_id, taken.refusal, taken.by, taken.about, taken.origin);
    await this.#step(delivered, taken);
  }

  async #consume({ rows }: Delivered, note: string): Promise<void> {
    for (const { inbox_id } of rows) await this.#deps.store.inbox.consume(inbox_id, note);
  }

  async #step(delivered: Delivered, taken: Extract<TakenIn, { kind: 'event' }>): Promise<void> {
    const from = taken.row === null ? emptySnapshot() : parseSnapshot(taken.row.snapshot);
    // Time never runs backwards inside an incident.
    const at = taken.event.at < from.context.updated_at ? from.context.updated_at : taken.event.at;
    const event = { ...taken.event, at };
    if (event.type === 'stopped')
      await this.#deps.store.freezes.stop(taken.incident_id, event.by, event.reason);
    const stepped = step(from, event);
    if (!stepped.ok) {
      const by = taken.actor.startsWith('person:') ? taken.actor.slice('person:'.length) : null;
      return this.#refuse(
        delivered,
        taken.incident_id,
        stepped.refusal,
        by,
        event.type === 'decided' ? `${event.decision} ${event.approval_id}` : event.type,
        taken.origin,
      );
    }
    if (event.type === 'plan_again' || event.type === 'resumed')
      await this.#deps.store.freezes.clearStop(taken.incident_id);
    const commit = commitOf(
      from,
      event,
      stepped.snapshot,
      taken.actor,
      delivered.rows.map((row) => row.inbox_id),
      await this.#cardView(taken.incident_id, from, event, stepped.snapshot),
    );
    await this.#deps.store.step.commit(commit);
    this.#deps.notify();
    this.#effects.afterStep(taken.incident_id, stepped.snapshot);
    // A plan that was prepared while the policies changed, or approvals that the gateway no longer accepts.
    if (event.type === 'prepared' || event.type === 'execute_refused')
      await this.policiesChanged([taken.incident_id]);
  }

  async #cardView(incident_id: string, from: Snapshot, event: HarnessEvent, to: Snapshot): Promise<CardView> {
    const scores = scoresOf(from, event, to);
    const ladder =
      scores.length === 0 ? null : await ladderView(this.#deps, placeOf(incidentOf(to.context)), scores);
    const head = await this.#deps.store.ledger.head(incident_id);
    const budgets = await readBudgets(this.#deps, to.context);
    const own = budgets.find((b) => b.whose === 'incident')?.spent;
    return {
      ledger_head: head?.hash ?? '0'.repeat(64),
      tool_calls: own?.calls ?? 0,
      cost_usd: own?.cost_usd ?? 0,
      shared_budget: tightestShared(budgets),
      simulated: this.#deps.settings.unsafe_endpoints,
      approvers: await approversInWords(this.#deps, to.context),
      ladder: ladder?.line ?? null,
      public_url: this.#deps.settings.http.public_url,
    };
  }

  /** A refusal is a ledger entry and, when a person acted, a sentence only for that person. */
  async #refuse(
    delivered: Delivered,
    incident_id: string | null,
    refusal: Refusal,
    by: string | null,
    about: string,
    origin: Origin | null,
  ): Promise<void> {
    const { code, reason, remedy } = refusal;
    const stale = code === 'stale-effect' || code === 'stale-timer';
    const actor = by === null ? 'aegis:harness' : `person:${by}`;
    if (!stale)
      await this.#deps.store.ledger.append(incident_id ?? 'SYSTEM', [
        { kind: 'refusal', actor, payload: { code, reason, remedy, by, about } },
      ]);
    if (origin !== null) await this.#putPrivate(delivered, incident_id, `${reason} ${remedy}`.trim(), origin);
    // Whoever waits for this row, outside Slack, reads it there.
    await this.#consume(delivered, `refused (${code}): ${reason} ${remedy}`.trim());
  }

  async #tell(delivered: Delivered, text: string, origin: Origin): Promise<void> {
    await this.#putPrivate(delivered, null, text, origin);
    await this.#consume(delivered, text.slice(0, 300));
  }

  async #putPrivate(
    delivered: Delivered,
    incident_id: string | null,
    text: string,
    origin: Origin,
  ): Promise<void> {
    const segments: Segment[] = [{ t: 'text', text }];
    const { workspace, user } = origin.account;
    const { channel, thread_ts } = origin;
    await this.#deps.store.outbox.put(
      {
        card_key: `private:${delivered.row.inbox_id}`,
        placement: 'private',
        channel,
        notice: { kind: 'private', incident_id, workspace, user, channel, thread_ts, segments },
      },
      incident_id,
    );
    this.#deps.notify();
  }
}

function timerEvent(timer: TimerRow, now_ms: number): Record<string, unknown> {
  return { type: 'timer', at: isoTime(now_ms), kind: timer.kind, armed_step: timer.armed_step };
}
