// Withdraw: an approver takes their approval back, until the first step runs.
import { isRefusal } from '../../contract/verdict.ts';
import { refusalAnswer, sentence, tell } from '../answers.ts';
import { ApprovalRef, parseValue } from '../button-values.ts';
import { clickKey } from '../dedup-keys.ts';
import { pressedApproval } from './current-approval.ts';
import { accountOf, originOf, UNREADABLE } from './incident-act.ts';
import type { ButtonListener } from './listener.ts';

export const approvalWithdraw: ButtonListener = {
  kind: 'button',
  action_ids: ['approval.withdraw'],
  async handle(click, tools, ack) {
    const ref = parseValue(ApprovalRef, click.value);
    if (ref === null || click.place === null) {
      await ack();
      return tell(tools, click.user, click.place, sentence(UNREADABLE, tools));
    }
    const account = await accountOf(click, tools);
    if (account === null) return ack();
    const notice = await pressedApproval(click, account, ref, tools);
    if (isRefusal(notice)) {
      await ack();
      return tell(tools, click.user, click.place, refusalAnswer(notice, tools));
    }
    const { incident_id, approval_id, revision, plan_hash } = notice;
    await tools.intake.person(
      {
        act: 'withdraw',
        origin: originOf(account, click.place),
        incident_id,
        approval_id,
        revision,
        plan_hash,
      },
      clickKey(click),
    );
    return ack();
  },
};
