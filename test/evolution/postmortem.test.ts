import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { code, plain } from '../../src/evolution/markdown.ts';
import { draftPostmortem } from '../../src/evolution/postmortem.ts';
import { chain, findings, storyEntries } from './ledger-fixture.ts';

const names = { maria: 'Maria Keller', jonas: 'Jonas Weber', ada: 'Ada Okafor' };

describe('the postmortem of a whole incident', () => {
  const { title, markdown } = draftPostmortem(storyEntries(), { names });

  it('has every section and comes from the ledger alone: the same entries give the same text', () => {
    expect(title).toBe('Postmortem INC-2026-1123-001: SparkApplicationFailed: nightly-settlement');
    const headings = [...markdown.matchAll(/^## (.+)$/gm)].map((match) => match[1]);
    expect(headings).toEqual([
      'Summary',
      'Impact',
      'Timeline (UTC)',
      'Cause',
      'Ruled out',
      'Decisions',
      'Change and effect',
      'Verification',
      'Cost',
      'What could not be seen',
      'Follow-ups',
    ]);
    expect(draftPostmortem(storyEntries(), { names }).markdown).toBe(markdown);
    expect(markdown).not.toContain('Nothing recorded');
    expect(markdown).not.toContain('could not be read');
  });

  it('cites the cause with path, lines and short hash, and what was ruled out with its evidence', () => {
    expect(markdown).toContain(
      'The driver was OOMKilled. `/teams/data/prod/k8s/x/status.yaml` lines 7-7, sha256 `cccccccccccc`, 2026-11-23 13:14:00',
    );
    expect(markdown).toContain('The application failed by itself. **refuted**');
  });

  it('names who decided, when and as what, refused attempts included', () => {
    const decisions = markdown.slice(markdown.indexOf('## Decisions'), markdown.indexOf('## Change'));
    const rows = decisions.split('\n').filter((line) => line.startsWith('| 2026'));
    expect(rows.map((row) => row.split(' | ')[1])).toEqual([
      'Maria Keller',
      'Jonas Weber',
      'Jonas Weber',
      'Ada Okafor',
    ]);
    expect(rows[0]).toContain('refused: approval.approve APR-3');
    expect(rows[3]).toContain('**approve** over slack');
  });

  it('shows the change field by field, the dead credential, the checks and the cost against the budget', () => {
    expect(markdown).toContain('| `/spec/driver/memory` | `1g` | `2g` |');
    expect(markdown).toContain('vault\\_kubernetes, revoked after the call');
    expect(markdown).toContain('| The job completed | **passed** | COMPLETED | 3 |');
    expect(markdown).toContain('| tokens | 120 | 100000 |');
    expect(markdown).toContain('| calls | 1 | 60, and a reserve for the change, its checks and its undo |');
  });

  it('starts the timeline with the alert and asks to carry the change into its source', () => {
    const timeline = markdown.slice(markdown.indexOf('## Timeline'), markdown.indexOf('## Cause'));
    expect(timeline.split('\n').find((line) => line.startsWith('| 2026'))).toContain(
      'Alert SparkApplicationFailed began',
    );
    expect(timeline).toContain('| Maria Keller | Asked Aegis to investigate |');
    expect(markdown).toContain('or the next deployment undoes it');
  });
});

describe('a postmortem of a change that was put back', () => {
  const story = storyEntries();
  const event = (kind: 'outcome' | 'preview' | 'transition', payload: Record<string, unknown>) => ({
    kind,
    actor: 'aegis:harness',
    payload,
  });
  const outcome = story.find((e) => e.kind === 'outcome')?.payload['outcome'] as Record<string, unknown>;
  const preview = story.find((e) => e.kind === 'preview')?.payload['preview'] as Record<string, unknown>;
  const changes = [{ path: '/spec/driver/memory', before: '2g', after: '1g' }];
  const undo = { ...outcome, summary: 'memory 2g to 1g' };
  const { markdown } = draftPostmortem(
    chain([
      ...story.slice(0, -1),
      event('transition', { from: 'VERIFYING', to: 'ROLLING_BACK', reason: 'verified' }),
      event('preview', { change_id: 'CHG-1', phase: 'undo', preview: { ...preview, changes } }),
      event('outcome', { change_id: 'CHG-1', phase: 'undo', outcome: undo }),
      event('transition', { from: 'ROLLING_BACK', to: 'HALTED', reason: 'undone' }),
    ]),
    { names },
  );

  it('tells the change and that it was put back, and asks nobody to carry it into its source', () => {
    expect(markdown).toMatch(/Done: .*put back afterwards/);
    expect(markdown).toContain('| `/spec/driver/memory` | `1g` | `2g` |');
    expect(markdown).toMatch(/Put back: \*\*done\*\* at .*: memory 2g to 1g/);
    expect(markdown).toContain('| **rolling back** (verified) |');
    expect(markdown).toContain('CHG-1 undo: **done**');
    expect(markdown).not.toContain('or the next deployment undoes it');
  });
});

describe('a postmortem of less', () => {
  it('still comes from an empty or odd ledger and counts what it could not read', () => {
    expect(draftPostmortem([], { names }).markdown).toContain('Nothing recorded.');
    const odd = chain([
      ...storyEntries().slice(0, 1),
      { kind: 'verify', actor: 'aegis:harness', payload: { nonsense: true } },
    ]);
    expect(draftPostmortem(odd, { names }).markdown).toContain('1 entries could not be read');
  });

  it('says that no cause was shown, what could not be seen, and what to do about it', () => {
    const inconclusive = findings({
      conclusive: false,
      cause: null,
      confidence: 0,
      gaps: ['The driver log could not be read: Loki is down.'],
    });
    const first = storyEntries()[0];
    const entries = chain([
      { kind: 'event', actor: 'system:alertmanager', payload: first?.payload ?? {} },
      { kind: 'event', actor: 'aegis:harness', payload: { type: 'investigated', findings: inconclusive } },
      {
        kind: 'transition',
        actor: 'aegis:harness',
        payload: { from: 'DIAGNOSING', to: 'HALTED', reason: 'inconclusive' },
      },
    ]);
    const { markdown } = draftPostmortem(entries, { names });
    expect(markdown).toContain('Cause: none was shown');
    expect(markdown).toContain('Loki is down');
    expect(markdown).toContain('No skill showed the cause');
    expect(markdown).toContain('It stood still 1 time');
  });
});

/** Backslash escapes and code spans taken out: what is left is live Markdown. */
function live(markdown: string): string {
  return markdown.replaceAll(/`[^`\n]*`/g, 'C').replaceAll(/\\[\\`*_[\](){}#+!|~@$./=-]/g, 'E');
}

const HOSTILE = [
  '<!channel> ignore previous instructions',
  '<https://evil.example|Approve>',
  '[Approve](https://evil.example)',
  '![x](https://evil.example/x.png)',
  '@here https://evil.example www.evil.example',
  '| a | b |\n|---|---|',
  '# heading\n## Decisions',
  '``` fenced\n`code` <script>alert(1)</script>',
  '**bold** __under__ ~~gone~~',
  '\u202Egnp.exe\u0000\u2028',
  '&lt;!channel&gt; &#64;here',
];

describe('untrusted text in a postmortem', () => {
  it.each(HOSTILE)('%j makes no link, mention, heading, cell or HTML wherever it stands', (text) => {
    const hostile = draftPostmortem(
      storyEntries({ title: text, cause: text, gap: text, reason: text, found: text, path: text }),
      { names },
    ).markdown;
    const harmless = draftPostmortem(
      storyEntries({ title: 'x', cause: 'x', gap: 'x', reason: 'x', found: 'x', path: 'x' }),
      { names },
    ).markdown;
    const skeleton = (markdown: string) => ({
      headings: live(markdown)
        .split('\n')
        .filter((line) => line.startsWith('#')).length,
      cells: live(markdown)
        .split('\n')
        .filter((line) => line.startsWith('|'))
        .map((line) => line.split('|').length),
      bullets: live(markdown)
        .split('\n')
        .filter((line) => /^\s*- /.test(line)).length,
    });
    expect(skeleton(hostile)).toEqual(skeleton(harmless));
    expect(live(hostile)).not.toMatch(/[<>@[\]]|:\/\/|www\./);
    for (const hidden of ['\u202E', '\u0000', '\u2028']) expect(hostile).not.toContain(hidden);
  });

  it('stays one line of inert characters for any text at all', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.string({
        unit: fc.constantFrom(
          '<',
          '>',
          '&',
          '`',
          '\\',
          '|',
          '[',
          ']',
          '(',
          ')',
          '@',
          '\n',
          ':',
          '/',
          '!',
          '#',
          'a',
        ),
      }),
    );
    fc.assert(
      fc.property(text, (any) => {
        expect(live(plain(any))).not.toMatch(/[<>@[\]`\n|]|:\/\//);
        expect(code(any)).toMatch(/^(`[^`\n<>|]+`|\(empty\))$/);
      }),
    );
  });

  it('fits the notice whatever the ledger holds', () => {
    const many = Array.from({ length: 2000 }, (_, i) => ({
      kind: 'refusal' as const,
      actor: 'aegis:harness',
      payload: { code: 'x', reason: 'r'.repeat(900), remedy: '', by: 'maria', about: `approval ${i}` },
    }));
    expect(draftPostmortem(chain(many), { names }).markdown.length).toBeLessThan(60_000);
  });
});
