import { isRefusal, type Refusal } from '../../contract/verdict.ts';
import { admit, isRefused, type Admission, type AdmissionRequest } from './admit.ts';
import { recordRefusal } from './audit.ts';
import type { GatewayCore } from './core.ts';

/**
 * What every door has in common: nobody passes who is not admitted, and every refusal, at whatever step it comes, is in
 * the ledger before the caller hears it. `about` names the call there.
 */
export async function throughDoor<T extends object>(
  core: GatewayCore,
  request: AdmissionRequest,
  { mode, about }: { readonly mode: 'read' | 'write'; readonly about: string },
  pass: (admission: Admission) => Promise<T | Refusal>,
): Promise<T | Refusal> {
  const admission = await admit(core, request, mode);
  if (isRefused(admission)) return recordRefusal(core, admission.grant, admission.refusal, about);
  const answer = await pass(admission);
  return isRefusal(answer) ? recordRefusal(core, admission.grant, answer, about) : answer;
}
