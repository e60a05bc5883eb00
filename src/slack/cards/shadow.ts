// The shadow report: what the plan said beside what people did, the minutes, and where that leaves the service on the
// ladder. Everything in it is foreign (field managers, values, people's words), so it stands in raw or rich text only.
import type { KnownBlock, TableBlock } from '@slack/types';
import type { ShadowNotice } from '../../contract/notice.ts';
import { oneLine } from '../../contract/visible.ts';
import { cut, mrkdwn, topText } from '../block-limits.ts';
import { bold, context, header, paragraph, richText, say, utc } from '../blocks.ts';
import { SIMULATED, type Card, type CardContext } from './card.ts';

/** Rows and cells that fit into one message with everything else; the ledger has the rest. */
const ROWS_SHOWN = 12;
const CELL_MAX = 220;
const LINES_SHOWN = 6;
const LINE_MAX = 400;
const GAPS_SHOWN = 6;

const MARKS: Readonly<Record<ShadowNotice['rows'][number]['mark'], string>> = {
  hit: '✅ the same',
  equivalent: '✅ the same end, another way',
  miss: '⚠️ only people',
  extra: '⚠️ only the plan',
  said: 'said by a person',
  unknown: '⚠️ could not be seen',
};

/** It was seen, and may or may not be what the plan wanted. */
const UNCLEAR = '⚠️ nobody can tell';

export function shadowCard(notice: ShadowNotice, ctx: CardContext): Card {
  const lines = notice.lines.slice(0, LINES_SHOWN).map((line) => cut(oneLine(line), LINE_MAX));
  const blocks: KnownBlock[] = [header(`shd.hdr.${ctx.revision}`, `Shadow report: ${notice.headline}`)];
  if (lines.length > 0)
    blocks.push(richText(`shd.lines.${ctx.revision}`, [paragraph([say(lines.join('\n'))])]));
  if (notice.rows.length > 0) blocks.push(rowsTable(`shd.rows.${ctx.revision}`, notice.rows));
  const notes = [...gapNotes(notice), ...hiddenNote(notice)];
  if (notes.length > 0)
    blocks.push(richText(`shd.notes.${ctx.revision}`, [paragraph([say(notes.join('\n'))])]));
  if (notice.warning !== null)
    blocks.push(
      richText(`shd.warn.${ctx.revision}`, [
        paragraph([say('⚠️ '), bold(cut(oneLine(notice.warning), LINE_MAX))]),
      ]),
    );
  blocks.push(
    richText(`shd.ladder.${ctx.revision}`, [
      paragraph([bold('Ladder: '), say(cut(oneLine(notice.ladder), 2 * LINE_MAX))]),
    ]),
  );
  const foot = mrkdwn`${notice.incident_id} ran in shadow: Aegis changed nothing. "aegis ladder" shows every service.`;
  const simulated = ctx.simulated || notice.simulated;
  blocks.push(context(`shd.foot.${ctx.revision}`, simulated ? [SIMULATED, foot] : [foot]));
  return {
    text: topText(`${notice.incident_id} shadow report: ${notice.headline}. ${notice.ladder}`),
    blocks,
  };
}

function rowsTable(block_id: string, rows: ShadowNotice['rows']): TableBlock {
  const cells = [
    ['Compared', 'Plan', 'People', 'When'],
    ...rows
      .slice(0, ROWS_SHOWN)
      .map((row) => [
        row.mark === 'unknown' && row.people !== null ? UNCLEAR : MARKS[row.mark],
        row.plan ?? '-',
        row.people ?? 'nobody',
        row.at === null ? '-' : utc(row.at).slice(11),
      ]),
  ];
  return {
    type: 'table',
    block_id,
    column_settings: [
      { align: 'left', is_wrapped: true },
      { align: 'left', is_wrapped: true },
      { align: 'left', is_wrapped: true },
      { align: 'left' },
    ],
    rows: cells.map((row) =>
      row.map((text) => ({ type: 'raw_text' as const, text: cut(oneLine(text), CELL_MAX) || '-' })),
    ),
  };
}

function gapNotes(notice: ShadowNotice): string[] {
  return notice.gaps.slice(0, GAPS_SHOWN).map((gap) => `Not seen: ${cut(oneLine(gap), 200)}`);
}

function hiddenNote(notice: ShadowNotice): string[] {
  const rows = notice.rows.length - ROWS_SHOWN;
  return rows > 0 ? [`${rows} more rows are in the ledger of ${notice.incident_id}.`] : [];
}
