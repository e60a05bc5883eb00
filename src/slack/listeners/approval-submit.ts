// The submit of the review dialog: this is the approval. Whether it counts is decided when it is taken in.
import { APPROVE_CALLBACK } from '../views/approval-view.ts';
import { submitDecision } from './decision-submit.ts';
import type { SubmitListener } from './listener.ts';

export const approvalSubmit: SubmitListener = {
  kind: 'submit',
  callback_id: APPROVE_CALLBACK,
  handle: (submit, tools) => submitDecision(submit, tools, (fields) => ({ act: 'approve', ...fields })),
};
