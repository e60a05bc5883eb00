// One message of the thread's timeline; never edited, so it says one thing and stays true.
import type { TimelineNotice } from '../../contract/notice.ts';
import { topText } from '../block-limits.ts';
import { bold, code, paragraph, richText, say } from '../blocks.ts';
import { segmentElements, segmentText, type Card, type CardContext } from './card.ts';

/** A word for each topic; a sign only where its meaning is fixed by the house rules. */
const TOPIC_WORDS: Readonly<Record<TimelineNotice['topic'], string>> = {
  opened: 'Opened',
  triage: 'Triage',
  cause: '✅ Cause found',
  no_cause: '⚠️ No cause yet',
  plan: 'Plan',
  decision: 'Decision',
  refusal: '❌ Refused',
  step: 'Step',
  verify: 'Check',
  halted: '⚠️ Halted',
  closed: '✅ Closed',
  recorded: 'Noted',
};

export function timelineCard(notice: TimelineNotice, ctx: CardContext): Card {
  const words = TOPIC_WORDS[notice.topic];
  const elements = [bold(`${words}: `), ...segmentElements(notice.segments, ctx)];
  if (ctx.simulated) elements.push(say('  '), code('SIMULATED'));
  return {
    text: topText(`${notice.incident_id} ${words}: ${segmentText(notice.segments, ctx)}`),
    blocks: [richText(`tml.${ctx.revision}`, [paragraph(elements)])],
  };
}
