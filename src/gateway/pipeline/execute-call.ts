import { hashOf } from '../../contract/canonical.ts';
import type { IncidentContext } from '../../contract/incident.ts';
import { journalKey, type Permit, type ToolOutcome } from '../../contract/tool.ts';
import { isRefusal, refuse, type Refusal } from '../../contract/verdict.ts';
import type { AcceptAnswer, Attendance, JournalRow, TokenGrant } from '../../store/authority.ts';
import { freezeRemedy } from '../../store/freezes.ts';
import type { Place, Precondition, TouchedField, WriteTool } from '../drivers/driver.ts';
import type { ExecuteRequest } from '../gateway.ts';
import { imageOfChange } from '../change-image.ts';
import { admit, authorize, isRefused, writeToolOf, type Admission } from './admit.ts';
import {
  auditAfter,
  auditBefore,
  auditUnavailable,
  beforeEntry,
  beginCall,
  recordRefusal,
  type CallFacts,
} from './audit.ts';
import { valuesOf } from './after-canary.ts';
import { canaryRefusal } from './canary-verdict.ts';
import { factorProblem } from './classify.ts';
import type { GatewayCore } from './core.ts';
import { compareObservation, conflictOutcome, differences } from './outcome.ts';
import { checkPermit } from './permit.ts';
import { peopleNow } from './people-now.ts';
import { proveApproval, type Proof } from './prove-approval.ts';
import { proveAttendance } from './prove-unattended.ts';
import { settleEarlier } from './reconcile-call.ts';
import { restorationRefusal } from './restoration.ts';
import type { Guarded } from './throttle.ts';
import { settleRow } from './settle-row.ts';
import { laneOf, leaseFor } from './upstream-call.ts';
import { readVerifiedChain } from './verified-chain.ts';
import { apply, cleanOutcome, observe, type WriteCall } from './write-steps.ts';

/**
 * The execute door: the only code path of Aegis that changes the outside. Permit, plan and approvals come from the
 * store and are compared with each other and with the request; freeze, stop and expiry are read once more in the
 * transaction that marks the call dispatched, the last thing before bytes leave.
 */
export interface ExecuteAnswer {
  readonly call_id: string;
  readonly outcome: ToolOutcome;
}

interface Allowed {
  readonly admission: Admission;
  readonly permit: Permit;
  readonly proof: Proof;
  readonly attendance: Attendance | undefined;
}

export async function executeCall(
  core: GatewayCore,
  request: ExecuteRequest,
): Promise<ExecuteAnswer | Refusal> {
  const allowed = await allow(core, request);
  if ('refusal' in allowed)
    return recordRefusal(core, allowed.grant, allowed.refusal, `execute ${request.tool} ${request.target}`);
  const { admission, permit } = allowed;
  const answer = await core.throttle.run(laneOf(admission, 'write'), () => accepted(core, allowed, request));
  return isRefusal(answer)
    ? recordRefusal(core, admission.grant, answer, `execute ${permit.change_id}`)
    : answer;
}

/** Everything before the transaction: nothing here has an effect. */
async function allow(
  core: GatewayCore,
  request: ExecuteRequest,
): Promise<Allowed | { refusal: Refusal; grant: TokenGrant | null }> {
  const admission = await admit(core, { ...request, args: request.params }, 'write');
  if (isRefused(admission)) return admission;
  const { grant, policy } = admission;
  const refused = (refusal: Refusal): { refusal: Refusal; grant: TokenGrant } => ({ refusal, grant });
  const permit = await checkPermit(core, grant, request);
  if (isRefusal(permit)) return refused(permit);
  const entries = await readVerifiedChain(core.store.ledger, permit.incident_id);
  if (isRefusal(entries)) return refused(entries);
  const people = await peopleNow(core, grant, permit, entries);
  if (isRefusal(people)) return refused(people);
  const proof = proveApproval({
    entries,
    people,
    permit,
    policy_digest: policy.digest,
    tool_definitions_digest: core.registry.digest,
    now_ms: core.clock.now(),
  });
  if (isRefusal(proof)) return refused(proof);
  const mismatch =
    (await contentProblem(core, admission, permit, proof)) ??
    (await canaryRefusal(core.store.journal, entries, permit, proof));
  if (mismatch !== null) return refused(mismatch);
  const attendance = await proveAttendance(core, admission, permit, proof, entries);
  if (attendance !== undefined && isRefusal(attendance)) return refused(attendance);
  const { team, env, service } = proof.context.scope;
  const freezes = await core.store.freezes.active({ team, env, service });
  const denied = authorize(admission, {
    action: 'execute',
    phase: permit.phase,
    autonomy: proof.autonomy,
    freeze: freezes.length > 0,
    permit_valid: true,
    approvals: proof.approvals,
    people_required: proof.people_required,
    unattended: proof.people_required === 0,
    denied: proof.denied,
  });
  const [freeze] = freezes;
  if (freeze !== undefined)
    return refused(
      refuse(
        'frozen',
        `${freeze.scope} is frozen by ${freeze.by}: ${freeze.reason}.`,
        `${freezeRemedy(freeze)} The gates then run again.`,
      ),
    );
  return denied === null ? { admission, permit, proof, attendance } : refused(denied);
}

/** The arguments must set exactly what the approved preview showed, for the incident's own tenant. */
async function contentProblem(
  core: GatewayCore,
  admission: Admission,
  permit: Permit,
  proof: Proof,
): Promise<Refusal | null> {
  const { grant, policy, entry, route, args } = admission;
  const { scope } = proof.context;
  if (scope.team !== grant.team || scope.env !== grant.env)
    return refuse(
      'scope-forbidden',
      'The token belongs to another team or environment than the incident.',
      'Use the incident’s own token.',
    );
  const tool = writeToolOf(admission);
  if (!approvedFor(tool, args, route, proof.precondition))
    return refuse(
      'effect-mismatch',
      'The arguments set other fields or values than the approved preview.',
      'Preview again and ask for approval again.',
    );
  if (permit.phase === 'undo' && 'from' in proof.action.rollback) {
    const image = await imageOfChange(core.store.journal, permit.incident_id, permit.change_id);
    if (image === null || hashOf(tool.undo(image)) !== hashOf(args))
      return refuse(
        'undo-mismatch',
        'The undo does not restore the before-image of the change.',
        'Restore by hand; the before-image is in the journal.',
      );
  }
  if (
    permit.phase === 'apply' &&
    proof.action.canary !== undefined &&
    hashOf(tool.undo(valuesOf(proof.precondition.changes))) !== hashOf(args)
  )
    return refuse(
      'permit-mismatch',
      'The permit asks for something else than what the canary left to do.',
      'Plan again.',
    );
  return factorProblem(
    policy.guardrails,
    entry.tool.name,
    route.target,
    permit.phase === 'undo' ? [] : proof.precondition.changes,
  );
}

function approvedFor(
  tool: WriteTool,
  args: Readonly<Record<string, unknown>>,
  place: Place,
  approved: Precondition,
): boolean {
  if (tool.approvedFor !== undefined) return tool.approvedFor(args as never, place, approved);
  const fields = (list: readonly TouchedField[]) => list.map(({ path, after }) => ({ path, after }));
  return hashOf(fields(tool.touched(args as never, place))) === hashOf(fields(approved.changes));
}

/** From the transaction on. `ill` is left to reads: one write that failed must not open the breaker for its retry. */
async function accepted(
  core: GatewayCore,
  allowed: Allowed,
  request: ExecuteRequest,
): Promise<Guarded<ExecuteAnswer | Refusal>> {
  const { admission, permit } = allowed;
  const key = journalKey(permit.incident_id, permit.change_id, permit.phase);
  const facts = beginCall(core, {
    door: 'execute',
    admission,
    why: `approved change ${permit.change_id}`,
    write: { journal_key: key, journal_phase: permit.phase, permit_id: permit.permit_id },
  });
  const taken = await take(core, allowed, facts, key);
  if (isRefusal(taken)) return { value: taken, ill: false };
  if (taken.result === 'refused') return { value: taken.refusal, ill: false };
  const { result, row } = taken;
  if (result === 'accepted') return { value: await run(core, allowed, request, facts, key), ill: false };
  if (result === 'existing' && row !== null)
    return { value: await again(core, allowed, facts, row), ill: false };
  return { value: notAccepted(result, permit), ill: false };
}

/** Permit, journal row and audit row in one transaction. When it cannot be written, nothing is called. */
async function take(
  core: GatewayCore,
  { permit: { permit_id, args_hash }, attendance }: Allowed,
  facts: CallFacts,
  key: string,
): Promise<AcceptAnswer | Refusal> {
  const audit = beforeEntry(facts);
  try {
    return await core.store.journal.accept({
      permit_id,
      key,
      args_hash,
      audit,
      ...(attendance === undefined ? {} : { attendance }),
    });
  } catch (error) {
    return auditUnavailable(core, facts.call_id, error);
  }
}

function notAccepted(result: string, permit: Permit): Refusal {
  if (result === 'permit_used')
    return refuse(
      'permit-used',
      `The permit for ${permit.change_id} was used before.`,
      'Each call needs its own permit.',
    );
  if (result === 'permit_expired')
    return refuse(
      'permit-expired',
      `The permit for ${permit.change_id} has expired.`,
      'The gates run again and mint a fresh one.',
    );
  return refuse(
    'journal-conflict',
    `${permit.change_id} was run before with other arguments.`,
    'Plan a new change; a change number is never reused.',
  );
}

/** The same key and arguments a second time: what happened the first time, looked at once more. */
async function again(
  core: GatewayCore,
  { admission, proof }: Allowed,
  facts: CallFacts,
  row: JournalRow,
): Promise<ExecuteAnswer | Refusal> {
  const unwritten = await auditBefore(core, facts);
  if (unwritten !== null) return unwritten;
  const settled = await settleEarlier(core, admission, facts.call_id, row, proof.precondition);
  const { value, lease, revoked } = settled;
  const refused = isRefusal(value);
  const status = refused ? 'refused' : value.status;
  await auditAfter(core, facts, {
    status,
    summary: refused ? value.reason : value.summary,
    redactions: 0,
    lease,
    revoked,
  });
  return refused ? value : { call_id: facts.call_id, outcome: value };
}

async function run(
  core: GatewayCore,
  allowed: Allowed,
  request: ExecuteRequest,
  facts: CallFacts,
  key: string,
): Promise<ExecuteAnswer | Refusal> {
  const { admission, proof } = allowed;
  const lease = await leaseFor(core, admission, facts.call_id, 'write', undefined);
  if (isRefusal(lease)) {
    await auditAfter(core, facts, {
      status: 'refused',
      summary: lease.reason,
      redactions: 0,
      lease: null,
      revoked: false,
    });
    return lease;
  }
  const { precondition } = proof;
  const call: WriteCall = {
    core,
    admission,
    call_id: facts.call_id,
    lease,
    precondition,
    timeout_ms: request.timeout_ms,
    brake: () => brakeOf(core, proof.context),
  };
  let revoked = false;
  let outcome: ToolOutcome | Refusal;
  try {
    outcome = await dispatched(call, key, allowed);
  } finally {
    revoked = await lease.release();
  }
  const refused = isRefusal(outcome);
  await auditAfter(core, facts, {
    status: isRefusal(outcome) ? 'refused' : outcome.status,
    summary: isRefusal(outcome) ? outcome.reason : outcome.summary,
    redactions: 0,
    lease,
    revoked,
  });
  return refused ? (outcome as Refusal) : { call_id: facts.call_id, outcome: outcome as ToolOutcome };
}

/** Law 12 inside a write of several requests: freeze and stop are read again before each further one. */
async function brakeOf({ store }: GatewayCore, context: IncidentContext): Promise<string | null> {
  const { team, env, service } = context.scope;
  const [freeze] = await store.freezes.active({ team, env, service });
  if (freeze !== undefined) return `${freeze.scope} is frozen by ${freeze.by}: ${freeze.reason}`;
  return (await store.freezes.stopped(context.incident_id)) ? `${context.incident_id} was stopped` : null;
}

/** Before-image, the last look at freeze, stop and expiry, the write, its outcome into the journal. */
async function dispatched(
  call: WriteCall,
  key: string,
  { permit, proof }: Allowed,
): Promise<ToolOutcome | Refusal> {
  const { journal } = call.core.store;
  const before = await observe(call, 'write');
  if (isRefusal(before)) return before;
  if (compareObservation(call.precondition, before) !== 'before') {
    const conflict = conflictOutcome(
      differences(call.precondition, before),
      'The object changed after it was approved; nothing was sent',
    );
    return settleRow(journal, key, cleanOutcome(call, conflict));
  }
  const unproven = await restorationRefusal(call.core, call.admission, {
    ...permit,
    context: proof.context,
    precondition: call.precondition,
    restoration: before.restoration ?? null,
  });
  if (unproven !== null) return unproven;
  call.core.in_flight.add(key);
  try {
    const { values: before_image, object_uid } = before;
    const verdict = await journal.dispatch(key, { before_image, object_uid });
    return verdict === 'dispatched'
      ? await settleRow(journal, key, await apply(call, before_image))
      : verdict;
  } finally {
    call.core.in_flight.delete(key);
  }
}
