// Previous and Next in the review dialog: a long diff is read in order, and only then can it be approved.
import { isRefusal } from '../../contract/verdict.ts';
import { DecisionMeta, parseValue } from '../button-values.ts';
import { reviewPages, reviewView, turnedMeta } from '../views/approval-view.ts';
import { currentApproval } from './current-approval.ts';
import type { ButtonListener } from './listener.ts';
import { fillView } from './open-modal.ts';

export const approvalPage: ButtonListener = {
  kind: 'button',
  action_ids: ['approval.previous', 'approval.next'],
  async handle(click, tools, ack) {
    await ack();
    const meta = parseValue(DecisionMeta, click.view?.private_metadata);
    if (click.view === null || meta === null) return undefined;
    const step = click.action_id === 'approval.next' ? 1 : -1;
    return fillView(click.view, click, tools, 'Review plan', async (account) => {
      const notice = await currentApproval(account, meta, tools);
      return isRefusal(notice)
        ? notice
        : reviewView(notice, turnedMeta(meta, step, reviewPages(notice).length), tools.simulated);
    });
  },
};
