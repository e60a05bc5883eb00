import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Service } from '../../src/contract/settings.ts';
import { ACTION_CLASSES } from '../../src/contract/tool.ts';
import { betaCdf, betaQuantile, failureLikelihood } from '../../src/risk/beta.ts';
import { assessRisk } from '../../src/risk/envelope.ts';
import { buildTopology, transitiveDependants } from '../../src/risk/topology.ts';
import { input, JOB, planOf, service } from './fixtures.ts';

const tier = fc.constantFrom('tier1', 'tier2', 'tier3');

/** A catalog around the job: any edges, cycles and unknown names included. */
const catalog = fc
  .array(fc.record({ tier, edges: fc.array(fc.integer({ min: -1, max: 12 }), { maxLength: 4 }) }), {
    maxLength: 10,
  })
  .map((rows) => {
    const name = (i: number) => (i === -1 ? 'nightly-settlement' : `svc-${i}`);
    const others = rows.map((row, i) =>
      service(name(i), { tier: row.tier, depends_on: row.edges.map(name) }),
    );
    return [JOB, ...others];
  });

describe('blast radius', () => {
  it('stays within 0..1 and every number of the envelope within its bounds', () => {
    fc.assert(
      fc.property(
        catalog,
        fc.constantFrom(...ACTION_CLASSES),
        fc.nat(50),
        fc.nat(50),
        (services, action_class, succeeded, failed) => {
          const envelope = assessRisk(
            input({ services, plan: planOf(action_class), history: { succeeded, failed } }),
          );
          const { mean, low, high, n } = envelope.counterfactual_impact.failure_likelihood;
          expect(envelope.blast_radius_score).toBeGreaterThanOrEqual(0);
          expect(envelope.blast_radius_score).toBeLessThanOrEqual(1);
          expect(low).toBeLessThanOrEqual(mean);
          expect(mean).toBeLessThanOrEqual(high);
          expect(n).toBe(succeeded + failed);
          expect(envelope.confidence).toBeGreaterThan(0);
        },
      ),
    );
  });

  it('never falls when one more service depends on the target', () => {
    fc.assert(
      fc.property(catalog, tier, (services, new_tier) => {
        const grown: Service[] = [
          ...services,
          service('one-more', { tier: new_tier, depends_on: ['nightly-settlement'] }),
        ];
        const before = assessRisk(input({ services })).blast_radius_score;
        expect(assessRisk(input({ services: grown })).blast_radius_score).toBeGreaterThanOrEqual(before);
      }),
    );
  });

  it('never falls when an edge is added, when the class rises or when the quota shrinks', () => {
    fc.assert(
      fc.property(catalog, fc.nat(9), fc.integer({ min: 1, max: 40 }), (services, index, gib) => {
        const joined = services.map((s, i) =>
          i === index + 1 ? { ...s, depends_on: [...s.depends_on, 'nightly-settlement'] } : s,
        );
        const score = (change: Parameters<typeof input>[0]) => assessRisk(input(change)).blast_radius_score;
        expect(score({ services: joined })).toBeGreaterThanOrEqual(score({ services }));
        const by_class = ACTION_CLASSES.map((c) => score({ services, plan: planOf(c) }));
        expect(by_class).toEqual([...by_class].sort((a, b) => a - b));
        const quota = (hard: number) => ({
          hard_memory_bytes: hard * 2 ** 30,
          used_memory_bytes: 2 ** 30,
          hard_cpu_millis: 64_000,
          used_cpu_millis: 0,
        });
        expect(score({ services, quota: quota(gib) })).toBeGreaterThanOrEqual(
          score({ services, quota: quota(gib + 1) }),
        );
      }),
    );
  });

  it('is zero for a plan that only reads', () => {
    expect(assessRisk(input({ plan: planOf('read') })).blast_radius_score).toBe(0);
  });
});

describe('topology', () => {
  it('ends on cycles and never names a service as its own dependant', () => {
    const ring = ['a', 'b', 'c'].map((name, i, all) =>
      service(name, { depends_on: [all[(i + 1) % 3] as string, name] }),
    );
    const found = transitiveDependants(buildTopology(ring), [ring[0] as Service]);
    expect(found.map((d) => [d.service.name, d.hops])).toEqual([
      ['c', 1],
      ['b', 2],
    ]);
  });

  it('takes 5,000 services in a chain', () => {
    const chain = Array.from({ length: 5000 }, (_, i) =>
      service(`s${i}`, { depends_on: i === 0 ? [] : [`s${i - 1}`] }),
    );
    expect(transitiveDependants(buildTopology(chain), [chain[0] as Service])).toHaveLength(4999);
  });
});

describe('failure likelihood', () => {
  it('starts from the documented prior and follows the cases', () => {
    expect(failureLikelihood({ succeeded: 0, failed: 0 })).toEqual({
      mean: 0.167,
      low: 0.01,
      high: 0.451,
      n: 0,
    });
    expect(failureLikelihood({ succeeded: 40, failed: 0 }).high).toBeLessThan(0.1);
    expect(failureLikelihood({ succeeded: 0, failed: 10 }).low).toBeGreaterThan(0.4);
  });

  it('has a distribution function that rises from 0 to 1 and an inverse that undoes it', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 200 }),
        fc.integer({ min: 1, max: 200 }),
        fc.double({ min: 0.01, max: 0.99, noNaN: true }),
        (a, b, p) => {
          expect(betaCdf(betaQuantile(p, a, b), a, b)).toBeCloseTo(p, 6);
        },
      ),
      { numRuns: 50 },
    );
    // Beta(1, 5) has the closed form 1 - (1 - x)^5.
    expect(betaCdf(0.2, 1, 5)).toBeCloseTo(1 - 0.8 ** 5, 12);
    expect(failureLikelihood({ succeeded: 1_000_000, failed: 0 }).mean).toBeLessThan(0.01);
  });
});
