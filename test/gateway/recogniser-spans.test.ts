import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mayHoldNames, spansOf, withoutSpans, type Finding } from '../../src/gateway/recogniser/spans.ts';
import { textsOf, withoutFound } from '../../src/gateway/recogniser/texts.ts';
import { compileRules, type RecogniserRules } from '../../src/gateway/sanitize/rules.ts';

/** From findings in code points to text without names: pure, so tables and properties hold all of it. */
function rulesWith(more: object = {}): RecogniserRules {
  const recogniser = {
    language: 'en',
    model: 'm',
    score_min: 0.5,
    entities: { PERSON: '[REDACTED_PERSON]', LOCATION: '[REDACTED_LOCATION]' },
    allow: [],
    ...more,
  };
  const rules = compileRules({ v: 1, detectors: {}, secret_keys: [], patterns: [], recogniser }).recogniser;
  if (rules === null) throw new Error('no recogniser');
  return rules;
}
const RULES = rulesWith();

function finding(start: number, end: number, entity_type = 'PERSON', score = 0.85): Finding {
  return { start, end, entity_type, score };
}

function shown(text: string, findings: readonly Finding[], rules = RULES): string | null {
  const spans = spansOf(text, findings, rules);
  return spans === null ? null : withoutSpans(text, spans);
}

describe('findings become marks', () => {
  it.each<[string, string, Finding[], string | null]>([
    ['nothing', 'all is well', [], 'all is well'],
    ['one name', 'by Ana Silva.', [finding(3, 12)], 'by [REDACTED_PERSON].'],
    ['a name behind an emoji', '😀 Ana', [finding(2, 5)], '😀 [REDACTED_PERSON]'],
    [
      'an emoji in the middle',
      'Ana 😀😀 Bo',
      [finding(0, 3), finding(7, 9)],
      '[REDACTED_PERSON] 😀😀 [REDACTED_PERSON]',
    ],
    ['letters beyond the first plane', '𝒜na went', [finding(0, 3)], '[REDACTED_PERSON] went'],
    ['half a surrogate pair before it', '\ud83d Ana', [finding(2, 5)], '\ud83d [REDACTED_PERSON]'],
    ['too unsure', 'by Ana', [finding(3, 6, 'PERSON', 0.49)], 'by Ana'],
    ['just sure enough', 'by Ana', [finding(3, 6, 'PERSON', 0.5)], 'by [REDACTED_PERSON]'],
    ['an entity that nobody asked for', 'by Ana', [finding(3, 6, 'NRP')], 'by Ana'],
    [
      'the longest of two that overlap',
      'Ana Lisbon',
      [finding(4, 10, 'LOCATION', 1), finding(0, 10)],
      '[REDACTED_PERSON]',
    ],
    [
      'all of two that overlap in part',
      'abcdefgh',
      [finding(0, 4), finding(3, 8, 'LOCATION')],
      '[REDACTED_LOCATION]',
    ],
    [
      'the surest of equals',
      'Lisbon',
      [finding(0, 6), finding(0, 6, 'LOCATION', 0.9)],
      '[REDACTED_LOCATION]',
    ],
    [
      'the first by name of equals',
      'Lisbon',
      [finding(0, 6), finding(0, 6, 'LOCATION')],
      '[REDACTED_LOCATION]',
    ],
    ['two that touch', 'AnaBo', [finding(3, 5), finding(0, 3)], '[REDACTED_PERSON][REDACTED_PERSON]'],
    [
      'a mark inside of a name',
      'Ana [REDACTED_EMAIL] Bo',
      [finding(0, 23)],
      '[REDACTED_PERSON][REDACTED_EMAIL][REDACTED_PERSON]',
    ],
    ['a part of a mark', 'to [REDACTED_EMAIL]', [finding(4, 12)], 'to [REDACTED_EMAIL]'],
    ['a mark with its spaces', 'to [REDACTED_EMAIL] ok', [finding(2, 20)], 'to [REDACTED_EMAIL] ok'],
    ['behind the end', 'Ana', [finding(0, 4)], null],
    ['in UTF-16 units', '😀 Ana', [finding(3, 6)], null],
    ['no place', 'Ana', [finding(2, 2)], null],
    ['backwards', 'Ana', [finding(3, 1)], null],
    ['out of range, of an entity that nobody asked for', 'Ana', [finding(0, 9, 'NRP')], null],
  ])('%s', (_name, text, findings, expected) => {
    expect(shown(text, findings)).toBe(expected);
  });

  it('keeps words that are no names here', () => {
    const rules = rulesWith({ allow: ['Jenkins', 'apache spark'] });
    const text = 'jenkins ran Apache Spark for Ana';
    const findings = [finding(0, 7), finding(12, 24), finding(29, 32)];
    expect(shown(text, findings, rules)).toBe('jenkins ran Apache Spark for [REDACTED_PERSON]');
  });

  it.each([
    ['', false],
    ['2026-11-23T15:59:00.000Z', false],
    ['1234 / 5678 -- 90', false],
    ['[REDACTED_EMAIL] 12', false],
    ['[REDACTED_EMAIL] to Bo', true],
    ['Li', true],
    ['李', true],
    ['Ж 1', true],
  ])('asks about %j: %s', (text, expected) => expect(mayHoldNames(text)).toBe(expected));
});

const charArb = fc.constantFrom('a', 'B', ' ', 'é', '李', '😀', '𝒜', '\ud83d', '\u200d', '1', '"', '\n');
const textArb = fc
  .array(
    fc.oneof({ weight: 8, arbitrary: charArb }, { weight: 1, arbitrary: fc.constant('[REDACTED_EMAIL]') }),
    {
      maxLength: 30,
    },
  )
  .map((parts) => parts.join(''));
const casesArb = textArb.chain((text) => {
  const points = Array.from(text).length;
  const place = fc.nat({ max: points });
  return fc.record({
    text: fc.constant(text),
    findings: fc.array(
      fc
        .tuple(
          place,
          place,
          fc.constantFrom('PERSON', 'LOCATION'),
          fc.double({ min: 0.5, max: 1, noNaN: true }),
        )
        .filter(([a, b]) => a !== b)
        .map(([a, b, entity, score]) => finding(Math.min(a, b), Math.max(a, b), entity, score)),
      // In an empty text nothing can be found.
      { maxLength: points === 0 ? 0 : 6 },
    ),
  });
});

describe('for every text and every finding', () => {
  it('what was found is gone, what was not stays, and marks are whole', () => {
    fc.assert(
      fc.property(casesArb, ({ text, findings }) => {
        const spans = spansOf(text, findings, RULES) ?? [];
        const marks = [...text.matchAll(/\[REDACTED_EMAIL\]/g)].map(
          (m) => [m.index, m.index + m[0].length] as const,
        );
        const gone = new Set(
          spans.flatMap(({ start, end }) => Array.from({ length: end - start }, (_, n) => start + n)),
        );
        let unit = 0;
        Array.from(text).forEach((char, point) => {
          const found = findings.some(({ start, end }) => point >= start && point < end);
          const in_mark = marks.some(([start, end]) => unit >= start && unit < end);
          if (/[\p{L}\p{N}]/u.test(char))
            expect(gone.has(unit), `${JSON.stringify(char)} at ${point}`).toBe(found && !in_mark);
          // Both halves of a pair share a fate.
          if (char.length === 2) expect(gone.has(unit)).toBe(gone.has(unit + 1));
          if (in_mark) expect(gone.has(unit)).toBe(false);
          unit += char.length;
        });
        const count = (in_text: string): number => in_text.split('[REDACTED_EMAIL]').length;
        expect(count(withoutSpans(text, spans))).toBe(count(text));
      }),
      { numRuns: 2000 },
    );
  });

  it('the order of findings does not matter', () => {
    const arb = casesArb.chain(({ text, findings }) =>
      fc.record({
        text: fc.constant(text),
        findings: fc.constant(findings),
        shuffled: fc.shuffledSubarray(findings, { minLength: findings.length }),
      }),
    );
    fc.assert(
      fc.property(arb, ({ text, findings, shuffled }) => {
        expect(spansOf(text, shuffled, RULES)).toEqual(spansOf(text, findings, RULES));
      }),
    );
  });
});

describe('values', () => {
  const found = new Map([
    ['by Ana', spansOf('by Ana', [finding(3, 6)], RULES) ?? []],
    ['Ana Silva', spansOf('Ana Silva', [finding(0, 9)], RULES) ?? []],
    ['Bo Ek', spansOf('Bo Ek', [finding(0, 5)], RULES) ?? []],
  ]);

  it('are asked about string by string, names of fields only when they are data', () => {
    const value = {
      'Ana Silva': [1, null, true, 'by Ana', 'by Ana', { José: '12:00', plain_field: 'x1' }],
      'app.kubernetes.io/owner': 'Bo Ek',
    };
    expect([...textsOf(value)].sort()).toEqual(['Ana Silva', 'Bo Ek', 'José', 'by Ana']);
  });

  it('keep their shape, and no field is lost where two become one', () => {
    const value = { 'Ana Silva': 1, 'Bo Ek': ['by Ana', 2], other: { deep: 'Bo Ek' } };
    expect(withoutFound(value, found)).toEqual({
      value: {
        '[REDACTED_PERSON]': 1,
        '[REDACTED_PERSON]#2': ['by [REDACTED_PERSON]', 2],
        other: { deep: '[REDACTED_PERSON]' },
      },
      redactions: 4,
    });
  });

  it('keep a field that would set the prototype', () => {
    const value = JSON.parse('{"__proto__": {"x": "by Ana"}}') as object;
    const { value: clean } = withoutFound(value, found);
    expect(JSON.stringify(clean)).toBe('{"__proto__":{"x":"by [REDACTED_PERSON]"}}');
    expect(({} as { x?: string }).x).toBeUndefined();
  });
});

describe('the rules hash', () => {
  const base = { v: 1 as const, detectors: {}, secret_keys: [], patterns: [] };
  const recogniser = {
    language: 'en',
    model: 'm-1',
    score_min: 0.5,
    entities: { PERSON: '[REDACTED_PERSON]' },
    allow: [],
  };
  it('covers language, model, score, entities, marks and allowed words', () => {
    const variants = [
      base,
      { ...base, recogniser },
      ...[
        { language: 'de' },
        { model: 'm-2' },
        { score_min: 0.6 },
        { entities: { LOCATION: '[REDACTED_PERSON]' } },
        { entities: { PERSON: '[REDACTED_NAME]' } },
        { allow: ['Spark'] },
      ].map((more) => ({ ...base, recogniser: { ...recogniser, ...more } })),
    ];
    const hashes = variants.map((rules) => compileRules(rules).rules_hash);
    expect(new Set(hashes).size).toBe(variants.length);
  });
});
