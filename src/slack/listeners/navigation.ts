// Buttons that only carry a link. Slack reports the press all the same and wants it acknowledged.
import type { ButtonListener } from './listener.ts';

export const navigation: ButtonListener = {
  kind: 'button',
  action_ids: ['nav.plan', 'nav.postmortem'],
  handle: (_click, _tools, ack) => ack(),
};
