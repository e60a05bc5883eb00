import { assert, constantFrom, jsonValue, property } from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  checkMessageBlocks,
  checkView,
  sentence,
  textCharacters,
} from '../../../src/lab/block-kit/check-blocks.ts';
import { actions, button, section, type Block } from './acme.ts';
import { approvalCard, rootCard } from './reference-cards.ts';

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
const inActions = (element: Block): Block[] => [actions('a', element)];
const select = (fields: Block): Block[] => inActions({ type: 'static_select', action_id: 's', ...fields });
const rich = (text: string): Block => ({
  type: 'rich_text',
  elements: [{ type: 'rich_text_section', elements: [{ type: 'text', text }] }],
});
const modal = (fields: Block): Block => ({ type: 'modal', title: plain(5), blocks: [], ...fields });
const input = (element: Block, fields: Block = {}): Block => ({
  type: 'input',
  block_id: 'i',
  label: plain(5),
  element,
  ...fields,
});
const typed = (fields: Block = {}): Block => ({ type: 'plain_text_input', action_id: 't', ...fields });

describe('the Block Kit checker', () => {
  it('finds nothing wrong with the reference cards', () => {
    expect(message(rootCard)).toEqual([]);
    expect(message(approvalCard)).toEqual([]);
    expect(textCharacters(approvalCard)).toBeGreaterThan(1_000);
  });

  it('counts characters, not UTF-16 units', () => {
    expect(message([{ type: 'header', text: { type: 'plain_text', text: '✅🧊'.repeat(75) } }])).toEqual([]);
  });

  it('caps the text of all blocks together', () => {
    expect(checkMessageBlocks(many(4, () => section(x(3000)))).error).toBeUndefined();
    expect(checkMessageBlocks([...many(4, () => section(x(3000))), section('y')]).error).toBe(
      'msg_blocks_too_long',
    );
  });

  it('caps table cells, data table cells and markdown per message', () => {
    const table = (size: number, type: string): Block => ({
      type,
      ...(type === 'data_table' ? { caption: 'c' } : {}),
      rows: [[{ type: 'raw_text', text: x(size) }]],
    });
    expect(message([table(10_000, 'table')])).toEqual([]);
    expect(message([table(6_000, 'table'), table(6_000, 'table')])).toEqual([
      'all table blocks together must be less than 10001 characters [json-pointer:/blocks]',
    ]);
    expect(message(many(3, () => table(7_000, 'data_table')))).toEqual([
      'all data_table blocks together must be less than 20001 characters [json-pointer:/blocks]',
    ]);
    expect(message(many(2, () => ({ type: 'markdown', text: x(7_000) })))).toEqual([
      'all markdown blocks together must be less than 12001 characters [json-pointer:/blocks]',
    ]);
  });

  it.each<[string, unknown, string]>([
    ['empty text', [section('')], 'must be more than 0 characters [json-pointer:/blocks/0/text/text]'],
    [
      'no text and no fields',
      [{ type: 'section' }],
      'must define either `text` or `fields` [json-pointer:/blocks/0]',
    ],
    ['a missing field', [{ type: 'header' }], 'missing required field: text [json-pointer:/blocks/0]'],
    ['an unknown block', [{ type: 'banana' }], 'unsupported type: banana [json-pointer:/blocks/0/type]'],
    ['no type', [{ text: 'x' }], 'missing required field: type [json-pointer:/blocks/0]'],
    ['not an object', ['x'], 'must provide an object [json-pointer:/blocks/0]'],
    [
      'an unknown key',
      inActions(button('b', 'v', { disabled: true })),
      'invalid additional property: disabled [json-pointer:/blocks/0/elements/0]',
    ],
    [
      'a key of Object.prototype',
      [{ type: 'divider', constructor: 1 }],
      'invalid additional property: constructor [json-pointer:/blocks/0]',
    ],
    [
      'an unknown style',
      inActions(button('b', 'v', { style: 'red' })),
      'must be a valid enum value [json-pointer:/blocks/0/elements/0/style]',
    ],
    [
      'mrkdwn on a button',
      inActions(button('b', 'v', { text: mrkdwn(3) })),
      'unsupported type: mrkdwn [json-pointer:/blocks/0/elements/0/text/type]',
    ],
    [
      'an alert in a message',
      [{ type: 'alert', text: mrkdwn(3) }],
      'unsupported type: alert [json-pointer:/blocks/0/type]',
    ],
    [
      'an icon Slack does not have',
      [
        {
          type: 'context_actions',
          elements: [{ type: 'icon_button', action_id: 'i', icon: 'danger', text: plain(1) }],
        },
      ],
      'must be a valid enum value [json-pointer:/blocks/0/elements/0/icon]',
    ],
    [
      'an input element in actions',
      inActions(typed()),
      'unsupported type: plain_text_input [json-pointer:/blocks/0/elements/0/type]',
    ],
    ['empty actions', [actions('a')], 'no less than 1 items allowed [json-pointer:/blocks/0/elements]'],
    [
      'an image without alt text',
      [{ type: 'image', image_url: 'https://x' }],
      'missing required field: alt_text [json-pointer:/blocks/0]',
    ],
    [
      'empty rich text',
      [rich('')],
      'must be more than 0 characters [json-pointer:/blocks/0/elements/0/elements/0/text]',
    ],
    [
      'a wrong task status',
      [{ type: 'task_card', task_id: '1', title: 't', status: 'done' }],
      'must be a valid enum value [json-pointer:/blocks/0/status]',
    ],
    [
      'an empty card',
      [{ type: 'card' }],
      'must define at least one of `hero_image`, `title`, `actions` or `body` [json-pointer:/blocks/0]',
    ],
    [
      'a markdown child in a container',
      [{ type: 'container', child_blocks: [{ type: 'markdown', text: 'x' }] }],
      'unsupported type: markdown [json-pointer:/blocks/0/child_blocks/0/type]',
    ],
    [
      'a select without options',
      select({}),
      'must define either `options` or `option_groups` [json-pointer:/blocks/0/elements/0]',
    ],
  ])('refuses %s', (_what, blocks, words) => {
    expect(message(blocks)).toContain(words);
  });

  it('wants block_ids unique on the surface and action_ids unique in their block', () => {
    expect(message([section('a', 'same'), section('b', 'same')])).toEqual([
      '`block_id` "same" already exists [json-pointer:/blocks/1/block_id]',
    ]);
    expect(message([actions('a', button('go', '1'), button('go', '2'))])).toEqual([
      '`action_id` "go" already exists [json-pointer:/blocks/0/elements/1/action_id]',
    ]);
    expect(message([actions('a', button('go', '1')), actions('b', button('go', '2'))])).toEqual([]);
  });

  const REFUSED_IN_MODAL =
    'card carousel container context_actions data_table data_visualization file markdown plan table task_card'.split(
      ' ',
    );
  it.each(REFUSED_IN_MODAL)('refuses %s in a modal', (type) => {
    expect(view(modal({ blocks: [{ type }] }))).toEqual([
      `unsupported type: ${type} [json-pointer:/view/blocks/0/type]`,
    ]);
  });

  const REFUSED_ON_HOME = 'alert context_actions data_table file markdown plan table task_card'.split(' ');
  it.each(REFUSED_ON_HOME)('refuses %s on Home', (type) => {
    expect(view({ type: 'home', blocks: [{ type }] })).toEqual([
      `unsupported type: ${type} [json-pointer:/view/blocks/0/type]`,
    ]);
  });

  it('wants a submit button where a modal has an input, and no title on Home', () => {
    expect(view(modal({ blocks: [input(typed())] }))).toEqual([
      'must define `submit` to use an `input` block in modals [json-pointer:/view/blocks/0/input]',
    ]);
    expect(view({ type: 'home', blocks: [], title: plain(3) })).toEqual([
      'invalid additional property: title [json-pointer:/view]',
    ]);
    expect(view({ type: 'modal', blocks: [] })).toEqual([
      'missing required field: title [json-pointer:/view]',
    ]);
  });

  it('refuses a view over 250 KB as a whole', () => {
    const blocks = many(100, () => section(x(3000)));
    expect(checkView(modal({ blocks })).error).toBe('view_too_large');
  });

  it('never throws, whatever it is given, and only passes lists', () => {
    assert(
      property(jsonValue(), (value) => {
        const verdict = checkMessageBlocks(value);
        checkView(value);
        if (!Array.isArray(value)) expect(verdict.error).toBe('invalid_blocks');
      }),
    );
  });

  it('notices a broken leaf anywhere in a good card', () => {
    const paths: (string | number)[][] = [];
    const walk = (value: unknown, path: (string | number)[]): void => {
      if (Array.isArray(value)) for (const [i, item] of value.entries()) walk(item, [...path, i]);
      else if (typeof value === 'object' && value !== null) {
        for (const [key, item] of Object.entries(value)) walk(item, [...path, key]);
      } else paths.push(path);
    };
    walk(approvalCard, []);
    assert(
      property(constantFrom(...paths), (path) => {
        const card = structuredClone(approvalCard) as never;
        const parent = path
          .slice(0, -1)
          .reduce<Record<string | number, unknown>>((at, key) => at[key] as never, card);
        parent[path.at(-1)!] = { no: 'such thing' };
        expect(checkMessageBlocks(card).error).toBe('invalid_blocks');
      }),
    );
  });
});
