import { EFFECT_MEMORY_MS } from '../../contract/approval.ts';
import type { LedgerEntry } from '../../contract/ledger.ts';
import { isRefusal, refuse, type Refusal } from '../../contract/verdict.ts';
import type { GatewayCore } from './core.ts';
import { readVerifiedChain } from './verified-chain.ts';

/** Most other incidents with the same effect whose chains are hashed again for one write. */
const OTHERS_MAX = 200;

/**
 * Verified chains, by incident, of the others that planned one of these effects within a day. The store names the
 * incidents; what happened in them comes from their chains.
 *
 * @param too_many "… of the last day <planned what, too many for what>"
 */
export async function otherChains(
  { store, clock }: Pick<GatewayCore, 'store' | 'clock'>,
  own_id: string,
  effects: readonly { readonly tool: string; readonly target: string }[],
  too_many: string,
): Promise<ReadonlyMap<string, readonly LedgerEntry[]> | Refusal> {
  const since_ms = clock.now() - EFFECT_MEMORY_MS;
  const ids = new Set<string>();
  for (const { tool, target } of effects)
    for (const { incident_id } of await store.incidents.planning({ tool, target }, since_ms))
      if (incident_id !== own_id) ids.add(incident_id);
  if (ids.size > OTHERS_MAX)
    return refuse(
      'same-effect',
      `More than ${OTHERS_MAX} incidents of the last day ${too_many}.`,
      'Find out why it comes back so often; make the change by hand meanwhile.',
    );
  const chains = new Map<string, readonly LedgerEntry[]>();
  for (const id of ids) {
    const chain = await readVerifiedChain(store.ledger, id);
    if (isRefusal(chain)) return chain;
    chains.set(id, chain);
  }
  return chains;
}
