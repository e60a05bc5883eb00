import { AUTONOMY_LEVELS } from '../../../src/contract/incident.ts';
import type { ApprovalRule } from '../../../src/contract/approval.ts';
import { planHashOf } from '../../../src/contract/plan.ts';
import { isoTime } from '../../../src/contract/ports.ts';
import type { EventOf, EventType, HarnessEvent } from '../../../src/harness/events.ts';
import type { Snapshot } from '../../../src/harness/state.ts';
import { draft, ID, incidentContext, preparedEvent, RULE, T0, withCanary } from '../fixtures.ts';
import { EVENT_TYPES, samplesOf } from './event-arbitrary.ts';
import type { Dice } from './dice.ts';

/**
 * Generated events made to fit an incident, or made to just miss it: the fields by which an event names its incident,
 * effect, change, approval and person are set by name, whatever the type. Everything else stays as generated.
 */
const SAMPLES = 48;
const SEED = 20_261_126;
const PEOPLE = ['maya', 'dan', 'ines', 'lena'] as const;
const ROLES = ['oncall', 'lead', 'viewer'] as const;
const RULES: readonly ApprovalRule[] = [
  { ...RULE, people: 0 },
  { ...RULE, people: 1 },
  RULE,
  { ...RULE, distinct_roles: true },
  { ...RULE, people: 1, step_up: true },
];

const pools = new Map<EventType, readonly HarnessEvent[]>();

function poolOf(type: EventType): readonly HarnessEvent[] {
  let pool = pools.get(type);
  if (pool === undefined) {
    pool = samplesOf(type, SAMPLES, SEED + EVENT_TYPES.indexOf(type));
    pools.set(type, pool);
  }
  return pool;
}

/** An event of the type at a moment. `fits`: every name in it is the right one; otherwise some are wrong or old. */
export function eventFor(
  type: EventType,
  snapshot: Snapshot,
  at_ms: number,
  dice: Dice,
  fits: boolean,
): HarnessEvent {
  const sample = dice.pick(poolOf(type));
  const made = shaped(sample, snapshot, dice);
  const named = made as HarnessEvent & Record<string, unknown>;
  const { approval, running, step } = snapshot.context;
  const wrong = (): boolean => !fits && dice.chance(0.5);
  const set: Record<string, unknown> = { at: isoTime(at_ms) };
  if ('effect_id' in named)
    set['effect_id'] = wrong()
      ? `${ID}/${dice.below(step + 1)}/0`
      : (running?.effect_id ?? `${ID}/${step}/0`);
  if ('change_id' in named) set['change_id'] = wrong() ? 'CHG-999' : (running?.change_id ?? 'CHG-998');
  if ('by' in named) set['by'] = dice.pick(PEOPLE);
  if ('role' in named) set['role'] = fits ? dice.pick(RULE.roles) : dice.pick(ROLES);
  if ('approval_id' in named && !wrong()) set['approval_id'] = approval?.approval_id ?? 'APR-1';
  if ('revision' in named && !wrong()) set['revision'] = approval?.revision ?? 1;
  if ('plan_hash' in named && !wrong()) set['plan_hash'] = approval?.plan_hash ?? 'a'.repeat(64);
  // Effects always say why, and what to do.
  for (const words of ['reason', 'remedy'])
    if (named[words] === '' && named.type !== 'decided' && named.type !== 'stopped') set[words] = 'so it is';
  if (named.type === 'resumed') set['recounts'] = true;
  // A canary's end says so, and no other one does.
  if (named.type === 'executed' && !wrong()) set['phase'] = running?.kind === 'canary' ? 'canary' : undefined;
  if ('changed_at' in named) set['changed_at'] = isoTime(at_ms - dice.below(5000));
  const event = { ...named, ...set };
  if (event['phase'] === undefined) delete event['phase'];
  // A second incident with the same effect is the exception.
  if (fits || dice.chance(0.8)) delete event['same_effect_in'];
  return event;
}

/** Types whose content must hang together: what the effect or the intake would really have made. */
function shaped(sample: HarnessEvent, snapshot: Snapshot, dice: Dice): HarnessEvent {
  switch (sample.type) {
    case 'opened':
      return { ...sample, channel: 'C1', context: openedContext(dice) };
    case 'alerts': {
      const [alert] = incidentContext().alerts;
      const status = sample.status;
      const known = alert === undefined ? [] : [{ ...alert, status }];
      return { ...sample, alerts: dice.chance(0.7) ? known : sample.alerts.map((a) => ({ ...a, status })) };
    }
    case 'drafted':
      return { ...sample, draft: draft(1 + dice.below(3)) };
    case 'prepared':
      return preparedFor(snapshot, dice);
    case 'cleared': {
      const gates = sample.gates.map((line) => (dice.chance(0.3) ? { ...line, gate: 'budget' } : line));
      return { ...sample, gates };
    }
    default:
      return sample;
  }
}

function openedContext(dice: Dice): ReturnType<typeof incidentContext> {
  const autonomy = dice.chance(0.6) ? 'approve' : dice.pick(AUTONOMY_LEVELS);
  const watched = (autonomy === 'suggest' || autonomy === 'read_only') && dice.chance(0.7);
  return incidentContext({
    autonomy,
    ...(watched ? { shadow: { quiet_s: 60, watch_s: 3600 } } : {}),
    activation: dice.pick(['auto', 'button']),
    involved: dice.chance(0.3) ? [{ principal: dice.pick(PEOPLE), role: 'starter' }] : [],
  });
}

const prepared = new Map<string, EventOf<'prepared'>>();

/** The plan of the draft, under one of the rules, some of it without a way back. */
function preparedFor(snapshot: Snapshot, dice: Dice): EventOf<'prepared'> {
  const revision = Math.max(1, snapshot.context.revision);
  const actions = snapshot.context.draft?.actions.length ?? 1;
  const rule_index = dice.below(RULES.length);
  const one_way = dice.chance(0.2);
  const tries = dice.chance(0.4);
  const key = `${revision} ${actions} ${rule_index} ${one_way} ${tries}`;
  let base = prepared.get(key);
  if (base === undefined) {
    base = preparedEvent('x', revision, 0, RULES[rule_index], actions);
    if (tries) base = rehashed(withCanary(base));
    if (one_way) base = withoutWayBack(base);
    prepared.set(key, base);
  }
  return base;
}

/** Sets the life of an approval; done once the event has its time. */
export function withExpiry(event: HarnessEvent): HarnessEvent {
  if (event.type !== 'prepared') return event;
  const expires_at = isoTime(Date.parse(event.at) + event.request.rule.expires_after_s * 1000);
  const { rule, revision } = event.request;
  const runs_from = isoTime(Date.parse(event.at) + (revision % 2) * 20_000);
  const shown = rule.people === 0 ? { runs_from } : {};
  return { ...event, request: { ...event.request, opened_at: event.at, expires_at, ...shown } };
}

function withoutWayBack(event: EventOf<'prepared'>): EventOf<'prepared'> {
  const { payload } = event;
  const actions = payload.plan.actions.map((action, n) =>
    n === 0 ? { ...action, rollback: { none: true as const, reason: 'one way' } } : action,
  );
  return rehashed({ ...event, payload: { ...payload, plan: { ...payload.plan, actions } } });
}

/** The event with the hash of the plan that it has now. */
function rehashed(event: EventOf<'prepared'>): EventOf<'prepared'> {
  const { payload } = event;
  const { plan, risk, rule, policy_digest, tool_definitions_digest } = payload;
  const plan_hash = planHashOf({ plan, risk, approval_rule: rule, policy_digest, tool_definitions_digest });
  return { ...event, payload: { ...payload, plan_hash }, request: { ...event.request, plan_hash } };
}

/** Where the clock of a walk begins. */
export const BEGIN_MS = T0;
