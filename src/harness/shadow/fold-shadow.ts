import type { IncidentState } from '../../contract/incident.ts';
import type { ComparedPlan, SeenChange } from '../../contract/shadow.ts';
import type { EventOf } from '../events.ts';
import { start } from '../fold-parts.ts';
import { shownPreview } from '../shown-preview.ts';
import { madeChanges } from '../standing.ts';
import { EFFECT_RETRIES_MAX, incidentOf, quietMs } from '../state.ts';
import type { MachineContext } from '../state.ts';
import { scoreShadow } from './compare.ts';
import { outcomeWords } from './report-words.ts';
import type { Watch } from './watch.ts';

/** The context while people are watched. Pure. */

/** Changes and words that one incident keeps; the oldest ones go first. */
const SEEN_MAX = 200;
const SAID_MAX = 50;

const NOTHING: Watch = { compared: null, seen: [], said: [], unseen: [], score: null };

/** Incidents of earlier versions, and those that may execute, are not observed. */
export function isShadowed(c: MachineContext): boolean {
  return incidentOf(c).shadow !== undefined;
}

/** Goes on looking, where that is what the incident is for. */
export function watchOn(c: MachineContext): MachineContext {
  return isShadowed(c) ? start(c, 'observe') : { ...c, running: null };
}

/** The quiet time of a shadowed incident is over: one more look, and it ends. */
export function isShadowQuietOver(c: MachineContext, at: string): boolean {
  return isShadowed(c) && madeChanges(c).length === 0 && isQuiet(c, at);
}

export function isWatchOver(c: MachineContext, e: EventOf<'observed'>): boolean {
  if (e.final && isQuiet(c, e.at)) return true;
  // What a person asked for has no alert that could resolve.
  return e.over && incidentOf(c).alerts.length === 0;
}

function isQuiet(c: MachineContext, at: string): boolean {
  return c.resolved_at !== null && Date.parse(at) >= Date.parse(c.resolved_at) + quietMs(c);
}

/** Remembers the plan that people are compared with: the newest one from before anybody acted. */
export function withCompared(c: MachineContext, e: EventOf<'prepared'>): MachineContext {
  const watch = c.shadow ?? NOTHING;
  const acted = watch.said.length > 0 || watch.seen.some((change) => !change.robot);
  if (!isShadowed(c) || (watch.compared !== null && acted)) return c;
  return { ...c, shadow: { ...watch, compared: comparedPlan(e) } };
}

export function foldObserved(c: MachineContext, to: IncidentState, e: EventOf<'observed'>): MachineContext {
  const watch = c.shadow ?? NOTHING;
  const known = new Set(watch.seen.map((change) => change.key));
  const named = new Map(e.changes.filter(isNamed).map((change) => [change.key, change]));
  const seen = [
    // The user's name may come later than the act.
    ...watch.seen.map((change) => (isNamed(change) ? change : (named.get(change.key) ?? change))),
    ...e.changes.filter((change) => !known.has(change.key)),
  ].slice(-SEEN_MAX);
  const positions = e.positions === undefined ? {} : { positions: e.positions };
  const next = { ...c, retries: 0, shadow: { ...watch, seen, unseen: e.unseen, ...positions } };
  if (to === 'CLOSED') return closed(next, e.at);
  return e.over ? { ...next, running: null } : watchOn(next);
}

function isNamed(change: SeenChange): boolean {
  return change.authenticated === true;
}

function closed(c: MachineContext, at: string): MachineContext {
  const watch = c.shadow ?? NOTHING;
  const last_word = watch.said.at(-1)?.at ?? null;
  const score = scoreShadow({
    plan: watch.compared,
    seen: watch.seen,
    said: watch.said,
    unseen: watch.unseen,
    repositories: incidentOf(c).shadow?.repositories ?? [],
    resolved_at: c.resolved_at ?? (incidentOf(c).alerts.length === 0 ? last_word : null),
  });
  return {
    ...c,
    running: null,
    shadow: { ...watch, score },
    outcome: outcomeWords(score, watch.compared !== null),
    closed_at: at,
  };
}

export function foldDid(c: MachineContext, to: IncidentState, e: EventOf<'did'>): MachineContext {
  const watch = c.shadow ?? NOTHING;
  const { at, by, text, cause } = e;
  const next = {
    ...c,
    shadow: { ...watch, said: [...watch.said, { at, by, text, cause }].slice(-SAID_MAX) },
  };
  // Somebody has just done something: look at once.
  return to === 'OBSERVING' && isShadowed(c) ? watchOn(next) : next;
}

export function foldWatchFailed(c: MachineContext, e: EventOf<'effect_failed'>): MachineContext {
  if (e.retryable && c.retries < EFFECT_RETRIES_MAX)
    return { ...c, retries: c.retries + 1, status_text: e.reason };
  const watch = c.shadow ?? NOTHING;
  const unseen = [{ place: '*', why: e.reason.slice(0, 300) }];
  return { ...c, running: null, retries: 0, shadow: { ...watch, unseen } };
}

function comparedPlan(e: EventOf<'prepared'>): ComparedPlan {
  const { plan } = e.payload;
  return {
    revision: plan.revision,
    posted_at: e.at,
    hypothesis: plan.hypothesis,
    confidence: plan.confidence,
    skill: plan.skill?.name ?? null,
    actions: plan.actions.map((action) => {
      const preview = shownPreview(e, action.change_id)?.preview;
      const { change_id, tool, target, intent } = action;
      return {
        change_id,
        tool,
        target,
        intent,
        uid: preview?.object_uid ?? '',
        changes: preview?.changes ?? [],
      };
    }),
  };
}
