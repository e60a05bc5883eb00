import { hashOf } from '../../contract/canonical.ts';
import type { Permit } from '../../contract/tool.ts';
import { refuse, type Refusal } from '../../contract/verdict.ts';
import type { TokenGrant } from '../../store/authority.ts';
import type { ExecuteRequest } from '../gateway.ts';
import type { GatewayCore } from './core.ts';

/** Loads the permit and compares every field with the request. It is consumed later, in the transaction. */
export async function checkPermit(
  core: Pick<GatewayCore, 'store' | 'clock'>,
  grant: TokenGrant,
  request: ExecuteRequest,
): Promise<Permit | Refusal> {
  const permit = await core.store.journal.permit(request.permit_id);
  if (permit === null)
    return refuse(
      'permit-missing',
      'There is no such permit.',
      'A permit is minted by the harness after all gates passed.',
    );
  if (permit.expires_at_ms <= core.clock.now())
    return refuse(
      'permit-expired',
      `The permit for ${permit.change_id} has expired.`,
      'The gates run again and mint a fresh one.',
    );
  const differs = [
    [permit.incident_id !== grant.incident_id, 'incident'],
    [permit.tool !== request.tool, 'tool'],
    [permit.target !== request.target, 'target'],
    [permit.args_hash !== hashOf(request.params), 'arguments'],
  ].find(([different]) => different);
  if (differs !== undefined)
    return refuse(
      'permit-mismatch',
      `The permit for ${permit.change_id} is for another ${String(differs[1])}.`,
      'Ask for exactly what was approved.',
    );
  return permit;
}
