// The submit of the deny dialog: a reason of 10 to 500 characters and what is wrong. A denial ends the plan.
import { DENY_CALLBACK, DENY_REASONS, type DenyReason } from '../views/approval-view.ts';
import { submitDecision } from './decision-submit.ts';
import type { SubmitListener } from './listener.ts';

const REASON_MIN = 10;
const REASON_MAX = 500;

export const denySubmit: SubmitListener = {
  kind: 'submit',
  callback_id: DENY_CALLBACK,
  async handle(submit, tools) {
    const reason = (submit.values['reason'] ?? '').trim();
    const because = submit.values['because'] ?? '';
    const errors: Record<string, string> = {};
    if (reason.length < REASON_MIN)
      errors['reason'] = `Write at least ${REASON_MIN} characters: the next plan is made from it.`;
    if (reason.length > REASON_MAX) errors['reason'] = `Write at most ${REASON_MAX} characters.`;
    if (!isDenyReason(because)) errors['because'] = 'Choose one.';
    if (!isDenyReason(because) || Object.keys(errors).length > 0)
      return { response_action: 'errors', errors };
    return submitDecision(submit, tools, (fields) => ({ act: 'deny', ...fields, reason, because }));
  },
};

function isDenyReason(text: string): text is DenyReason {
  return Object.hasOwn(DENY_REASONS, text);
}
