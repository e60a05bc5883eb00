import type { Preview } from '../../../contract/tool.ts';

/** What an object asks of its namespace's quota. */
export interface Demand {
  readonly memory_bytes: number;
  readonly cpu_millis: number;
}

/** The demand before and after a change; null when either cannot be told. */
export function resourceChange(
  before: unknown,
  after: unknown,
  demand: (object: unknown) => Demand | null,
): Preview['resources'] {
  const was = demand(before);
  const will = demand(after);
  if (was === null || will === null) return null;
  return {
    memory_bytes_before: was.memory_bytes,
    memory_bytes_after: will.memory_bytes,
    cpu_millis_before: was.cpu_millis,
    cpu_millis_after: will.cpu_millis,
  };
}
