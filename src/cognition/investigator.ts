import type { IncidentContext } from '../contract/incident.ts';
import { Findings } from '../contract/plan.ts';
import type { Skill } from '../contract/skill.ts';
import type { World } from '../contract/world.ts';
import { weighHypotheses, type Hypothesis, type Weighed } from './hypotheses.ts';
import { route } from './router.ts';
import { currentVars, gap, runReads, type ReadSession } from './skill-reads.ts';
import { loadSkill } from './skills.ts';

/** How many procedures are followed before the answer is "inconclusive". */
const SKILLS_TRIED_MAX = 3;
const GAPS_MAX = 20;
/** Each rival cause that could not be excluded costs this much of the winner's confidence. */
const OPEN_RIVAL_COST = 0.05;

/**
 * Looks, and says what was found: a cause with evidence for it and against its rivals, or honestly that nothing was
 * proven and what could not be seen. Refusals of reads become gaps.
 * @throws only when the signal is aborted or the World itself faults.
 */
export async function investigate(
  world: World,
  incident: IncidentContext,
  signal?: AbortSignal,
): Promise<Findings> {
  const routed = await route(world, incident, signal);
  if (!routed.ok) return nothingFound([gap('No procedure could be chosen', routed.refusal.reason)]);
  if (routed.ranked.length === 0)
    return nothingFound([`No skill in the library knows "${plainTitle(incident)}"; a person has to look.`]);
  const gaps: string[] = [];
  let best: Findings | null = null;
  for (const { entry } of routed.ranked.slice(0, SKILLS_TRIED_MAX)) {
    const loaded = await loadSkill(world, entry, signal);
    if (!loaded.ok) {
      gaps.push(gap(`Procedure ${entry.skill}`, loaded.refusal.reason));
      continue;
    }
    const findings = await follow(world, incident, loaded.skill, signal);
    if (findings.conclusive) return withGaps(findings, gaps);
    if (best === null || supportOf(findings) > supportOf(best)) best = findings;
  }
  return best === null ? nothingFound(gaps) : withGaps(best, gaps);
}

/** Follows one skill to its end. */
async function follow(
  world: World,
  incident: IncidentContext,
  skill: Skill,
  signal?: AbortSignal,
): Promise<Findings> {
  const session = await runReads(world, skill, incident, signal);
  const weighed = await weighHypotheses(world, session, signal);
  const { vars, problems } = currentVars(session);
  const winner = winnerOf(weighed.hypotheses);
  const rivals = weighed.hypotheses.filter((h) => h.status === 'open' && h.id !== winner?.id).length;
  const confidence = winner === null ? 0 : Math.max(0.1, winner.confidence - OPEN_RIVAL_COST * rivals);
  return Findings.parse({
    conclusive: winner !== null,
    cause: winner?.text ?? null,
    confidence: Math.round(confidence * 100) / 100,
    hypotheses: [...weighed.hypotheses],
    evidence: [...weighed.evidence],
    gaps: gapsOf(session, weighed, problems),
    facts: Object.fromEntries(vars),
    skill: { name: skill.skill, version: skill.version },
  });
}

/** The supported hypothesis with the highest confidence; two that fit equally well prove neither. */
function winnerOf(hypotheses: readonly Hypothesis[]): Hypothesis | null {
  const [first, second] = hypotheses
    .filter((h) => h.status === 'supported')
    .sort((a, b) => b.confidence - a.confidence);
  return first === undefined || second?.confidence === first.confidence ? null : first;
}

function gapsOf(session: ReadSession, weighed: Weighed, problems: readonly string[]): string[] {
  const partial = [...session.captures].flatMap(([id, { capture }]) =>
    capture.complete
      ? []
      : [`${id}: only the first ${capture.lines.length} of ${capture.line_count} lines were looked at.`],
  );
  const others = otherObjects(session.incident);
  return [...new Set([...session.gaps, ...problems, ...partial, ...weighed.gaps, ...others])]
    .map((text) => text.slice(0, 300))
    .slice(0, GAPS_MAX);
}

/** A group of alerts may speak of several objects; one procedure looks at one. */
function otherObjects(incident: IncidentContext): string[] {
  const firing = incident.alerts.filter((alert) => alert.status === 'firing').length;
  return firing > 1
    ? [`The group has ${firing} firing alerts; only the object of the first one was looked at.`]
    : [];
}

function supportOf(findings: Findings): number {
  return findings.hypotheses.reduce((sum, h) => sum + h.evidence_for.length, 0);
}

function withGaps(findings: Findings, gaps: readonly string[]): Findings {
  return gaps.length === 0 ? findings : { ...findings, gaps: [...findings.gaps, ...gaps].slice(0, GAPS_MAX) };
}

function nothingFound(gaps: readonly string[]): Findings {
  return {
    conclusive: false,
    cause: null,
    confidence: 0,
    hypotheses: [],
    evidence: [],
    gaps: gaps.slice(0, GAPS_MAX),
    facts: {},
    skill: null,
  };
}

function plainTitle(incident: IncidentContext): string {
  return incident.title.replaceAll(/[^\p{L}\p{N} ._:/-]/gu, ' ').slice(0, 120);
}
