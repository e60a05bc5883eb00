import { userInfo } from 'node:os';
import { systemIds } from '../system-ports.ts';
import { withContext } from './context.ts';
import type { GlobalOptions } from './output.ts';
import { CliError, EXIT, print } from './output.ts';

/** `*`, team, team/env or team/env/service. */
const SCOPE = /^(\*|[a-z0-9][a-z0-9._-]*(\/[a-z0-9][a-z0-9._-]*){0,2})$/;

/** One step, one person, no model, no Vault, no Slack: it writes the row that every dispatch reads. */
export async function freeze(
  options: GlobalOptions,
  scope: string,
  reason: string,
  o: { until?: string },
): Promise<void> {
  checkScope(scope);
  const until_ms = o.until === undefined ? null : Date.parse(o.until);
  if (Number.isNaN(until_ms))
    throw new CliError(`--until ${o.until} is not a time; write it like 2026-11-23T18:00:00Z`, EXIT.usage);
  await withContext(options, 'write', async ({ store }) => {
    await store.freezes.set({ freeze_id: systemIds.next('frz'), scope, reason, by: localUser(), until_ms });
    print(
      options,
      { frozen: scope, until: o.until ?? null },
      `${scope === '*' ? 'Everything' : scope} is frozen${o.until === undefined ? ' until it is lifted' : ` until ${o.until}`}. Nothing more is dispatched there.`,
    );
  });
}

export async function unfreeze(options: GlobalOptions, scope: string, reason: string): Promise<void> {
  checkScope(scope);
  await withContext(options, 'write', async ({ store }) => {
    const lifted = await store.freezes.lift(scope, localUser(), reason);
    if (lifted === 0)
      throw new CliError(`${scope} is not frozen by a command; look for a file FREEZE in the home directory`);
    print(options, { lifted }, `${scope} is no longer frozen.`);
  });
}

/** Who acts at this terminal, for the ledger. */
export function localUser(): string {
  return `cli:${userInfo().username}`;
}

function checkScope(scope: string): void {
  if (!SCOPE.test(scope))
    throw new CliError(`"${scope}" is not a scope; use "*", team, team/env or team/env/service`, EXIT.usage);
}
