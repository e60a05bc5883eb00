import type { Cognition } from '../cognition/cognition.ts';
import type { Payer } from '../contract/budgets.ts';
import type { LedgerEntry } from '../contract/ledger.ts';
import { isoTime } from '../contract/ports.ts';
import type { Clock, Ids, Log } from '../contract/ports.ts';
import type { Environment, Settings } from '../contract/settings.ts';
import type { Gateway } from '../gateway/gateway.ts';
import type { Store } from '../store/store.ts';
import type { Vfs } from '../vfs/vfs.ts';
import { payerOf } from './budget-accounts.ts';
import { incidentOf } from './state.ts';
import type { MachineContext } from './state.ts';

/** What the harness is given. It reaches Slack and evolution only through the two injected functions. */
export interface HarnessDeps {
  readonly store: Store;
  readonly gateway: Gateway;
  readonly vfs: Vfs;
  readonly cognition: Cognition;
  readonly settings: Settings;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Log;
  /** Called after each commit that put cards: the outbox may go to work at once. */
  readonly notify: () => void;
  /** Drafts the postmortem from the ledger. */
  readonly review: (entries: readonly LedgerEntry[]) => { title: string; markdown: string };
}

/** The configured environment of an incident. @throws when the configuration no longer has it. */
export function environmentOf(settings: Settings, place: { team: string; env: string }): Environment {
  const found = settings.teams[place.team]?.environments[place.env];
  if (found === undefined)
    throw new Error(
      `aegis.yaml has no environment ${place.team}/${place.env} any more; put it back to go on with its incidents`,
    );
  return found;
}

/** Lifetime of the tokens that the harness mints for one effect, milliseconds. */
const TOKEN_TTL_MS = 2 * 3_600_000;

/**
 * A gateway token for one effect of one incident: scope, class and incident come from it, never from arguments. With a
 * `looker` it is for a person who opens a dialog: audited in that person's name and outside the incident's chain, so
 * that looking never uses up the incident's budget.
 */
export async function mintToken(
  deps: HarnessDeps,
  context: MachineContext,
  action_class: 'read' | 'write',
  looker: string | null = null,
): Promise<{ token: string; token_id: string; payer: Payer | null }> {
  const incident = incidentOf(context);
  const payer = looker === null ? payerOf(context, isoTime(deps.clock.now())) : null;
  const token = `agt_${deps.ids.secret(32)}`;
  const token_id = deps.ids.next('tok');
  await deps.store.tokens.mint(
    {
      token_id,
      principal: looker ?? 'aegis',
      incident_id: looker === null ? incident.incident_id : null,
      team: incident.scope.team,
      env: incident.scope.env,
      action_class,
      expires_at_ms: deps.clock.now() + TOKEN_TTL_MS,
      ...(payer === null ? {} : { pays: payer }),
    },
    token,
  );
  return { token, token_id, payer: payer === null ? null : { ...payer, attempt: token_id } };
}
