import type { Gate } from './gate.ts';
import { passed, refused } from './gate.ts';

/** Share of the calls that is kept for the action, its verification and an undo. */
const RESERVE_CALLS = 10;

export const budgetGate: Gate = {
  gate: 'budget',
  title: 'Budget',
  check({ calls_used, incident }) {
    const max = incident.budget.tool_calls_max + RESERVE_CALLS;
    if (calls_used >= max)
      return refused(
        `${calls_used} of ${max} calls are used, also the reserve for verification.`,
        'Take it over by hand.',
      );
    return passed(`${calls_used} of ${incident.budget.tool_calls_max} calls, ${RESERVE_CALLS} in reserve`);
  },
};
