import { describe, expect, it } from 'vitest';
import { pointText } from './kill-plan.ts';
import type { KillPoint } from './kill-plan.ts';
import { liveToy } from './toy-lives.ts';

/** The places that matter most; `toy.deep.test.ts` dies at every single one. */
const SAMPLE: readonly { point: KillPoint; outcome: string; lines: number }[] = [
  { point: { op: 'inbox.append', n: 1, when: 'after' }, outcome: 'done', lines: 1 },
  { point: { op: 'step.commit', n: 1, when: 'after' }, outcome: 'done', lines: 1 },
  { point: { op: 'journal.accept', n: 1, when: 'after' }, outcome: 'done', lines: 1 },
  { point: { op: 'journal.dispatch', n: 1, when: 'after' }, outcome: 'outcome_unknown', lines: 0 },
  { point: { op: 'journal.finish', n: 1, when: 'before' }, outcome: 'done', lines: 1 },
  { point: { op: 'effects.finish', n: 1, when: 'after' }, outcome: 'done', lines: 1 },
  { point: { op: 'step.commit', n: 2, when: 'before' }, outcome: 'done', lines: 1 },
];

describe('the kill harness on a toy effect', () => {
  it('kills nobody without a plan and names every operation', async () => {
    const end = await liveToy([]);
    expect(end).toMatchObject({ deaths: 0, lines: ['INC-2026-1123-001#CHG-1#apply'], outcome: 'done' });
    expect(end.operations).toContain('journal.dispatch');
    expect(end.operations.at(-1)).toBe('close');
  });

  it('shows the second line of a toy that writes without the journal', async () => {
    const end = await liveToy([{ op: 'effects.finish', n: 1, when: 'before' }], 'careless');
    expect(end.lines).toHaveLength(2);
  });

  for (const { point, outcome, lines } of SAMPLE)
    it.concurrent(
      `after a kill ${pointText(point)}: ${lines === 1 ? 'one line' : 'no line'}, reported ${outcome}`,
      async () => {
        const end = await liveToy([point]);
        expect(end.deaths).toBe(1);
        expect(end.outcome).toBe(outcome);
        expect(end.lines).toHaveLength(lines);
      },
    );
});
