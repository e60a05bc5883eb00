import { isRefusal, type Refusal } from '../../contract/verdict.ts';
import type { CredentialProof } from '../gateway.ts';
import type { Lease } from '../credentials/lease.ts';
import type { ReadRequest } from '../read.ts';
import { authorize, type Admission } from './admit.ts';
import { auditAfter, auditBefore, beginCall } from './audit.ts';
import { namelessRefusal } from './clean-refusal.ts';
import type { GatewayCore } from './core.ts';
import { throughDoor } from './door.ts';
import { callUpstream, laneOf, leaseFor } from './upstream-call.ts';

/**
 * The doctor's read: a credential of its own is minted, used, given back and tried once more. The door, the policies,
 * the limits and the audit are those of every read.
 */
export async function proveCredential(
  core: GatewayCore,
  request: ReadRequest,
  signal?: AbortSignal,
): Promise<CredentialProof | Refusal> {
  const about = `read ${request.tool} ${request.target}`;
  return throughDoor(core, request, { mode: 'read', about }, async (admission) => {
    const denied = authorize(admission, { action: 'read' });
    if (denied !== null) return denied;
    return core.throttle.run(laneOf(admission, 'read'), async () => ({
      value: await audited(core, admission, request.why, signal),
      ill: false,
    }));
  });
}

/** A Kubernetes API server keeps a login that it has checked in mind for ten seconds. */
const LOOK_PAUSES_MS = [500, 2500, 4000, 5000] as const;

async function audited(
  core: GatewayCore,
  admission: Admission,
  why: string,
  signal: AbortSignal | undefined,
): Promise<CredentialProof | Refusal> {
  const facts = beginCall(core, { door: 'read', admission, why });
  const unwritten = await auditBefore(core, facts);
  if (unwritten !== null) return unwritten;
  const lease = await leaseFor(core, admission, facts.call_id, 'read', signal, true);
  const proof = isRefusal(lease) ? lease : await prove(core, admission, facts.call_id, lease, signal);
  await auditAfter(core, facts, {
    status: isRefusal(proof) ? 'refused' : 'done',
    summary: isRefusal(proof) ? proof.reason : `after its end the credential is ${proof.afterwards}`,
    redactions: 0,
    lease: isRefusal(lease) ? null : lease,
    revoked: !isRefusal(proof) && proof.revoked,
  });
  return proof;
}

async function prove(
  core: GatewayCore,
  admission: Admission,
  call_id: string,
  lease: Lease,
  signal: AbortSignal | undefined,
): Promise<CredentialProof | Refusal> {
  const { engine, revocable } = lease;
  const limits = {
    mode: 'read',
    timeout_ms: admission.entry.tool.timeout_ms_max,
    signal,
    precondition: null,
  } as const;
  const call = () => callUpstream(core, admission, call_id, 'read', lease, limits);
  let revoked = false;
  let first: Awaited<ReturnType<typeof call>>;
  try {
    first = await call();
  } finally {
    revoked = await lease.release();
  }
  if (!first.ok) return namelessRefusal(core, first.error, admission, lease, signal);
  if (!revocable || lease.credential === null || !revoked)
    return { engine, revocable, revoked, afterwards: 'not tried' };
  let afterwards: CredentialProof['afterwards'] = 'unclear';
  for (const pause_ms of [0, ...LOOK_PAUSES_MS]) {
    await new Promise((resolve) => setTimeout(resolve, pause_ms));
    const again = await call();
    afterwards = again.ok ? 'accepted' : again.error.problem === 'unauthorized' ? 'refused' : 'unclear';
    if (afterwards !== 'accepted') break;
  }
  return { engine, revocable, revoked, afterwards };
}
