import { EFFECT_MEMORY_MS } from '../../contract/approval.ts';
import { ApprovalPayload } from '../../contract/ledger.ts';
import type { LedgerEntry } from '../../contract/ledger.ts';
import { rolesOf } from '../../contract/settings.ts';
import type { Permit } from '../../contract/tool.ts';
import { isRefusal, refuse, type Refusal } from '../../contract/verdict.ts';
import type { TokenGrant } from '../../store/authority.ts';
import type { GatewayCore } from './core.ts';
import { incidentOf, type PeopleNow } from './prove-approval.ts';
import { readVerifiedChain } from './verified-chain.ts';

/** Most other incidents with the same effect whose chains are hashed again for one write. */
const OTHERS_MAX = 200;

/**
 * Roles as the identity map has them today, who took part in the same effect through another incident, and which tokens
 * were revoked: the harness looks at all of it before it asks, and is not believed here. The store names the other incidents; who took part in them
 * comes from their verified chains. An undo asks for none of it (see `proveApproval`).
 */
export async function peopleNow(
  { store, settings, clock }: Pick<GatewayCore, 'store' | 'settings' | 'clock'>,
  { team, env }: Pick<TokenGrant, 'team' | 'env'>,
  { incident_id, phase, tool, target }: Permit,
  entries: readonly LedgerEntry[],
): Promise<PeopleNow | Refusal> {
  if (phase === 'undo') return { roles: new Map(), elsewhere: new Map(), distrusted: new Set() };
  const roles = new Map(settings.identity.map((person) => [person.principal, rolesOf(person, team, env)]));
  const elsewhere = new Map<string, string>();
  const others = (await store.incidents.planning({ tool, target }, clock.now() - EFFECT_MEMORY_MS)).filter(
    (row) => row.incident_id !== incident_id,
  );
  if (others.length > OTHERS_MAX)
    return refuse(
      'same-effect',
      `More than ${OTHERS_MAX} incidents of the last day planned ${tool} on ${target}, too many to tell who took part in them.`,
      'Find out why it comes back so often; make the change by hand meanwhile.',
    );
  for (const other of others) {
    const entries = await readVerifiedChain(store.ledger, other.incident_id);
    if (isRefusal(entries)) return entries;
    const incident = incidentOf(entries);
    if (isRefusal(incident)) return incident;
    for (const principal of incident.involved) elsewhere.set(principal, other.incident_id);
  }
  const distrusted = await store.persons.distrusted(entries.flatMap(tokenIdOf));
  return { roles, elsewhere, distrusted };
}

function tokenIdOf({ kind, payload }: LedgerEntry): string[] {
  const parsed = kind === 'approval' ? ApprovalPayload.safeParse(payload) : null;
  const token = parsed?.data?.type === 'decision' ? parsed.data.decision.token : undefined;
  return token === undefined ? [] : [token.token_id];
}
