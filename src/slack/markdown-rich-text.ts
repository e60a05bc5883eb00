// Our own Markdown drafts (postmortem) as rich_text. Only headings, lists, fences, tables, bold and code are understood;
// everything else stays literal text, so nothing quoted in a draft can become a link or a mention. Pure.
import type { RichTextBlock, RichTextElement } from '@slack/types';
import { visible } from '../contract/visible.ts';
import { bold, code, paragraph, preformatted, say } from './blocks.ts';

type Part = RichTextBlock['elements'][number];

export interface RenderedMarkdown {
  readonly parts: Part[];
  /** False when the text did not fit: the caller attaches the whole as a file. */
  readonly complete: boolean;
}

const LINE_MAX = 1500;

export function markdownParts(markdown: string, chars_max: number): RenderedMarkdown {
  const lines = visible(markdown).split('\n');
  const parts: Part[] = [];
  let used = 0;
  for (let at = 0; at < lines.length;) {
    const { part, next, chars } = readPart(lines, at);
    if (used + chars > chars_max) return { parts, complete: false };
    used += chars;
    if (part !== null) parts.push(part);
    at = next;
  }
  return { parts, complete: true };
}

function readPart(lines: readonly string[], at: number): { part: Part | null; next: number; chars: number } {
  const line = lines[at] as string;
  if (line.trim() === '') return { part: null, next: at + 1, chars: 0 };
  if (line.startsWith('```')) {
    const close = lines.findIndex((text, index) => index > at && text.startsWith('```'));
    const end = close === -1 ? lines.length : close;
    return block(lines.slice(at + 1, end), end + 1);
  }
  if (line.startsWith('|')) {
    const end = runEnd(lines, at, (text) => text.startsWith('|'));
    const rows = lines.slice(at, end).filter((row) => !/^\|[\s:|-]+$/.test(row));
    return table(rows, end);
  }
  if (isItem(line)) return list(lines, at);
  const heading = /^(#{1,6})\s+(.*)$/.exec(line);
  if (heading !== null)
    return {
      part: paragraph([bold(`${literal(heading[2] as string)}\n`)]),
      next: at + 1,
      chars: line.length,
    };
  const end = runEnd(
    lines,
    at,
    (text) => text.trim() !== '' && !isItem(text) && !/^(#{1,6}\s|```|\|)/.test(text),
  );
  const text = lines
    .slice(at, end)
    .join('\n')
    .slice(0, LINE_MAX * 4);
  return { part: paragraph([...inline(text), say('\n')]), next: end, chars: text.length + 1 };
}

function isItem(line: string): boolean {
  return /^\s{0,6}([-*]|\d{1,3}\.)\s/.test(line);
}

function list(lines: readonly string[], at: number): { part: Part; next: number; chars: number } {
  const end = Math.min(runEnd(lines, at, isItem), at + 60);
  const items = lines
    .slice(at, end)
    .map((line) => line.replace(/^\s*([-*]|\d{1,3}\.)\s+/, '').slice(0, LINE_MAX));
  const ordered = /^\s*\d/.test(lines[at] as string);
  return {
    part: {
      type: 'rich_text_list',
      style: ordered ? 'ordered' : 'bullet',
      elements: items.map((item) => paragraph(inline(item))),
    },
    next: end,
    chars: items.reduce((sum, item) => sum + item.length, 0),
  };
}

function runEnd(lines: readonly string[], at: number, belongs: (line: string) => boolean): number {
  let end = at + 1;
  while (end < lines.length && belongs(lines[end] as string)) end += 1;
  return end;
}

function block(lines: readonly string[], next: number): { part: Part; next: number; chars: number } {
  const text = lines.join('\n');
  return { part: preformatted(text), next, chars: text.length };
}

/** Wider rows would wrap in the middle of a column, on a phone each of them. */
const ROW_CHARS_MAX = 64;

/** A Markdown table: aligned columns while they fit on a line, else one list item for each row, without the heading. */
function table(rows: readonly string[], next: number): { part: Part; next: number; chars: number } {
  const cells = rows.map(cellsOf);
  const aligned = alignRows(cells.map((row) => row.map(bare)));
  if (aligned.every((line) => line.length <= ROW_CHARS_MAX)) return block(aligned, next);
  const rows_shown = cells.length > 1 ? cells.slice(1) : cells;
  const items = rows_shown.map((row) =>
    row
      .filter((cell) => cell !== '')
      .join(' · ')
      .slice(0, LINE_MAX),
  );
  const part: Part = {
    type: 'rich_text_list',
    style: 'bullet',
    elements: items.map((item) => paragraph(inline(item))),
  };
  return { part, next, chars: items.reduce((sum, item) => sum + item.length, 0) };
}

/** A bar that a draft escaped belongs to its cell. */
function cellsOf(row: string): string[] {
  const inner = row.replace(/^\|/, '').replace(/(?<!\\)\|\s*$/, '');
  return inner.split(/(?<!\\)\|/).map((cell) => cell.trim());
}

/** A cell without marks: preformatted text shows them as they are. */
function bare(cell: string): string {
  return literal(cell.replaceAll(/\*\*|(?<!\\)`/g, ''));
}

/** Undoes the escapes of a draft (evolution/markdown.ts). Rich text is literal; `<` all the same stays a look-alike. */
function literal(text: string): string {
  return text
    .replaceAll(/\\([^A-Za-z0-9\s])/g, '$1')
    .replaceAll('&lt;', '‹')
    .replaceAll('&gt;', '>')
    .replaceAll('&amp;', '&');
}

function alignRows(cells: readonly (readonly string[])[]): string[] {
  const widths = (cells[0] ?? []).map((_, column) =>
    Math.min(40, Math.max(...cells.map((row) => (row[column] ?? '').length))),
  );
  return cells.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

function inline(text: string): RichTextElement[] {
  const pieces = text.split(/(\*\*[^*\n]+\*\*|(?<!\\)`[^`\n]+`)/).filter((piece) => piece !== '');
  if (pieces.length === 0) return [say(' ')];
  return pieces.map((piece) => {
    if (piece.startsWith('**') && piece.length > 4) return bold(literal(piece.slice(2, -2)));
    if (piece.startsWith('`') && piece.length > 2) return code(piece.slice(1, -1));
    return say(literal(piece));
  });
}
