import type { IncidentContext } from '../contract/incident.ts';
import type { Findings } from '../contract/plan.ts';
import type { World } from '../contract/world.ts';
import { investigate } from './investigator.ts';
import { plan, type PlanResult } from './planner.ts';

/**
 * L3, cognition: what an incident may mean and what could be done about it. It reads through the World port and returns
 * findings and drafts; it may not execute, approve, classify or keep anything, because it may be wrong or may have been
 * talked into something by a log line. It imports the contract only, so it runs equally in process, in a worker or in
 * a child process with an empty environment (`serve-world.ts`).
 */
export interface Cognition {
  /** Read-only; an inconclusive answer is a good answer. @throws when aborted or when the World faults. */
  readonly investigate: (world: World, incident: IncidentContext, signal?: AbortSignal) => Promise<Findings>;
  /** A typed draft for the proven cause, or the reason why there is none. */
  readonly plan: (
    world: World,
    incident: IncidentContext,
    findings: Findings,
    signal?: AbortSignal,
  ) => Promise<PlanResult>;
}

/** Cognition without a language model: the skill library alone. */
export function skillCognition(): Cognition {
  return { investigate, plan };
}
