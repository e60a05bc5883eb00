import type { Gate } from './gate.ts';
import { passed, refused } from './gate.ts';

/** Share of the calls that is kept for the action, its verification and an undo. */
const RESERVE_CALLS = 10;

export const budgetGate: Gate = {
  gate: 'budget',
  title: 'Budget',
  check({ calls_used, incident, rounds }) {
    const granted = incident.budget.tool_calls_max * rounds;
    const max = granted + RESERVE_CALLS;
    if (calls_used >= max)
      return refused(
        `${calls_used} of ${max} calls are used, also the reserve for verification.`,
        'Press Resume to give it another round.',
      );
    return passed(`${calls_used} of ${granted} calls, ${RESERVE_CALLS} in reserve`);
  },
};
