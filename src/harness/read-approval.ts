import type { ApprovalNotice } from '../contract/notice.ts';
import type { Identity } from '../contract/settings.ts';
import { refuse } from '../contract/verdict.ts';
import type { Refusal } from '../contract/verdict.ts';
import { approversInWords } from './approvers.ts';
import type { HarnessDeps } from './deps.ts';
import { rolesOf } from '../contract/settings.ts';
import { parseSnapshot } from './machine.ts';
import { approvalNotice } from './notices/approval-notice.ts';

export const NOT_YOURS = refuse(
  'not-found',
  'There is nothing with that id that you can see.',
  'Check the id with /aegis status.',
);

type ReadDeps = Pick<HarnessDeps, 'settings' | 'store' | 'clock'>;

/** An approval as it stands in the store, for one person: in a Slack dialog, in a terminal, on the page of the step-up. */
export async function readApproval(
  deps: ReadDeps,
  identity: Identity,
  approval_id: string,
): Promise<ApprovalNotice | Refusal> {
  const approval = await deps.store.approvals.get(approval_id);
  const row = approval === null ? null : await deps.store.incidents.get(approval.incident_id);
  if (row === null || rolesOf(identity, row.team, row.env).length === 0) return NOT_YOURS;
  const snapshot = parseSnapshot(row.snapshot);
  if (snapshot.context.approval?.approval_id !== approval_id)
    return refuse(
      'stale-approval',
      `${approval_id} was replaced by a newer plan.`,
      'Use the newest approval card in the thread.',
    );
  const view = {
    ledger_head: '0'.repeat(64),
    tool_calls: 0,
    simulated: deps.settings.unsafe_endpoints,
    approvers: await approversInWords(deps, snapshot.context),
    public_url: deps.settings.http.public_url,
  };
  return approvalNotice(snapshot, view) ?? NOT_YOURS;
}

/** The same for whoever a token was minted for. */
export async function readApprovalAs(
  deps: ReadDeps,
  principal: string,
  approval_id: string,
): Promise<ApprovalNotice | Refusal> {
  const identity = deps.settings.identity.find((i) => i.principal === principal);
  return identity === undefined ? NOT_YOURS : readApproval(deps, identity, approval_id);
}
