import { isoTime } from '../contract/ports.ts';
import type { EventOf } from './events.ts';
import type { HarnessDeps } from './deps.ts';
import { parseSnapshot } from './machine.ts';

/**
 * Puts an event into the inbox for every approval that waits, or was given and not used, under another policy set than
 * the one in force. Durable and said once for each approval, so that a crash in between changes nothing. While no set is
 * in force nothing runs and nothing is voided: the set that comes next may be the old one again.
 *
 * @param incident_ids the incidents to look at; left out: all that have such an approval.
 * @returns whether there is something to take in.
 */
export async function voidUnderOldPolicies(
  deps: Pick<HarnessDeps, 'gateway' | 'store' | 'clock'>,
  incident_ids?: readonly string[],
): Promise<boolean> {
  const digest_now = deps.gateway.policyDigest();
  if (digest_now === null) return false;
  let found = false;
  for (const incident_id of incident_ids ?? (await deps.store.approvals.standingIn())) {
    const row = await deps.store.incidents.get(incident_id);
    if (row === null || (row.state !== 'PENDING_APPROVAL' && row.state !== 'HALTED')) continue;
    const { approval, plan } = parseSnapshot(row.snapshot).context;
    if (approval === null || plan === null || !['open', 'approved'].includes(approval.status)) continue;
    const digest_of_plan = plan.payload.policy_digest;
    if (digest_of_plan === digest_now) continue;
    const event: EventOf<'policies_changed'> = {
      type: 'policies_changed',
      at: isoTime(deps.clock.now()),
      approval_id: approval.approval_id,
      digest_of_plan,
      digest_now,
    };
    const { duplicate } = await deps.store.inbox.append({
      source: 'policies',
      dedup_key: `policies_changed:${approval.approval_id}`,
      incident_id: row.incident_id,
      kind: 'event',
      payload: event,
    });
    found ||= !duplicate;
  }
  return found;
}
