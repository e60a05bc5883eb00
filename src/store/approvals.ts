import { Approval } from '../contract/approval.ts';
import type { Core } from './database.ts';
import type { ApprovalStore } from './store.ts';

const LIST_LIMIT_MAX = 1000;

/** What cards and lists show of approvals. Never authority: at execution they are derived from the ledger again. */
export function approvalStore(core: Core): ApprovalStore {
  const { db } = core;
  const get = db.prepare<[string], { body: string }>('SELECT body FROM approval WHERE approval_id = ?');
  const open_of = db.prepare<[string], { body: string }>(
    "SELECT body FROM approval WHERE incident_id = ? AND status = 'open' ORDER BY rowid DESC LIMIT 1",
  );
  const list_open = db.prepare<[number], { body: string }>(
    "SELECT body FROM approval WHERE status = 'open' ORDER BY rowid LIMIT ?",
  );
  const standing = db.prepare<[], { incident_id: string }>(
    "SELECT DISTINCT incident_id FROM approval WHERE status IN ('open', 'approved') ORDER BY incident_id",
  );
  return {
    async get(approval_id) {
      return orNull(get.get(approval_id));
    },
    async openOf(incident_id) {
      return orNull(open_of.get(incident_id));
    },
    async standingIn() {
      return standing.all().map((row) => row.incident_id);
    },
    async listOpen(limit) {
      return list_open.all(Math.min(limit, LIST_LIMIT_MAX)).map(approvalOf);
    },
  };
}

function orNull(row: { body: string } | undefined): Approval | null {
  return row === undefined ? null : approvalOf(row);
}

function approvalOf(row: { body: string }): Approval {
  return Approval.parse(JSON.parse(row.body));
}
