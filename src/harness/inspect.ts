import type { EvidencePointer, EvidenceRecord, HoldsResult } from '../contract/evidence.ts';
import type { ApprovalNotice } from '../contract/notice.ts';
import type { Refusal } from '../contract/verdict.ts';
import type { SlackAccount } from './intake.ts';

/**
 * Reads for people: evidence, plans and status, with the viewer's own rights. It changes nothing and needs no incident
 * lease, so a modal can be filled while an investigation runs.
 */
export interface EvidenceItem {
  readonly id: string;
  readonly claim: string;
  readonly role: 'cause' | 'precondition';
  readonly pointer: EvidencePointer;
  readonly record: EvidenceRecord;
  /** Cited lines with up to two lines of context; `cited` marks those in the pointer's range. Number is in the file. */
  readonly lines: readonly { readonly number: number; readonly text: string; readonly cited: boolean }[];
  /** Checked live when the view was opened: unsealed, re-hashed, source read again. */
  readonly holds: HoldsResult;
}

export interface EvidenceView {
  readonly incident_id: string;
  readonly title: string;
  readonly items: readonly EvidenceItem[];
  readonly checked_at: string;
}

export interface StatusView {
  readonly incidents: readonly {
    readonly incident_id: string;
    readonly title: string;
    readonly state: string;
    readonly team: string;
    readonly env: string;
    readonly waiting_for: string | null;
    readonly channel: string;
    readonly thread_ts: string | null;
  }[];
  readonly freezes: readonly {
    readonly scope: string;
    readonly reason: string;
    readonly by: string;
    readonly until: string | null;
  }[];
}

export interface Inspect {
  evidence(viewer: SlackAccount, incident_id: string): Promise<EvidenceView | Refusal>;
  /** The current card of an approval, rendered from the store and not from the message that was clicked. */
  approval(viewer: SlackAccount, approval_id: string): Promise<ApprovalNotice | Refusal>;
  status(viewer: SlackAccount): Promise<StatusView | Refusal>;
  /** The incident whose thread this is. */
  incidentOfThread(channel: string, thread_ts: string): Promise<string | null>;
  /** Name and Slack accounts of a principal, to show people by name or mention. */
  person(principal: string): { name: string; slack_user: string | null };
}
