import { ApprovalPayload } from '../../contract/ledger.ts';
import type { LedgerEntry } from '../../contract/ledger.ts';
import { rolesOf } from '../../contract/settings.ts';
import type { Permit } from '../../contract/tool.ts';
import { isRefusal, type Refusal } from '../../contract/verdict.ts';
import type { TokenGrant } from '../../store/authority.ts';
import type { GatewayCore } from './core.ts';
import { otherChains } from './other-chains.ts';
import { incidentOf, type PeopleNow } from './prove-approval.ts';

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
  const too_many = `planned ${tool} on ${target}, too many to tell who took part in them`;
  const others = await otherChains({ store, clock }, incident_id, [{ tool, target }], too_many);
  if (isRefusal(others)) return others;
  for (const [other_id, chain] of others) {
    const incident = incidentOf(chain);
    if (isRefusal(incident)) return incident;
    for (const principal of incident.involved) elsewhere.set(principal, other_id);
  }
  const distrusted = await store.persons.distrusted(entries.flatMap(tokenIdOf));
  return { roles, elsewhere, distrusted };
}

function tokenIdOf({ kind, payload }: LedgerEntry): string[] {
  const parsed = kind === 'approval' ? ApprovalPayload.safeParse(payload) : null;
  const token = parsed?.data?.type === 'decision' ? parsed.data.decision.token : undefined;
  return token === undefined ? [] : [token.token_id];
}
