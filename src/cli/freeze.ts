import { userInfo } from 'node:os';
import { nearest } from '../config-issue.ts';
import { ConfigError } from '../config.ts';
import { isoTime } from '../contract/ports.ts';
import type { Settings } from '../contract/settings.ts';
import { systemClock, systemIds } from '../system-ports.ts';
import { withContext } from './context.ts';
import type { CliContext } from './context.ts';
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
  const until_ms = o.until === undefined ? null : untilOf(o.until);
  await withStore(options, async ({ store, config }) => {
    const note = placeNote(scope, config.settings);
    await store.freezes.set({ freeze_id: systemIds.next('frz'), scope, reason, by: localUser(), until_ms });
    const end = until_ms === null ? 'until it is lifted' : `until ${isoTime(until_ms)}`;
    print(
      options,
      { frozen: scope, until: until_ms === null ? null : isoTime(until_ms) },
      `${scope === '*' ? 'Everything' : scope} is frozen ${end}. Nothing more is dispatched there.${note}`,
    );
  });
}

export async function unfreeze(options: GlobalOptions, scope: string, reason: string): Promise<void> {
  checkScope(scope);
  await withStore(options, async ({ store }) => {
    const lifted = await store.freezes.lift(scope, localUser(), reason);
    if (lifted === 0)
      throw new CliError(`${scope} is not frozen by a command; look for a file FREEZE in the home directory`);
    print(options, { lifted }, `${scope} is no longer frozen.`);
  });
}

/** A configuration that cannot be read must not keep anybody from stopping: there is a way without it. */
async function withStore(
  options: GlobalOptions,
  work: (context: CliContext) => Promise<void>,
): Promise<void> {
  try {
    await withContext(options, 'write', work);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new CliError(
      `${error.message}\nTo stop every write right now, without a configuration: create a file named FREEZE in the home directory (AEGIS_HOME, default ./.aegis).`,
    );
  }
}

function untilOf(text: string): number {
  const until_ms = Date.parse(text);
  if (Number.isNaN(until_ms))
    throw new CliError(`--until ${text} is not a time; write it like 2026-11-23T18:00:00Z`, EXIT.usage);
  if (until_ms <= systemClock.now())
    throw new CliError(`--until ${text} is in the past; nothing was frozen`, EXIT.usage);
  return until_ms;
}

/** A mistyped team would freeze nothing and look as if it had. A service may be one that only alerts name. */
function placeNote(scope: string, settings: Settings): string {
  const [team = '*', env, service] = scope.split('/');
  if (team === '*') return '';
  const environments = settings.teams[team]?.environments;
  if (environments === undefined) throw unknownPlace('team', team, Object.keys(settings.teams));
  if (env !== undefined && !Object.hasOwn(environments, env))
    throw unknownPlace(`environment of ${team}`, env, Object.keys(environments));
  const listed = settings.services.some((s) => s.team === team && s.env === env && s.name === service);
  return service === undefined || listed ? '' : ` (aegis.yaml lists no service "${service}" there.)`;
}

function unknownPlace(what: string, name: string, known: readonly string[]): CliError {
  const near = nearest(name, known);
  return new CliError(
    `there is no ${what} "${name}"${near === null ? '' : `; did you mean "${near}"?`} Nothing was frozen. Known: ${known.join(', ')}`,
    EXIT.usage,
  );
}

/** Who acts at this terminal, for the ledger. In a container the account may have no name. */
export function localUser(): string {
  try {
    return `cli:${userInfo().username}`;
  } catch {
    return `cli:uid-${process.getuid?.() ?? 'unknown'}`;
  }
}

function checkScope(scope: string): void {
  if (!SCOPE.test(scope))
    throw new CliError(`"${scope}" is not a scope; use "*", team, team/env or team/env/service`, EXIT.usage);
}
