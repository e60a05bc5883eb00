import { nearest } from '../config-issue.ts';
import { ladderView } from '../harness/shadow/ladder-facts.ts';
import { placeWords } from '../harness/shadow/ladder.ts';
import type { Place } from '../harness/shadow/ladder.ts';
import { shadowStatistics } from '../harness/shadow/statistics.ts';
import type { Statistics } from '../harness/shadow/statistics.ts';
import type { Score } from '../contract/shadow.ts';
import { withContext } from './context.ts';
import type { CliContext } from './context.ts';
import type { GlobalOptions } from './output.ts';
import { CliError, EXIT, print, table } from './output.ts';

/** Scores of one place that are looked through. */
const SCORES_MAX = 1000;

/** Where every service stands on the ladder, what the next step needs, and what each skill has shown so far. */
export async function ladder(options: GlobalOptions, wanted: string | undefined): Promise<void> {
  await withContext(options, 'read', async (context) => {
    const shown = [];
    for (const place of await placesOf(context, wanted)) {
      const view = await ladderView(dependencies(context), place);
      if (view === null) continue;
      const skills = skillRows(await context.store.ladder.scores(place, SCORES_MAX));
      const { from, to, ready, figures, configured, standing, line } = view;
      const level = { level: from, configured, cap: standing.cap, lowered: standing.lowered };
      shown.push({ place: placeWords(place), ...level, next: to, ready, figures, line, skills });
    }
    print(options, { ladder: shown }, shown.map(textOf).join('\n\n'));
  });
}

function dependencies({ store, config }: CliContext) {
  return { store, settings: config.settings };
}

/** Environments of aegis.yaml, the services that it lists in them, and whatever was scored. */
async function placesOf({ store, config }: CliContext, wanted: string | undefined): Promise<Place[]> {
  const places = new Map<string, Place>();
  const add = (place: Place) => places.set(placeWords(place), place);
  for (const [team, { environments }] of Object.entries(config.settings.teams))
    for (const env of Object.keys(environments)) add({ team, env, service: '-' });
  for (const { team, env, name } of config.settings.services) add({ team, env, service: name });
  for (const place of await store.ladder.places()) add(place);
  const all = [...places.keys()].toSorted();
  const chosen =
    wanted === undefined ? all : all.filter((key) => key === wanted || key.startsWith(`${wanted}/`));
  if (chosen.length > 0) return chosen.map((key) => places.get(key) as Place);
  const near = nearest(wanted ?? '', all);
  throw new CliError(
    `there is no place "${wanted ?? ''}"${near === null ? '' : `; did you mean "${near}"?`} Known: ${all.join(', ')}`,
    EXIT.usage,
  );
}

interface SkillRow extends Statistics {
  readonly skill: string;
}

function skillRows(scores: readonly Score[]): SkillRow[] {
  const skills = [...new Set(scores.map((score) => score.skill))].toSorted();
  return skills
    .map((skill) => ({ skill, ...shadowStatistics(scores.filter((score) => score.skill === skill)) }))
    .filter((row) => row.n + row.unscored > 0);
}

function textOf(shown: { readonly line: string; readonly skills: readonly SkillRow[] }): string {
  if (shown.skills.length === 0) return shown.line;
  const rows = shown.skills.map((row) => [
    `  ${row.skill === '-' ? 'no skill' : row.skill}`,
    `${row.hits} of ${row.n}`,
    `${percent(row.interval.low)} to ${percent(row.interval.high)}`,
    String(row.wrong_and_confident),
    row.median_lead_min === null ? '-' : `${row.median_lead_min.toFixed(1)} min`,
    String(row.unscored),
  ]);
  const head = ['  SKILL', 'HITS', '95 % INTERVAL', 'WRONG AND CONFIDENT', 'MEDIAN LEAD', 'NOT SCORED'];
  return `${shown.line}\n${table([head, ...rows])}`;
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}
