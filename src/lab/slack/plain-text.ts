// Messages for a terminal: every block as readable lines, diffs and tables included, names instead of ids.
import { items, str, type Json } from './json.ts';
import { characters } from '../block-kit/findings.ts';
import { drawEmoji, formatDate, parseMrkdwn, type Inline } from './mrkdwn.ts';
import type { Workspace } from './workspace.ts';

export interface PlainOptions {
  workspace: Workspace;
  /** IANA name for dates. Default Etc/UTC. */
  time_zone?: string;
}

export function userName(workspace: Workspace, id: string): string {
  return `@${workspace.users.get(id)?.name ?? id}`;
}

function groupName(workspace: Workspace, id: string): string {
  return `@${workspace.usergroups.get(id)?.handle ?? id}`;
}

function channelName(workspace: Workspace, id: string): string {
  return `#${workspace.channels.get(id)?.name ?? id}`;
}

function inline(piece: Inline, { workspace, time_zone }: PlainOptions): string {
  switch (piece.kind) {
    case 'text':
      return drawEmoji(piece.text);
    case 'code':
      return `\`${piece.text}\``;
    case 'link':
      return piece.label === piece.url ? piece.url : `${piece.label} (${piece.url})`;
    case 'user':
      return userName(workspace, piece.id);
    case 'channel':
      return channelName(workspace, piece.id);
    case 'usergroup':
      return groupName(workspace, piece.id);
    case 'broadcast':
      return `@${piece.range}`;
    case 'date':
    default:
      return formatDate(piece.unix, piece.format, time_zone ?? 'Etc/UTC');
  }
}

function mrkdwnLines(text: string, options: PlainOptions): string[] {
  return parseMrkdwn(text).flatMap((part) => {
    if (part.kind === 'pre') return part.text.split('\n').map((line) => `    ${line}`);
    const line = part.inline.map((piece) => inline(piece, options)).join('');
    return [part.quote ? `│ ${line}` : line];
  });
}

function textLines(text: Json | undefined, options: PlainOptions): string[] {
  if (!text) return [];
  if (text['type'] === 'mrkdwn') return mrkdwnLines(str(text['text']), options);
  return drawEmoji(str(text['text'])).split('\n');
}

function leaf(node: Json, options: PlainOptions): string {
  switch (node['type']) {
    case 'user':
      return userName(options.workspace, str(node['user_id']));
    case 'usergroup':
      return groupName(options.workspace, str(node['usergroup_id']));
    case 'channel':
      return channelName(options.workspace, str(node['channel_id']));
    case 'broadcast':
      return `@${str(node['range'])}`;
    case 'emoji':
      return drawEmoji(`:${str(node['name'])}:`);
    case 'date':
      return formatDate(Number(node['timestamp']), str(node['format']), options.time_zone ?? 'Etc/UTC');
    case 'link':
      return node['text'] === undefined ? str(node['url']) : `${str(node['text'])} (${str(node['url'])})`;
    default:
      return str(node['text']);
  }
}

function leaves(node: Json, options: PlainOptions): string {
  return items(node['elements'])
    .map((each) => leaf(each, options))
    .join('');
}

function richTextLines(block: Json | undefined, options: PlainOptions): string[] {
  return items(block?.['elements']).flatMap((part) => {
    const indent = '  '.repeat(Number(part['indent'] ?? 0));
    switch (part['type']) {
      case 'rich_text_list':
        return items(part['elements']).map((item, index) => {
          const sign = part['style'] === 'ordered' ? `${index + 1}.` : '•';
          return `${indent}${sign} ${leaves(item, options)}`;
        });
      case 'rich_text_preformatted':
        return leaves(part, options)
          .split('\n')
          .map((line) => `    ${line}`);
      case 'rich_text_quote':
        return leaves(part, options)
          .split('\n')
          .map((line) => `│ ${line}`);
      default:
        return leaves(part, options).replace(/\n$/, '').split('\n');
    }
  });
}

function cellText(cell: Json, options: PlainOptions): string {
  if (cell['type'] === 'rich_text') return richTextLines(cell, options).join(' ').trim();
  return str(cell['text']);
}

function tableLines(block: Json, options: PlainOptions): string[] {
  const rows = (block['rows'] as Json[][]).map((row) => row.map((cell) => cellText(cell, options)));
  const columns = Math.max(...rows.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, column) =>
    Math.max(...rows.map((row) => characters(row[column] ?? ''))),
  );
  const [head, ...body] = rows;
  const before_last = widths.slice(0, -1).reduce((sum, width) => sum + width, 0);
  if (before_last > COLUMNS_WIDTH_MAX) return body.flatMap((row) => stacked(head ?? [], row));
  const line = (row: string[]): string =>
    row
      .map((text, column) =>
        column === columns - 1 ? text : text + ' '.repeat(widths[column]! - characters(text)),
      )
      .join(' │ ');
  const rule = widths
    .map((width, column) => '─'.repeat(column === columns - 1 ? Math.min(width, 40) : width))
    .join('─┼─');
  return [line(head!), rule, ...body.map(line)];
}

/** Wider columns stand side by side on no terminal: their rows are told one under the other. */
const COLUMNS_WIDTH_MAX = 60;

function stacked(head: readonly string[], [first = '', ...rest]: readonly string[]): string[] {
  const cells = rest.map((text, at) => `   ${head[at + 1] ?? ''}: ${text}`);
  return [first, ...cells.filter((_cell, at) => !['', '-'].includes(rest[at] ?? ''))];
}

const TASK_SIGNS: Readonly<Record<string, string>> = {
  pending: '○',
  in_progress: '◐',
  complete: '✅',
  error: '❌',
};

function taskLines(task: Json, options: PlainOptions): string[] {
  const status = str(task['status']);
  const body = [
    ...richTextLines(task['details'] as Json, options),
    ...richTextLines(task['output'] as Json, options),
  ];
  return [
    `${TASK_SIGNS[status] ?? '○'} ${str(task['title'])} (${status})`,
    ...body.map((line) => `    ${line}`),
  ];
}

function control(element: Json): string | undefined {
  const label = str((element['text'] as Json | undefined)?.['text']);
  switch (element['type']) {
    case 'button':
    case 'icon_button':
    case 'workflow_button':
      return `[ ${label} ]`;
    case 'overflow':
      return `[⋯ ${items(element['options'])
        .map((option) => str((option['text'] as Json)['text']))
        .join(' · ')}]`;
    case 'feedback_buttons':
      return ['positive_button', 'negative_button']
        .map((side) => `[ ${str(((element[side] as Json)['text'] as Json)['text'])} ]`)
        .join(' ');
    default:
      return element['action_id'] === undefined ? undefined : `[ ${str(element['type'])} ]`;
  }
}

function controls(elements: readonly Json[]): string[] {
  const shown = elements.map(control).filter((text) => text !== undefined);
  return shown.length > 0 ? [shown.join('  ')] : [];
}

function sectionLines(block: Json, options: PlainOptions): string[] {
  const accessory = block['accessory'] as Json | undefined;
  return [
    ...textLines(block['text'] as Json | undefined, options),
    ...items(block['fields']).map((field) => textLines(field, options).join(' ')),
    ...controls(accessory ? [accessory] : []),
  ];
}

/** One block as lines. A block that has no rendering says so, instead of vanishing. */
export function blockLines(block: Json, options: PlainOptions): string[] {
  switch (block['type']) {
    case 'header':
      return textLines(block['text'] as Json, options).map((line) => `━━ ${line}`);
    case 'divider':
      return ['────────'];
    case 'section':
      return sectionLines(block, options);
    case 'alert':
      return textLines(block['text'] as Json, options).map((line) => `! ${line}`);
    case 'context':
      return [
        items(block['elements'])
          .map((each) =>
            each['type'] === 'image' ? `[${str(each['alt_text'])}]` : textLines(each, options).join(' '),
          )
          .join('  '),
      ];
    case 'rich_text':
      return richTextLines(block, options);
    case 'table':
    case 'data_table':
      return tableLines(block, options);
    case 'actions':
    case 'context_actions':
      return controls(items(block['elements']));
    case 'input':
      return [`${str((block['label'] as Json)['text'])}: ${control(block['element'] as Json) ?? ''}`];
    case 'markdown':
      return str(block['text']).split('\n');
    case 'plan':
      return [str(block['title']), ...items(block['tasks']).flatMap((task) => taskLines(task, options))];
    case 'task_card':
      return taskLines(block, options);
    case 'image':
      return [`[image: ${str(block['alt_text'])}]`];
    case 'card':
      return [
        ...['title', 'subtitle', 'body'].flatMap((key) => textLines(block[key] as Json | undefined, options)),
        ...controls(items(block['actions'])),
      ];
    case 'container':
      return [
        ...textLines(block['title'] as Json | undefined, options),
        ...items(block['child_blocks']).flatMap((child) => blockLines(child, options)),
      ];
    default:
      return [`[${str(block['type'])}]`];
  }
}

/** A message (or ephemeral) for a terminal: its blocks, or its text when it has none. */
export function plainText(message: { text: string; blocks: readonly Json[] }, options: PlainOptions): string {
  const lines =
    message.blocks.length > 0
      ? message.blocks.flatMap((block) => blockLines(block, options))
      : mrkdwnLines(message.text, options);
  return lines.join('\n');
}
