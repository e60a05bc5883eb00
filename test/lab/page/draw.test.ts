import { Script } from 'node:vm';
import { array, asyncProperty, assert, constantFrom, string } from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { checkMessageBlocks } from '../../../src/lab/block-kit/check-blocks.ts';
import { loadBlockDrawer, type BlockDrawer } from '../../../src/lab/page/draw-blocks.ts';
import { SCRIPT } from '../../../src/lab/page/page-script.ts';
import type { Viewer } from '../../../src/lab/page/draw-text.ts';
import { escapeText } from '../../../src/lab/slack/mrkdwn.ts';
import { Workspace } from '../../../src/lab/slack/workspace.ts';
import { acme, actions, button, section, type Block } from '../slack/acme.ts';
import { approvalCard, rootCard } from '../slack/reference-cards.ts';

const viewer: Viewer = { workspace: new Workspace(acme()), user_id: 'U0DAN', time_zone: 'Etc/UTC' };
let draw: BlockDrawer;

beforeAll(async () => {
  draw = await loadBlockDrawer();
});

const EVIL =
  '<img src=x onerror=alert(1)> <https://evil.example|Approve> <!channel> <@U0MAYA> *b* "\'><script>1</script> \uE0000\uE001';

/** Every place where a card can carry somebody else's words, as literal text. */
function literalPlaces(text: string): Block[] {
  return [
    { type: 'header', block_id: 'a', text: { type: 'plain_text', text } },
    { type: 'section', block_id: 'b', text: { type: 'plain_text', text } },
    { type: 'section', block_id: 'c', fields: [{ type: 'plain_text', text }] },
    { type: 'context', block_id: 'd', elements: [{ type: 'plain_text', text }] },
    { type: 'table', block_id: 'e', rows: [[{ type: 'raw_text', text }]] },
    { type: 'data_table', block_id: 'f', caption: text, rows: [[{ type: 'raw_text', text }]] },
    {
      type: 'rich_text',
      block_id: 'g',
      elements: [{ type: 'rich_text_section', elements: [{ type: 'text', text }] }],
    },
    {
      type: 'rich_text',
      block_id: 'h',
      elements: [{ type: 'rich_text_preformatted', elements: [{ type: 'text', text }] }],
    },
    {
      type: 'plan',
      block_id: 'i',
      title: text,
      tasks: [{ type: 'task_card', task_id: '1', title: text, status: 'pending' }],
    },
    section(escapeText(text), 'j'),
    actions(
      'k',
      button('x', text, {
        text: { type: 'plain_text', text: text.slice(0, 70) },
        accessibility_label: text.slice(0, 75),
      }),
      {
        type: 'overflow',
        action_id: 'o',
        options: [{ text: { type: 'plain_text', text: text.slice(0, 70) }, value: text.slice(0, 70) }],
      },
    ),
  ];
}

describe('cards as HTML', () => {
  it('draws the reference cards with their people, dates, table, diff and buttons', () => {
    const root = draw(rootCard, viewer);
    expect(root).toContain('SEV2 · INC-2026-0127-001');
    expect(root).toContain('<span class="mention">@maya</span>');
    expect(root).toContain('8:00 AM</time>');
    expect(root).toMatch(
      /data-action="nav.plan" data-testid="action-nav.plan"[^>]*data-message="C0INC\/1769498123.000200\/1769498000.000100"/,
    );
    const approval = draw(approvalCard, viewer);
    expect(approval).toContain('&quot;ecr:GetAuthorizationToken&quot;');
    expect(approval).toContain('<td');
    expect(approval).toContain('Approve CHG-8891?');
    expect(approval).toContain('<span class="mention own">@platform-leads</span>');
    expect(approval).not.toMatch(/[\uE000\uE001]/);
  });

  it('shows dates in the reader’s time zone', () => {
    expect(draw([...rootCard], { ...viewer, time_zone: 'Asia/Tokyo' })).toContain('5:00 PM</time>');
  });

  it('makes neither tag, link nor mention out of words, wherever they stand', () => {
    const places = literalPlaces(EVIL);
    expect(checkMessageBlocks(places).findings).toEqual([]);
    const html = draw(places, viewer);
    expect(html).not.toMatch(/<img|<script|onerror=alert\(1\)>/);
    expect(html).not.toContain('href="https://evil.example"');
    expect(html).not.toContain('class="mention');
    expect(html).toContain('&lt;img src=x');
  });

  it('does link and mention where a card really says so in mrkdwn', () => {
    const html = draw(
      [section('<https://ok.example/?a=1&amp;b=2|see> <!here> <javascript:alert(1)|x>')],
      viewer,
    );
    expect(html).toContain('href="https://ok.example/?a=1&amp;b=2"');
    expect(html).toContain('<span class="mention own">@here</span>');
    expect(html).not.toContain('href="javascript');
  });

  it('never links to anything but the web from rich text or markdown', () => {
    const link = { type: 'link', url: 'javascript:alert(1)', text: 'press' };
    const html = draw(
      [
        { type: 'rich_text', elements: [{ type: 'rich_text_section', elements: [link] }] },
        { type: 'markdown', text: '[x](javascript:alert(1)) <b onclick=x>y</b>' },
      ],
      viewer,
    );
    expect(html).not.toMatch(/javascript:|<b onclick/);
    expect(html).toContain('press');
  });

  it('holds for any words', async () => {
    const nasty = array(
      constantFrom(
        '<',
        '>',
        '"',
        "'",
        '&',
        '`',
        '*',
        '<!channel>',
        '<https://e|x>',
        '\uE0005\uE001',
        '<b>',
        ' ',
        'a',
      ),
      {
        minLength: 1,
        maxLength: 8,
      },
    );
    await assert(
      asyncProperty(nasty, string({ maxLength: 5 }), async (parts, tail) => {
        const html = draw(literalPlaces(`x${parts.join('')}${tail}`), viewer);
        const tags = new Set([...html.matchAll(/<([a-z0-9]+)/g)].map((match) => match[1]));
        for (const tag of ['a', 'b', 'script', 'img', 'iframe']) expect(tags.has(tag)).toBe(false);
        expect(html).not.toContain('class="mention');
      }),
      { numRuns: 25 },
    );
  });

  it('says so instead of dropping an element that it cannot draw', () => {
    expect(draw([actions('a', { type: 'file_input', action_id: 'f' })], viewer)).toContain(
      'does not draw “file_input”',
    );
  });

  it('has a script that parses', () => {
    expect(() => new Script(SCRIPT)).not.toThrow();
  });
});
