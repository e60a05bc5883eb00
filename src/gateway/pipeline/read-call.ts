import { canonicalJson } from '../../contract/canonical.ts';
import { tenantKey } from '../../contract/scope.ts';
import { isRefusal, refuse, type Refusal } from '../../contract/verdict.ts';
import type { Lease } from '../credentials/lease.ts';
import type { ReadAnswer } from '../drivers/driver.ts';
import type { PeerAnswer } from '../mcp-peer.ts';
import type { ReadRequest, ReadResult } from '../read.ts';
import { withoutNames } from '../recogniser/recogniser.ts';
import { sanitizeText, sanitizeValue } from '../sanitize/sanitize.ts';
import { meansIllness } from '../upstream-error.ts';
import { authorize, type Admission } from './admit.ts';
import { auditAfter, auditBefore, beginCall, type CallFacts } from './audit.ts';
import { namelessRefusal } from './clean-refusal.ts';
import type { GatewayCore, SharedRead } from './core.ts';
import { throughDoor } from './door.ts';
import type { JoinedFlight } from './flights.ts';
import type { Guarded } from './throttle.ts';
import { callExternal, callUpstream, laneOf, leaseFor, scrubOf } from './upstream-call.ts';

/**
 * The read door. Callers that ask the same at the same time share one call of the upstream: each is admitted, counted
 * and audited by itself, one does the work. Nothing is kept once it is done, and a failure is nobody's later answer.
 */
export async function readCall(
  core: GatewayCore,
  request: ReadRequest,
  signal?: AbortSignal,
): Promise<ReadResult | Refusal> {
  const about = `read ${request.tool} ${request.target}`;
  return throughDoor(core, request, { mode: 'read', about }, async (admission) => {
    const lane = laneOf(admission, 'read');
    const denied = authorize(admission, { action: 'read' }) ?? (await core.throttle.take(lane));
    if (denied !== null) return denied;
    const key = flightKey(admission);
    const under_way = core.flights.join(key, signal);
    return under_way === null
      ? lead(core, admission, request, key, signal)
      : follow(core, admission, request, under_way);
  });
}

/** Equal only for callers who may see the same: same tenant, incident and class of token, under the same policies. */
function flightKey({ grant, policy, entry, route, args }: Admission): string {
  return canonicalJson([
    tenantKey(grant),
    grant.incident_id,
    grant.action_class,
    policy.digest,
    entry.tool.name,
    route.uri,
    args,
  ]);
}

/** The first caller: through queue and breaker, with the audit rows around the call. */
async function lead(
  core: GatewayCore,
  admission: Admission,
  request: ReadRequest,
  key: string,
  signal: AbortSignal | undefined,
): Promise<ReadResult | Refusal> {
  const facts = beginCall(core, { door: 'read', admission, why: request.why });
  const landed = await core.flights.lead(key, signal, async (shared_signal, land) => ({
    call_id: facts.call_id,
    result: await core.throttle.pass(laneOf(admission, 'read'), () =>
      audited(core, facts, shared_signal, (result) => land({ call_id: facts.call_id, result })),
    ),
  }));
  return landed === 'left' ? LEFT : landed.result;
}

/** A caller who joined: rows of its own, which name the call that did the work. */
async function follow(
  core: GatewayCore,
  admission: Admission,
  request: ReadRequest,
  flight: JoinedFlight<SharedRead>,
): Promise<ReadResult | Refusal> {
  const facts = beginCall(core, { door: 'read', admission, why: request.why });
  const unwritten = await auditBefore(core, facts);
  if (unwritten !== null) {
    flight.leave();
    return unwritten;
  }
  const landed = await flight.landed;
  const result = landed === 'left' ? LEFT : ownCopy(core, facts, landed.result);
  const shared = landed === 'left' ? facts : { ...facts, shared_with: landed.call_id };
  const refused = isRefusal(result);
  const written = await auditAfter(core, shared, {
    status: refused ? 'failed' : 'done',
    summary: refused ? result.reason : summaryOf(result.result),
    redactions: refused ? 0 : result.redactions,
    lease: null,
    revoked: false,
  });
  return written || refused ? result : UNWRITTEN_AFTER;
}

/** Nobody can change what another caller holds. */
function ownCopy(
  core: GatewayCore,
  { call_id, started_ms }: CallFacts,
  result: ReadResult | Refusal,
): ReadResult | Refusal {
  if (isRefusal(result)) return result;
  const latency_ms = Math.max(0, core.clock.now() - started_ms);
  return { ...result, result: structuredClone(result.result), call_id, latency_ms };
}

const LEFT = refuse('call-aborted', 'The call was aborted.', 'Ask again if the answer is still wanted.');
const UNWRITTEN_AFTER = refuse(
  'audit-unavailable',
  'The audit row after the call could not be written.',
  'Check disk space and the database in AEGIS_HOME.',
);

async function audited(
  core: GatewayCore,
  facts: CallFacts,
  signal: AbortSignal,
  land: (result: ReadResult | Refusal) => void,
): Promise<Guarded<ReadResult | Refusal>> {
  const unwritten = await auditBefore(core, facts);
  if (unwritten !== null) return { value: unwritten, ill: false };
  const { answer, lease, revoked } = await callLeased(core, facts.admission, facts.call_id, signal);
  const ill = !isRefusal(answer) && !answer.ok && meansIllness(answer.error);
  const result =
    isRefusal(answer) || lease === null
      ? (answer as Refusal)
      : await present(core, facts, answer, lease, signal);
  land(result);
  const refused = isRefusal(result);
  const written = await auditAfter(core, facts, {
    status: !refused ? 'done' : isRefusal(answer) ? 'refused' : 'failed',
    summary: refused ? result.reason : summaryOf(result.result),
    redactions: refused ? 0 : result.redactions,
    lease,
    revoked,
  });
  return { value: written || refused ? result : UNWRITTEN_AFTER, ill };
}

interface Leased {
  readonly answer: PeerAnswer | Refusal;
  readonly lease: Lease | null;
  readonly revoked: boolean;
}

/** Leases, calls, gives back. A credential that died early (401) is replaced once, a cut connection tried once more. */
async function callLeased(
  core: GatewayCore,
  admission: Admission,
  call_id: string,
  signal: AbortSignal | undefined,
): Promise<Leased> {
  for (let attempt = 1; ; attempt += 1) {
    const lease = await leaseFor(core, admission, call_id, 'read', signal);
    if (isRefusal(lease)) return { answer: lease, lease: null, revoked: false };
    let revoked = false;
    let answer: PeerAnswer | Refusal;
    try {
      const limits = {
        mode: 'read',
        timeout_ms: admission.entry.tool.timeout_ms_max,
        signal,
        precondition: null,
      } as const;
      const { external } = admission.entry;
      answer =
        external === undefined
          ? await callUpstream(core, admission, call_id, 'read', lease, limits)
          : await callExternal(core, admission, external, lease, limits);
      if (!isRefusal(answer) && !answer.ok && answer.error.problem === 'unauthorized') lease.discard();
    } finally {
      revoked = await lease.release();
    }
    if (isRefusal(answer)) return { answer, lease, revoked };
    const dead = !answer.ok && answer.error.problem === 'unauthorized' && lease.revocable;
    // A kept-alive connection that the other side had closed looks like this; a read may be asked again.
    const cut = !answer.ok && answer.error.problem === 'dropped';
    const again = (dead || cut) && attempt === 1;
    if (!again) return { answer, lease, revoked };
  }
}

/** Redacts and measures. What is too long is refused with the way to ask for less, never cut. */
async function present(
  core: GatewayCore,
  facts: CallFacts,
  answer: PeerAnswer,
  lease: Lease,
  signal: AbortSignal,
): Promise<ReadResult | Refusal> {
  const { admission } = facts;
  const { grant, policy, entry } = admission;
  const scrub = scrubOf(lease, entry.external?.secrets);
  if (!answer.ok) return namelessRefusal(core, answer.error, admission, lease, signal);
  const { result: raw, source_query } = answer.structured as ReadAnswer;
  const clean = sanitizeValue(raw, policy.redaction, scrub);
  const shown = await withoutNames(core.recogniser, policy.redaction, clean, signal);
  if (isRefusal(shown)) return shown;
  const { value: result, redactions } = shown;
  if (Buffer.byteLength(JSON.stringify(result)) > entry.tool.result_bytes_max)
    return refuse(
      'result-too-large',
      `The result is larger than ${entry.tool.result_bytes_max} bytes.`,
      'Ask for less: a selector, a shorter window, a smaller limit.',
    );
  return {
    call_id: facts.call_id,
    result,
    redactions,
    rules_hash: policy.redaction.rules_hash,
    raw_hmac: core.store.evidence.rawHmac(grant, Buffer.from(JSON.stringify(raw))),
    source_query: sanitizeText(source_query, policy.redaction, scrub).text,
    latency_ms: Math.max(0, core.clock.now() - facts.started_ms),
  };
}

/** The shape of a result for the audit: counts and names of fields, never contents. */
function summaryOf(result: unknown): string {
  if (typeof result !== 'object' || result === null) return typeof result;
  return Object.entries(result)
    .map(([key, value]) => (Array.isArray(value) ? `${key}: ${value.length}` : key))
    .join(', ');
}
