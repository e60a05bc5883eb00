import type { EventType, HarnessEvent } from '../../../src/harness/events.ts';
import { step } from '../../../src/harness/machine.ts';
import type { Stepped } from '../../../src/harness/machine.ts';
import { RESULTS } from '../../../src/harness/results.ts';
import { emptySnapshot } from '../../../src/harness/state.ts';
import type { Snapshot } from '../../../src/harness/state.ts';
import { Dice } from './dice.ts';
import { EVENT_TYPES } from './event-arbitrary.ts';
import { BEGIN_MS, eventFor, withExpiry } from './fitting.ts';

/**
 * One random life of an incident. A part of the events carries it on, so that lives get far; the rest is anything: other
 * types, old effects, wrong changes, other people, timers too early.
 */
export interface WalkStep {
  readonly from: Snapshot;
  readonly event: HarnessEvent;
  readonly stepped: Stepped;
}

const STEP_MS_MAX = 40_000;
/** Rarely nothing happens for longer than approvals live. */
const LONG_PAUSE_MS = 1_200_000;
/** How often the next event is one that is waited for. */
const FORWARD = 0.7;

export function* walk(seed: number, events_max: number): Generator<WalkStep, void> {
  const dice = new Dice(seed);
  // Some lives are orderly, some are nothing but noise.
  const forward = dice.pick([0, FORWARD, FORWARD, 0.95]);
  let snapshot = emptySnapshot();
  let now_ms = BEGIN_MS;
  for (let n = 0; n < events_max; n++) {
    now_ms += dice.chance(snapshot.state === 'HALTED' ? 0.15 : 0.03)
      ? LONG_PAUSE_MS
      : dice.below(STEP_MS_MAX);
    const event = nextEvent(snapshot, now_ms, dice, forward);
    const stepped = step(snapshot, event);
    yield { from: snapshot, event, stepped };
    if (stepped.ok) snapshot = stepped.snapshot;
  }
}

function nextEvent(snapshot: Snapshot, now_ms: number, dice: Dice, forward: number): HarnessEvent {
  const wanted = waitedFor(snapshot, dice);
  if (snapshot.state === 'IDLE' && dice.chance(0.7))
    return withExpiry(eventFor('opened', snapshot, now_ms, dice, true));
  if (wanted.length === 0 || !dice.chance(forward))
    return withExpiry(eventFor(dice.pick(EVENT_TYPES), snapshot, now_ms, dice, dice.chance(0.6)));
  // Of a few that fit, one that does not halt is preferred.
  let chosen = withExpiry(eventFor(dice.pick(wanted), snapshot, now_ms, dice, true));
  for (let tries = 0; tries < 4; tries++) {
    const stepped = step(snapshot, chosen);
    if (stepped.ok && stepped.snapshot.state !== 'HALTED') break;
    chosen = withExpiry(eventFor(dice.pick(wanted), snapshot, now_ms, dice, true));
  }
  return chosen;
}

/** What the incident is waiting for just now. */
export function waitedFor({ state, context }: Snapshot, dice: Dice): readonly EventType[] {
  if (state === 'IDLE') return ['opened'];
  if (context.running !== null) {
    if (context.retries > 0 && dice.chance(0.5)) return ['timer'];
    return RESULTS[context.running.kind].filter((type) => type !== 'effect_failed' || dice.chance(0.2));
  }
  if (state === 'TRIAGE') return ['activated'];
  if (state === 'PENDING_APPROVAL' && context.approval?.status === 'approved') return ['timer', 'decided'];
  if (state === 'PENDING_APPROVAL') return context.approval?.status === 'open' ? ['decided'] : ['plan_again'];
  if (state === 'HALTED') return dice.chance(0.15) ? ['timer'] : ['resumed', 'plan_again', 'resumed'];
  return state === 'OBSERVING' ? ['plan_again', 'alerts', 'timer'] : [];
}

/** A life as a person can read it. */
export function tale(steps: readonly WalkStep[]): string {
  return steps
    .map(({ from, event, stepped }) => {
      const to = stepped.ok ? stepped.snapshot.state : `refused: ${stepped.refusal.code}`;
      const shown = JSON.stringify({
        ...event,
        context: undefined,
        payload: undefined,
        previews: undefined,
        draft: undefined,
        findings: undefined,
      });
      return `${from.state} -> ${to}  ${shown.slice(0, 300)}`;
    })
    .join('\n');
}
