import { createMachine, transition } from 'xstate';
import { INCIDENT_STATES } from '../contract/incident.ts';
import type { IncidentState } from '../contract/incident.ts';
import { refuse } from '../contract/verdict.ts';
import type { Refusal } from '../contract/verdict.ts';
import type { HarnessEvent } from './events.ts';
import { fold } from './fold.ts';
import { GUARDS } from './guards.ts';
import { judge, words } from './judge.ts';
import { MOVES } from './moves.ts';
import { emptySnapshot, Snapshot } from './state.ts';
import type { MachineContext } from './state.ts';

/**
 * L4's explicit state machine: one per incident, pure. It decides; `runner.ts` acts. xstate holds the states and takes
 * the move; no actors, no `after`, no `invoke`: time arrives as an event. xstate is silent about an illegal event, so
 * `can` is asked first and the answer is a refusal that lands in the ledger.
 */
const machine = createMachine({
  types: {} as { context: MachineContext; events: HarnessEvent },
  id: 'incident',
  initial: 'IDLE',
  context: emptySnapshot().context,
  states: Object.fromEntries(INCIDENT_STATES.map((state) => [state, { on: movesFrom(state) }])),
});

export type Stepped =
  { readonly ok: true; readonly snapshot: Snapshot } | { readonly ok: false; readonly refusal: Refusal };

/** Takes one event. The same snapshot and event always give the same answer. */
export function step(snapshot: Snapshot, event: HarnessEvent): Stepped {
  const refusal = judge(snapshot, event);
  if (refusal !== null) return { ok: false, refusal };
  const resolved = machine.resolveState({ value: snapshot.state, context: snapshot.context });
  if (!resolved.can(event)) return { ok: false, refusal: illegal(snapshot, event) };
  const [next] = transition(machine, resolved, event);
  const to = next.value as IncidentState;
  return { ok: true, snapshot: { state: to, context: fold(snapshot, to, event) } };
}

/** Parses a stored snapshot; a damaged one is a fault, never a guess. */
export function parseSnapshot(value: unknown): Snapshot {
  return Snapshot.parse(value);
}

function movesFrom(
  state: IncidentState,
): Record<
  string,
  { target: string; guard?: (args: { context: MachineContext; event: HarnessEvent }) => boolean }[]
> {
  const on: ReturnType<typeof movesFrom> = {};
  for (const move of MOVES.filter((m) => m.from === state)) {
    const guard = move.when === undefined ? undefined : GUARDS[move.when];
    const entry =
      guard === undefined
        ? { target: move.to }
        : {
            target: move.to,
            guard: (args: { context: MachineContext; event: HarnessEvent }) =>
              guard(args.context, args.event),
          };
    (on[move.on] ??= []).push(entry);
  }
  return on;
}

function illegal(snapshot: Snapshot, event: HarnessEvent): Refusal {
  const id = snapshot.context.incident?.incident_id ?? 'The incident';
  return refuse(
    'illegal-move',
    `${id} is ${words(snapshot.state)}: "${words(event.type)}" is not possible there.`,
    'The root card shows what is possible now.',
  );
}
