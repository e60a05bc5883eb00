import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { evaluateMetric, ingest, selectStreams } from '../../../src/lab/loki/logql-engine.ts';
import { parseLogql } from '../../../src/lab/loki/logql-parse.ts';
import { LokiError } from '../../../src/lab/loki/loki-error.ts';
import { jsonLabels, logfmtLabels } from '../../../src/lab/loki/line-parsers.ts';
import type { LogRecord } from '../../../src/lab/world/telemetry.ts';

const word = fc.constantFrom(
  'OOM',
  'ok',
  'error',
  'a.b',
  'Error: 5',
  'x\ny',
  '"quoted"',
  '',
  '<!channel>',
  'ERROR',
);
const record: fc.Arbitrary<LogRecord> = fc.record({
  ts_ns: fc.bigInt(0n, 60n),
  labels: fc.record({ app: fc.constantFrom('etl', 'api'), pod: fc.constantFrom('p1', 'p2', 'p3') }),
  line: fc.array(word, { minLength: 1, maxLength: 3 }).map((words) => words.join(' ')),
});
const filter = fc.record({
  op: fc.constantFrom('|=', '!=', '|~', '!~'),
  pattern: fc.constantFrom('OOM', 'o', 'rror', 'b', 'x', '5'),
});
const matcher = fc.constantFrom(
  ['app="etl"', (l: Labels) => l.app === 'etl'],
  ['app=~"etl|api"', () => true],
  ['app="api", pod!="p1"', (l: Labels) => l.app === 'api' && l.pod !== 'p1'],
  ['pod=~"p[12]", app!~"e.*"', (l: Labels) => /^p[12]$/.test(l.pod ?? '') && !/^e.*$/.test(l.app ?? '')],
) as fc.Arbitrary<[string, (labels: Labels) => boolean]>;
type Labels = Readonly<Record<string, string>>;
interface Filter {
  readonly op: string;
  readonly pattern: string;
}

function keeps({ op, pattern }: Filter, line: string): boolean {
  return line.includes(pattern) === op.startsWith('|');
}

/** The same question, asked without any of the twin's code. */
function naive(
  records: readonly LogRecord[],
  selects: (labels: Labels) => boolean,
  filters: readonly Filter[],
): LogRecord[] {
  const seen = new Set<string>();
  return records
    .map((entry, index) => ({ entry, index }))
    .sort((left, right) => Number(left.entry.ts_ns - right.entry.ts_ns) || left.index - right.index)
    .map(({ entry }) => entry)
    .filter((entry) => {
      const key = [entry.ts_ns, entry.labels['app'], entry.labels['pod'], entry.line].join('\0');
      const fresh = !seen.has(key);
      seen.add(key);
      return fresh && selects(entry.labels) && filters.every((one) => keeps(one, entry.line));
    });
}

function queryText(selector: string, filters: readonly Filter[]): string {
  return `{${selector}}${filters.map(({ op, pattern }) => ` ${op} ${JSON.stringify(pattern)}`).join('')}`;
}

describe('the Loki twin beside a naive model', () => {
  it('returns the same lines for any records, selector, filters, window, limit and direction', () => {
    fc.assert(
      fc.property(
        fc.array(record, { maxLength: 40 }),
        matcher,
        fc.array(filter, { maxLength: 3 }),
        fc.bigInt(0n, 60n),
        fc.bigInt(0n, 60n),
        fc.integer({ min: 1, max: 12 }),
        fc.boolean(),
        (records, [selector, selects], filters, start_ns, end_ns, limit, backward) => {
          const query = parseLogql(queryText(selector, filters));
          if (query.kind !== 'log') throw new Error('not a log query');
          const streams = selectStreams(ingest(records), query, { start_ns, end_ns }, { limit, backward });
          const all = naive(records, selects, filters).filter(
            (entry) => entry.ts_ns >= start_ns && entry.ts_ns < end_ns,
          );
          const expected = (backward ? all.toReversed() : all).slice(0, limit);
          for (const stream of streams) {
            const own = expected.filter(
              (entry) =>
                entry.labels['app'] === stream.labels['app'] && entry.labels['pod'] === stream.labels['pod'],
            );
            expect(stream.entries.map(({ ts_ns, line }) => [ts_ns, line])).toEqual(
              own.map(({ ts_ns, line }) => [ts_ns, line]),
            );
          }
          expect(streams.reduce((sum, stream) => sum + stream.entries.length, 0)).toBe(expected.length);
        },
      ),
      { numRuns: 400 },
    );
  });

  it('counts the same for any window', () => {
    fc.assert(
      fc.property(
        fc.array(record, { maxLength: 40 }),
        matcher,
        fc.array(filter, { maxLength: 2 }),
        fc.integer({ min: 1, max: 30 }),
        fc.bigInt(0n, 80n),
        (records, [selector, selects], filters, range, at_ns) => {
          const query = parseLogql(
            `sum by (app) (count_over_time(${queryText(selector, filters)}[${range}ns]))`,
          );
          if (query.kind === 'log') throw new Error('not a metric query');
          const inside = naive(records, selects, filters).filter(
            (entry) => entry.ts_ns > at_ns - BigInt(range) && entry.ts_ns <= at_ns,
          );
          const expected = new Map<string, number>();
          for (const { labels } of inside)
            expected.set(labels['app'] ?? '', (expected.get(labels['app'] ?? '') ?? 0) + 1);
          const found = evaluateMetric(ingest(records), query, at_ns);
          expect(new Map(found.map(({ labels, value }) => [labels['app'] ?? '', value]))).toEqual(expected);
        },
      ),
      { numRuns: 300 },
    );
  });

  it('answers any text with a query or a refusal, never with a crash', () => {
    const piece = fc.constantFrom(
      '{',
      '}',
      'app',
      '=',
      '=~',
      '"a"',
      '|',
      '|=',
      '`x',
      '(',
      ')',
      'sum',
      'by',
      'rate',
      '[5m]',
      'json',
      '>',
      '5',
      ' ',
      ',',
      'or',
      '"',
      'é',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 14 }), (pieces) => {
        try {
          parseLogql(pieces.join(''));
        } catch (error) {
          expect(error).toBeInstanceOf(LokiError);
          expect((error as LokiError).message).toMatch(/^(parse error|loki twin: )/);
        }
      }),
      { numRuns: 1500 },
    );
  });
});

describe('the parsers of lines', () => {
  it('read back flat objects whatever their values hold', () => {
    const flat = fc.dictionary(
      fc.stringMatching(/^[a-z_][a-z0-9_]{0,6}$/),
      fc.oneof(fc.string({ minLength: 1 }), fc.boolean(), fc.integer()),
    );
    fc.assert(
      fc.property(flat, (value) => {
        const expected = new Map(Object.entries(value).map(([key, inner]) => [key, String(inner)]));
        expect(jsonLabels(JSON.stringify(value))).toEqual(expected);
      }),
    );
  });

  it('keep numbers as they were written and refuse what is no object', () => {
    expect(jsonLabels('{"a":1.50,"b":12345678901234567890,"c":{"d-e":1},"1x":"y"}')).toEqual(
      new Map([
        ['a', '1.50'],
        ['b', '12345678901234567890'],
        ['c_d_e', '1'],
        ['_1x', 'y'],
      ]),
    );
    expect(jsonLabels('[1]')).toBeUndefined();
    expect(jsonLabels('{"a":')).toBeUndefined();
    expect(jsonLabels('text')).toBeUndefined();
    expect(logfmtLabels('a=1 b="x y" c d= a=2')).toEqual(
      new Map([
        ['a', '1'],
        ['b', 'x y'],
      ]),
    );
  });
});
