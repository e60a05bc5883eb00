import { describe, expect, it } from 'vitest';
import { checkMessageBlocks, checkView, sentence } from '../../../src/lab/block-kit/check-blocks.ts';
import { actions, button, type Block } from './acme.ts';

function message(blocks: unknown): string[] {
  return checkMessageBlocks(blocks).findings.map(sentence);
}

function view(fields: Block): string[] {
  return checkView(fields).findings.map(sentence);
}

const x = (count: number): string => 'x'.repeat(count);
const plain = (count: number): Block => ({ type: 'plain_text', text: x(count) });
const mrkdwn = (count: number): Block => ({ type: 'mrkdwn', text: x(count) });
const many = <T>(count: number, make: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, i) => make(i));
const option = (index: number, fields: Block = {}): Block => ({
  text: plain(3),
  value: `v${index}`,
  ...fields,
});
const inActions = (element: Block): Block[] => [actions('a', element)];
const select = (fields: Block): Block[] => inActions({ type: 'static_select', action_id: 's', ...fields });
const confirm = (fields: Block): Block[] =>
  inActions(button('b', 'v', { confirm: { text: plain(5), ...fields } }));

const tooLong = (max: number, pointer: string): string =>
  `must be less than ${max + 1} characters [json-pointer:${pointer}]`;
const tooMany = (max: number, pointer: string): string =>
  `no more than ${max} items allowed [json-pointer:${pointer}]`;

/** [what, blocks of a size, the limit, what Slack says at limit + 1] */
type Row = [string, (size: number) => Block[], number, string];

const MESSAGE_LIMITS: Row[] = [
  ['blocks in a message', (n) => many(n, () => ({ type: 'divider' })), 50, tooMany(50, '/blocks')],
  ['block_id', (n) => [{ type: 'divider', block_id: x(n) }], 255, tooLong(255, '/blocks/0/block_id')],
  ['header text', (n) => [{ type: 'header', text: plain(n) }], 150, tooLong(150, '/blocks/0/text/text')],
  ['section text', (n) => [{ type: 'section', text: mrkdwn(n) }], 3000, tooLong(3000, '/blocks/0/text/text')],
  [
    'section fields',
    (n) => [{ type: 'section', fields: many(n, () => mrkdwn(1)) }],
    10,
    tooMany(10, '/blocks/0/fields'),
  ],
  [
    'a field',
    (n) => [{ type: 'section', fields: [mrkdwn(n)] }],
    2000,
    tooLong(2000, '/blocks/0/fields/0/text'),
  ],
  [
    'context elements',
    (n) => [{ type: 'context', elements: many(n, () => mrkdwn(1)) }],
    10,
    tooMany(10, '/blocks/0/elements'),
  ],
  [
    'actions elements',
    (n) => [actions('a', ...many(n, (i) => button(`b${i}`, 'v')))],
    25,
    tooMany(25, '/blocks/0/elements'),
  ],
  ['action_id', (n) => inActions(button(x(n), 'v')), 255, tooLong(255, '/blocks/0/elements/0/action_id')],
  [
    'button text',
    (n) => inActions(button('b', 'v', { text: plain(n) })),
    75,
    tooLong(75, '/blocks/0/elements/0/text/text'),
  ],
  ['button value', (n) => inActions(button('b', x(n))), 2000, tooLong(2000, '/blocks/0/elements/0/value')],
  [
    'button url',
    (n) => inActions(button('b', 'v', { url: x(n) })),
    3000,
    tooLong(3000, '/blocks/0/elements/0/url'),
  ],
  [
    'accessibility label',
    (n) => inActions(button('b', 'v', { accessibility_label: x(n) })),
    75,
    tooLong(75, '/blocks/0/elements/0/accessibility_label'),
  ],
  [
    'confirm title',
    (n) => confirm({ title: plain(n) }),
    100,
    tooLong(100, '/blocks/0/elements/0/confirm/title/text'),
  ],
  [
    'confirm text',
    (n) => confirm({ text: mrkdwn(n) }),
    300,
    tooLong(300, '/blocks/0/elements/0/confirm/text/text'),
  ],
  [
    'confirm yes',
    (n) => confirm({ confirm: plain(n) }),
    30,
    tooLong(30, '/blocks/0/elements/0/confirm/confirm/text'),
  ],
  [
    'confirm no',
    (n) => confirm({ deny: plain(n) }),
    30,
    tooLong(30, '/blocks/0/elements/0/confirm/deny/text'),
  ],
  [
    'option text',
    (n) => select({ options: [option(0, { text: plain(n) })] }),
    75,
    tooLong(75, '/blocks/0/elements/0/options/0/text/text'),
  ],
  [
    'option value',
    (n) => select({ options: [option(0, { value: x(n) })] }),
    75,
    tooLong(75, '/blocks/0/elements/0/options/0/value'),
  ],
  [
    'option description',
    (n) => select({ options: [option(0, { description: plain(n) })] }),
    75,
    tooLong(75, '/blocks/0/elements/0/options/0/description/text'),
  ],
  [
    'select options',
    (n) => select({ options: many(n, option) }),
    100,
    tooMany(100, '/blocks/0/elements/0/options'),
  ],
  [
    'placeholder',
    (n) => select({ options: [option(0)], placeholder: plain(n) }),
    150,
    tooLong(150, '/blocks/0/elements/0/placeholder/text'),
  ],
  [
    'overflow options',
    (n) => inActions({ type: 'overflow', action_id: 'o', options: many(n, option) }),
    5,
    tooMany(5, '/blocks/0/elements/0/options'),
  ],
  [
    'checkboxes',
    (n) => inActions({ type: 'checkboxes', action_id: 'o', options: many(n, option) }),
    10,
    tooMany(10, '/blocks/0/elements/0/options'),
  ],
  [
    'radio buttons',
    (n) => inActions({ type: 'radio_buttons', action_id: 'o', options: many(n, option) }),
    10,
    tooMany(10, '/blocks/0/elements/0/options'),
  ],
  [
    'image alt text',
    (n) => [{ type: 'image', image_url: 'https://x', alt_text: x(n) }],
    2000,
    tooLong(2000, '/blocks/0/alt_text'),
  ],
  [
    'image URL',
    (n) => [{ type: 'image', image_url: x(n), alt_text: 'a' }],
    3000,
    tooLong(3000, '/blocks/0/image_url'),
  ],
  [
    'table rows',
    (n) => [{ type: 'table', rows: many(n, () => [{ type: 'raw_text', text: 'x' }]) }],
    100,
    tooMany(100, '/blocks/0/rows'),
  ],
  [
    'table columns',
    (n) => [{ type: 'table', rows: [many(n, () => ({ type: 'raw_text', text: 'x' }))] }],
    20,
    tooMany(20, '/blocks/0/rows/0'),
  ],
  [
    'data table rows',
    (n) => [{ type: 'data_table', caption: 'c', rows: many(n, () => [{ type: 'raw_text', text: 'x' }]) }],
    201,
    tooMany(201, '/blocks/0/rows'),
  ],
  ['card title', (n) => [{ type: 'card', title: mrkdwn(n) }], 150, tooLong(150, '/blocks/0/title/text')],
  ['card body', (n) => [{ type: 'card', body: mrkdwn(n) }], 200, tooLong(200, '/blocks/0/body/text')],
  [
    'card actions',
    (n) => [{ type: 'card', actions: many(n, (i) => button(`b${i}`, 'v')) }],
    3,
    tooMany(3, '/blocks/0/actions'),
  ],
  [
    'carousel',
    (n) => [{ type: 'carousel', elements: many(n, () => ({ type: 'card', body: mrkdwn(1) })) }],
    10,
    tooMany(10, '/blocks/0/elements'),
  ],
  [
    'container',
    (n) => [{ type: 'container', child_blocks: many(n, () => ({ type: 'divider' })) }],
    10,
    tooMany(10, '/blocks/0/child_blocks'),
  ],
  [
    'container title',
    (n) => [{ type: 'container', title: plain(n), child_blocks: [{ type: 'divider' }] }],
    150,
    tooLong(150, '/blocks/0/title/text'),
  ],
  [
    'context actions',
    (n) => [
      {
        type: 'context_actions',
        elements: many(n, (i) => ({
          type: 'icon_button',
          action_id: `i${i}`,
          icon: 'trash',
          text: plain(1),
        })),
      },
    ],
    5,
    tooMany(5, '/blocks/0/elements'),
  ],
];

const modal = (fields: Block): Block => ({ type: 'modal', title: plain(5), blocks: [], ...fields });
const input = (element: Block, fields: Block = {}): Block => ({
  type: 'input',
  block_id: 'i',
  label: plain(5),
  element,
  ...fields,
});
const typed = (fields: Block = {}): Block => ({ type: 'plain_text_input', action_id: 't', ...fields });

/** [what, a modal of a size, the limit, what Slack says at limit + 1] */
const VIEW_LIMITS: [string, (size: number) => Block, number, string][] = [
  [
    'blocks in a modal',
    (n) => modal({ blocks: many(n, () => ({ type: 'divider' })) }),
    100,
    tooMany(100, '/view/blocks'),
  ],
  ['modal title', (n) => modal({ title: plain(n) }), 24, tooLong(24, '/view/title/text')],
  ['submit label', (n) => modal({ submit: plain(n) }), 24, tooLong(24, '/view/submit/text')],
  ['close label', (n) => modal({ close: plain(n) }), 24, tooLong(24, '/view/close/text')],
  ['callback_id', (n) => modal({ callback_id: x(n) }), 255, tooLong(255, '/view/callback_id')],
  [
    'private_metadata',
    (n) => modal({ private_metadata: x(n) }),
    3000,
    tooLong(3000, '/view/private_metadata'),
  ],
  [
    'alert',
    (n) => modal({ blocks: [{ type: 'alert', text: mrkdwn(n) }] }),
    200,
    tooLong(200, '/view/blocks/0/text/text'),
  ],
  [
    'input label',
    (n) => modal({ submit: plain(2), blocks: [input(typed(), { label: plain(n) })] }),
    2000,
    tooLong(2000, '/view/blocks/0/label/text'),
  ],
  [
    'input hint',
    (n) => modal({ submit: plain(2), blocks: [input(typed(), { hint: plain(n) })] }),
    2000,
    tooLong(2000, '/view/blocks/0/hint/text'),
  ],
  [
    'plain text input value',
    (n) => modal({ submit: plain(2), blocks: [input(typed({ initial_value: x(n) }))] }),
    3000,
    tooLong(3000, '/view/blocks/0/element/initial_value'),
  ],
];

describe('every limit of the Block Kit checker, at it and one above', () => {
  it.each(MESSAGE_LIMITS)('message limit: %s', (_what, make, max, words) => {
    expect(message(make(max))).toEqual([]);
    expect(message(make(max + 1))).toEqual([words]);
  });

  it.each(VIEW_LIMITS)('view limit: %s', (_what, make, max, words) => {
    expect(view(make(max))).toEqual([]);
    expect(view(make(max + 1))).toEqual([words]);
  });
});
