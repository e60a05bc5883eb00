import { array, assert, constantFrom, property, string } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { escapeText, formatDate, parseMrkdwn, piecesOf } from '../../../src/lab/slack/mrkdwn.ts';
import { plainText } from '../../../src/lab/slack/plain-text.ts';
import { Workspace } from '../../../src/lab/slack/workspace.ts';
import { acme, section } from './acme.ts';
import { approvalCard, rootCard } from './reference-cards.ts';

const workspace = new Workspace(acme());

describe('mrkdwn', () => {
  it('reads mentions, links, dates, code and marks', () => {
    expect(piecesOf('hi <@U0MAYA> in <#C0DATA|data> <!subteam^S0PLAT> <!here> *b* _i_ ~s~ `<@U0X>`')).toEqual(
      [
        { kind: 'text', text: 'hi ' },
        { kind: 'user', id: 'U0MAYA' },
        { kind: 'text', text: ' in ' },
        { kind: 'channel', id: 'C0DATA' },
        { kind: 'text', text: ' ' },
        { kind: 'usergroup', id: 'S0PLAT' },
        { kind: 'text', text: ' ' },
        { kind: 'broadcast', range: 'here' },
        { kind: 'text', text: ' ' },
        { kind: 'text', text: 'b', bold: true },
        { kind: 'text', text: ' ' },
        { kind: 'text', text: 'i', italic: true },
        { kind: 'text', text: ' ' },
        { kind: 'text', text: 's', strike: true },
        { kind: 'text', text: ' ' },
        { kind: 'code', text: '<@U0X>' },
      ],
    );
    expect(piecesOf('<https://a.example/?x=1&amp;y=2|see>')).toEqual([
      { kind: 'link', url: 'https://a.example/?x=1&y=2', label: 'see' },
    ]);
    expect(piecesOf('<!date^1769500800^{date_num} {time}|later>')).toEqual([
      { kind: 'date', unix: 1_769_500_800, format: '{date_num} {time}', fallback: 'later' },
    ]);
  });

  it('leaves words, lone signs and unknown schemes alone', () => {
    expect(piecesOf('a_b_c 2*3*4 <javascript:alert(1)|x>')).toEqual([
      { kind: 'text', text: 'a_b_c 2*3*4 <javascript:alert(1)|x>' },
    ]);
  });

  it('formats dates in the reader’s time zone', () => {
    expect(formatDate(1_769_500_800, '{date_num} {time}', 'Etc/UTC')).toBe('2026-01-27 8:00 AM');
    expect(formatDate(1_769_500_800, '{time_secs}', 'Europe/Berlin')).toBe('9:00:00 AM');
  });

  it('keeps fenced text literal', () => {
    expect(parseMrkdwn('a\n```\n<!channel> *x*\n```')).toContainEqual({
      kind: 'pre',
      text: '<!channel> *x*',
    });
  });

  it('never finds a mention or link in escaped text, and loses no character of it', () => {
    const nasty = array(
      constantFrom('<!channel>', '<@U0MAYA>', '<https://evil|Approve>', '&', '<', '>', 'a', ' ', '\n', '|'),
    );
    assert(
      property(nasty, string(), (parts, more) => {
        const text = parts.join('') + more.replaceAll('`', '').replace(/[*_~]/g, '');
        const pieces = parseMrkdwn(escapeText(text));
        const kinds = pieces.flatMap((part) =>
          part.kind === 'line' ? part.inline.map((piece) => piece.kind) : ['pre'],
        );
        expect(kinds.every((kind) => kind === 'text')).toBe(true);
      }),
    );
  });
});

describe('plain text for a terminal', () => {
  it('shows the approval card with its diff, its table, its people and its buttons', () => {
    const text = plainText({ text: '', blocks: approvalCard }, { workspace });
    expect(text).toContain('━━ Approval needed · CHG-8891 · 1 of 2 given');
    expect(text).toContain('    +                    "ecr:GetAuthorizationToken"]');
    expect(text).toContain('Blast radius   │ 0.82 HIGH: role shared by 7 workloads in payments/prod');
    expect(text).toContain('✅ @dan (payments-oncall) 7:16 AM');
    expect(text).toContain('⏳ one of @platform-leads');
    expect(text).toContain('[ Approve this plan ]  [ Deny… ]  [ Evidence (3) ]  [⋯ Full plan (JSON)');
  });

  it('shows the root card line by line', () => {
    const text = plainText({ text: '', blocks: rootCard }, { workspace });
    expect(text.split('\n')[0]).toBe('━━ SEV2 · INC-2026-0127-001 · EMR job ImagePullBackOff');
    expect(text).toContain('Owner @maya');
  });

  it('shows the text where there are no blocks, and names what it cannot draw', () => {
    expect(plainText({ text: 'hi <@U0DAN>', blocks: [] }, { workspace })).toBe('hi @dan');
    expect(plainText({ text: 'x', blocks: [{ type: 'carousel' }] }, { workspace })).toBe('[carousel]');
    expect(plainText({ text: 'x', blocks: [section('a\n> b')] }, { workspace })).toBe('a\n│ b');
  });

  it('tells rows of a wide table one under the other, and leaves empty cells out', () => {
    const cell = (text: string) => ({ type: 'raw_text', text });
    const long = 'roll it back '.repeat(8).trim();
    const rows = [
      ['Compared', 'Plan', 'People', 'When'],
      ['the same', long, 'kubectl', '12:58 UTC'],
      ['only people', '-', 'dan said so', ''],
    ].map((row) => row.map(cell));
    expect(plainText({ text: '', blocks: [{ type: 'table', rows }] }, { workspace }).split('\n')).toEqual([
      'the same',
      `   Plan: ${long}`,
      '   People: kubectl',
      '   When: 12:58 UTC',
      'only people',
      '   People: dan said so',
    ]);
  });

  it('shows a running plan', () => {
    const tasks = [
      { type: 'task_card', task_id: '1', title: 'Apply', status: 'in_progress' },
      { type: 'task_card', task_id: '2', title: 'Verify', status: 'pending' },
    ];
    expect(plainText({ text: '', blocks: [{ type: 'plan', title: 'Run', tasks }] }, { workspace })).toBe(
      'Run\n◐ Apply (in_progress)\n○ Verify (pending)',
    );
  });
});
