import type { IncidentState } from '../contract/incident.ts';
import { amountWords, dayAfter, sharedWords, utcDay } from './budget-accounts.ts';
import type { EventOf } from './events.ts';
import { halt, resumeTo } from './fold-parts.ts';
import type { MachineContext } from './state.ts';

/** The context after a budget was used up or work went in circles. Pure. Both wait for a person, who has the choice. */

export function foldOutOfBudget(
  c: MachineContext,
  _to: IncidentState,
  e: EventOf<'out_of_budget'>,
  from: IncidentState,
): MachineContext {
  const amount = amountWords(e.unit, e.used, e.max);
  const by_hand = 'or press Hand over and take it over by hand.';
  if (e.whose === 'incident')
    return halt(
      c,
      'budget',
      `The budget of this incident is used up: ${amount}. What was collected is kept.`,
      `Press Resume to give it another round of the same size, ${by_hand}`,
      resumeTo(from),
    );
  const day = e.day ?? utcDay(e.at);
  return halt(
    { ...c, shared_budget: 'spent' },
    'budget',
    `The budget of ${sharedWords(e)} for ${day} (UTC) is used up: ${amount}. Looking into this incident waits; nothing is lost.`,
    `It renews at ${dayAfter(day).slice(0, 16).replace('T', ' ')} UTC; Resume goes on then. Press Resume to give this incident another round all the same, ${by_hand}`,
    resumeTo(from),
  );
}

export function foldLooped(
  c: MachineContext,
  _to: IncidentState,
  e: EventOf<'looped'>,
  from: IncidentState,
): MachineContext {
  const what = e.what.replace(/\.$/, '');
  const text = {
    same_read: `It went in circles: "${what}" was asked ${e.times} times in one go.`,
    near_read: `It went in circles: ${e.times} times nearly the same was asked, with other numbers; the last was "${what}".`,
    nothing_new: `It got no further: ${e.times} reads in a row brought nothing new; the last was "${what}".`,
    same_plan: `The same plan came for the ${ordinal(e.times)} time, after it had come to nothing before: ${what}.`,
    oscillation: `The plans go to and fro on one object: ${what}, and that ${e.times} times over.`,
  }[e.pattern];
  return halt(
    c,
    'loop',
    text,
    'Press Resume for another round (the count begins anew), Plan again for a fresh look, or press Hand over and take it over by hand.',
    resumeTo(from),
  );
}

function ordinal(n: number): string {
  return { 1: 'first', 2: 'second', 3: 'third', 4: 'fourth' }[n] ?? `${n}th`;
}
