// The whole approval as JSON, in pages, as the server holds it.
import { isRefusal, type Refusal } from '../../contract/verdict.ts';
import type { ModalView } from '@slack/types';
import type { SlackAccount } from '../../harness/intake.ts';
import { sentence, tell } from '../answers.ts';
import { ApprovalRef, JsonMeta, parseValue } from '../button-values.ts';
import { redactTexts } from '../../contract/redact-texts.ts';
import { jsonPages, planJsonView } from '../views/approval-view.ts';
import { UNREADABLE } from './incident-act.ts';
import type { ButtonListener, ListenerTools } from './listener.ts';
import { fillView, openLoading, placeOrNone } from './open-modal.ts';

const TITLE = 'Plan as JSON';

export const planJson: ButtonListener = {
  kind: 'button',
  action_ids: ['plan.json', 'plan.json.previous', 'plan.json.next'],
  async handle(click, tools, ack) {
    if (click.view !== null) {
      await ack();
      const meta = parseValue(JsonMeta, click.view.private_metadata);
      const step = click.action_id === 'plan.json.next' ? 1 : -1;
      return meta === null
        ? undefined
        : fillView(click.view, click, tools, TITLE, (account) =>
            draw(account, { ...meta, page: Math.max(0, meta.page + step) }, tools),
          );
    }
    const ref = parseValue(ApprovalRef, click.value);
    if (ref === null) {
      await ack();
      return tell(tools, click.user, click.place, sentence(UNREADABLE, tools));
    }
    const shown = await openLoading(click, tools, TITLE, 'Reading the plan from the ledger');
    await ack();
    return shown === null
      ? undefined
      : fillView(shown, click, tools, TITLE, (account) =>
          draw(account, { v: 1, apr: ref.apr, page: 0, ...placeOrNone(click) }, tools),
        );
  },
};

async function draw(
  account: SlackAccount,
  meta: JsonMeta,
  tools: ListenerTools,
): Promise<ModalView | Refusal> {
  const notice = await tools.inspect.approval(account, meta.apr);
  if (isRefusal(notice)) return notice;
  const shown = redactTexts(notice, tools.redact);
  const json = JSON.stringify(shown, null, 2);
  return planJsonView(
    shown,
    json,
    { ...meta, page: Math.min(meta.page, jsonPages(json).length - 1) },
    tools.simulated,
  );
}
