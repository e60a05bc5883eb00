import { isRefusal, refuse, type Refusal } from '../../contract/verdict.ts';
import type { Credential } from '../credentials/credential.ts';
import { secretTexts } from '../credentials/credential.ts';
import type { Lease } from '../credentials/lease.ts';
import { isRefused } from '../pipeline/admit.ts';
import { auditAfter, auditBefore, beginCall, recordRefusal } from '../pipeline/audit.ts';
import { authenticate } from '../pipeline/authenticate.ts';
import type { GatewayCore } from '../pipeline/core.ts';
import type { Guarded } from '../pipeline/throttle.ts';
import { laneOf, leaseFor } from '../pipeline/upstream-call.ts';
import { upstreamRefusal } from '../pipeline/upstream-refusal.ts';
import { meansIllness } from '../upstream-error.ts';
import type { LinkAnswer, RpcError, RpcParams } from '../upstreams/link.ts';
import { admitRelay, type RelayAdmission, type RelayRequest } from './relay-admission.ts';
import type { RelayScrub } from './relay-scrub.ts';

/** One message of a client on its way through the pipeline: decided, audited, sent with a lease, redacted, audited. */
export interface RelayCall extends RelayRequest {
  readonly token: string;
  readonly signal: AbortSignal | undefined;
  readonly scrub: RelayScrub;
  /** Reaches the server; never throws. */
  readonly send: (credential: Credential | null) => Promise<LinkAnswer>;
}

export type RelayAnswer =
  | { readonly ok: true; readonly result: RpcParams }
  /** The server's own error, redacted. */
  | { readonly ok: false; readonly rpc: RpcError };

export async function relayCall(core: GatewayCore, call: RelayCall): Promise<RelayAnswer | Refusal> {
  const about = `relay ${call.method} ${call.server}`;
  const admission = admitRelay(core, call);
  if (isRefused(admission))
    return recordRefusal(core, admission.grant, cleaned(admission.refusal, call), about);
  const answer = await core.throttle.run(laneOf(admission, 'read'), () => audited(core, admission, call));
  return isRefusal(answer) ? recordRefusal(core, call.grant, answer, about) : answer;
}

async function audited(
  core: GatewayCore,
  admission: RelayAdmission,
  call: RelayCall,
): Promise<Guarded<RelayAnswer | Refusal>> {
  const facts = beginCall(core, {
    door: 'read',
    admission,
    why: `relayed ${call.method} of an outside agent`,
  });
  const unwritten = await auditBefore(core, facts);
  if (unwritten !== null) return { value: unwritten, ill: false };
  const lease = await leaseFor(core, admission, facts.call_id, 'read', call.signal);
  if (isRefusal(lease)) {
    await auditAfter(core, facts, { ...NOTHING, status: 'refused', summary: lease.reason });
    return { value: lease, ill: false };
  }
  const { answer, revoked } = await sent(call, lease);
  const ill = !answer.ok && answer.rpc === null && meansIllness(answer.error);
  const shown = await present(admission, call, answer);
  const gone = await authenticate(core.store.tokens, core.clock, call.token);
  const value = isRefusal(gone) ? withheld(gone) : shown.value;
  const written = await auditAfter(core, facts, {
    status: isRefusal(gone) ? 'refused' : answer.ok && !isRefusal(value) ? 'done' : 'failed',
    summary: summaryOf(value),
    redactions: shown.redactions,
    lease,
    revoked,
  });
  return { value: written ? value : UNWRITTEN, ill };
}

const NOTHING = { redactions: 0, lease: null, revoked: false } as const;

const UNWRITTEN = refuse(
  'audit-unavailable',
  'The audit row after the call could not be written.',
  'Check disk space and the database in AEGIS_HOME.',
);

async function sent(call: RelayCall, lease: Lease): Promise<{ answer: LinkAnswer; revoked: boolean }> {
  if (lease.credential !== null) call.scrub.learn(secretTexts(lease.credential));
  let revoked = false;
  let answer: LinkAnswer;
  try {
    answer = await call.send(lease.credential);
    if (!answer.ok && answer.error.problem === 'unauthorized') lease.discard();
  } finally {
    revoked = await lease.release();
  }
  return { answer, revoked };
}

/** A person approved its words one by one, and the client calls tools and fields by what stands in it. */
const APPROVED = 'tools/list';

async function present(
  { route: { uri, upstream } }: RelayAdmission,
  { scrub, method, signal }: RelayCall,
  answer: LinkAnswer,
): Promise<{ value: RelayAnswer | Refusal; redactions: number }> {
  if (answer.ok) {
    const shown =
      method === APPROVED ? scrub.value(answer.result) : await scrub.freeValue(answer.result, signal);
    if (isRefusal(shown)) return { value: shown, redactions: 0 };
    const { value, redactions } = shown;
    const bytes_max = upstream.system === 'mcp' ? upstream.config.result_bytes_max : 0;
    if (Buffer.byteLength(JSON.stringify(value)) <= bytes_max)
      return { value: { ok: true, result: value as RpcParams }, redactions };
    const too_large = refuse(
      'result-too-large',
      `The result is larger than ${bytes_max} bytes.`,
      'Ask for less: a narrower question, a page.',
    );
    return { value: too_large, redactions };
  }
  if (answer.rpc === null) {
    const { text, redactions } = await scrub.freeText(answer.error.message, signal);
    return { value: upstreamRefusal(uri, { ...answer.error, message: text }), redactions };
  }
  const shown = await scrub.freeValue(answer.rpc, signal);
  if (isRefusal(shown)) return { value: shown, redactions: 0 };
  const { value, redactions } = shown;
  return { value: { ok: false, rpc: value as RpcError }, redactions };
}

/** A token that was revoked while its call ran gets nothing of the answer. */
function withheld({ code, reason }: Refusal): Refusal {
  return refuse(code, `${reason} The answer was withheld.`, 'Connect again with a token that is in force.');
}

/** The shape of an answer, never its contents. */
function summaryOf(value: RelayAnswer | Refusal): string {
  if (isRefusal(value)) return value.reason;
  if (!value.ok) return `error ${value.rpc.code}`;
  return Object.entries(value.result)
    .map(([key, part]) => (Array.isArray(part) ? `${key}: ${part.length}` : key))
    .join(', ');
}

/** A refusal may quote what the caller wrote, and a caller's words may hold anything. */
function cleaned(refusal: Refusal, { scrub }: RelayCall): Refusal {
  return { ...refusal, reason: scrub.text(refusal.reason).text };
}
