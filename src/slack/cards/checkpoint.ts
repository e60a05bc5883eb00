// A checkpoint of the ledger in the audit channel: one message each, never edited, so that Slack is a witness that nobody
// with the database can rewrite.
import type { CheckpointNotice } from '../../contract/notice.ts';
import { topText } from '../block-limits.ts';
import { bold, code, paragraph, preformatted, richText, say, when } from '../blocks.ts';
import type { Card, CardContext } from './card.ts';

export function checkpointCard(notice: CheckpointNotice, ctx: CardContext): Card {
  const chains = notice.chains === 1 ? '1 chain has' : `${notice.chains} chains have`;
  const head = [
    bold(`Ledger checkpoint ${notice.seq}`),
    say(' of '),
    when(notice.at),
    say(`: ${chains} grown. Signed by key `),
    code(notice.key_id),
    say('. Does the database still hold it?'),
    ...(ctx.simulated ? [say('  '), code('SIMULATED')] : []),
  ];
  return {
    text: topText(`Ledger checkpoint ${notice.seq}: ${chains} grown`),
    blocks: [
      richText(`cpt.${ctx.revision}`, [
        paragraph(head),
        preformatted(`aegis ledger verify --checkpoint ${notice.seq}:${notice.hash}`),
      ]),
    ],
  };
}
