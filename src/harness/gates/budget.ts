import { amountWords, tightestShared } from '../budget-accounts.ts';
import type { Gate } from './gate.ts';
import { passed, refused } from './gate.ts';

/** What a change needs at least: its gates once more, its dry run, the write, one look at each check, and the undo. */
const RESERVE_LEFT_MIN = 30;

/**
 * Nothing is begun that could not be checked and put back. What the investigation has used is shown and stops nothing
 * here: the reserve is the plan's own, and no budget of a day counts for it.
 */
export const budgetGate: Gate = {
  gate: 'budget',
  title: 'Budget',
  check({ budgets }) {
    const calls = (whose: 'incident' | 'reserve'): { used: number; max: number } => {
      const line = budgets.find((b) => b.whose === whose);
      return { used: line?.spent.calls ?? 0, max: line?.max.calls ?? 0 };
    };
    const own = calls('incident');
    const reserve = calls('reserve');
    const held = amountWords('calls', reserve.used, reserve.max);
    if (reserve.max - reserve.used < RESERVE_LEFT_MIN)
      return refused(
        `${held} of this plan's reserve for the change, its checks and its undo are used; ${RESERVE_LEFT_MIN} must be left.`,
        'Press Resume to give it another round, or Plan again: a new plan has a reserve of its own.',
      );
    const shared = tightestShared(budgets);
    return passed(
      `${amountWords('calls', own.used, own.max)} used by the investigation; reserve for change, checks and undo: ${held}${shared === null ? '' : `; ${shared}`}.`,
    );
  },
};
