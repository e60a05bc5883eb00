// Review: opens the dialog whose submit is the approval.
import { isRefusal } from '../../contract/verdict.ts';
import { sentence, tell } from '../answers.ts';
import { ApprovalRef, parseValue } from '../button-values.ts';
import { openingMeta, reviewView } from '../views/approval-view.ts';
import { pressedApproval } from './current-approval.ts';
import { UNREADABLE } from './incident-act.ts';
import type { ButtonListener } from './listener.ts';
import { fillView, openLoading, placeOrNone } from './open-modal.ts';

export const approvalReview: ButtonListener = {
  kind: 'button',
  action_ids: ['approval.review'],
  async handle(click, tools, ack) {
    const ref = parseValue(ApprovalRef, click.value);
    if (ref === null) {
      await ack();
      return tell(tools, click.user, click.place, sentence(UNREADABLE, tools));
    }
    const shown = await openLoading(click, tools, 'Review plan', 'Reading the plan from the ledger');
    await ack();
    if (shown === null) return undefined;
    return fillView(shown, click, tools, 'Review plan', async (account) => {
      const notice = await pressedApproval(click, account, ref, tools);
      return isRefusal(notice)
        ? notice
        : reviewView(notice, openingMeta(notice, placeOrNone(click)), tools.simulated);
    });
  },
};
