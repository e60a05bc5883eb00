import type { Approval } from '../contract/approval.ts';
import type { EvidenceRecord } from '../contract/evidence.ts';
import type { IncidentState } from '../contract/incident.ts';
import type { LedgerEntry, LedgerKind, NewLedgerEntry } from '../contract/ledger.ts';
import type { Notice } from '../contract/notice.ts';
import type { PersonGrant } from '../contract/person-token.ts';
import type { Score } from '../contract/shadow.ts';
import type { Refusal } from '../contract/verdict.ts';
import type {
  BudgetStore,
  FreezeStore,
  JournalStore,
  LeaseStore,
  PersonTokenStore,
  ResultStore,
  ThrottleStore,
  TokenStore,
  UpstreamPinStore,
  TargetLockStore,
} from './authority.ts';
import type { RewindAnswer } from './checkpoint.ts';
import type { LadderStore } from './ladder-store.ts';
import type { Rewind } from './rewind.ts';

/**
 * Persistence with named atomic operations, one file per aggregate. No SQL and no transaction crosses this door; each
 * method is one transaction (IMMEDIATE on SQLite). Everything is asynchronous, so that PostgreSQL can stand behind it.
 * Nothing outside `store` may assume that it is the only process.
 */
export interface Store {
  readonly step: StepStore;
  readonly ledger: LedgerStore;
  readonly incidents: IncidentStore;
  readonly approvals: ApprovalStore;
  readonly evidence: EvidenceStore;
  readonly journal: JournalStore;
  readonly locks: TargetLockStore;
  readonly leases: LeaseStore;
  readonly tokens: TokenStore;
  readonly persons: PersonTokenStore;
  readonly freezes: FreezeStore;
  readonly upstream_pins: UpstreamPinStore;
  readonly throttle: ThrottleStore;
  readonly budgets: BudgetStore;
  readonly results: ResultStore;
  readonly inbox: InboxStore;
  readonly outbox: OutboxStore;
  readonly timers: TimerStore;
  readonly effects: EffectStore;
  readonly ladder: LadderStore;
  close(): Promise<void>;
}

// ---------------------------------------------------------------- step: the one transaction of the state machine

export interface NewEffect {
  /** `<INC>/<seq>/<n>`: deterministic, so a replay names the same effect. */
  readonly effect_id: string;
  readonly kind: string;
  readonly payload: Readonly<Record<string, unknown>>;
}

export interface NewTimer {
  /** Unique per incident and kind: arming again replaces. */
  readonly kind: string;
  readonly due_at_ms: number;
}

export interface NewCard {
  /** One message per key: `root:<INC>`, `approval:<APR>`, `progress:<INC>:<rev>`, `timeline:<INC>:<seq>:<n>`. */
  readonly card_key: string;
  /** The root card is the thread's parent; all others are replies (`private` ones are ephemeral). */
  readonly placement: 'root' | 'thread' | 'private';
  readonly channel: string;
  readonly notice: Notice;
}

export interface StepCommit {
  readonly incident_id: string;
  /** Number of steps committed so far (0 = the incident does not exist). Another value: SeqConflictError, nothing written. */
  readonly expected_step: number;
  /** Inbox rows that this step consumes; all must still be pending, else SeqConflictError. */
  readonly inbox_ids: readonly string[];
  readonly entries: readonly NewLedgerEntry[];
  /** Canonical JSON of the machine snapshot after the step. */
  readonly snapshot: unknown;
  readonly row: {
    readonly state: IncidentState;
    /** Hash of (trigger, group_key, team, env, cluster, namespace); unique among open incidents. */
    readonly identity: string;
    readonly open: boolean;
    readonly title: string;
    readonly team: string;
    readonly env: string;
    readonly channel: string;
  };
  readonly effects: readonly NewEffect[];
  readonly arm_timers: readonly NewTimer[];
  readonly cancel_timers: readonly string[];
  readonly cards: readonly NewCard[];
  /** Read model of approvals; the ledger stays the truth. */
  readonly approvals: readonly Approval[];
  /** What the plan of this step does to what; empty when the step made no plan. */
  readonly planned: readonly PlannedEffect[];
  /** Targets that the incident holds: prolonged while its changes are under way, given back when they are over. */
  readonly locks: 'renew' | 'keep' | 'release';
  /** What this step adds to the record that autonomy is earned with. */
  readonly scores?: readonly Score[];
}

/** A tool on a target: what "the same effect" means across incidents. */
export interface PlannedEffect {
  readonly tool: string;
  readonly target: string;
}

export interface StepResult {
  readonly step: number;
  readonly entries: readonly LedgerEntry[];
  readonly head: string;
}

export interface StepStore {
  /**
   * Inbox row consumed, ledger, snapshot, effect rows, timers, cards and approvals together or not at all.
   * @throws SeqConflictError when another step came first; DuplicateIncidentError when an open incident has this identity.
   */
  commit(step: StepCommit): Promise<StepResult>;
}

// ---------------------------------------------------------------- ledger

export interface ChainHead {
  readonly incident_id: string;
  readonly seq: number;
  readonly hash: string;
}

export interface PruneAnswer {
  /** Incidents that are gone. */
  readonly pruned: readonly string[];
  /** Incidents whose time is over and whose chain does not verify: they stay, as proof. */
  readonly kept_broken: readonly string[];
}

export interface LedgerStore {
  /** Appends to one chain in one transaction. Time in the chain never runs backwards: at = max(clock, last entry). */
  append(chain: string, entries: readonly NewLedgerEntry[]): Promise<readonly LedgerEntry[]>;
  /** Entries in seq order; `kinds` narrows. `limit` at most 10,000. */
  read(
    chain: string,
    options?: { from_seq?: number; limit?: number; kinds?: readonly LedgerKind[] },
  ): Promise<readonly LedgerEntry[]>;
  count(chain: string, kinds: readonly LedgerKind[]): Promise<number>;
  heads(): Promise<readonly ChainHead[]>;
  /** Null: the chain has no entry. */
  head(chain: string): Promise<ChainHead | null>;
  /** Commits to all heads in the CHECKPOINT chain, signs, appends to the witness file; null when nothing moved. */
  checkpoint(reason: string): Promise<LedgerEntry | null>;
  /** Re-hashes every row (and every stored blob); names the first bad one. Streams: memory stays flat. */
  verify(options?: {
    chain?: string;
    witness?: boolean;
    /** A checkpoint as the audit channel shows it: the database must hold it. */
    posted?: { seq: number; hash: string };
  }): Promise<LedgerVerdict>;
  /** Set while the database is not the one that the witness file knows (an older copy was restored): no write happens. */
  rewind(): Promise<Rewind | null>;
  /**
   * Takes out incidents that closed before this moment, with everything that is kept about them: at most 200 a call.
   * What checkpoints said about their chains can still be checked, and the SYSTEM chain names each.
   */
  prune(closed_before_ms: number): Promise<PruneAnswer>;
  /** Two people take the database as it is for the truth, each with their own token; it stands in the SYSTEM chain. */
  acceptRewind(by: PersonGrant, reason: string): Promise<Refusal | RewindAnswer>;
  /** The stored rows of one chain, or of all, as lines that `verifyExport` checks without this store. Streams. */
  export(chain: string | null): AsyncIterable<Uint8Array>;
  /** The key that checkpoints and exports are signed with; people keep it elsewhere to check them. */
  publicKey(): Promise<{ readonly key_id: string; readonly pem: string }>;
}

export interface LedgerVerdict {
  readonly ok: boolean;
  readonly entries: number;
  readonly chains: number;
  readonly blobs: number;
  readonly problems: readonly { chain: string; seq: number | null; what: string }[];
}

// ---------------------------------------------------------------- incidents

export interface IncidentRow {
  readonly incident_id: string;
  readonly state: IncidentState;
  readonly open: boolean;
  readonly title: string;
  readonly team: string;
  readonly env: string;
  readonly channel: string;
  readonly identity: string;
  readonly step: number;
  readonly snapshot: unknown;
  readonly opened_at_ms: number;
  readonly updated_at_ms: number;
}

export interface IncidentStore {
  /** Next `INC-YYYY-MMDD-NNN` of the UTC day; never given twice. */
  allocateId(now_ms: number): Promise<string>;
  /** Next number of a counter that never repeats (`CHG`, `APR`). */
  allocateNumber(counter: 'CHG' | 'APR'): Promise<number>;
  get(incident_id: string): Promise<IncidentRow | null>;
  findOpen(identity: string): Promise<IncidentRow | null>;
  /** The latest incident with this identity, open or closed: for `recurrence_of`. */
  findLatest(identity: string): Promise<IncidentRow | null>;
  /** By Slack thread: the root card's channel and ts. */
  findByThread(channel: string, thread_ts: string): Promise<IncidentRow | null>;
  /** Incidents that ever planned this effect and moved at or after `since_ms`, newest first, at most 1000. */
  planning(effect: PlannedEffect, since_ms: number): Promise<readonly IncidentRow[]>;
  list(options: {
    open?: boolean;
    team?: string;
    env?: string;
    limit: number;
  }): Promise<readonly IncidentRow[]>;
}

export interface ApprovalStore {
  get(approval_id: string): Promise<Approval | null>;
  /** Incidents that have an approval which waits, or was given and not used. All of them: none may be overlooked. */
  standingIn(): Promise<readonly string[]>;
}

// ---------------------------------------------------------------- evidence

export interface EvidenceContent {
  readonly record: EvidenceRecord;
  /** The captured, redacted file; lines are separated by "\n". */
  readonly text: string;
}

export interface EvidenceStore {
  /** Seals the redacted text under the tenant's key (AES-256-GCM, path as additional data) and stores record + blob. */
  put(record: EvidenceRecord, text: string): Promise<void>;
  record(evidence_id: string): Promise<EvidenceRecord | null>;
  /** Unseals. `tampered`: the blob does not decrypt or its hash differs. */
  open(evidence_id: string): Promise<EvidenceContent | { problem: 'missing' | 'expired' | 'tampered' }>;
  list(incident_id: string): Promise<readonly EvidenceRecord[]>;
  /** HMAC-SHA256 of raw bytes under the tenant's key. */
  rawHmac(tenant: { team: string; env: string }, raw: Uint8Array): string;
}

// ---------------------------------------------------------------- inbox, outbox, timers, effects

export interface NewInboxRow {
  readonly source: 'slack' | 'alertmanager' | 'cli' | 'link' | 'effect' | 'timer' | 'policies';
  /** The same key a second time changes nothing (redelivery, double click, effect result after a restart). */
  readonly dedup_key: string;
  readonly incident_id: string | null;
  readonly kind: string;
  readonly payload: Readonly<Record<string, unknown>>;
}

export interface InboxRow extends NewInboxRow {
  readonly inbox_id: string;
  readonly received_at_ms: number;
  readonly attempts: number;
  /** False for a row that this store did not write: somebody put it into the database, or changed it there. */
  readonly genuine: boolean;
}

export interface InboxStore {
  append(row: NewInboxRow): Promise<{ inbox_id: string; duplicate: boolean }>;
  /** All or none in one transaction: a webhook with many alerts. */
  appendAll(rows: readonly NewInboxRow[]): Promise<readonly { inbox_id: string; duplicate: boolean }[]>;
  /** Pending rows, oldest first. */
  pending(limit: number): Promise<readonly InboxRow[]>;
  /**
   * Whether another process may have written to this store since the last time this was asked. Costs a few microseconds,
   * and is only a reason to look earlier: a store that cannot tell says false.
   */
  writtenElsewhere(): boolean;
  /** Marks a row consumed without a step (handled by intake, or a recorded no-op). */
  consume(inbox_id: string, note: string): Promise<void>;
  /** How a row ended, for whoever wrote it and waits; `note` says why when nothing came of it. Null: no such row. */
  ended(inbox_id: string): Promise<{ state: 'pending' | 'consumed' | 'dead'; note: string | null } | null>;
  /** Counts a failed attempt; at `attempts_max` the row is set aside as dead with the reason. */
  failed(inbox_id: string, reason: string, attempts_max: number): Promise<'retry' | 'dead'>;
  /** True the first time a key is seen within its lifetime: replay cache for signatures. */
  rememberOnce(key: string, expires_at_ms: number): Promise<boolean>;
}

export interface CardDelivery {
  readonly card_key: string;
  readonly incident_id: string | null;
  readonly placement: NewCard['placement'];
  /** Revision wanted now (newest commit) and revision last sent (0 = never). */
  readonly wanted_revision: number;
  readonly sent_revision: number;
  readonly channel: string;
  readonly ts: string | null;
  /** Root message that this card answers; null for the root itself or while the root is not posted yet. */
  readonly thread_ts: string | null;
  /** `sending` means that a post left and its answer never came: look before posting again. */
  readonly state: 'idle' | 'sending' | 'failed';
  readonly notice: Notice;
  readonly attempts: number;
}

export interface OutboxStore {
  /** Cards whose wanted revision is newer than the sent one and whose retry time has come; roots first. */
  due(limit: number): Promise<readonly CardDelivery[]>;
  /** Puts a card outside a step: ephemeral answers of listeners, re-render at start. */
  put(card: NewCard, incident_id: string | null): Promise<void>;
  sending(card_key: string, revision: number): Promise<void>;
  sent(card_key: string, revision: number, channel: string, ts: string): Promise<void>;
  /** Keeps the card due at `retry_at_ms`; null gives up for this revision and records why. */
  failed(card_key: string, revision: number, error: string, retry_at_ms: number | null): Promise<void>;
  get(card_key: string): Promise<CardDelivery | null>;
  byMessage(channel: string, ts: string): Promise<CardDelivery | null>;
  /** Marks every card of open incidents as wanting a new revision: after a restart. */
  rerenderOpen(): Promise<number>;
}

export interface TimerRow {
  readonly incident_id: string;
  readonly kind: string;
  readonly due_at_ms: number;
  /** Step at which it was armed; a firing that finds another arming is stale. */
  readonly armed_step: number;
}

export interface TimerStore {
  /** Timers that are due; the runner turns each into an inbox row and then calls `fired`. */
  due(now_ms: number, limit: number): Promise<readonly TimerRow[]>;
  fired(timer: TimerRow): Promise<void>;
  nextDue(): Promise<number | null>;
}

export interface EffectRow extends NewEffect {
  readonly incident_id: string;
  readonly state: 'pending' | 'running' | 'done' | 'cancelled';
  readonly attempts: number;
}

export interface EffectStore {
  /** Effects not done, oldest first. After a restart `running` ones of dead owners are included. */
  open(limit: number): Promise<readonly EffectRow[]>;
  start(effect_id: string): Promise<boolean>;
  /** Marks it done and appends the result as an inbox row (deduplicated on the effect id), in one transaction. */
  finish(effect_id: string, result: NewInboxRow): Promise<void>;
  cancelOf(incident_id: string): Promise<readonly string[]>;
}
