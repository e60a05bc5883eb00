import { tenantKey } from '../../contract/scope.ts';
import type { Refusal } from '../../contract/verdict.ts';
import { secretTexts } from '../credentials/credential.ts';
import type { Lease } from '../credentials/lease.ts';
import type { EvictionGrant, Precondition } from '../drivers/driver.ts';
import type { Operation } from '../drivers/driver-server.ts';
import type { PeerAnswer } from '../mcp-peer.ts';
import { exactScrub, type ExactScrub } from '../sanitize/exact-scrub.ts';
import type { TransportMode } from '../transport.ts';
import type { Admission } from './admit.ts';
import type { GatewayCore } from './core.ts';
import { operationsOf } from '../drivers/driver-server.ts';
import { lendFaces } from './lend-faces.ts';
import type { RegisteredTool } from './registry.ts';
import { drainableNamespaces, firstNamespace } from './tenancy.ts';
import type { ThrottlePlace } from './throttle.ts';

/** What one operation of a call may do and how long. */
export interface OperationLimits {
  readonly mode: TransportMode;
  readonly timeout_ms: number;
  readonly signal: AbortSignal | undefined;
  readonly precondition: Precondition | null;
  /** Asked before each further mutating request of a write: why it must stop now, or null. */
  readonly brake?: (() => Promise<string | null>) | undefined;
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
  const { mode, signal, precondition, brake } = limits;
  const deadline_at = performance.now() + timeout_ms;
  const evictions = evictionsOf(core, admission, limits);
  const handle = {
    call_id,
    target: route.target,
    ...lendFaces(core, admission, lease, { call_id, mode, timeout_ms, signal, evictions, brake }),
    upstream: route.upstream,
    precondition,
    evictions,
    time_left_ms: () => deadline_at - performance.now(),
  };
  const name =
    operationsOf(entry.tool).find((candidate) => candidate.operation === operation)?.name ?? entry.tool.name;
  return core.peers.call(
    entry.tool.system,
    name,
    handle,
    { target: route.uri, args },
    { timeout_ms, signal },
  );
}

/** The same for a tool of an external server: over its link, for as long as its pin holds. */
export function callExternal(
  core: GatewayCore,
  { entry, args }: Admission,
  external: NonNullable<RegisteredTool['external']>,
  lease: Lease,
  limits: Pick<OperationLimits, 'timeout_ms' | 'signal'>,
): Promise<PeerAnswer | Refusal> {
  const timeout_ms = Math.min(limits.timeout_ms, entry.tool.timeout_ms_max);
  return core.upstreams.call(external, args, {
    credential: lease.credential,
    timeout_ms,
    signal: limits.signal,
  });
}

/** Namespaces from configuration, pods from the approved effect: nothing of it comes from an argument or an answer. */
function evictionsOf(
  { settings }: GatewayCore,
  { entry, grant, route }: Admission,
  { mode, precondition }: OperationLimits,
): EvictionGrant | null {
  const { tool } = entry;
  if (tool.mode !== 'write' || tool.evicts !== true || route.target.kind !== 'node') return null;
  const approved = (precondition?.changes ?? []).flatMap(({ path, before }) => {
    const pod = /^\/pods\/([^/]+\/[^/]+)$/.exec(path)?.[1];
    return pod === undefined || typeof before !== 'string' ? [] : [[pod, before] as const];
  });
  return {
    namespaces: drainableNamespaces(settings, grant, route.target),
    pods: mode === 'write' ? new Map(approved) : null,
  };
}

export function leaseFor(
  core: GatewayCore,
  admission: Pick<Admission, 'grant' | 'route'> & {
    readonly entry: { readonly tool: { readonly name: string; readonly mode?: 'read' | 'write' } };
  },
  call_id: string,
  access: 'read' | 'write',
  signal: AbortSignal | undefined,
  own = false,
): Promise<Lease | Refusal> {
  const { grant, route, entry } = admission;
  const { target, upstream } = route;
  // A node is in no namespace: looking at its change needs the wide credential as well, and nobody shares that one.
  const cluster_wide = entry.tool.mode === 'write' && target.kind === 'node';
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
    access: cluster_wide ? 'write' : access,
    cluster_wide,
    own,
    signal,
  });
}

/** Removes exactly this lease's credential, and what its server holds for longer, from whatever comes back. */
export function scrubOf(lease: Lease, standing: readonly string[] = []): ExactScrub | undefined {
  const leased = lease.credential === null ? [] : secretTexts(lease.credential);
  return leased.length + standing.length === 0 ? undefined : exactScrub([...leased, ...standing]);
}

/** The names under which calls of one system are throttled together. */
export function laneOf(
  { route, grant }: Pick<Admission, 'grant' | 'route'>,
  lane: ThrottlePlace['lane'],
): ThrottlePlace {
  const { system, name } = route.upstream;
  return { upstream: `${system}/${name}`, team: grant.team, env: grant.env, lane };
}
