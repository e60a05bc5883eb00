import { defineConfig } from 'vitest/config';
import { BaseSequencer } from 'vitest/node';
import type { TestSpecification } from 'vitest/node';

// Two suites: `fast` runs on every change (under 3 minutes on 2 cores), `deep` holds kill points, storms, large
// properties and drivers against real programs (under 8 minutes). A test file is deep when its name ends in
// `.deep.test.ts`, or when it is one of these, whose names people know.
const DEEP = [
  'test/**/*.deep.test.ts',
  'test/gateway/crash.test.ts',
  'test/gateway/lease-crash.test.ts',
  'test/harness/crash.test.ts',
];

// The longest files, longest first. Begun last, one of them would run alone at the end, with a core idle beside it.
const LONGEST = [
  'scenarios/rollback-crash.deep',
  'scenarios/crash.deep',
  'harness/explore.deep',
  'scenarios/bad-deploy',
  'scenarios/faults.deep',
  'gateway/crash',
  'slack/outbox.deep',
  'kill/toy.deep',
  'scenarios/',
  'attacks/approvals',
  'cli/doctor',
];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => {
      const at = LONGEST.findIndex((part) => moduleId.includes(`/test/${part}`));
      return at === -1 ? LONGEST.length : at;
    };
    return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b));
  }
}

export default defineConfig({
  test: {
    // Patience, not a promise: a slow machine under load must not turn a test red.
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // Most of a scenario's time is waiting; vitest alone would use one worker on two cores.
    maxWorkers: 3,
    sequence: { sequencer: LongestFirst },
    // In CI a test that fails is tried once more, and the report says so (`retry x1`): most of these talk to real processes on
    // a machine that is not ours alone. At a desk a red test stays red.
    retry: process.env['CI'] === undefined ? 0 : 1,
    globalSetup: ['test/built-product.ts'],
    projects: [
      // Files share a worker's modules: loading them anew for each costs a fifth of the time.
      {
        extends: true,
        test: { name: 'fast', include: ['test/**/*.test.ts'], exclude: DEEP, isolate: false },
      },
      { extends: true, test: { name: 'deep', include: DEEP, testTimeout: 180_000 } },
    ],
  },
});
