import { defineConfig } from 'vitest/config';

// Two suites: `fast` runs on every change (under 3 minutes on 2 cores), `deep` holds kill points, storms and large
// properties (under 8 minutes). A test file is deep when its name ends in `.deep.test.ts`.
export default defineConfig({
  test: {
    testTimeout: 20_000,
    hookTimeout: 60_000,
    // Most of a scenario's time is waiting; vitest alone would use one worker on two cores.
    maxWorkers: 3,
    globalSetup: ['test/built-product.ts'],
    projects: [
      { extends: true, test: { name: 'fast', include: ['test/**/*.test.ts'], exclude: ['test/**/*.deep.test.ts'] } },
      { extends: true, test: { name: 'deep', include: ['test/**/*.deep.test.ts'], testTimeout: 180_000 } },
    ],
  },
});
