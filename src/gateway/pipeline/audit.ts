import type { CallPayload } from '../../contract/ledger.ts';
import { refuse, type Refusal } from '../../contract/verdict.ts';
import type { NewLedgerEntry } from '../../contract/ledger.ts';
import type { TokenGrant } from '../../store/authority.ts';
import type { Lease } from '../credentials/lease.ts';
import { sanitizeText, sanitizeValue } from '../sanitize/sanitize.ts';
import type { Admission } from './admit.ts';
import type { GatewayCore } from './core.ts';

/** The audit of a call: one row before, without which nothing is called, and one row after. */
const ACTOR = 'aegis:gateway';
const SYSTEM_CHAIN = 'SYSTEM';

/** What the rows say of a call: who, what, where, under which policies. */
type AuditSubject = Pick<Admission, 'grant' | 'policy' | 'action_class' | 'args'> & {
  readonly route: Pick<Admission['route'], 'uri'>;
  readonly entry: { readonly tool: { readonly name: string } };
};

export interface CallFacts<Subject extends AuditSubject = Admission> {
  readonly call_id: string;
  readonly trace_id: string;
  readonly door: CallPayload['door'];
  readonly admission: Subject;
  /** What the rows say of arguments and reason: redacted once, shown before and after. */
  readonly told: { readonly args: Readonly<Record<string, unknown>>; readonly why: string };
  readonly started_ms: number;
  readonly shared_with?: string;
  readonly write?: {
    readonly journal_key: string;
    readonly journal_phase: CallPayload['journal_phase'];
    readonly permit_id: string;
  };
}

/** The facts of a call that begins now: every door starts one the same way. */
export function beginCall<Subject extends AuditSubject>(
  core: GatewayCore,
  {
    why,
    ...call
  }: Pick<CallFacts<Subject>, 'door' | 'admission' | 'write' | 'shared_with'> & {
    readonly why: string;
  },
): CallFacts<Subject> {
  const { args, policy } = call.admission;
  return {
    told: {
      args: sanitizeValue(args, policy.redaction).value as Readonly<Record<string, unknown>>,
      why: sanitizeText(why, policy.redaction).text.slice(0, 500),
    },
    call_id: core.ids.next('call'),
    trace_id: core.ids.next('trace'),
    started_ms: core.clock.now(),
    ...call,
  };
}

export interface CallEnd {
  readonly status: CallPayload['status'];
  readonly summary: string;
  readonly redactions: number;
  readonly lease: Pick<Lease, 'engine' | 'accessor' | 'revocable'> | null;
  readonly revoked: boolean;
}

function chainOf(grant: TokenGrant | null): string {
  return grant?.incident_id ?? SYSTEM_CHAIN;
}

export function beforeEntry(facts: CallFacts<AuditSubject>): NewLedgerEntry {
  const before = entry(facts, {
    phase: 'before',
    credential: null,
    status: 'accepted',
    summary: '',
    redactions: 0,
    cost: null,
  });
  const { grant } = facts.admission;
  if (grant.pays === undefined) return before;
  return { ...before, spend: { payer: { ...grant.pays, attempt: grant.token_id }, calls: 1 } };
}

/** Null: the row is written. A refusal: it could not be, so nothing may be called. */
export async function auditBefore(
  core: GatewayCore,
  facts: CallFacts<AuditSubject>,
): Promise<Refusal | null> {
  try {
    await core.store.ledger.append(chainOf(facts.admission.grant), [beforeEntry(facts)]);
    return null;
  } catch (error) {
    return auditUnavailable(core, facts.call_id, error);
  }
}

export function auditUnavailable(core: Pick<GatewayCore, 'log'>, call_id: string, error: unknown): Refusal {
  core.log.error({ call_id, error: (error as Error).message }, 'audit row not written, call refused');
  return refuse(
    'audit-unavailable',
    'The audit row could not be written, so nothing was called.',
    'Check disk space and the database in AEGIS_HOME.',
  );
}

/** False: the row could not be written. What was called cannot be undone, but its result is not handed out. */
export async function auditAfter(
  core: GatewayCore,
  facts: CallFacts<AuditSubject>,
  end: CallEnd,
): Promise<boolean> {
  const rules = facts.admission.policy.redaction;
  const credential = end.lease === null ? null : { ...pick(end.lease), revoked: end.revoked };
  const after = entry(facts, {
    phase: 'after',
    credential,
    status: end.status,
    summary: sanitizeText(end.summary, rules).text.slice(0, 1000),
    redactions: end.redactions,
    cost: { tokens: 0, usd: 0, ms: Math.max(0, Math.round(core.clock.now() - facts.started_ms)) },
  });
  try {
    await core.store.ledger.append(chainOf(facts.admission.grant), [after]);
    return true;
  } catch (error) {
    core.log.error(
      { call_id: facts.call_id, error: (error as Error).message },
      'audit row after a call not written',
    );
    return false;
  }
}

/** Every refusal is a ledger entry. A failure to write it changes nothing: the answer is no either way. */
export async function recordRefusal(
  core: GatewayCore,
  grant: TokenGrant | null,
  refusal: Refusal,
  about: string,
): Promise<Refusal> {
  const said = cleanWords(core, refusal, about);
  const { code, reason, remedy } = said.refusal;
  const payload = { code, reason, remedy, by: grant?.principal ?? null, about: said.about };
  try {
    await core.store.ledger.append(chainOf(grant), [{ kind: 'refusal', actor: ACTOR, payload }]);
  } catch (error) {
    core.log.error({ code, error: (error as Error).message }, 'refusal not recorded');
  }
  return said.refusal;
}

/**
 * A refusal quotes what its caller wrote, and a caller may write anything. Without rules the sentence stays (it says
 * what is wrong with them), the quotation goes.
 */
function cleanWords(
  { policies: { redaction } }: GatewayCore,
  refusal: Refusal,
  about: string,
): { refusal: Refusal; about: string } {
  if (redaction === null) return { refusal, about: 'withheld: there are no redaction rules' };
  const clean = (text: string): string => sanitizeText(text, redaction).text;
  const { reason, remedy } = refusal;
  return {
    refusal: { ...refusal, reason: clean(reason), remedy: clean(remedy) },
    about: clean(about).slice(0, 300),
  };
}

type EntryParts = Pick<CallPayload, 'phase' | 'credential' | 'status' | 'summary' | 'redactions' | 'cost'>;

function entry(
  { call_id, trace_id, door, admission, told, write, shared_with }: CallFacts<AuditSubject>,
  parts: EntryParts,
): NewLedgerEntry {
  const { grant, policy, route, entry: tool, action_class } = admission;
  const payload: CallPayload = {
    phase: parts.phase,
    call_id,
    door,
    tool: tool.tool.name,
    target: route.uri,
    action_class,
    principal: grant.principal,
    args: told.args,
    why: told.why,
    policy_digest: policy.digest,
    trace_id,
    journal_key: write?.journal_key ?? null,
    journal_phase: write?.journal_phase ?? null,
    permit_id: write?.permit_id ?? null,
    ...(shared_with === undefined ? {} : { shared_with }),
    credential: parts.credential,
    status: parts.status,
    summary: parts.summary,
    redactions: parts.redactions,
    cost: parts.cost,
  };
  return { kind: 'call', actor: ACTOR, payload };
}

function pick({ engine, accessor, revocable }: Pick<Lease, 'engine' | 'accessor' | 'revocable'>): {
  engine: string;
  accessor: string | null;
  revocable: boolean;
} {
  return { engine, accessor, revocable };
}
