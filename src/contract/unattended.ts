import { z } from 'zod';
import type { Autonomy } from './incident.ts';
import type { LedgerEntry } from './ledger.ts';
import { fieldQuantity } from './quantity.ts';
import { parseTarget, TargetUri } from './tool.ts';
import type { FieldChange } from './tool.ts';

/**
 * Changes that run without a person's approval, under autonomy `limited`: how many there may be, and how far they may
 * carry an object away from the state that people last answered for. Pure; harness and gateway both ask, each with what
 * it has read by itself.
 */

/** "A day" of the caps: the last 24 hours, not the calendar's. */
const DAY_MS = 24 * 3_600_000;

/** `limited` of policies/guardrails.yaml. */
export const UnattendedLimits = z.strictObject({
  /** Unattended changes within 24 hours: of one object, of one service, of one environment. */
  per_target_day_max: z.int().min(1).max(100),
  per_service_day_max: z.int().min(1).max(1000),
  per_environment_day_max: z.int().min(1).max(10_000),
  /** Unattended changes of one object since a person last approved one of it, however long ago that was. */
  since_approval_max: z.int().min(1).max(1000),
  /**
   * Largest factor, up or down, between a quantity and its value when Aegis last began to change the object without a
   * person. Small steps add up; this bounds their sum.
   */
  drift_factor_max: z.number().gt(1).max(100),
  /** How long such a plan is shown before it runs, so that whoever is awake can deny it or press Stop. */
  announce_s: z.int().min(0).max(600).default(30),
});
export type UnattendedLimits = z.infer<typeof UnattendedLimits>;

/**
 * Entries of the SYSTEM chain (kind `permit`), written in the transaction that consumes the permit of a plan's first
 * change. An attended one stands there only when it ends a row of unattended ones.
 */
export const UnattendedEntry = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('unattended_change'),
    incident_id: z.string(),
    change_id: z.string(),
    team: z.string(),
    env: z.string(),
    /** `-`: the incident names none. */
    service: z.string(),
    target: TargetUri,
    /** Quantities that the change touches, as they were before it: by JSON pointer, in base units. */
    before: z.record(z.string(), z.number()),
  }),
  z.strictObject({
    type: z.literal('attended_change'),
    incident_id: z.string(),
    change_id: z.string(),
    target: TargetUri,
  }),
]);
export type UnattendedEntry = z.infer<typeof UnattendedEntry>;

export type PastChange = UnattendedEntry & { readonly at_ms: number };
type PastUnattended = Extract<PastChange, { type: 'unattended_change' }>;

/**
 * What the SYSTEM chain says of them, in its order.
 *
 * @throws when an entry of that kind is none of ours: then nothing can be counted, and nothing runs alone.
 */
export function pastChanges(system: readonly Pick<LedgerEntry, 'kind' | 'at' | 'payload'>[]): PastChange[] {
  return system
    .filter(({ kind }) => kind === 'permit')
    .map(({ at, payload }) => ({ ...UnattendedEntry.parse(payload), at_ms: Date.parse(at) }));
}

/** A plan as far as the caps look at it. `changes` are those of the whole action, not of its canary. */
export interface UnattendedPlan {
  readonly incident_id: string;
  readonly team: string;
  readonly env: string;
  readonly service: string;
  readonly actions: readonly {
    readonly change_id: string;
    readonly target: string;
    readonly changes: readonly FieldChange[];
  }[];
}

/** Whether a plan may run without a person, and a sentence either way. */
export interface Unattended {
  readonly may: boolean;
  readonly words: string;
}

/** The levels that must all be `limited` at this moment. An incident keeps the lowest level that it ever had. */
export interface LevelsNow {
  readonly incident: Autonomy;
  /** In aegis.yaml today. */
  readonly configured: Autonomy;
  /** On the ladder today, with the reason when it went down. */
  readonly earned: Autonomy;
  readonly lowered: string | null;
}

const PersonsWord = z.looseObject({ type: z.string(), by: z.string(), decision: z.string().optional() });

/**
 * A person said no to what this incident planned: a denial, Stop, or taking over by hand. From then on people are asked,
 * here and, for as long as `EFFECT_MEMORY_MS`, wherever the same change is planned again: a new plan is no way around a no.
 */
export function saidNo(
  incident_id: string,
  entries: readonly Pick<LedgerEntry, 'kind' | 'at' | 'payload'>[],
  since_ms: number,
): string | null {
  for (const { kind, at, payload } of entries) {
    const parsed = kind === 'event' && Date.parse(at) >= since_ms ? PersonsWord.safeParse(payload) : null;
    if (parsed?.success !== true) continue;
    const { type, by, decision } = parsed.data;
    if (type === 'decided' && decision === 'deny') return `${by} denied a plan of ${incident_id}.`;
    if (type === 'stopped') return `${by} pressed Stop in ${incident_id}.`;
    if (type === 'handed_over') return `${by} took ${incident_id} over by hand.`;
  }
  return null;
}

/** Why nothing runs without a person at this level, in one sentence; null when it may. */
export function levelProblem(
  place: Pick<UnattendedPlan, 'team' | 'env'>,
  { incident, configured, earned, lowered }: LevelsNow,
): string | null {
  if (incident !== 'limited') return `This incident runs with autonomy ${incident}, which asks people.`;
  if (configured !== 'limited')
    return `aegis.yaml gives ${place.team}/${place.env} autonomy ${configured} now, which asks people.`;
  if (earned === 'limited') return null;
  return `The ladder went down to ${earned}${lowered === null ? '' : `: ${lowered}`}.`;
}

/** `past` in the order of the chain. A plan that has begun has its places already, and is not judged twice. */
export function judgeUnattended(
  limits: UnattendedLimits,
  plan: UnattendedPlan,
  past: readonly PastChange[],
  now_ms: number,
): Unattended {
  if (hasBegun(plan, past)) return { may: true, words: 'its places were taken when it began' };
  const problems = [
    dayProblem(limits, plan, past, now_ms),
    ...plan.actions.map((action) => objectProblem(limits, plan, action, past, now_ms)),
  ];
  const words = problems.find((problem) => problem !== null);
  if (words !== undefined && words !== null) return { may: false, words };
  return { may: true, words: standingWords(limits, plan, past, now_ms) };
}

/** The entries with which a plan takes its places, all at once: none when it has them. */
export function unattendedEntries(plan: UnattendedPlan, past: readonly PastChange[]): UnattendedEntry[] {
  const { incident_id, team, env, service } = plan;
  if (hasBegun(plan, past)) return [];
  return plan.actions.map(({ change_id, target, changes }) => ({
    type: 'unattended_change' as const,
    incident_id,
    change_id,
    team,
    env,
    service,
    target,
    before: quantitiesBefore(target, changes),
  }));
}

/** An approved change of an object ends its row of unattended ones; without such a row there is nothing to end. */
export function attendedEntries(
  change: { readonly incident_id: string; readonly change_id: string; readonly target: string },
  past: readonly PastChange[],
): UnattendedEntry[] {
  return sinceApproval(change.target, past).length === 0 ? [] : [{ type: 'attended_change', ...change }];
}

/** The first change of the plan was admitted before, and with it all of them. */
function hasBegun(plan: UnattendedPlan, past: readonly PastChange[]): boolean {
  return plan.actions.every(({ change_id }) =>
    past.some(
      (p) =>
        p.type === 'unattended_change' && p.incident_id === plan.incident_id && p.change_id === change_id,
    ),
  );
}

function dayProblem(
  limits: UnattendedLimits,
  plan: UnattendedPlan,
  past: readonly PastChange[],
  now_ms: number,
): string | null {
  const { team, env, service } = plan;
  const more = plan.actions.length;
  const day = ofDay(past, now_ms).filter((p) => p.team === team && p.env === env);
  const of_service = day.filter((p) => p.service === service);
  const place = service === '-' ? `${team}/${env} without a service` : `${team}/${env}/${service}`;
  if (of_service.length + more > limits.per_service_day_max)
    return capWords(place, of_service.length, more, limits.per_service_day_max);
  if (day.length + more > limits.per_environment_day_max)
    return capWords(`${team}/${env}`, day.length, more, limits.per_environment_day_max);
  return null;
}

function objectProblem(
  limits: UnattendedLimits,
  plan: UnattendedPlan,
  action: UnattendedPlan['actions'][number],
  past: readonly PastChange[],
  now_ms: number,
): string | null {
  const { target } = action;
  const more = plan.actions.filter((other) => other.target === target).length;
  const name = objectName(target);
  const today = ofDay(past, now_ms).filter((p) => p.target === target).length;
  if (today + more > limits.per_target_day_max) return capWords(name, today, more, limits.per_target_day_max);
  const since = sinceApproval(target, past);
  if (since.length + more > limits.since_approval_max)
    return `Aegis has changed ${name} ${times(since.length)} since a person last approved a change of it; at most ${limits.since_approval_max} are allowed.`;
  return driftProblem(limits, action, since);
}

/** Each quantity against its value at the beginning of the row; a plan that starts the row is measured against today. */
function driftProblem(
  limits: UnattendedLimits,
  { target, changes }: UnattendedPlan['actions'][number],
  since: readonly PastUnattended[],
): string | null {
  const { kind } = parseTarget(target);
  for (const { path, before, after } of changes) {
    const will = fieldQuantity(kind, path, after);
    const origin = since.find((p) => p.before[path] !== undefined)?.before[path];
    const was = origin ?? fieldQuantity(kind, path, before);
    if (was === null || (will === null && origin === undefined)) continue;
    const factor = will === null || was <= 0 || will <= 0 ? Infinity : Math.max(will / was, was / will);
    if (factor > limits.drift_factor_max && will !== was)
      return `${path} of ${objectName(target)} would be ${Number.isFinite(factor) ? `${factor.toFixed(2)} times away` : 'beyond measure'} from where it stood when Aegis last began to change it alone; at most ${limits.drift_factor_max} is allowed.`;
  }
  return null;
}

function standingWords(
  limits: UnattendedLimits,
  plan: UnattendedPlan,
  past: readonly PastChange[],
  now_ms: number,
): string {
  const day = ofDay(past, now_ms).filter((p) => p.team === plan.team && p.env === plan.env);
  const of_service = day.filter((p) => p.service === plan.service).length + plan.actions.length;
  const [most] = [...new Set(plan.actions.map(({ target }) => target))]
    .map((target) => ({
      name: objectName(target),
      today:
        day.filter((p) => p.target === target).length +
        plan.actions.filter((action) => action.target === target).length,
    }))
    .toSorted((a, b) => b.today - a.today);
  const object = most === undefined ? '' : `${most.today} of ${limits.per_target_day_max} of ${most.name}, `;
  return `unattended changes in 24 h with this one: ${object}${of_service} of ${limits.per_service_day_max} of the service, ${day.length + plan.actions.length} of ${limits.per_environment_day_max} of ${plan.team}/${plan.env}`;
}

/** Unattended changes of an object since the last one of it that a person approved, oldest first. */
function sinceApproval(target: string, past: readonly PastChange[]): PastUnattended[] {
  const of_target = past.filter((p) => p.target === target);
  const last = of_target.findLastIndex((p) => p.type === 'attended_change');
  return of_target.slice(last + 1).filter(isUnattended);
}

/** A clock that went back makes an entry lie in the future; it counts all the same. */
function ofDay(past: readonly PastChange[], now_ms: number): PastUnattended[] {
  return past.filter(isUnattended).filter((p) => p.at_ms > now_ms - DAY_MS);
}

function isUnattended(past: PastChange): past is PastUnattended {
  return past.type === 'unattended_change';
}

function quantitiesBefore(target: string, changes: readonly FieldChange[]): Record<string, number> {
  const { kind } = parseTarget(target);
  return Object.fromEntries(
    changes.flatMap(({ path, before }) => {
      const quantity = fieldQuantity(kind, path, before);
      return quantity === null ? [] : [[path, quantity]];
    }),
  );
}

function capWords(name: string, found: number, more: number, max: number): string {
  return `Aegis has changed ${name} ${times(found)} in 24 h without a person, and this plan would do so ${times(more)} more; at most ${max} are allowed.`;
}

function times(count: number): string {
  return count === 1 ? 'once' : `${count} times`;
}

function objectName(target: string): string {
  const { kind, name } = parseTarget(target);
  return `${kind}/${name}`;
}
