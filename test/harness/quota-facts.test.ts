import { describe, expect, it } from 'vitest';
import { quotaFactsOf } from '../../src/harness/quota-facts.ts';

describe('quota facts', () => {
  it('reads the tightest quota, limits before requests', () => {
    const quotas = [
      {
        name: 'wide',
        hard: { 'limits.memory': '64Gi', 'limits.cpu': '32' },
        used: { 'limits.memory': '4Gi', 'limits.cpu': '2' },
      },
      {
        name: 'tight',
        hard: { 'limits.memory': '8Gi', 'requests.memory': '4Gi', 'requests.cpu': '4' },
        used: { 'limits.memory': '6Gi', 'requests.cpu': '1500m' },
      },
    ];
    expect(quotaFactsOf(quotas)).toEqual({
      hard_memory_bytes: 8 * 2 ** 30,
      used_memory_bytes: 6 * 2 ** 30,
      hard_cpu_millis: 4000,
      used_cpu_millis: 1500,
    });
  });

  it('is unknown without a quota, or with one that limits neither', () => {
    expect(quotaFactsOf(undefined)).toBeNull();
    expect(quotaFactsOf([{ name: 'pods', hard: { pods: '10' }, used: {} }])).toBeNull();
  });
});
