import { tenantKey } from '../../contract/scope.ts';
import type { Refusal } from '../../contract/verdict.ts';
import { secretTexts } from '../credentials/credential.ts';
import type { Lease } from '../credentials/lease.ts';
import type { Precondition } from '../drivers/driver.ts';
import type { Operation } from '../drivers/driver-server.ts';
import type { PeerAnswer } from '../mcp-peer.ts';
import { exactScrub, type ExactScrub } from '../sanitize/exact-scrub.ts';
import { lendTransport, type TransportMode } from '../transport.ts';
import type { Admission } from './admit.ts';
import type { GatewayCore } from './core.ts';
import { programFaces } from './program-faces.ts';
import { operationsOf } from '../drivers/driver-server.ts';
import { firstNamespace } from './tenancy.ts';

/** What one operation of a call may do and how long. */
export interface OperationLimits {
  readonly mode: TransportMode;
  readonly timeout_ms: number;
  readonly signal: AbortSignal | undefined;
  readonly precondition: Precondition | null;
}

/** Runs one operation of a tool at its server, with the leased credential in the transport and nowhere else. */
export function callUpstream(
  core: GatewayCore,
  admission: Admission,
  call_id: string,
  operation: Operation,
  lease: Lease,
  limits: OperationLimits,
): Promise<PeerAnswer> {
  const { route, entry, args } = admission;
  const timeout_ms = Math.min(limits.timeout_ms, entry.tool.timeout_ms_max);
  const http = lendTransport({
    egress: core.egress,
    upstream: route.upstream,
    target: route.target,
    mode: limits.mode,
    credential: lease.credential,
    timeout_ms,
    bytes_max: entry.tool.result_bytes_max,
    signal: limits.signal,
  });
  const handle = {
    call_id,
    target: route.target,
    http,
    ...programFaces(core, admission, lease, { call_id, ...limits, timeout_ms }),
    upstream: route.upstream,
    precondition: limits.precondition,
  };
  const name =
    operationsOf(entry.tool).find((candidate) => candidate.operation === operation)?.name ?? entry.tool.name;
  return core.peers.call(name, handle, { target: route.uri, args }, { timeout_ms, signal: limits.signal });
}

export function leaseFor(
  core: GatewayCore,
  admission: Admission,
  call_id: string,
  access: 'read' | 'write',
  signal: AbortSignal | undefined,
): Promise<Lease | Refusal> {
  const { grant, route } = admission;
  const { target, upstream } = route;
  const namespace =
    target.namespace === '-'
      ? firstNamespace(core.settings, grant.team, grant.env, target.cluster)
      : target.namespace;
  return core.broker.lease(route.credentials, {
    call_id,
    incident_id: grant.incident_id,
    tenant: tenantKey(grant),
    system: `${upstream.system}/${upstream.name}`,
    namespace: namespace ?? 'default',
    access,
    signal,
  });
}

/** Removes exactly this lease's credential from whatever comes back. */
export function scrubOf(lease: Lease): ExactScrub | undefined {
  return lease.credential === null ? undefined : exactScrub(secretTexts(lease.credential));
}

/** The names under which calls of one system are throttled together. */
export function laneOf(
  admission: Admission,
  lane: 'read' | 'write',
): { upstream: string; tenant: string; lane: 'read' | 'write' } {
  const { upstream } = admission.route;
  return { upstream: `${upstream.system}/${upstream.name}`, tenant: tenantKey(admission.grant), lane };
}
