import type { Account, Payer, Spent } from '../contract/budgets.ts';
import type { NewLedgerEntry } from '../contract/ledger.ts';
import type { PersonGrant } from '../contract/person-token.ts';
import type { ActionClass, Permit, ToolOutcome } from '../contract/tool.ts';
import type { PastChange, UnattendedEntry } from '../contract/unattended.ts';
import type { Refusal } from '../contract/verdict.ts';

/** Who may act, what has acted, what forbids it: journal, permits, leases, tokens, freezes (see store.ts for the rules). */
export type JournalStatus = 'accepted' | 'dispatched' | 'done' | 'failed' | 'conflict' | 'outcome_unknown';

export interface JournalRow {
  readonly key: string;
  readonly args_hash: string;
  readonly incident_id: string;
  readonly change_id: string;
  readonly tool: string;
  readonly target: string;
  readonly status: JournalStatus;
  readonly permit: Permit;
  /** Observed values of the touched fields before the write; set when dispatched. */
  readonly before_image: Readonly<Record<string, unknown>> | null;
  readonly object_uid: string | null;
  /** From here on the change may be in force. */
  readonly dispatched_at_ms: number | null;
  readonly outcome: ToolOutcome | null;
  readonly updated_at_ms: number;
}

export type AcceptAnswer =
  | {
      readonly result: 'accepted' | 'existing' | 'conflict' | 'permit_used' | 'permit_expired';
      readonly row: JournalRow | null;
    }
  | { readonly result: 'refused'; readonly refusal: Refusal; readonly row: JournalRow | null };

/** Pure: it runs inside a transaction. */
export type Attendance = (past: readonly PastChange[]) => Refusal | readonly UnattendedEntry[];

export interface JournalStore {
  /**
   * Writes permit, ledger entry and the locks of the targets together; refused while the incident's own ledger says
   * `read_only` or `suggest`, and while another incident holds one of the targets.
   */
  mintPermit(permit: Permit, entry: NewLedgerEntry, targets?: readonly string[]): Promise<Refusal | 'minted'>;
  permit(permit_id: string): Promise<Permit | null>;
  /**
   * One transaction: consumes the permit, writes the journal row `accepted` and the audit row. When the key exists:
   * same args -> `existing` (the permit is consumed, nothing else), other args -> `conflict`. `permit_used`: not again.
   * `attendance` decides in that transaction, from all that ran without a person so far, whether this change may, and what
   * the SYSTEM chain says of it; its refusal leaves everything as it was.
   */
  accept(input: {
    permit_id: string;
    key: string;
    args_hash: string;
    audit: NewLedgerEntry;
    attendance?: Attendance;
  }): Promise<AcceptAnswer>;
  /** What ran without a person, and what ended such a row, oldest first. */
  unattended(): Promise<readonly PastChange[]>;
  /**
   * The last thing before bytes leave, one transaction: reads freezes (rows and the FREEZE file), stop and expiry, and
   * marks the row `dispatched`; or refuses.
   */
  dispatch(
    key: string,
    before: { before_image: Readonly<Record<string, unknown>> | null; object_uid: string | null },
  ): Promise<Refusal | 'dispatched'>;
  finish(
    key: string,
    status: Exclude<JournalStatus, 'accepted' | 'dispatched'>,
    outcome: ToolOutcome,
  ): Promise<void>;
  /**
   * Back from `dispatched` to `accepted`: the object was looked at, the write never arrived, and the server would refuse
   * it by now. A fresh permit may send it under the same key. @throws when the row is in any other status.
   */
  reopen(key: string): Promise<void>;
  get(key: string): Promise<JournalRow | null>;
  /** Rows accepted or dispatched: what a restart must reconcile. */
  unfinished(): Promise<readonly JournalRow[]>;
}

export interface LeaseRow {
  readonly lease_id: string;
  readonly call_id: string;
  readonly incident_id: string | null;
  readonly engine: string;
  /** Vault accessor: names the token without being a secret. Null until the child token exists. */
  readonly accessor: string | null;
  readonly state: 'intent' | 'live' | 'revoked' | 'expired';
  readonly created_at_ms: number;
  readonly expires_at_ms: number;
}

export interface LeaseStore {
  intent(
    row: Pick<LeaseRow, 'lease_id' | 'call_id' | 'incident_id' | 'engine' | 'expires_at_ms'>,
  ): Promise<void>;
  live(lease_id: string, accessor: string): Promise<void>;
  ended(lease_id: string, state: 'revoked' | 'expired'): Promise<void>;
  outstanding(): Promise<readonly LeaseRow[]>;
}

export interface TokenGrant {
  readonly token_id: string;
  readonly principal: string;
  readonly incident_id: string | null;
  readonly team: string;
  readonly env: string;
  /** The highest class the token may reach; writes also need a permit. */
  readonly action_class: ActionClass;
  readonly expires_at_ms: number;
  /** The effect that the token is for and the accounts that its calls are charged to; left out: charged to nobody. */
  readonly pays?: Omit<Payer, 'attempt'>;
}

export interface TokenStore {
  /** Stores only the SHA-256 of the token text. */
  mint(grant: TokenGrant, token_text: string): Promise<void>;
  find(token_text: string): Promise<TokenGrant | null>;
  revoke(token_id: string): Promise<boolean>;
  list(limit: number): Promise<readonly TokenGrant[]>;
}

/** An account and how many investigations of its day are allowed; null: as many as there are. */
export interface LimitedAccount extends Account {
  readonly investigations_max: number | null;
}

export interface BudgetStore {
  /**
   * Charges one investigation to all accounts, once for each effect however often it is run. When one of them is used up
   * nothing is charged, and that one comes back.
   */
  beginInvestigation(effect_id: string, accounts: readonly LimitedAccount[]): Promise<LimitedAccount | null>;
  /** In the order of the accounts. */
  spent(accounts: readonly Account[]): Promise<readonly Spent[]>;
  /** Every account of one UTC day. */
  daySpent(day: string): Promise<readonly { readonly key: string; readonly spent: Spent }[]>;
}

/** Tokens that persons decide with; they open nothing at the gateway, and its tokens decide nothing. */
export interface PersonTokenStore {
  /** Stores the hash of the text; grant and giver become an entry of the SYSTEM chain in the same transaction. */
  mint(grant: PersonGrant, token_text: string, by: string): Promise<void>;
  /** Whose token this is, or why it counts no more. */
  find(token_text: string): Promise<PersonGrant | Refusal>;
  byId(token_id: string): Promise<PersonGrant | Refusal>;
  /**
   * Those of these tokens that are revoked, unknown or forged. One that has merely expired was in force when its decision
   * was made; a revoked one may have been stolen before that.
   */
  distrusted(token_ids: readonly string[]): Promise<ReadonlySet<string>>;
  /** False when there is nothing to revoke. Also an entry of the SYSTEM chain, which counts even without the row. */
  revoke(token_id: string, by: string): Promise<boolean>;
  /** Tokens in force, newest first. */
  list(limit: number): Promise<readonly PersonGrant[]>;
}

export interface ThrottleStore {
  /** The saved state of a breaker that is open; null: closed. */
  breaker(key: string): Promise<unknown>;
  saveBreaker(key: string, state: unknown): Promise<void>;
  /** Hands out up to `wanted` calls of a day that holds `day_max`, counted over all processes; 0: the day is used up. */
  claim(key: string, day: string, wanted: number, day_max: number): Promise<number>;
}

/** Whose result it is, and of which call: all of it must fit before the text is handed out. */
export interface ResultAbout {
  readonly result_id: string;
  readonly team: string;
  readonly env: string;
  readonly incident_id: string | null;
  readonly action_class: ActionClass;
  readonly policy_digest: string;
  readonly call_id: string;
  readonly tool: string;
  readonly target: string;
  readonly expires_at_ms: number;
}

export interface ResultStore {
  /** Seals a redacted result under its tenant's key until it expires. */
  put(about: ResultAbout, text: string): Promise<void>;
  /** Null: unknown, expired, or not what was sealed. */
  open(result_id: string): Promise<{ readonly about: ResultAbout; readonly text: string } | null>;
}

export interface TargetLock {
  readonly target: string;
  readonly incident_id: string;
  readonly until_ms: number;
}

export interface TargetLockStore {
  /** Locks that have not run out. */
  held(): Promise<readonly TargetLock[]>;
  /** Prolongs those of every incident that changes, checks or puts back. */
  renew(): Promise<void>;
}

export interface FreezeRow {
  readonly freeze_id: string;
  /** `*`, `team`, `team/env` or `team/env/service`. */
  readonly scope: string;
  readonly reason: string;
  readonly by: string;
  readonly until_ms: number | null;
  readonly created_at_ms: number;
}

export interface FreezeStore {
  /** One step, one person; also an entry in the SYSTEM chain. */
  set(freeze: Omit<FreezeRow, 'created_at_ms'>): Promise<void>;
  lift(scope: string, by: string, reason: string): Promise<number>;
  /** Freezes that cover this place now, including the FREEZE file. */
  active(place: { team: string; env: string; service?: string | undefined }): Promise<readonly FreezeRow[]>;
  /** `stop` of one incident: no further dispatch for it. */
  stop(incident_id: string, by: string, reason: string): Promise<void>;
  clearStop(incident_id: string): Promise<void>;
  stopped(incident_id: string): Promise<boolean>;
}

/** The name under which a server's own instructions are pinned; no tool can have it. */
export const INSTRUCTIONS_PIN = '(instructions)';

/** One tool as its server describes it now; the hash is over the canonical JSON of the definition. */
export interface SeenTool {
  readonly tool: string;
  readonly hash: string;
  readonly definition: Readonly<Record<string, unknown>>;
}

export interface UpstreamPin {
  readonly server: string;
  readonly tool: string;
  /** What a person looked at and accepted; null until then. */
  readonly approved: {
    readonly hash: string;
    readonly definition: Readonly<Record<string, unknown>>;
    readonly by: string;
    readonly at_ms: number;
  } | null;
  /** As listed last; null when the server no longer lists it. */
  readonly seen: Omit<SeenTool, 'tool'> | null;
  /** When `seen` last became what it is. */
  readonly seen_at_ms: number;
}

export interface UpstreamPinStore {
  /** Notes what a server lists; what is new, changed or gone becomes an entry of the SYSTEM chain. Returns how many. */
  see(server: string, tools: readonly SeenTool[]): Promise<number>;
  /** Accepts exactly these definitions, all or none: false when one of them is no longer what was shown. */
  approve(
    server: string,
    approvals: readonly { readonly tool: string; readonly hash: string }[],
    by: string,
  ): Promise<boolean>;
  get(server: string, tool: string): Promise<UpstreamPin | null>;
  list(server?: string): Promise<readonly UpstreamPin[]>;
}
