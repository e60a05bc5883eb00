import { isRefusal, refuse, type Refusal } from '../../contract/verdict.ts';
import type { Lease } from '../credentials/lease.ts';
import type { ReadAnswer } from '../drivers/driver.ts';
import type { PeerAnswer } from '../mcp-peer.ts';
import type { ReadRequest, ReadResult } from '../read.ts';
import { sanitizeText, sanitizeValue } from '../sanitize/sanitize.ts';
import { meansIllness, type UpstreamErrorInfo } from '../upstream-error.ts';
import { admit, authorize, isRefused, type Admission } from './admit.ts';
import { auditAfter, auditBefore, recordRefusal, type CallFacts, beginCall } from './audit.ts';
import type { GatewayCore } from './core.ts';
import type { Guarded } from './throttle.ts';
import { callExternal, callUpstream, laneOf, leaseFor, scrubOf } from './upstream-call.ts';
import { upstreamRefusal } from './upstream-refusal.ts';

/** The read door. */
export async function readCall(
  core: GatewayCore,
  request: ReadRequest,
  signal?: AbortSignal,
): Promise<ReadResult | Refusal> {
  const about = `read ${request.tool} ${request.target}`;
  const admission = await admit(core, request, 'read');
  if (isRefused(admission)) return recordRefusal(core, admission.grant, admission.refusal, about);
  const denied = authorize(admission, { action: 'read' });
  if (denied !== null) return recordRefusal(core, admission.grant, denied, about);
  const answer = await core.throttle.run(laneOf(admission, 'read'), () =>
    audited(core, admission, request, signal),
  );
  return isRefusal(answer) ? recordRefusal(core, admission.grant, answer, about) : answer;
}

async function audited(
  core: GatewayCore,
  admission: Admission,
  request: ReadRequest,
  signal: AbortSignal | undefined,
): Promise<Guarded<ReadResult | Refusal>> {
  const facts = beginCall(core, {
    door: 'read',
    admission,
    why: request.why,
  });
  const unwritten = await auditBefore(core, facts);
  if (unwritten !== null) return { value: unwritten, ill: false };
  const { answer, lease, revoked } = await callLeased(core, admission, facts.call_id, signal);
  const ill = !isRefusal(answer) && !answer.ok && meansIllness(answer.error);
  const result =
    isRefusal(answer) || lease === null ? (answer as Refusal) : present(core, facts, answer, lease);
  const refused = isRefusal(result);
  const written = await auditAfter(core, facts, {
    status: !refused ? 'done' : isRefusal(answer) ? 'refused' : 'failed',
    summary: refused ? result.reason : summaryOf(result.result),
    redactions: refused ? 0 : result.redactions,
    lease,
    revoked,
  });
  if (written || refused) return { value: result, ill };
  return {
    value: refuse(
      'audit-unavailable',
      'The audit row after the call could not be written.',
      'Check disk space and the database in AEGIS_HOME.',
    ),
    ill,
  };
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
function present(
  core: GatewayCore,
  facts: CallFacts,
  answer: PeerAnswer,
  lease: Lease,
): ReadResult | Refusal {
  const { admission } = facts;
  const { grant, policy, route, entry } = admission;
  const scrub = scrubOf(lease, entry.external?.secrets);
  if (!answer.ok) return cleanRefusal(route.uri, answer.error, admission, lease);
  const { result: raw, source_query } = answer.structured as ReadAnswer;
  const { value: result, redactions } = sanitizeValue(raw, policy.redaction, scrub);
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

/** An upstream's words, redacted: errors leak as well as results do. */
export function cleanRefusal(
  uri: string,
  error: UpstreamErrorInfo,
  admission: Admission,
  lease: Lease,
): Refusal {
  const scrub = scrubOf(lease, admission.entry.external?.secrets);
  const message = sanitizeText(error.message, admission.policy.redaction, scrub).text;
  return upstreamRefusal(uri, { ...error, message });
}

/** The shape of a result for the audit: counts and names of fields, never contents. */
function summaryOf(result: unknown): string {
  if (typeof result !== 'object' || result === null) return typeof result;
  return Object.entries(result)
    .map(([key, value]) => (Array.isArray(value) ? `${key}: ${value.length}` : key))
    .join(', ');
}
