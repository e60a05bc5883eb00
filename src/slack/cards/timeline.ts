// One message of the thread's timeline; never edited, so it says one thing and stays true.
import type { TimelineNotice } from '../../contract/notice.ts';
import { topText } from '../block-limits.ts';
import { bold, code, paragraph, richText, say } from '../blocks.ts';
import { segmentElements, segmentText, type Card, type CardContext } from './card.ts';

/** What leads a topic's sentence: a sign where the house rules fix its meaning, a word where the sentence needs one. */
const LEADS: Readonly<Partial<Record<TimelineNotice['topic'], string>>> = {
  cause: '✅ ',
  no_cause: '⚠️ ',
  refusal: '❌ Refused: ',
  rollback: '⚠️ Rolling back: ',
  halted: '⚠️ Halted: ',
  closed: '✅ Closed: ',
};

export function timelineCard(notice: TimelineNotice, ctx: CardContext): Card {
  const lead = LEADS[notice.topic] ?? '';
  const elements = [...(lead === '' ? [] : [bold(lead)]), ...segmentElements(notice.segments, ctx)];
  if (ctx.simulated) elements.push(say('  '), code('SIMULATED'));
  return {
    text: topText(`${notice.incident_id} ${lead}${segmentText(notice.segments, ctx)}`),
    blocks: [richText(`tml.${ctx.revision}`, [paragraph(elements)])],
  };
}
