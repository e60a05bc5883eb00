// A stored card as a message: redacted, drawn by its kind, linked to its neighbours, made plainer when Slack refused it.
import type { Log } from '../contract/ports.ts';
import type { CardDelivery, OutboxStore } from '../store/store.ts';
import { LIMITS, cut, mrkdwn } from './block-limits.ts';
import { context } from './blocks.ts';
import type { Card, CardContext, Person } from './cards/card.ts';
import { fitsMessage, plainVersion, renderNotice } from './cards/index.ts';
import { redactTexts } from '../contract/redact-texts.ts';

export interface DrawTools {
  readonly outbox: Pick<OutboxStore, 'get'>;
  readonly simulated: boolean;
  readonly redact: (text: string) => string;
  readonly person: (principal: string) => Person;
  /** `https://acme.slack.com/` once Slack has told us, for links between cards. */
  readonly workspace_url: () => string | null;
  readonly log: Log;
}

export interface DrawOptions {
  /** 0 as designed, 1 words in a plain section with the buttons, 2 no blocks at all. */
  readonly level: number;
  /** True for the message itself, false for an edit. */
  readonly first: boolean;
  /** Sentences above the card: where it moved from, that it may be a repeat. */
  readonly notes: readonly string[];
}

export async function drawCard(tools: DrawTools, card: CardDelivery, options: DrawOptions): Promise<Card> {
  const links = new Map<string, string | null>();
  for (const key of linkedCards(card)) links.set(key, await permalink(tools, key));
  const ctx: CardContext = {
    revision: card.wanted_revision,
    first: options.first,
    simulated: tools.simulated,
    person: tools.person,
    link: (key) => links.get(key) ?? null,
  };
  const drawn = render(tools, card, ctx);
  if (options.level >= 2) return plainVersion(drawn, true);
  const shown = options.level === 1 || !fitsMessage(drawn) ? plainVersion(drawn, false) : drawn;
  if (options.notes.length === 0) return shown;
  const above = context(
    `note.${card.wanted_revision}`,
    options.notes.map((note) => mrkdwn`⚠️ ${note}`),
  );
  return { text: shown.text, blocks: [above, ...shown.blocks.slice(0, LIMITS.message_blocks_max - 1)] };
}

function render(tools: DrawTools, card: CardDelivery, ctx: CardContext): Card {
  try {
    return renderNotice(redactTexts(card.notice, tools.redact), ctx);
  } catch (error) {
    tools.log.error(
      { room: 'slack', card: card.card_key, error: String(error) },
      'a card could not be drawn',
    );
    return {
      text: `${card.incident_id ?? 'Aegis'}: this card could not be drawn; the ledger holds its content`,
      blocks: [],
    };
  }
}

function linkedCards(card: CardDelivery): string[] {
  const { notice } = card;
  if (notice.kind === 'approval') return [`root:${notice.incident_id}`];
  if (notice.kind !== 'incident') return [];
  return [
    ...(notice.approval_card === null ? [] : [notice.approval_card]),
    `postmortem:${notice.incident_id}`,
  ];
}

async function permalink(tools: DrawTools, card_key: string): Promise<string | null> {
  const base = tools.workspace_url();
  const card = base === null ? null : await tools.outbox.get(card_key);
  if (card === null || card.ts === null) return null;
  const thread =
    card.thread_ts === null || card.thread_ts === card.ts
      ? ''
      : `?thread_ts=${card.thread_ts}&cid=${card.channel}`;
  return `${base}archives/${card.channel}/p${card.ts.replace('.', '')}${thread}`;
}

/** What we find our own messages by. Everybody in the channel can read it: ids only, far below 2 KB. */
export function metadataOf(card: CardDelivery): {
  event_type: string;
  event_payload: Record<string, string | number>;
} {
  const { card_key, wanted_revision, incident_id } = card;
  return {
    event_type: 'aegis_card',
    event_payload: {
      card_key: cut(card_key, 500),
      revision: wanted_revision,
      incident_id: incident_id ?? '-',
    },
  };
}
