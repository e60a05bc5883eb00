// Evidence: opens the excerpts behind a cause. They are re-hashed and the sources read again while the dialog loads.
import { isRefusal } from '../../contract/verdict.ts';
import { sentence, tell } from '../answers.ts';
import { IncidentRef, parseValue } from '../button-values.ts';
import { redactTexts } from '../../contract/redact-texts.ts';
import { evidenceView } from '../views/evidence-view.ts';
import { UNREADABLE } from './incident-act.ts';
import type { ButtonListener } from './listener.ts';
import { fillView, openLoading, placeOrNone } from './open-modal.ts';

export const evidenceOpen: ButtonListener = {
  kind: 'button',
  action_ids: ['evidence.open'],
  async handle(click, tools, ack) {
    const ref = parseValue(IncidentRef, click.value);
    if (ref === null) {
      await ack();
      return tell(tools, click.user, click.place, sentence(UNREADABLE, tools));
    }
    const shown = await openLoading(
      click,
      tools,
      'Evidence',
      'Reading the sources again and hashing what was captured',
    );
    await ack();
    if (shown === null) return undefined;
    return fillView(shown, click, tools, 'Evidence', async (account) => {
      const view = await tools.inspect.evidence(account, ref.inc);
      if (isRefusal(view)) return view;
      return evidenceView(
        redactTexts(view, tools.redact),
        { v: 1, inc: ref.inc, page: 0, ...placeOrNone(click) },
        tools.simulated,
      );
    });
  },
};
