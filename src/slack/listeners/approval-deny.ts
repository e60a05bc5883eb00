// Deny: opens the dialog that asks for the reason.
import { isRefusal, refuse } from '../../contract/verdict.ts';
import { sentence, tell } from '../answers.ts';
import { ApprovalRef, parseValue } from '../button-values.ts';
import { denyView, openingMeta } from '../views/approval-view.ts';
import { pressedApproval } from './current-approval.ts';
import { UNREADABLE } from './incident-act.ts';
import type { ButtonListener } from './listener.ts';
import { fillView, openLoading, placeOrNone } from './open-modal.ts';

export const approvalDeny: ButtonListener = {
  kind: 'button',
  action_ids: ['approval.deny'],
  async handle(click, tools, ack) {
    const ref = parseValue(ApprovalRef, click.value);
    if (ref === null) {
      await ack();
      return tell(tools, click.user, click.place, sentence(UNREADABLE, tools));
    }
    const shown = await openLoading(click, tools, 'Deny this plan', 'Reading the plan from the ledger');
    await ack();
    if (shown === null) return undefined;
    return fillView(shown, click, tools, 'Deny this plan', async (account) => {
      const notice = await pressedApproval(click, account, ref, tools);
      if (isRefusal(notice)) return notice;
      // Also one that nobody has to approve, while it is shown.
      if (!['open', 'approved'].includes(notice.status))
        return refuse(
          'not-open',
          `This plan can no longer be denied: ${notice.status_text}`,
          'Nothing needs to be done here.',
        );
      return denyView(notice, openingMeta(notice, placeOrNone(click)), tools.simulated);
    });
  },
};
