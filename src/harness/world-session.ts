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

/**
 * Why somebody reads. `investigate` pays from the incident's budget; `verify` has a reserve of its own, since it polls
 * for as long as a check may take; `look` is a person opening a dialog: audited in that person's name, charged to nobody.
 */
export type ReadPurpose =
  { readonly purpose: 'investigate' | 'verify' } | { readonly purpose: 'look'; readonly principal: string };

/** Runs `work` with a World of the incident and revokes the token afterwards. */
export async function withWorld<T>(
  deps: HarnessDeps,
  context: MachineContext,
  reader: ReadPurpose,
  work: (read: ReadSession) => Promise<T>,
): Promise<T> {
  const incident = incidentOf(context);
  const { token, token_id, payer } = await mintToken(
    deps,
    context,
    'read',
    reader.purpose === 'look' ? reader.principal : null,
  );
  const session: VfsSession = {
    incident_id: incident.incident_id,
    team: incident.scope.team,
    env: incident.scope.env,
    opened_at_ms: Date.parse(incident.opened_at),
    token,
    purpose: reader.purpose,
    ...(payer === null ? {} : { payer }),
    budget: reader.purpose === 'investigate' ? readBudget(incident.budget, context.rounds) : RESERVE_BUDGET,
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
/** Reads kept back for the gates. */
const RESERVE_READS = 20;
/** Verification and people who look: bounded, but not by what the investigation has used. */
const RESERVE: VfsSession['budget']['round'] = {
  fragments_max: 2000,
  bytes_max: 256 * 1_048_576,
  tokens_max: 100_000_000,
};
const RESERVE_BUDGET: VfsSession['budget'] = {
  round: RESERVE,
  incident: { ...RESERVE, fragments_max: 20_000 },
};

/** The VFS budget of an incident from its configured budget. */
function readBudget(budget: Budget, rounds: number): VfsSession['budget'] {
  const fragments_max = budget.tool_calls_max * rounds + RESERVE_READS;
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
    code === 'redaction-unavailable' ||
    code === 'breaker-open' ||
    code === 'rate-limited' ||
    code === 'queue-full'
  );
}
