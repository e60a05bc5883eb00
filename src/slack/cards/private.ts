// A sentence for one person only: every refused click gets one, with the reason and the next step.
import type { PrivateNotice } from '../../contract/notice.ts';
import { topText } from '../block-limits.ts';
import { paragraph, richText } from '../blocks.ts';
import { segmentElements, segmentText, type Card, type CardContext } from './card.ts';

export function privateCard(notice: PrivateNotice, ctx: CardContext): Card {
  return {
    text: topText(segmentText(notice.segments, ctx)),
    blocks: [richText(`prv.${ctx.revision}`, [paragraph(segmentElements(notice.segments, ctx))])],
  };
}
