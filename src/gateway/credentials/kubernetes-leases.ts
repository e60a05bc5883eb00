import { z } from 'zod';
import type { Clock, Ids, Log } from '../../contract/ports.ts';
import { Secret } from '../../contract/secret.ts';
import type { CredentialSource } from '../../contract/credentials.ts';
import type { LeaseStore } from '../../store/authority.ts';
import { CREDENTIAL_CHARS_MIN } from '../sanitize/exact-scrub.ts';
import type { Lease, LeaseRequest } from './lease.ts';
import type { RevokeQueue } from './revoke-queue.ts';
import { VaultError } from './vault-error.ts';
import type { VaultSession } from './vault-session.ts';

/**
 * A Kubernetes token of Vault's Kubernetes engine, leased for one call. The order is what makes it crash-safe: intent
 * row, child token, its accessor into the row, and only then the credential is minted with that token. Revoking the
 * accessor kills everything that the token ever leased, also when the answer of the mint was lost.
 */
export type KubernetesSource = Extract<CredentialSource, { engine: 'vault_kubernetes' }>;

export interface LeaseDeps {
  readonly store: LeaseStore;
  readonly session: VaultSession;
  readonly queue: RevokeQueue;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Log;
}

/** The mint and one spare: the last use of a limited token cannot return a lease. */
const CHILD_USES = 2;

const TokenAnswer = z.object({
  auth: z.object({ client_token: z.string().min(1), accessor: z.string().min(1) }),
});
const CredsAnswer = z.object({
  data: z.object({ service_account_token: z.string().min(CREDENTIAL_CHARS_MIN) }),
});

/** @throws VaultError when no credential could be had; whatever was begun is revoked. */
export async function leaseKubernetes(
  deps: LeaseDeps,
  source: KubernetesSource,
  request: LeaseRequest,
): Promise<Lease> {
  const lease_id = deps.queue.name(deps.ids.next('lease'));
  await deps.store.intent({
    lease_id,
    call_id: request.call_id,
    incident_id: request.incident_id,
    engine: source.engine,
    expires_at_ms: deps.clock.now() + source.ttl_s * 1000,
  });
  deps.queue.begin(lease_id);
  let accessor: string | null = null;
  try {
    const child = await createChild(deps, source, request);
    accessor = child.accessor;
    await deps.store.live(lease_id, accessor);
    const credential = await mint(deps, source, request, child.token);
    const known = accessor;
    return {
      credential: { kind: 'bearer', token: credential },
      engine: source.engine,
      accessor: known,
      revocable: true,
      release: () => deps.queue.revoke(lease_id, known),
      discard: () => undefined,
    };
  } catch (error) {
    if (accessor === null) await deps.queue.abandon(lease_id);
    else await deps.queue.revoke(lease_id, accessor);
    throw error;
  }
}

async function createChild(
  { session }: LeaseDeps,
  source: KubernetesSource,
  request: LeaseRequest,
): Promise<{ token: Secret; accessor: string }> {
  const answer = TokenAnswer.safeParse(
    await session.call({
      method: 'write',
      path: ['auth', 'token', 'create', source.token_role],
      data: {
        ttl: `${source.ttl_s}s`,
        explicit_max_ttl: `${source.ttl_s}s`,
        num_uses: CHILD_USES,
        renewable: false,
        display_name: 'aegis',
        meta: { call_id: request.call_id, incident: request.incident_id ?? '-' },
      },
      retry: 'unsent',
      signal: request.signal,
    }),
  );
  if (!answer.success) throw new VaultError('malformed', 'auth/token/create', null, true);
  return { token: new Secret(answer.data.auth.client_token), accessor: answer.data.auth.accessor };
}

async function mint(
  { session }: LeaseDeps,
  source: KubernetesSource,
  request: LeaseRequest,
  token: Secret,
): Promise<Secret> {
  const is_wide = request.cluster_wide === true;
  const role = is_wide ? source.node_role : request.access === 'write' ? source.write_role : source.read_role;
  if (role === undefined) throw new VaultError('rejected', 'aegis.yaml names no node_role', null, false);
  const answer = CredsAnswer.safeParse(
    await session.callAs(token, {
      method: 'write',
      path: [source.mount, 'creds', role],
      data: {
        kubernetes_namespace: request.namespace,
        ttl: `${source.ttl_s}s`,
        ...(is_wide ? { cluster_role_binding: true } : {}),
      },
      // Never again after an unknown outcome: the caller revokes the accessor and gives up.
      retry: 'unsent',
      signal: request.signal,
    }),
  );
  if (!answer.success) throw new VaultError('malformed', 'kubernetes/creds', null, true);
  return new Secret(answer.data.data.service_account_token);
}
