import { expect } from 'vitest';
import { isRefusal } from '../../src/contract/verdict.ts';
import type { execute } from '../gateway/approved-plan.ts';
import type { Stage } from '../gateway/stage.ts';

export type Attempt = () => ReturnType<typeof execute>;

/** Requests that could change something; a dry run cannot. */
export function mutatingRequestsOf(stage: Stage): number {
  return stage.kubernetes.requests().filter(({ method, dry_run }) => method !== 'GET' && !dry_run).length;
}

/** No mutating request reached the cluster, the answer is a refusal with its sentence and its next step, and the ledger holds it. */
export async function refusedWrite(
  stage: Stage,
  code: string,
  attempt: Attempt,
  chain: string,
): Promise<void> {
  const before = mutatingRequestsOf(stage);
  const answer = await attempt();
  expect(mutatingRequestsOf(stage)).toBe(before);
  if (!isRefusal(answer)) return expect(answer.outcome.status).toBe(code);
  expect(answer.code).toBe(code);
  expect(answer.reason).toMatch(/^\S.{15,}\.$/s);
  expect(answer.remedy).toMatch(/^\S.{5,}\.$/s);
  const chains = await Promise.all(
    [chain, 'SYSTEM'].map((name) => stage.store.ledger.read(name, { kinds: ['refusal'] })),
  );
  const { reason, remedy } = answer;
  expect(chains.flat().map((entry) => entry.payload)).toContainEqual(
    expect.objectContaining({ code, reason, remedy }),
  );
}
