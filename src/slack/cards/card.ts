// What a card is and what it may know besides its notice. Cards are pure: notice in, {text, blocks} out; no clock, no
// lookups of their own. Foreign text (titles, causes, diffs, gate reasons) goes into rich_text or plain_text only.
import type { KnownBlock, RichTextElement } from '@slack/types';
import { mrkdwn, type Mrkdwn } from '../block-limits.ts';
import { bold, code, say, when } from '../blocks.ts';
import type { Segment } from '../../contract/notice.ts';

export interface Card {
  /** What a notification and a screen reader say: severity, id, what, state, what is asked. */
  readonly text: string;
  readonly blocks: KnownBlock[];
}

export interface Person {
  readonly name: string;
  readonly slack_user: string | null;
}

export interface CardContext {
  /** Part of each block_id: Slack wants new ids on each update. */
  readonly revision: number;
  /** True for the message itself, false for an edit: only a first post may mention people. */
  readonly first: boolean;
  /** Addresses are not the real systems' (`unsafe_endpoints`): every card says so. */
  readonly simulated: boolean;
  person(principal: string): Person;
  /** Address of another card's message, null while it is not posted. */
  link(card_key: string): string | null;
}

/** The word that every card carries while Aegis talks to stand-ins. */
export const SIMULATED: Mrkdwn = { mrkdwn: '*SIMULATED*: these are not the real systems' };

const SLACK_USER = /^[UW][A-Z0-9]{2,20}$/;

export function personMarkup(person: Person, mention: boolean): Mrkdwn {
  const user = person.slack_user;
  return mention && user !== null && SLACK_USER.test(user)
    ? { mrkdwn: `<@${user}>` }
    : mrkdwn`${person.name}`;
}

function personElement(person: Person, mention: boolean): RichTextElement {
  const user = person.slack_user;
  return mention && user !== null && SLACK_USER.test(user)
    ? { type: 'user', user_id: user }
    : bold(person.name);
}

export function segmentElements(segments: readonly Segment[], context: CardContext): RichTextElement[] {
  return segments.map((segment) => {
    if (segment.t === 'person')
      return personElement(context.person(segment.principal), segment.mention && context.first);
    if (segment.t === 'time') return when(segment.at);
    if (segment.t === 'bold') return bold(segment.text);
    return segment.t === 'code' ? code(segment.text) : say(segment.text);
  });
}

/** The same segments as a sentence without markup. */
export function segmentText(segments: readonly Segment[], context: CardContext): string {
  const words = segments.map((segment) => {
    if (segment.t === 'person') return context.person(segment.principal).name;
    return segment.t === 'time' ? `${segment.at.slice(11, 16)} UTC` : segment.text;
  });
  return words.join('');
}
