import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { changeLines } from '../../src/contract/approval-sheet.ts';
import { Notice, type ApprovalNotice, type IncidentNotice } from '../../src/contract/notice.ts';
import { checkMessageBlocks } from '../../src/lab/block-kit/check-blocks.ts';
import { piecesOf } from '../../src/lab/slack/mrkdwn.ts';
import { LIMITS, cut, cutMrkdwn, escapeText, mrkdwn, textChars } from '../../src/slack/block-limits.ts';
import { visible } from '../../src/contract/visible.ts';
import type { Card, CardContext } from '../../src/slack/cards/card.ts';
import { fitsMessage, plainVersion, renderNotice } from '../../src/slack/cards/index.ts';
import { diffPages, excerptOf } from '../../src/slack/diff-excerpt.ts';
import { openingMeta, reviewPages, reviewView } from '../../src/slack/views/approval-view.ts';
import {
  approvalAction,
  approvalNotice,
  INC,
  incidentNotice,
  postmortemNotice,
  progressNotice,
  shadowNotice,
  timelineNotice,
} from './notices.ts';
import { personOf } from './rig.ts';

const context: CardContext = {
  revision: 3,
  first: false,
  simulated: true,
  person: personOf,
  link: (key) => (key.startsWith('approval') ? 'https://acme.slack.com/archives/C0DATA/p17' : null),
};

function draw(notice: Notice, ctx: Partial<CardContext> = {}): Card {
  return renderNotice(Notice.parse(notice), { ...context, ...ctx });
}

function check(card: Card): void {
  expect(checkMessageBlocks(card.blocks)).toEqual({ error: undefined, findings: [] });
  expect(fitsMessage(card)).toBe(true);
  // Room for the five-fold growth of an escaped sign.
  expect(card.text.length).toBeLessThanOrEqual(LIMITS.top_text_max * 5);
  expect(card.text.length).toBeGreaterThan(0);
}

const texts = (value: unknown): string => JSON.stringify(value);
const button = (card: Card, action_id: string): Record<string, unknown> | undefined =>
  card.blocks
    .flatMap((block) =>
      block.type === 'actions' ? (block.elements as unknown as Record<string, unknown>[]) : [],
    )
    .find((element) => element['action_id'] === action_id);

const CANARY = {
  words: 'First one pod goes back for 15 s, judged by 1 check of its own; only then the rest',
  changes: [{ path: '/spec/minReadySeconds', before: null, after: 300 }],
};

const SAMPLES: Record<string, Notice> = {
  'incident, pending approval': incidentNotice(),
  'incident, just opened': incidentNotice({
    state: 'IDLE',
    cause: null,
    waiting_for: null,
    approval_card: null,
    buttons: ['activate'],
    doing: 'Nobody has activated this yet',
  }),
  'incident, shadow': incidentNotice({
    shadow: true,
    state: 'OBSERVING',
    mode: 'Shadow: plans only, nothing is executed',
  }),
  'incident, halted': incidentNotice({
    state: 'HALTED',
    halt: {
      reason: 'conflict',
      text: 'The object changed between approval and apply: /spec/driver/memory is now 1536m.',
      next_step: 'Plan again; the approvals are void.',
      resume_to: 'PLANNING',
    },
    waiting_for: null,
    buttons: ['evidence', 'plan_again', 'hand_over', 'stop'],
  }),
  'incident, closed': incidentNotice({
    state: 'CLOSED',
    outcome: 'Driver memory raised to 2g; the job succeeded. 14 minutes.',
    checks: { passed: 3, total: 3 },
    waiting_for: null,
    buttons: ['evidence'],
  }),
  'approval, one of two': approvalNotice(),
  'approval, expired': approvalNotice({
    status: 'expired',
    status_text: 'Expired, nothing ran. Plan again.',
  }),
  'approval, with a canary': approvalNotice({ actions: [approvalAction({ canary: CANARY })], bake_s: 25 }),
  'approval, long diff': approvalNotice({
    actions: [approvalAction({ diff: Array.from({ length: 90 }, (_, at) => `+ line ${at}`) })],
  }),
  timeline: timelineNotice(),
  checkpoint: {
    kind: 'checkpoint',
    seq: 42,
    hash: '7c1f9a3e5b20d84c6e11f0aa92d7b3cc4e58a9016f2d3b7785c0aa41e9d2f604',
    at: '2026-11-23T07:15:23.000Z',
    key_id: 'ed25519-7c1f9a3e',
    chains: 3,
  },
  progress: progressNotice(),
  postmortem: postmortemNotice(),
  shadow: shadowNotice(),
  'shadow, wrong and confident': shadowNotice({
    verdict: 'missed',
    headline: 'People did something else than the plan says',
    warning: 'Wrong and confident: autonomy goes one step down for incidents that open from now on.',
    gaps: ['statefulset in prod-a/spark-jobs, which the read role may not list'],
  }),
  private: {
    kind: 'private',
    incident_id: INC,
    workspace: 'T0ACME',
    user: 'U0MAYA',
    channel: 'C0DATA',
    thread_ts: null,
    segments: [
      { t: 'text', text: 'You started this run, so you cannot approve it. One of data-oncall can.' },
    ],
  },
};

describe('cards', () => {
  it.each(Object.entries(SAMPLES))('%s is drawn as agreed and Slack takes it', (_, notice) => {
    const card = draw(notice);
    check(card);
    expect(card).toMatchSnapshot();
  });

  it.each(Object.entries(SAMPLES))('%s says SIMULATED', (_, notice) => {
    if (notice.kind !== 'private') expect(texts(draw(notice).blocks)).toContain('SIMULATED');
  });

  it('says so on an incident of its own accord even when the room does not know', () => {
    expect(texts(draw(incidentNotice({ simulated: true }), { simulated: false }).blocks)).toContain(
      'SIMULATED',
    );
    expect(texts(draw(incidentNotice({ simulated: false }), { simulated: false }).blocks)).not.toContain(
      'SIMULATED',
    );
  });

  it('says "nobody can tell" of what was seen, and "could not be seen" of what was not', () => {
    const row = { mark: 'unknown' as const, plan: 'CHG-1 x', at: null };
    const told = (people: string | null) => texts(draw(shadowNotice({ rows: [{ ...row, people }] })).blocks);
    expect(told('other content in the same files: Ana committed c0ffee')).toContain('nobody can tell');
    expect(told(null)).toContain('could not be seen');
  });

  it('puts SHADOW first and offers no way to a decision in shadow', () => {
    const card = draw(SAMPLES['incident, shadow'] as Notice);
    expect(texts(card.blocks[0])).toMatch(/"text":"SHADOW · SEV2/);
    expect(card.text.startsWith('SHADOW')).toBe(true);
    expect(button(card, 'nav.plan')).toMatchObject({ text: { text: 'See plan' } });
    expect(button(card, 'nav.plan')).not.toHaveProperty('style');
    expect(texts(card.blocks)).not.toContain('"approval.');
    const plan = draw(
      approvalNotice({
        approval_id: 'none',
        status: 'void',
        decisions: [],
        status_text: 'Shadow: for comparison.',
      }),
    );
    check(plan);
    expect(texts(plan.blocks[0])).toContain('"text":"SHADOW');
    expect(texts(plan.blocks)).not.toContain('"approval.');
  });

  it('shows a canary in words and every field that it sets, on the card and in the full plan', () => {
    const shown = texts(draw(SAMPLES['approval, with a canary'] as Notice).blocks);
    expect(shown).toContain(
      'First one pod goes back for 15 s, judged by 1 check of its own; only then the rest',
    );
    expect(shown).toContain('/spec/minReadySeconds: null -> 300');
    expect(shown).toContain('(and once more after 25 s)');
    const whole = diffPages([approvalAction({ canary: CANARY })], 2800, 20)
      .flat()
      .join('\n');
    expect(whole).toContain('# its canary sets first:\n/spec/minReadySeconds: null -> 300');
  });

  it('lets nobody approve from a card that hides lines, and says how many', () => {
    const card = draw(SAMPLES['approval, long diff'] as Notice);
    expect(texts(button(card, 'approval.review'))).toContain('Open full plan');
    expect(texts(card.blocks)).toContain('50 of 90 lines are not shown here');
    expect(texts(button(draw(approvalNotice()), 'approval.review'))).toContain('Review and approve');
  });

  it('counts a line that would be cut, and everything behind it, as hidden', () => {
    const long = approvalAction({ diff: ['+ short', `+ ${'x'.repeat(400)}`, '+ after'] });
    expect(excerptOf([long, approvalAction()])).toMatchObject({ hidden: 8, total: 9 });
  });

  it('shows whole every line that it claims to show, and every line of the diff in the pages of the review', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary', maxLength: 700 }), { maxLength: 60 }), (diff) => {
        const notice = approvalNotice({
          actions: [approvalAction({ diff }), approvalAction({ change_id: 'CHG-2' })],
        });
        const shown = (value: unknown): string[] =>
          (value as { type: string; elements?: { type: string; elements: { text: string }[] }[] }[])
            .flatMap((block) => (block.type === 'rich_text' ? (block.elements ?? []) : []))
            .filter((part) => part.type === 'rich_text_preformatted')
            .flatMap((part) => (part.elements[0] as { text: string }).text.split('\n'));
        const excerpt = excerptOf(notice.actions);
        expect(shown(draw(notice).blocks)).toEqual(
          excerpt.shown.flatMap((part) =>
            part.lines.map((text, at) => (part.lines.length === 1 && at === 0 && text === '' ? '-' : text)),
          ),
        );
        const pages = reviewPages(notice).map((_, page) =>
          shown(
            reviewView(notice, { ...openingMeta(notice, { channel: 'C', thread_ts: null }), page }, true)
              .blocks,
          ),
        );
        const filled = (lines: readonly string[]) => lines.filter((text) => text !== '');
        const read = filled(pages.flat()).join('\n').replaceAll('\n↪ ', '');
        const wanted = notice.actions.flatMap((action) => [
          `${action.change_id}  ${action.target}`,
          ...filled(changeLines(action)),
        ]);
        expect(read).toBe(wanted.join('\n'));
      }),
      { numRuns: 60 },
    );
  });

  it('shows what the server changes by itself in the diff', () => {
    const card = draw(
      approvalNotice({
        actions: [approvalAction({ side_changes: [{ path: '/spec/x', before: null, after: 1 }] })],
      }),
    );
    expect(texts(card.blocks)).toContain('/spec/x: null -> 1');
  });

  it('shows signs that hide or turn text in a diff as what they are', () => {
    const card = draw(
      approvalNotice({ actions: [approvalAction({ diff: ['+ a\u202eb', '+ c\n- forged line'] })] }),
    );
    expect(texts(card.blocks)).not.toContain('\u202e');
    expect(texts(card.blocks)).toContain('\\\\u202e');
    expect(texts(card.blocks)).toContain('\\\\n- forged line');
  });

  it('offers no decision once an approval is not open', () => {
    for (const status of ['approved', 'denied', 'expired', 'void', 'used'] as const) {
      const card = draw(approvalNotice({ status }));
      for (const id of ['approval.review', 'approval.deny', 'approval.withdraw'])
        expect(button(card, id)).toBeUndefined();
    }
  });

  it('carries only opaque ids in its decision buttons', () => {
    const value = JSON.parse(String(button(draw(approvalNotice()), 'approval.review')?.['value'])) as object;
    expect(Object.keys(value).sort()).toEqual(['apr', 'plan', 'rev', 'v']);
  });

  it('gives every button words for a screen reader and one primary at most', () => {
    for (const notice of Object.values(SAMPLES)) {
      const buttons = draw(notice).blocks.flatMap((block) =>
        block.type === 'actions'
          ? (block.elements as { accessibility_label?: string; style?: string }[])
          : [],
      );
      for (const each of buttons) expect(each.accessibility_label ?? '').not.toBe('');
      expect(buttons.filter((each) => each.style === 'primary').length).toBeLessThanOrEqual(1);
    }
  });

  it('mentions the owner on the first post only, and never in shadow', () => {
    expect(texts(draw(incidentNotice(), { first: true }).blocks)).toContain('<@U0MAYA>');
    expect(texts(draw(incidentNotice(), { first: false }).blocks)).not.toContain('<@');
    expect(texts(draw(incidentNotice({ shadow: true }), { first: true }).blocks)).not.toContain('<@');
  });

  it('stays within Slack at the extremes: long titles, 5000-line diffs, 40 pieces of evidence, 40 tasks', () => {
    check(draw(incidentNotice({ title: '漢'.repeat(300), doing: 'y'.repeat(2000), mode: 'z'.repeat(3000) })));
    const action = approvalAction({
      diff: Array.from({ length: 5000 }, (_, at) => `+ ${'v'.repeat(100)} ${at}`),
      warnings: Array.from({ length: 50 }, () => 'w'.repeat(900)),
    });
    const evidence = Array.from(
      { length: 40 },
      () => approvalNotice().evidence[0] as ApprovalNotice['evidence'][number],
    );
    check(
      draw(
        approvalNotice({
          actions: Array.from({ length: 10 }, (_, at) => ({
            ...action,
            change_id: `CHG-${at}`,
            intent: 'i'.repeat(300),
            rollback: 'r'.repeat(900),
          })),
          evidence,
          gaps: Array.from({ length: 20 }, () => 'g'.repeat(300)),
          checks: Array.from({ length: 20 }, () => 'c'.repeat(150)),
          gates: Array.from({ length: 30 }, (_, at) => ({
            gate: `g${at}`,
            title: 't'.repeat(200),
            status: at % 2 === 0 ? ('refused' as const) : ('passed' as const),
            reason: 'q'.repeat(900),
            remedy: 'q'.repeat(900),
          })),
          decisions: Array.from({ length: 20 }, () => ({
            ...(approvalNotice().decisions[0] as ApprovalNotice['decisions'][number]),
            reason: 'because '.repeat(60),
          })),
          who_can: 'p'.repeat(5000),
        }),
      ),
    );
    check(
      draw(
        progressNotice({
          tasks: Array.from({ length: 40 }, (_, at) => ({
            id: `t${at}`,
            title: 't'.repeat(400),
            status: 'error' as const,
            output: 'o'.repeat(4000),
          })),
        }),
      ),
    );
    check(draw(postmortemNotice({ markdown: 'word '.repeat(12_000) })));
    const row = { mark: 'miss' as const, plan: 'p'.repeat(400), people: 'h'.repeat(600), at: null };
    const report = draw(
      shadowNotice({
        headline: 'q'.repeat(300),
        lines: Array.from({ length: 10 }, () => 'l'.repeat(500)),
        rows: Array.from({ length: 60 }, () => row),
        warning: 'w'.repeat(500),
        gaps: Array.from({ length: 20 }, () => 'g'.repeat(300)),
        ladder: 'd'.repeat(1000),
      }),
    );
    check(report);
    expect(texts(report.blocks)).toContain('48 more rows are in the ledger');
    check(
      draw(
        timelineNotice({
          segments: Array.from({ length: 3 }, () => ({ t: 'text' as const, text: 's'.repeat(3000) })),
        }),
      ),
    );
  });
});

const hostile = fc.oneof(
  fc.constantFrom(
    '<!channel>',
    '<https://evil.example|Approve>',
    '<@U0MAYA> please',
    '<!subteam^S0PLAT>',
    '```\n*bold*\n```',
    '&lt;!channel&gt;',
    ':white_check_mark: *Approved* by `Dan`',
    'a\u202egnp.exe',
    '\u0000\u001b[2J',
    '}"],"type":"actions"',
    '~a~ _b_ *c*',
    'https://evil.example/approve',
    '<!date^0^{date}|now>',
    '👩‍👩‍👧‍👦'.repeat(60),
    '\ud83d',
    'é́'.repeat(200),
  ),
  fc.string({ unit: 'grapheme', maxLength: 400 }),
  fc.string({ unit: 'binary', maxLength: 400 }),
);

/** Every mrkdwn text and the top-level text: nothing in them may be a mention, and links only those we made. */
function noForgery(card: Card): void {
  const markup: string[] = [card.text];
  const walk = (value: unknown): void => {
    if (Array.isArray(value)) return value.forEach(walk);
    if (typeof value !== 'object' || value === null) return undefined;
    const node = value as Record<string, unknown>;
    if (node['type'] === 'mrkdwn') {
      expect(node['verbatim']).toBe(true);
      markup.push(String(node['text']));
    }
    if (['user', 'usergroup', 'broadcast', 'channel', 'emoji'].includes(String(node['type'])))
      throw new Error(`forged ${String(node['type'])}`);
    if (node['type'] === 'link' || typeof node['url'] === 'string')
      expect(String(node['url'])).toMatch(/^https:\/\/acme\.slack\.com\//);
    if (node['type'] === 'plain_text') expect(node['emoji']).toBe(false);
    return Object.values(node).forEach(walk);
  };
  walk(card.blocks);
  for (const text of markup) {
    for (const piece of piecesOf(text)) expect(['text', 'code', 'date']).toContain(piece.kind);
    expect(text).not.toMatch(/<(?!!date\^\d+\^)/);
  }
  expect(card.text).not.toContain('://');
}

describe('hostile text', () => {
  it('in any field of an incident creates no mention, no link, no broken block', () => {
    fc.assert(
      fc.property(
        fc.record({
          title: hostile,
          doing: hostile,
          cause: hostile,
          mode: hostile,
          who: hostile,
          halt: hostile,
          halted: fc.boolean(),
          owner: hostile,
        }),
        (given) => {
          const changes: Partial<IncidentNotice> = {
            title: given.title,
            doing: given.doing,
            mode: given.mode,
            owner: given.owner,
            outcome: given.halt,
            cause: { text: given.cause, confidence: 0.5, evidence_count: 1 },
            waiting_for: { who: given.who, until: null },
            halt: given.halted
              ? { reason: 'loop', text: given.halt, next_step: given.who, resume_to: null }
              : null,
          };
          const card = draw(incidentNotice(changes));
          check(card);
          noForgery(card);
          noForgery({ text: plainVersion(card, true).text, blocks: [] });
          expect(checkMessageBlocks(plainVersion(card, false).blocks).findings).toEqual([]);
        },
      ),
      { numRuns: 150 },
    );
  });

  it('in any field of an approval creates no mention, no link, no broken block', () => {
    fc.assert(
      fc.property(fc.record({ a: hostile, b: hostile, c: hostile, d: hostile }), ({ a, b, c, d }) => {
        const base = approvalNotice();
        const card = draw(
          approvalNotice({
            actions: [
              approvalAction({
                intent: a,
                target: b,
                tool: c,
                diff: [a, b, c],
                rollback: d,
                warnings: [c],
                side_changes: [{ path: d, before: a, after: { x: b } }],
              }),
            ],
            cause: b,
            status_text: c,
            status: a.length % 2 === 0 ? 'open' : 'void',
            started_by: d,
            who_can: a,
            gaps: [b],
            checks: [c],
            gates: [{ gate: 'x', title: a, status: 'refused', reason: b, remedy: c }],
            decisions: [
              { ...(base.decisions[0] as ApprovalNotice['decisions'][number]), reason: d.slice(0, 500) },
            ],
            risk: {
              ...base.risk,
              if_not_applied: a.slice(0, 500) || '-',
              impact_scope: [b.slice(0, 200)],
              safe_alternatives: [c.slice(0, 300)],
            },
          }),
        );
        check(card);
        noForgery(card);
      }),
      { numRuns: 150 },
    );
  });

  it('in the thread, the progress, the postmortem and a private answer creates nothing either', () => {
    fc.assert(
      fc.property(hostile, hostile, (a, b) => {
        const segments = [
          { t: 'text' as const, text: a },
          { t: 'bold' as const, text: b.slice(0, 500) },
          { t: 'code' as const, text: a.slice(0, 500) },
          { t: 'person' as const, principal: b, mention: true },
        ];
        const markdown = `# ${a}\n- ${b}\n**${a}** \`${b}\`\n| ${a} | ${b} |\n\`\`\`\n${a}`;
        const notices: Notice[] = [
          timelineNotice({ segments }),
          progressNotice({ title: a, tasks: [{ id: b, title: a, status: 'error', output: b }] }),
          postmortemNotice({ title: a, markdown }),
          shadowNotice({
            headline: a.slice(0, 300),
            lines: [b.slice(0, 500)],
            rows: [{ mark: 'miss', plan: a.slice(0, 400), people: b.slice(0, 600), at: null }],
            warning: a.slice(0, 500),
            gaps: [b.slice(0, 300)],
            ladder: a.slice(0, 1000),
          }),
          { ...(SAMPLES['private'] as Extract<Notice, { kind: 'private' }>), segments },
        ];
        for (const notice of notices) {
          const card = draw(notice);
          check(card);
          noForgery(card);
        }
      }),
      { numRuns: 150 },
    );
  });
});

describe('text makers', () => {
  it('never cut inside a letter, an entity or an angle bracket, and keep the limit', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme', maxLength: 200 }),
        fc.integer({ min: 2, max: 60 }),
        (text, max) => {
          const short = cut(text, max);
          expect(short.length).toBeLessThanOrEqual(max);
          expect(short).not.toMatch(/[\ud800-\udbff](?![\udc00-\udfff])/);
          const markup = cutMrkdwn(
            `${escapeText(text)} <!date^1^{time}|x> \`code\` ${escapeText(text)}`,
            max,
          );
          expect(markup.length).toBeLessThanOrEqual(max);
          expect(markup).not.toMatch(/<[^>]*$/);
          expect(markup).not.toMatch(/&[a-z]{0,3}…$/);
        },
      ),
    );
  });

  it('keep one family emoji whole or leave it out', () => {
    expect(cut('👩‍👩‍👧‍👦👩‍👩‍👧‍👦', 14)).toBe('👩‍👩‍👧‍👦…');
  });

  it('escape strings inside markup and nothing else', () => {
    expect(mrkdwn`*a* ${'<!here> & *b*'}`.mrkdwn).toBe('*a* &lt;!here&gt; &amp; ∗b∗');
    expect(visible('a\u200bb\r\nc')).toBe('a\\u200bb\nc');
  });

  it('count text as the checker does', () => {
    expect(textChars([{ text: { text: 'abc' } }, { text: 'de' }])).toBe(5);
  });
});

describe('an approval that must be given outside Slack', () => {
  const textOf = (notice: ApprovalNotice) => JSON.stringify(renderNotice(notice, context).blocks);

  it('is linked on the card, which fits Slack’s limits', () => {
    const url = 'https://aegis.example.com/approve/APR-512';
    const notice = approvalNotice({ step_up: { given: false, url } });
    expect(textOf(notice)).toContain(`<${url}|step-up page>`);
    expect(checkMessageBlocks(renderNotice(notice, context).blocks)).toEqual(
      checkMessageBlocks(renderNotice(approvalNotice(), context).blocks),
    );
    expect(textOf(approvalNotice({ step_up: { given: true, url } }))).not.toContain(url);
  });

  it('says what is missing when there is no page for it', () => {
    expect(textOf(approvalNotice({ step_up: { given: false, url: null } }))).toContain('http.public_url');
  });
});
