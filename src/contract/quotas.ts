import { z } from 'zod';
import { Name } from './scope.ts';

/**
 * How often a team may call in an environment, by class of tool; previews count as reads. In aegis.yaml and not among
 * the policies: a number that somebody tunes during an incident must not void the approvals of that incident.
 */
export const Quota = z.strictObject({
  team: z.union([Name, z.literal('*')]).default('*'),
  env: z.union([Name, z.literal('*')]).default('*'),
  class: z.enum(['read', 'write']),
  /** Calls a second in the long run. */
  per_second: z.number().positive().max(100_000),
  /** Calls at once after a pause. */
  burst: z.int().min(1).max(1_000_000),
  /** Calls of one UTC day, counted over restarts and processes; left out: as many as the rate allows. */
  per_day: z.int().min(1).max(1_000_000_000).optional(),
});
export type Quota = z.infer<typeof Quota>;

/** What holds where no row of aegis.yaml says otherwise. */
export const DEFAULT_QUOTAS: readonly Quota[] = [
  { team: '*', env: '*', class: 'read', per_second: 1000, burst: 2000 },
  { team: '*', env: '*', class: 'write', per_second: 1, burst: 20 },
];

/** The first row that matches wins, the defaults come last. Pure. */
export function quotaOf(
  quotas: readonly Quota[],
  place: { readonly team: string; readonly env: string; readonly lane: Quota['class'] },
): Quota {
  const matches = (quota: Quota): boolean =>
    quota.class === place.lane &&
    (quota.team === '*' || quota.team === place.team) &&
    (quota.env === '*' || quota.env === place.env);
  return [...quotas, ...DEFAULT_QUOTAS].find(matches) as Quota;
}
