// Previous and Next in the evidence dialog. Each page is checked live again.
import { isRefusal } from '../../contract/verdict.ts';
import { EvidenceMeta, parseValue } from '../button-values.ts';
import { redactTexts } from '../../contract/redact-texts.ts';
import { evidencePages, evidenceView } from '../views/evidence-view.ts';
import type { ButtonListener } from './listener.ts';
import { fillView } from './open-modal.ts';

export const evidencePage: ButtonListener = {
  kind: 'button',
  action_ids: ['evidence.previous', 'evidence.next'],
  async handle(click, tools, ack) {
    await ack();
    const meta = parseValue(EvidenceMeta, click.view?.private_metadata);
    if (click.view === null || meta === null) return undefined;
    const step = click.action_id === 'evidence.next' ? 1 : -1;
    return fillView(click.view, click, tools, 'Evidence', async (account) => {
      const view = await tools.inspect.evidence(account, meta.inc);
      if (isRefusal(view)) return view;
      const page = Math.max(0, Math.min(evidencePages(view) - 1, meta.page + step));
      return evidenceView(redactTexts(view, tools.redact), { ...meta, page }, tools.simulated);
    });
  },
};
