// Which part of a plan's diff a card can show at first glance. A line that is cut counts as hidden: what was not on
// screen must not be approved from there. Pure.
import { pieces } from './block-limits.ts';
import { changeLines } from '../contract/approval-sheet.ts';
import type { ApprovalNotice } from '../contract/notice.ts';

type Action = ApprovalNotice['actions'][number];

const LINES_MAX = 40;
/** All of it must fit into one preformatted block, which would otherwise be cut. */
const CHARS_MAX = 2_800;
const LINE_CHARS_MAX = 240;

export interface Excerpt {
  readonly shown: readonly { readonly change_id: string; readonly lines: readonly string[] }[];
  readonly total: number;
  readonly hidden: number;
}

/** `chars_max` 0 hides everything: the card is then only a way into the full plan. */
export function excerptOf(actions: readonly Action[], chars_max: number = CHARS_MAX): Excerpt {
  const shown: { change_id: string; lines: string[] }[] = [];
  let total = 0;
  let room_lines = LINES_MAX;
  let room_chars = chars_max;
  let hidden = 0;
  for (const action of actions) {
    const lines = changeLines(action);
    total += lines.length;
    const kept: string[] = [];
    for (const line of lines) {
      if (room_lines === 0 || line.length > LINE_CHARS_MAX || line.length > room_chars) break;
      kept.push(line);
      room_lines -= 1;
      room_chars -= line.length + 1;
    }
    if (kept.length < lines.length) {
      hidden += lines.length - kept.length;
      // Whatever follows the first hidden line is hidden too: no picture with holes.
      room_lines = 0;
    }
    if (kept.length > 0) shown.push({ change_id: action.change_id, lines: kept });
  }
  return { shown, total, hidden };
}

/** The whole of all diffs in pages for a modal: `chunk_chars` a block, `chunks_max` blocks a page. Nothing is left out. */
export function diffPages(actions: readonly Action[], chunk_chars: number, chunks_max: number): string[][] {
  const chunks: string[] = [];
  for (const action of actions) {
    let chunk = actions.length > 1 ? `${action.change_id}  ${action.target}` : '';
    for (const line of changeLines(action).flatMap((text) => foldLine(text, chunk_chars))) {
      if (chunk !== '' && chunk.length + 1 + line.length > chunk_chars) {
        chunks.push(chunk);
        chunk = line;
      } else chunk = chunk === '' ? line : `${chunk}\n${line}`;
    }
    if (chunk !== '') chunks.push(chunk);
  }
  const pages: string[][] = [];
  for (let at = 0; at < chunks.length; at += chunks_max) pages.push(chunks.slice(at, at + chunks_max));
  return pages.length === 0 ? [['(no field changes)']] : pages;
}

/** A line longer than a block goes on in the next one, marked with an arrow. */
function foldLine(line: string, chars: number): string[] {
  const parts = pieces(line, chars - 2);
  return parts.length <= 1 ? [line] : parts.map((part, at) => (at === 0 ? part : `↪ ${part}`));
}
