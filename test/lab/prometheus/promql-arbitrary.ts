/**
 * Generates well-typed queries of the subset over the sample world. Operators that turn a last-digit difference into
 * another number (`%`, `^`, `exp`) are in the table of cases instead.
 */
import * as fc from 'fast-check';

const matcher = fc.constantFrom(
  'pod="driver-1"',
  'pod=~"(driver|exec).*"',
  'pod!="api-0"',
  'namespace!~"pay.*"',
  'code="500"',
  'kind=""',
);
const metric = fc.constantFrom('memory_bytes', 'limit_bytes', 'requests_total', 'odd', 'up', 'info');
const offset = fc.constantFrom('', '', '', ' offset 4m', ' offset -90s');
const range = fc.constantFrom('40s', '1m', '5m', '17m', '1h');
const labels = fc.uniqueArray(fc.constantFrom('pod', 'namespace', 'code', 'kind', 'job'), { maxLength: 3 });
const number = fc.constantFrom('0', '1', '2.5', '-3', '1e8', '0.5');
const selector = fc
  .tuple(metric, fc.uniqueArray(matcher, { maxLength: 2 }))
  .map(([name, matchers]) => (matchers.length === 0 ? name : `${name}{${matchers.join(',')}}`));
const overTime = fc.constantFrom(
  'rate',
  'increase',
  'irate',
  'delta',
  'idelta',
  'changes',
  'resets',
  'avg_over_time',
  'sum_over_time',
  'min_over_time',
  'max_over_time',
  'count_over_time',
  'last_over_time',
  'stddev_over_time',
  'present_over_time',
);
const plain = fc.constantFrom('abs', 'ceil', 'floor', 'round', 'sgn', 'timestamp', 'sort');
const grouping = fc
  .tuple(fc.constantFrom('by', 'without'), labels)
  .map(([word, names]) => `${word} (${names.join(', ')})`);

export const promqlQuery: fc.Arbitrary<string> = fc.letrec<{ vector: string }>((tie) => ({
  vector: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    fc.tuple(selector, offset).map(([one, shift]) => one + shift),
    fc
      .tuple(overTime, selector, range, offset)
      .map(([name, one, window, shift]) => `${name}(${one}[${window}]${shift})`),
    fc
      .tuple(fc.constantFrom('0', '0.3', '1'), selector, range)
      .map(([q, one, window]) => `quantile_over_time(${q}, ${one}[${window}])`),
    fc
      .tuple(fc.constantFrom('sum', 'avg', 'min', 'max', 'count', 'group'), grouping, tie('vector'))
      .map(([name, group, inner]) => `${name} ${group} (${inner})`),
    fc
      .tuple(fc.constantFrom('0.1', '0.75'), grouping, tie('vector'))
      .map(([q, group, inner]) => `quantile ${group} (${q}, ${inner})`),
    fc.tuple(plain, tie('vector')).map(([name, inner]) => `${name}(${inner})`),
    fc.tuple(tie('vector'), number, number).map(([inner, low, high]) => `clamp(${inner}, ${low}, ${high})`),
    fc
      .tuple(fc.constantFrom('+', '-', '*', '/', '>', '<=', '== bool', '!='), tie('vector'), number)
      .map(([op, inner, scalar]) => `(${inner}) ${op} ${scalar}`),
    fc
      .tuple(fc.constantFrom('-', '*', '>=', '< bool'), number, tie('vector'))
      .map(([op, scalar, inner]) => `${scalar} ${op} (${inner})`),
    fc
      .tuple(
        tie('vector'),
        fc.constantFrom('+', '/', '>', '== bool', 'and', 'or', 'unless'),
        fc.constantFrom('', ' on (pod)', ' ignoring (code, kind)', ' on ()'),
        tie('vector'),
      )
      .map(([left, op, match, right]) => `(${left}) ${op}${match} (${right})`),
    fc
      .tuple(
        tie('vector'),
        fc.constantFrom('group_left ()', 'group_left (version)', 'group_right ()'),
        tie('vector'),
      )
      .map(([left, card, right]) => `(${left}) * on (pod) ${card} (${right})`),
    tie('vector').map((inner) => `-(${inner})`),
  ),
})).vector;
