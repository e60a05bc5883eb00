import { describe, expect, it } from 'vitest';
import { evaluateExpectation, Expectation } from '../../src/contract/expectation.ts';

/** Law 11 over a stream: only what is newer than the change speaks, and silence never passes. */
const CHANGED_MS = Date.parse('2026-11-23T10:00:00.000Z');
const LINES = {
  old_good: '2026-11-23T09:59:59.900000001Z api-1/api | INFO listening',
  old_bad: '2026-11-23T09:59:58.000000000Z api-0/api | FATAL no such column',
  new_good: '2026-11-23T10:00:07.500000000Z api-1/api | INFO request 2026-11-23T09:00:00Z',
  new_bad: '2026-11-23T10:00:08.000000000Z api-1/api | FATAL again',
  no_time: 'FATAL a line that no source stamped',
};
const clean = Expectation.parse({
  pattern: 'FATAL',
  op: 'none',
  control_pattern: 'INFO',
  fresh_lines: true,
});
const some = Expectation.parse({ pattern: 'INFO', op: 'some', fresh_lines: true });

describe('fresh_lines', () => {
  it.each([
    ['only what is newer and good', clean, ['old_bad', 'new_good'], 'passed'],
    ['something newer is bad', clean, ['new_good', 'new_bad'], 'failed'],
    ['a stale source: nothing newer at all', clean, ['old_bad', 'old_good'], 'unknown'],
    ['an empty source', clean, [], 'unknown'],
    ['lines without a time count for nothing', clean, ['no_time'], 'unknown'],
    ['something newer was found', some, ['new_good'], 'passed'],
    ['something newer was seen, and it is another', some, ['new_bad'], 'failed'],
    ['found, but older than the change', some, ['old_good'], 'unknown'],
    ['nothing to find it in', some, [], 'unknown'],
  ] as const)('%s', (_name, expectation, names, status) => {
    const lines = names.map((name) => LINES[name]);
    expect(evaluateExpectation(lines, expectation, CHANGED_MS).status).toBe(status);
  });

  it('says nothing about a hypothesis, which has no change', () => {
    expect(evaluateExpectation([LINES.old_bad], clean, null)).toMatchObject({
      status: 'failed',
      lines: { first: 1, last: 1 },
    });
  });

  it('keeps the numbers of the lines in the file', () => {
    const lines = [LINES.old_bad, LINES.old_good, LINES.new_bad];
    expect(evaluateExpectation(lines, clean, CHANGED_MS).lines).toEqual({ first: 3, last: 3 });
  });

  it('goes with a pattern only', () => {
    expect(Expectation.safeParse({ select: 'a', op: 'eq', value: 1, fresh_lines: true }).success).toBe(false);
  });
});
