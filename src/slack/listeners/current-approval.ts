// The approval that a click speaks of, read from the store, or why the click is stale. What the clicked message showed
// is never used: somebody may have painted over it.
import { isRefusal, refuse, type Refusal } from '../../contract/verdict.ts';
import type { ApprovalNotice } from '../../contract/notice.ts';
import type { SlackAccount } from '../../harness/intake.ts';
import { clickKey } from '../dedup-keys.ts';
import { redactTexts } from '../../contract/redact-texts.ts';
import { originOf } from './incident-act.ts';
import type { Click, ListenerTools } from './listener.ts';
import { placeOrNone } from './open-modal.ts';

interface Seen {
  readonly apr: string;
  readonly rev: number;
  readonly plan: string;
}

export async function currentApproval(
  account: SlackAccount,
  seen: Seen,
  tools: ListenerTools,
): Promise<ApprovalNotice | Refusal> {
  const notice = await tools.inspect.approval(account, seen.apr);
  if (isRefusal(notice)) return notice;
  if (notice.approval_id !== seen.apr || notice.revision !== seen.rev || notice.plan_hash !== seen.plan)
    return refuse(
      'stale-card',
      `This card shows revision ${seen.rev}; the plan is now ${notice.approval_id} revision ${notice.revision}.`,
      'Open the newest approval card in the thread.',
    );
  return redactTexts(notice, tools.redact);
}

/** The same for a press on a card that leads to a decision: what is wrong with it is said, and written down. */
export async function pressedApproval(
  click: Click,
  account: SlackAccount,
  seen: Seen,
  tools: ListenerTools,
): Promise<ApprovalNotice | Refusal> {
  const notice = await currentApproval(account, seen, tools);
  if (!isRefusal(notice)) return notice;
  const about = click.action_id.replace('approval.', '');
  const origin = originOf(account, placeOrNone(click));
  await tools.intake.refused(
    { origin, approval_id: seen.apr, about, refusal: notice, tell: false },
    clickKey(click),
  );
  return notice;
}
