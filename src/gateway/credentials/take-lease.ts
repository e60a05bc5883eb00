import type { Clock, Ids } from '../../contract/ports.ts';
import type { LeaseStore } from '../../store/authority.ts';
import { CREDENTIAL_CHARS_MIN } from '../sanitize/exact-scrub.ts';
import { CredentialError } from './credential-error.ts';
import { secretTexts, type Credential } from './credential.ts';
import type { LeaseEngine } from './lease-engine.ts';
import type { Lease, LeaseRequest } from './lease.ts';
import type { RevokeQueue } from './revoke-queue.ts';

/**
 * The one order in which credentials are leased, and what makes it crash-safe: intent row, anchor, the anchor's name
 * into the row, and only then the credential is minted on it. Ending the anchor ends everything that was ever minted
 * on it, so a lost answer is never asked for again: the anchor goes, and the call is refused.
 */
export interface TakeLeaseDeps {
  readonly store: LeaseStore;
  readonly queue: RevokeQueue;
  readonly clock: Clock;
  readonly ids: Ids;
}

/** @throws VaultError or CredentialError when no credential could be had; whatever was begun is revoked. */
export async function takeLease(
  deps: TakeLeaseDeps,
  engine: LeaseEngine,
  request: LeaseRequest,
): Promise<Lease> {
  const { store, queue, clock, ids } = deps;
  const lease_id = queue.name(ids.next('lease'));
  await store.intent({
    lease_id,
    call_id: request.call_id,
    incident_id: request.incident_id,
    engine: engine.engine,
    expires_at_ms: clock.now() + engine.ttl_s * 1000,
  });
  queue.begin(lease_id);
  let known: string | null = null;
  try {
    const anchor = await engine.anchor(request, lease_id);
    const { accessor } = anchor;
    known = accessor;
    await store.live(lease_id, accessor);
    const credential = await anchor.mint();
    refuseShort(credential);
    return {
      credential,
      engine: engine.engine,
      accessor,
      revocable: engine.revocable,
      release: async () =>
        (await queue.revoke({ lease_id, engine: engine.engine, accessor })) && engine.revocable,
      discard: () => undefined,
    };
  } catch (error) {
    const nothing = error instanceof CredentialError && error.nothing_made;
    if (known === null || nothing) await queue.abandon(lease_id);
    else await queue.revoke({ lease_id, engine: engine.engine, accessor: known });
    throw error;
  }
}

/** What is too short to be found in results without mistakes is not used at all. */
export function refuseShort(credential: Credential): void {
  if (secretTexts(credential).every((text) => text.length >= CREDENTIAL_CHARS_MIN)) return;
  throw new CredentialError(
    `the credential is shorter than ${CREDENTIAL_CHARS_MIN} characters and could not be kept out of results`,
    'Use a longer one.',
  );
}
