import { describe } from 'vitest';
import type { MakePlace } from './store-place.ts';
import { describeAuthority } from './suite-authority.ts';
import { describeJournal } from './suite-journal.ts';
import { describeLedger } from './suite-ledger.ts';
import { describeLocks } from './suite-locks.ts';
import { describeQueues } from './suite-queues.ts';
import { describeStep } from './suite-step.ts';
import { describeTogether } from './suite-together.ts';

/** Everything that any adapter of the store must do; the SQLite one is the first that is held to it. */
export function describeStore(name: string, make: MakePlace): void {
  describe(name, () => {
    describeStep(make);
    describeLedger(make);
    describeJournal(make);
    describeLocks(make);
    describeQueues(make);
    describeAuthority(make);
    describeTogether(make);
  });
}
