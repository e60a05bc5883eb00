import type { NewCard } from '../../store/store.ts';
import type { HarnessEvent } from '../events.ts';
import { incidentOf } from '../state.ts';
import type { Snapshot } from '../state.ts';
import { approvalNotice } from './approval-notice.ts';
import { incidentNotice } from './incident-notice.ts';
import { progressNotice } from './progress-notice.ts';
import { timelineNotices } from './timeline-notices.ts';

/** What the pure cards need from outside the snapshot. */
export interface CardView {
  readonly ledger_head: string;
  /** Gateway calls of this incident so far. */
  readonly tool_calls: number;
  /** `unsafe_endpoints` is on: every card says SIMULATED. */
  readonly simulated: boolean;
  /** Names of people who could still approve, in words. */
  readonly approvers: string;
}

/**
 * The cards that one step wants to be seen. The root card gets a new revision at every step; the thread only gets a
 * message when something that people wait for has happened.
 */
export function cardsOf(from: Snapshot, event: HarnessEvent, to: Snapshot, view: CardView): NewCard[] {
  const id = incidentOf(to.context).incident_id;
  const channel = to.context.channel;
  const cards: NewCard[] = [
    { card_key: rootKey(id), placement: 'root', channel, notice: incidentNotice(to, view) },
  ];
  const approval = to.context.approval;
  const approval_moved = approval !== from.context.approval || to.context.plan !== from.context.plan;
  const key = approvalKey(id, to);
  if (key !== null && (approval_moved || approval?.status === 'approved')) {
    const notice = approvalNotice(to, view);
    if (notice !== null) cards.push({ card_key: key, placement: 'thread', channel, notice });
  }
  const old_key = approvalKey(id, from);
  if (old_key !== null && old_key !== key) {
    const notice = approvalNotice(from, view);
    if (notice !== null)
      cards.push({
        card_key: old_key,
        placement: 'thread',
        channel,
        notice: { ...notice, status: 'void', status_text: 'A newer plan replaced this one.' },
      });
  }
  const progress = progressNotice(from, to);
  if (progress !== null)
    cards.push({
      card_key: `progress:${id}:${to.context.revision}`,
      placement: 'thread',
      channel,
      notice: progress,
    });
  timelineNotices(from, event, to).forEach((notice, n) => {
    cards.push({ card_key: `timeline:${id}:${to.context.step}:${n}`, placement: 'thread', channel, notice });
  });
  if (event.type === 'reviewed')
    cards.push({
      card_key: `postmortem:${id}`,
      placement: 'thread',
      channel,
      notice: { kind: 'postmortem', incident_id: id, title: event.title, markdown: event.markdown },
    });
  return cards;
}

export function rootKey(incident_id: string): string {
  return `root:${incident_id}`;
}

/** One card per plan: keyed by the approval, or by the plan's revision when nothing can be approved (shadow). */
export function approvalKey(incident_id: string, snapshot: Snapshot): string | null {
  if (snapshot.context.approval !== null) return `approval:${snapshot.context.approval.approval_id}`;
  return snapshot.context.plan === null
    ? null
    : `plan:${incident_id}:${snapshot.context.plan.payload.plan.revision}`;
}
