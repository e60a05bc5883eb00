// The postmortem draft in the thread. What fits into one message is shown; a longer text is also attached as a file by
// the outbox, and the card says so: never cut silently.
import type { KnownBlock } from '@slack/types';
import type { PostmortemNotice } from '../../contract/notice.ts';
import { mrkdwn, topText } from '../block-limits.ts';
import { context, header, richText } from '../blocks.ts';
import { markdownParts } from '../markdown-rich-text.ts';
import { SIMULATED, type Card, type CardContext } from './card.ts';

/** Leaves room under Slack's ceiling for header and context. */
const BODY_CHARS_MAX = 8_000;

export function postmortemFitsCard(notice: PostmortemNotice): boolean {
  return markdownParts(notice.markdown, BODY_CHARS_MAX).complete;
}

/** File name of the attached text; the outbox looks for it before it uploads, so that a retry adds no second copy. */
export function postmortemFileName(notice: PostmortemNotice, revision: number): string {
  return `postmortem-${notice.incident_id}-r${revision}.md`;
}

export function postmortemCard(notice: PostmortemNotice, ctx: CardContext): Card {
  // The header says the title already.
  const body = notice.markdown.replace(/^# .*\n+/, '');
  const { parts, complete } = markdownParts(body, BODY_CHARS_MAX);
  const blocks: KnownBlock[] = [header(`pm.hdr.${ctx.revision}`, notice.title)];
  if (parts.length > 0) blocks.push(richText(`pm.body.${ctx.revision}`, parts));
  const whole = complete
    ? mrkdwn`Draft from the ledger of ${notice.incident_id}. People correct it; Aegis does not publish it.`
    : mrkdwn`⚠️ The draft is longer than one message. The whole text is the file \`${postmortemFileName(notice, ctx.revision)}\` in this thread.`;
  blocks.push(context(`pm.foot.${ctx.revision}`, ctx.simulated ? [SIMULATED, whole] : [whole]));
  return { text: topText(`${notice.incident_id} postmortem draft: ${notice.title}`), blocks };
}
