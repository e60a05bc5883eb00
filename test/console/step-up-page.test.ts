import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { approvalSheet } from '../../src/contract/approval-sheet.ts';
import { planPage } from '../../src/console/step-up-page.ts';
import { approvalAction, approvalNotice } from '../slack/notices.ts';

const nasty = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 200 }),
  fc.constantFrom(
    '<script>alert(1)</script>',
    '</pre><form action=//evil><button>Approve exactly this',
    '"><img src=x onerror=alert(1)>',
    "' autofocus onfocus='x",
    '\u202eevil\u0007\u001b[2J',
    '${1}`',
  ),
);

describe('the step-up page', () => {
  it('draws foreign text as text, wherever it stands', () => {
    const tags = (page: string) => [...page.matchAll(/<\/?([a-z0-9]+)/g)].map((m) => m[1]).join(' ');
    const clean = tags(
      planPage(
        approvalNotice({ actions: [approvalAction({ diff: ['x'], warnings: ['x'] })], gaps: ['x'] }),
        'Dan',
        null,
      ),
    );
    fc.assert(
      fc.property(nasty, (text) => {
        const some = text.trim() === '' ? 'x' : text;
        const action = approvalAction({
          intent: some,
          target: some,
          diff: [some],
          rollback: some,
          warnings: [some],
        });
        const page = planPage(approvalNotice({ actions: [action], cause: some, gaps: [some] }), some, null);
        expect(tags(page)).toBe(clean);
        expect(page).not.toMatch(/[\u202e\u0007\u001b]/);
      }),
      { numRuns: 200 },
    );
  });

  it('offers a decision only while there is one to make', () => {
    for (const status of ['open', 'approved'] as const)
      expect(planPage(approvalNotice({ status }), 'Dan', null)).toContain('Approve exactly this');
    for (const status of ['denied', 'expired', 'void', 'used'] as const)
      expect(planPage(approvalNotice({ status }), 'Dan', null)).not.toContain('<form');
  });
});

describe('the sheet that terminal and page share', () => {
  it('holds hashes, target, rollback, every line of the diff and every gate, whole', () => {
    const diff = Array.from({ length: 500 }, (_, n) => `+ line ${n} ${'x'.repeat(500)}`);
    const notice = approvalNotice({ actions: [approvalAction({ diff })] });
    const lines = approvalSheet(notice).flatMap((part) => part.lines);
    for (const line of diff) expect(lines).toContain(line);
    const text = lines.join('\n');
    for (const words of [
      notice.plan_hash,
      notice.effect_hash,
      approvalAction().target,
      'Rollback: ',
      notice.expires_at,
    ])
      expect(text).toContain(words);
    for (const gate of notice.gates) expect(text).toContain(gate.title);
  });

  it('cannot steer a terminal', () => {
    const notice = approvalNotice({ cause: '\u001b]0;title\u0007\u001b[31mred', gaps: ['a\rb'] });
    const text = approvalSheet(notice)
      .flatMap((part) => part.lines)
      .join('\n');
    expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f]/); // oxlint-disable-line no-control-regex
  });
});
