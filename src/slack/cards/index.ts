// Registry of cards: one line per notice kind. To add a card, write `cards/<name>.ts` and name its kind here.
import type { KnownBlock } from '@slack/types';
import type { Notice } from '../../contract/notice.ts';
import { LIMITS, cut, escapeText, textChars } from '../block-limits.ts';
import { plain } from '../blocks.ts';
import { approvalCard } from './approval.ts';
import type { Card, CardContext } from './card.ts';
import { checkpointCard } from './checkpoint.ts';
import { incidentCard } from './incident.ts';
import { postmortemCard } from './postmortem.ts';
import { privateCard } from './private.ts';
import { progressCard } from './progress.ts';
import { shadowCard } from './shadow.ts';
import { timelineCard } from './timeline.ts';

type CardOf<N> = (notice: N, context: CardContext) => Card;

const CARDS: { readonly [K in Notice['kind']]: CardOf<Extract<Notice, { kind: K }>> } = {
  incident: incidentCard,
  timeline: timelineCard,
  approval: approvalCard,
  progress: progressCard,
  postmortem: postmortemCard,
  shadow: shadowCard,
  private: privateCard,
  checkpoint: checkpointCard,
};

export function renderNotice(notice: Notice, context: CardContext): Card {
  // The map ties each kind to the card of that kind; the compiler cannot follow it through the index.
  return (CARDS[notice.kind] as CardOf<Notice>)(notice, context);
}

/** True when Slack would take it: block count and the ceiling over all texts. */
export function fitsMessage(card: Card): boolean {
  return (
    card.blocks.length <= LIMITS.message_blocks_max && textChars(card.blocks) <= LIMITS.message_chars_max
  );
}

/**
 * The same card when Slack refuses its blocks: words in one plain section, with the buttons kept so that nobody is
 * locked out. `bare` has no blocks at all, the last resort.
 */
export function plainVersion(card: Card, bare: boolean): Card {
  const words = cut(textsOf(card.blocks).join('\n'), LIMITS.section_max - 100);
  const text = bare
    ? `${card.text}\n${escapeText(cut(words, 2000).replaceAll('://', ':\u2060//'))}`
    : card.text;
  if (bare) return { text, blocks: [] };
  const section: KnownBlock = {
    type: 'section',
    text: { ...plain('-', 1), text: words === '' ? '-' : words },
  };
  return { text, blocks: [section, ...card.blocks.filter((block) => block.type === 'actions')] };
}

function textsOf(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap((item) => textsOf(item));
  if (typeof value !== 'object' || value === null) return [];
  if ('type' in value && value.type === 'actions') return [];
  const ours = 'type' in value && value.type === 'mrkdwn';
  return Object.entries(value).flatMap(([key, inner]) => {
    if (key !== 'text' || typeof inner !== 'string') return textsOf(inner);
    return [ours ? withoutMarkup(inner) : inner];
  });
}

/** Our own markup as words: dates by their fallback, entities as signs. */
function withoutMarkup(text: string): string {
  const words = text
    .replace(/<!date\^[^|>]*\|([^>]*)>/g, '$1')
    .replace(/<@([A-Z0-9]+)>/g, '@$1')
    .replace(/[*`]/g, '');
  return words.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&');
}
