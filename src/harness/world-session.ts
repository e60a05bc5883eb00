import type { Budget } from '../contract/incident.ts';
import type { World, WorldRequest, WorldResponse } from '../contract/world.ts';
import type { VfsSession } from '../vfs/session.ts';
import type { Vfs } from '../vfs/vfs.ts';
import { mintToken } from './deps.ts';
import type { HarnessDeps } from './deps.ts';
import { incidentOf } from './state.ts';
import type { MachineContext } from './state.ts';

/** A read session of one effect: its token dies with it. */
export interface ReadSession {
  readonly session: VfsSession;
  readonly vfs: Vfs;
  readonly world: World;
  /** First refusal that said a source did not answer: the effect is then tried again instead of giving up. */
  readonly unreachable: () => string | null;
}

/** Runs `work` with a World of the incident and revokes the token afterwards. */
export async function withWorld<T>(
  deps: HarnessDeps,
  context: MachineContext,
  work: (read: ReadSession) => Promise<T>,
): Promise<T> {
  const incident = incidentOf(context);
  const { token, token_id } = await mintToken(deps, context, 'read');
  const session: VfsSession = {
    incident_id: incident.incident_id,
    team: incident.scope.team,
    env: incident.scope.env,
    opened_at_ms: Date.parse(incident.opened_at),
    token,
    budget: readBudget(incident.budget),
  };
  let unreachable: string | null = null;
  const inner = deps.vfs.world(session);
  const world: World = {
    async call(request: WorldRequest, signal?: AbortSignal): Promise<WorldResponse> {
      const response = await inner.call(request, signal);
      if (!response.ok && isOutage(response.refusal.code)) unreachable ??= response.refusal.reason;
      return response;
    },
  };
  try {
    return await work({ session, vfs: deps.vfs, world, unreachable: () => unreachable });
  } finally {
    await deps.store.tokens.revoke(token_id);
  }
}

/** Bytes of captured files that one incident may read; a round may take half. */
const INCIDENT_BYTES_MAX = 32 * 1_048_576;
/** Reads kept back for the gates, the verification and an undo. */
const RESERVE_READS = 20;

/** The VFS budget of an incident from its configured budget. Verification polls, so it has a reserve of its own. */
function readBudget(budget: Budget): VfsSession['budget'] {
  const fragments_max = budget.tool_calls_max + RESERVE_READS;
  return {
    round: { fragments_max, bytes_max: INCIDENT_BYTES_MAX / 2, tokens_max: budget.tokens_max },
    incident: {
      fragments_max: fragments_max * 4,
      bytes_max: INCIDENT_BYTES_MAX,
      tokens_max: budget.tokens_max * 4,
    },
  };
}

/** Refusals that mean "not now", as opposed to "not you" or "no such thing". */
export function isOutage(code: string): boolean {
  return (
    code.startsWith('upstream-') ||
    code.startsWith('credential-') ||
    code === 'breaker-open' ||
    code === 'queue-full'
  );
}
