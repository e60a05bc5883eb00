import type { Gate } from './gate.ts';
import { passed, refused } from './gate.ts';

/** No other incident holds the object; whoever comes second at the very same moment is refused the permit. */
export const targetLockGate: Gate = {
  gate: 'target-lock',
  title: 'Nobody else changes the target',
  check({ plan, locks }) {
    const locked = plan.actions.find((a) => locks.has(a.target));
    if (locked === undefined) return passed('free');
    return refused(
      `${locks.get(locked.target)} is changing ${locked.target} right now.`,
      'Wait until that incident is closed, then press Resume.',
    );
  },
};
