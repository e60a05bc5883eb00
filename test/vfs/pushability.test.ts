import * as fc from 'fast-check';
import { RE2JS } from 're2js';
import { describe, expect, it } from 'vitest';
import type { GrepStage } from '../../src/vfs/grep.ts';
import { lineText } from '../../src/vfs/line-text.ts';
import { requiredLiterals } from '../../src/vfs/pattern-factors.ts';
import { pushability, SHIPPED_MARKS } from '../../src/vfs/pushdown.ts';
import { fixture } from './fixture.ts';

const ROOT = '/teams/data/prod';

describe('explain', () => {
  it('shows the plan, the exact LogQL, what is not pushed and what is done here', async () => {
    const { vfs, session } = await fixture();
    const explain = async (command: string) => {
      const response = await vfs.world(session).call({ op: 'explain', command });
      return response.ok && response.op === 'explain' ? response.text : JSON.stringify(response);
    };
    expect(await explain(`grep "OOM" ${ROOT}/logs/driver.log --since 1h | grep -v "test" | tail -n 50`)).toBe(
      [
        `command  grep "OOM" ${ROOT}/logs/driver.log --since 1h | grep -v "test" | tail -n 50`,
        `file     ${ROOT}/logs/driver.log (loki, stream, attacker-writable)`,
        'window   2026-11-23T15:00:00.000Z until 2026-11-23T15:59:58.000Z',
        'plan     lines with "OOM" -> lines without "test" -> last 50 lines',
        'asked of the source',
        '  {app="settlement", namespace="settlement"} |= "OOM"  direction=backward limit=200, page after page until 50 lines have passed the local filters',
        'not pushed',
        '  grep "test": a negation over redactable text',
        'done here, on redacted lines',
        '  lines with "OOM" (again on every line)',
        '  lines without "test" (again on every line)',
        '  last 50 lines',
      ].join('\n'),
    );
    expect(await explain(`read ${ROOT}/metrics/pods/p/memory.prom?window=15m`)).toContain(
      'container_memory_working_set_bytes{pod="p", container!="", container!="POD"}[900s]',
    );
    expect(await explain(`read ${ROOT}/jobs/x/spec.yaml`)).toContain(
      'GET prod-a settlement/sparkapplication/x',
    );
  });
});

describe('pushability', () => {
  const grep = (text: string, flags: Partial<GrepStage> = {}): GrepStage => ({
    pattern: [{ w: 'text', text }],
    ignore_case: false,
    invert: false,
    fixed: true,
    count: false,
    after: 0,
    before: 0,
    ...flags,
  });
  it.each([
    ['EMAIL', 'mark'],
    ['REDACTED', 'mark'],
    ['foo [', 'mark'],
    ['] bar', 'mark'],
    ['token', 'mark'],
    ['2026-11', 'time'],
    ['15:59:0', 'time'],
    ['00Z foo', 'time'],
    ['a | b', 'separator'],
    ['pod/main', 'stream'],
    ['a', 'two'],
    ['\\n', 'escapes'],
    ['a\\b', 'escapes'],
    ['␛[0m', 'escapes'],
    ['\ufffd', 'escapes'],
    ['😀😀', 'escapes'],
  ])('does not push %j (%s)', (text, why) => {
    const decided = pushability(grep(text), SHIPPED_MARKS);
    expect(decided).toMatchObject({ pushed: false });
    expect(!decided.pushed && decided.why).toContain(why);
  });

  it('keeps what is left when the ends could belong to something else', () => {
    expect(pushability(grep(' nightly job '), SHIPPED_MARKS)).toEqual({
      pushed: true,
      filter: { literals: ['ightly job'], ignore_case: false, probe: [] },
    });
  });

  it('knows the marks of a site', () => {
    expect(pushability(grep('IBAN of'), SHIPPED_MARKS).pushed).toBe(true);
    expect(pushability(grep('IBAN'), [...SHIPPED_MARKS, '[REDACTED_IBAN]']).pushed).toBe(false);
  });
});

describe('requiredLiterals', () => {
  const piece = fc.oneof(
    fc.constantFrom(
      'a',
      'b',
      'OOM',
      'x y',
      '.',
      '\\.',
      '\\d',
      '[ab]',
      '[^]]',
      '^',
      '$',
      '\\b',
      '(a|b)',
      '(?:OOM|oom)',
      '(?P<n>a)',
      'a?',
      'b*',
      '(ab)+',
      'a{2}',
      'a{0,1}',
      'b{1,3}',
      '|',
      '(',
      ')',
      '\\|',
      '(?i:a)',
      '\\x61',
      '\\Qa\\E',
      '\\pL',
      'ü',
      '😀',
    ),
  );
  it('names only what every match holds', () => {
    fc.assert(
      fc.property(
        fc.array(piece, { minLength: 1, maxLength: 7 }),
        fc.array(fc.constantFrom('a', 'b', 'OOM', 'oom', 'x y', '1', '.', '|', 'ü', '😀', ']', 'A'), {
          maxLength: 8,
        }),
        (pieces, text_pieces) => {
          const pattern = pieces.join('');
          let re: RE2JS;
          try {
            re = RE2JS.compile(pattern);
          } catch {
            return;
          }
          const literals = requiredLiterals(pattern);
          const text = text_pieces.join('');
          if (literals === null || !re.matcher(text).find()) return;
          expect(
            literals.some((literal) => text.includes(literal)),
            `${pattern} on ${text}: ${JSON.stringify(literals)}`,
          ).toBe(true);
        },
      ),
      { numRuns: 5000 },
    );
  });
});

describe('lineText', () => {
  it('gives one line without control or hidden characters, for any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 40 }), (text) => {
        const shown = lineText(text);
        expect(shown).not.toMatch(
          /[\u0000-\u0008\u000a-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/u,
        );
        expect(Buffer.from(shown, 'utf8').toString('utf8')).toBe(shown);
        expect(lineText(shown)).toBe(shown);
      }),
    );
  });
});
