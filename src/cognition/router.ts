import { RE2JS } from 're2js';
import type { Alert, IncidentContext } from '../contract/incident.ts';
import type { SkillIndexEntry } from '../contract/skill.ts';
import type { Refusal } from '../contract/verdict.ts';
import type { World } from '../contract/world.ts';
import { loadIndex } from './skills.ts';

/** A skill that may fit, with the reason that a person can check. */
export interface RankedSkill {
  readonly entry: SkillIndexEntry;
  /** 0..1; ranks procedures, decides nothing else. */
  readonly score: number;
  readonly why: string;
}

export type RouteResult =
  | { readonly ok: true; readonly ranked: readonly RankedSkill[] }
  | { readonly ok: false; readonly refusal: Refusal };

/** A further trigger that fits raises the score by this much: several signs beat one. */
const FURTHER_TRIGGER = 0.03;
/** An alert's name is set by whoever owns the rules; free text may quote anybody. Text alone ranks below. */
const TEXT_ONLY_FACTOR = 0.8;

/** Ranks the library's skills for an incident, best first. Reads only the index; a skill's own text is loaded later. */
export async function route(
  world: World,
  incident: IncidentContext,
  signal?: AbortSignal,
): Promise<RouteResult> {
  const loaded = await loadIndex(world, signal);
  if (!loaded.ok) return loaded;
  return { ok: true, ranked: rankSkills(loaded.index.skills, incident) };
}

/** Pure ranking: best trigger, a little for each further one; equal scores in order of the name. */
export function rankSkills(entries: readonly SkillIndexEntry[], incident: IncidentContext): RankedSkill[] {
  const subject = subjectOf(incident);
  const ranked: RankedSkill[] = [];
  for (const entry of entries) {
    const hits = entry.triggers
      .flatMap((trigger) => matchTrigger(trigger, subject))
      .sort((a, b) => b.score - a.score);
    const [best] = hits;
    if (best === undefined) continue;
    const score = Math.min(1, best.score + FURTHER_TRIGGER * (hits.length - 1));
    ranked.push({ entry, score: Math.round(score * 1000) / 1000, why: best.why });
  }
  return ranked.sort((a, b) => b.score - a.score || (a.entry.skill < b.entry.skill ? -1 : 1));
}

interface Subject {
  readonly alerts: readonly { readonly name: string; readonly labels: Readonly<Record<string, string>> }[];
  readonly texts: readonly string[];
}

const TEXT_CHARS_MAX = 2000;
const ALERTS_MAX = 50;

function subjectOf(incident: IncidentContext): Subject {
  const alerts = incident.alerts.slice(0, ALERTS_MAX);
  const text_of = (alert: Alert) => [alert.name, ...Object.values(alert.annotations)];
  const texts = [incident.title, ...alerts.flatMap(text_of)].map((text) => text.slice(0, TEXT_CHARS_MAX));
  return { alerts: alerts.length > 0 ? alerts : [{ name: '', labels: incident.scope.labels }], texts };
}

function matchTrigger(
  trigger: SkillIndexEntry['triggers'][number],
  subject: Subject,
): { score: number; why: string }[] {
  const { alert, labels, text } = trigger;
  const alert_hit = subject.alerts.find(
    (candidate) =>
      (alert === undefined || matches(alert, candidate.name)) &&
      Object.entries(labels ?? {}).every(
        ([name, pattern]) =>
          Object.hasOwn(candidate.labels, name) && matches(pattern, candidate.labels[name] as string),
      ),
  );
  const named = alert !== undefined || labels !== undefined;
  if (named && alert_hit === undefined) return [];
  if (text !== undefined && !subject.texts.some((candidate) => matches(text, candidate))) return [];
  const reasons = [
    ...(alert === undefined ? [] : [`the alert's name matches ${alert}`]),
    ...(labels === undefined ? [] : [`the labels ${Object.keys(labels).join(', ')} match`]),
    ...(text === undefined ? [] : [`the text mentions ${text}`]),
  ];
  return [{ score: trigger.score * (named ? 1 : TEXT_ONLY_FACTOR), why: reasons.join(' and ') }];
}

/** Unanchored RE2. A pattern that RE2 refuses matches nothing: the index is made from linted skills. */
function matches(pattern: string, text: string): boolean {
  try {
    return RE2JS.compile(pattern).matcher(text).find();
  } catch {
    return false;
  }
}
