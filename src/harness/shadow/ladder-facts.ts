import { AUTONOMY_LEVELS } from '../../contract/incident.ts';
import type { Autonomy, IncidentContext } from '../../contract/incident.ts';
import { minLevel, SCORES_MAX, standingOf } from '../../contract/ladder.ts';
import type { Standing } from '../../contract/ladder.ts';
import type { Settings } from '../../contract/settings.ts';
import type { Score } from '../../contract/shadow.ts';
import type { Store } from '../../store/store.ts';
import { ladderOf } from './ladder.ts';
import type { LadderView, Place } from './ladder.ts';

/** The ladder as it stands now: the record from the store, the ceiling from configuration. */

type LadderDeps = { readonly store: Pick<Store, 'ladder'>; readonly settings: Settings };

/** Null when aegis.yaml does not have the environment any more. */
export async function ladderView(
  { store, settings }: LadderDeps,
  place: Place,
  more: readonly Score[] = [],
): Promise<LadderView | null> {
  const environment = settings.teams[place.team]?.environments[place.env];
  if (environment === undefined) return null;
  const scores = [...(await store.ladder.scores(place, SCORES_MAX)), ...more];
  return ladderOf(place, environment.autonomy, scores, await store.ladder.raises(place));
}

/**
 * An incident as it opens: what the ladder allows of the configured level, frozen, and the terms of its observation when
 * it is only shadowed.
 */
export async function underLadder(
  { store, settings }: LadderDeps,
  opened: IncidentContext,
): Promise<IncidentContext> {
  const place = placeOf(opened);
  const { cap } = await ladderStanding({ store }, place);
  const autonomy = minLevel(opened.autonomy, cap);
  const { quiet_s, watch_h } = settings.shadow;
  const repositories = repositoriesOf(settings, place);
  const terms = { quiet_s, watch_s: watch_h * 3600, ...(repositories.length === 0 ? {} : { repositories }) };
  const shadow = mayExecute(autonomy) ? {} : { shadow: terms };
  return { ...opened, autonomy, ...shadow };
}

export async function ladderStanding({ store }: Pick<LadderDeps, 'store'>, place: Place): Promise<Standing> {
  return standingOf(await store.ladder.scores(place, SCORES_MAX), await store.ladder.raises(place));
}

/** What the environment owns now; an incident keeps what it was at its opening. */
function repositoriesOf(settings: Settings, { team, env }: Place): string[] {
  const systems = settings.teams[team]?.environments[env]?.systems ?? [];
  return [...new Set(systems.filter(({ system }) => system === 'git').map(({ name }) => name))].sort();
}

export function placeOf({ scope }: Pick<IncidentContext, 'scope'>): Place {
  return { team: scope.team, env: scope.env, service: scope.service ?? '-' };
}

function mayExecute(level: Autonomy): boolean {
  return AUTONOMY_LEVELS.indexOf(level) >= AUTONOMY_LEVELS.indexOf('approve');
}
