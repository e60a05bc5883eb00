import type { NewCard } from '../../store/store.ts';
import type { HarnessEvent } from '../events.ts';
import { incidentOf } from '../state.ts';
import type { Snapshot } from '../state.ts';
import { approvalNotice } from './approval-notice.ts';
import { incidentNotice } from './incident-notice.ts';
import { approvalKey, rootKey } from './card-view.ts';
import type { CardView } from './card-view.ts';
import { shadowNotice } from '../shadow/shadow-notice.ts';
import { progressNotice } from './progress-notice.ts';
import { timelineNotices } from './timeline-notices.ts';

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
  const approval_moved =
    approval !== from.context.approval ||
    to.context.plan !== from.context.plan ||
    from.state === 'ROLLING_BACK' ||
    to.state === 'ROLLING_BACK';
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
  // What somebody decided stands above what follows from it.
  timelineNotices(from, event, to).forEach((notice, n) => {
    cards.push({ card_key: `timeline:${id}:${to.context.step}:${n}`, placement: 'thread', channel, notice });
  });
  const progress = progressNotice(from, to);
  if (progress !== null)
    cards.push({
      card_key: `progress:${id}:${to.context.revision}`,
      placement: 'thread',
      channel,
      notice: progress,
    });
  const report = shadowNotice(from, to, view);
  if (report !== null) cards.push({ card_key: `shadow:${id}`, placement: 'thread', channel, notice: report });
  if (event.type === 'reviewed')
    cards.push({
      card_key: `postmortem:${id}`,
      placement: 'thread',
      channel,
      notice: { kind: 'postmortem', incident_id: id, title: event.title, markdown: event.markdown },
    });
  return cards;
}
