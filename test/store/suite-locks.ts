import { describe, expect, it } from 'vitest';
import { entry, INC, permit, START_MS, step } from './samples.ts';
import { useBench } from './store-place.ts';
import type { Bench, MakePlace } from './store-place.ts';

const OTHER = 'INC-2026-1123-002';
const A = 'mcp://k8s/main/spark/deployment/a';
const B = 'mcp://k8s/main/spark/deployment/b';
const LEASE_MS = 600_000;

let permits = 100;

/** As the harness mints: the permit takes the targets with it. */
function mint(bench: Bench, incident_id: string, targets: readonly string[], store = bench.store) {
  permits += 1;
  return store.journal.mintPermit(permit(permits, { incident_id }), entry({ minted: permits }), targets);
}

const held = async (bench: Bench): Promise<unknown> =>
  (await bench.store.locks.held()).map(({ target, incident_id }) => [target, incident_id]);

export function describeLocks(make: MakePlace): void {
  describe('locks of targets', () => {
    const bench = useBench(make);

    it('come with the permit; another incident is refused, and nothing of its permit is written', async () => {
      expect(await mint(bench, INC, [A])).toBe('minted');
      const refused = await mint(bench, OTHER, [B, A]);
      expect(refused).toMatchObject({
        code: 'target-locked',
        reason: expect.stringContaining(`${INC} is changing ${A}`),
      });
      expect(await bench.store.journal.permit(`permit_${permits}`)).toBeNull();
      expect(await bench.store.ledger.count(OTHER, ['event'])).toBe(0);
      expect(await held(bench)).toEqual([[A, INC]]);
      expect(await mint(bench, INC, [A])).toBe('minted');
    });

    it('of two stores at the very same moment exactly one gets it', async () => {
      const second = await bench.another();
      const answers = await Promise.all([mint(bench, INC, [A]), mint(bench, OTHER, [A], second)]);
      expect(answers.filter((answer) => answer === 'minted')).toHaveLength(1);
    });

    it('survive a restart and end with their lease', async () => {
      await mint(bench, INC, [A]);
      await bench.restart();
      bench.clock.at = START_MS + LEASE_MS - 1;
      expect(await mint(bench, OTHER, [A])).toMatchObject({ code: 'target-locked' });
      bench.clock.at = START_MS + LEASE_MS;
      expect(await held(bench)).toEqual([]);
      expect(await mint(bench, OTHER, [A])).toBe('minted');
    });

    it('are prolonged and given back by the steps of their incident alone', async () => {
      await mint(bench, INC, [A]);
      await bench.store.step.commit(step(0, { locks: 'keep' }));
      bench.clock.at = START_MS + LEASE_MS - 1;
      await bench.store.step.commit(step(1, { locks: 'renew' }));
      await bench.store.step.commit(step(0, { incident_id: OTHER, locks: 'release' }));
      bench.clock.at = START_MS + LEASE_MS + 1000;
      expect(await held(bench)).toEqual([[A, INC]]);
      await bench.store.step.commit(step(2, { locks: 'release' }));
      expect(await held(bench)).toEqual([]);
    });

    it('of an incident whose checks take long are prolonged without a step; of one that waits they are not', async () => {
      await mint(bench, INC, [A]);
      await mint(bench, OTHER, [B]);
      const row = step(0).row;
      await bench.store.step.commit(step(0, { row: { ...row, state: 'VERIFYING' } }));
      const other = step(0, { incident_id: OTHER }).row;
      await bench.store.step.commit(step(0, { incident_id: OTHER, row: { ...other, state: 'HALTED' } }));
      bench.clock.at = START_MS + LEASE_MS - 1;
      await bench.store.locks.renew();
      bench.clock.at = START_MS + LEASE_MS + 1000;
      expect(await held(bench)).toEqual([[A, INC]]);
    });

    it('that ran out and belong to somebody else are not taken back by prolonging', async () => {
      await mint(bench, INC, [A]);
      await bench.store.step.commit(step(0, { row: { ...step(0).row, state: 'EXECUTING' } }));
      bench.clock.at = START_MS + LEASE_MS;
      await mint(bench, OTHER, [A]);
      await bench.store.locks.renew();
      expect(await held(bench)).toEqual([[A, OTHER]]);
      expect(await mint(bench, INC, [A])).toMatchObject({ code: 'target-locked' });
    });
  });
}
