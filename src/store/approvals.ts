import { Approval } from '../contract/approval.ts';
import type { Core } from './database.ts';
import type { ApprovalStore } from './store.ts';

/** What cards and lists show of approvals. Never authority: at execution they are derived from the ledger again. */
export function approvalStore(core: Core): ApprovalStore {
  const { db } = core;
  const get = db.prepare<[string], { body: string }>('SELECT body FROM approval WHERE approval_id = ?');
  const standing = db.prepare<[], { incident_id: string }>(
    "SELECT DISTINCT incident_id FROM approval WHERE status IN ('open', 'approved') ORDER BY incident_id",
  );
  return {
    async get(approval_id) {
      return orNull(get.get(approval_id));
    },
    async standingIn() {
      return standing.all().map((row) => row.incident_id);
    },
  };
}

function orNull(row: { body: string } | undefined): Approval | null {
  return row === undefined ? null : approvalOf(row);
}

function approvalOf(row: { body: string }): Approval {
  return Approval.parse(JSON.parse(row.body));
}
