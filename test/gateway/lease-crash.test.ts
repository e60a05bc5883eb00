import { describe, expect, it } from 'vitest';
import { pointText } from '../kill/kill-plan.ts';
import { liveAndRecover, type Death, type LeasedEngine } from './lease-lives.ts';

/**
 * Killed in the middle of a lease and started again: nothing that was leased works any more. Each engine dies at its
 * worst moment here; `lease-crash.deep.test.ts` dies at every single one.
 */
const WORST: readonly (readonly [LeasedEngine, Exclude<Death, null>])[] = [
  // The child token exists and its row does not name it.
  ['vault_kubernetes', { op: 'leases.live', n: 2, when: 'before' }],
  ['vault_kubernetes', 'while it is minted'],
  ['vault_database', { op: 'tokens.list', n: 1, when: 'after' }],
  ['vault_aws', { op: 'leases.live', n: 2, when: 'after' }],
  ['kubernetes_token_request', { op: 'leases.live', n: 1, when: 'after' }],
  ['kubernetes_token_request', 'while it is minted'],
];

describe('a broker that is killed', () => {
  it.each(
    WORST.map(
      ([engine, death]) => [engine, typeof death === 'string' ? death : pointText(death), death] as const,
    ),
  )(
    '%s, %s: nothing that it leased works after the next start',
    async (engine, _where, death) => {
      expect((await liveAndRecover(engine, death)).killed).toBe(true);
    },
    180_000,
  );
});
