import { describe, expect, it } from 'vitest';
import { INCIDENT_STATES } from '../../src/contract/incident.ts';
import { HarnessEvent } from '../../src/harness/events.ts';
import { mermaidOfMoves } from '../../src/harness/fsm.ts';
import { step } from '../../src/harness/machine.ts';
import { MOVES } from '../../src/harness/moves.ts';
import { RESULTS } from '../../src/harness/results.ts';
import { EffectKind } from '../../src/harness/state.ts';
import type { Snapshot } from '../../src/harness/state.ts';
import { Dice } from './explore/dice.ts';
import { EVENT_TYPES, samplesOf } from './explore/event-arbitrary.ts';
import { eventFor, withExpiry } from './explore/fitting.ts';
import { MAY_RUN } from './explore/invariants.ts';
import { checkLaws, checkSentence, checkWritten, liveThrough } from './explore/lives.ts';
import type { Seen } from './explore/lives.ts';

/**
 * The machine, explored: every state with every event, and random lives. Events come from the schema and the work from the
 * tables, so what somebody adds is explored from then on, or one of the first tests says what is missing. Ten thousand
 * lives, and lives through the real store, are in `explore.deep.test.ts`.
 */
const LIVES = 500;
const EVENTS_MAX = 45;
/** Different situations of one state that every event is tried on. */
const SITUATIONS_MAX = 40;
const EVENTS_OF_A_TYPE = 6;

describe('the tables are complete', () => {
  it('events of every type can be generated from the schema, and are well-formed', () => {
    expect([...EVENT_TYPES].toSorted()).toEqual(
      HarnessEvent.options.map((option) => option.shape.type.value).toSorted(),
    );
    for (const type of EVENT_TYPES) expect(samplesOf(type, 5, 1), type).toHaveLength(5);
  });

  it('every state says which work may run in it', () => {
    const hint = 'add the state to MAY_RUN in test/harness/explore/invariants.ts';
    expect(Object.keys(MAY_RUN).toSorted(), hint).toEqual([...INCIDENT_STATES].toSorted());
  });

  it('every kind of work says what it can report, and runs in some state', () => {
    const runs = new Set(Object.values(MAY_RUN).flat());
    for (const kind of EffectKind.options) {
      expect(Object.keys(RESULTS), `${kind}: say what it reports in src/harness/results.ts`).toContain(kind);
      expect(
        runs.has(kind),
        `${kind}: say where it runs in MAY_RUN, test/harness/explore/invariants.ts`,
      ).toBe(true);
      for (const type of RESULTS[kind]) expect(EVENT_TYPES, `result of ${kind}`).toContain(type);
    }
  });

  it('every event that names an effect is the result of some work', () => {
    const results = new Set(Object.values(RESULTS).flat());
    const named = HarnessEvent.options.filter((option) => 'effect_id' in option.shape);
    for (const option of named) {
      const type = option.shape.type.value;
      expect(results.has(type), `${type}: say which work reports it in src/harness/results.ts`).toBe(true);
    }
  });

  it('every event is legal somewhere, and every state but the first and last can be left', () => {
    for (const type of EVENT_TYPES)
      expect(
        MOVES.map((m) => m.on),
        `${type} has no row in MOVES`,
      ).toContain(type);
    for (const state of INCIDENT_STATES.filter((s) => s !== 'CLOSED'))
      expect(
        MOVES.some((m) => m.from === state && m.to !== state),
        `${state} is a dead end`,
      ).toBe(true);
  });

  it('aegis fsm draws the table: each row is an arrow with its event, and there is no other arrow', () => {
    const drawn = mermaidOfMoves()
      .split('\n')
      .flatMap((line) => {
        const arrow = /^ {2}([A-Z_]+) --> ([A-Z_]+): (.*)$/.exec(line);
        return arrow === null
          ? []
          : (arrow[3] ?? '').split(', ').map((label) => `${arrow[1]} ${arrow[2]} ${label}`);
      });
    const rows = MOVES.map((m) => `${m.from} ${m.to} ${m.on}${m.when === undefined ? '' : ` [${m.when}]`}`);
    expect(drawn.toSorted()).toEqual([...new Set(rows)].toSorted());
  });
});

// One walk serves both: its lives obey the laws, and every event is tried on the situations that they came to.
const situations = new Map<string, Map<string, Snapshot>>();
let lived: Seen | undefined;
const lives = (): Seen =>
  (lived ??= liveThrough({ first: 500_001, count: LIVES }, EVENTS_MAX, keepSituation));

describe('random lives', () => {
  it(`${LIVES} lives: no law is broken, every state is seen, the replay is the live state bit by bit`, () => {
    const seen = lives();
    expect([...seen.states].toSorted()).toEqual(INCIDENT_STATES.filter((s) => s !== 'IDLE').toSorted());
    expect(seen.refused).toBeGreaterThan(seen.events / 10);
  });
});

describe('every state with every event', () => {
  it.each(INCIDENT_STATES)('%s: a row of the table, or a refusal that says why and what next', (state) => {
    lives();
    const known = [...(situations.get(state)?.values() ?? [])];
    expect(known.length, `no life came to ${state}`).toBeGreaterThan(0);
    const dice = new Dice(INCIDENT_STATES.indexOf(state) + 1);
    const tried = new Set<string>();
    for (const snapshot of known) {
      const before = JSON.stringify(snapshot);
      for (const type of EVENT_TYPES)
        for (let n = 0; n < EVENTS_OF_A_TYPE; n++) {
          const now_ms = Date.parse(snapshot.context.updated_at) + (n === 0 ? 3_600_000 : 1000);
          const event = withExpiry(eventFor(type, snapshot, Math.max(now_ms, 0), dice, n % 3 !== 2));
          const listed = MOVES.some((m) => m.from === state && m.on === type);
          const stepped = step(snapshot, event);
          tried.add(type);
          if (!stepped.ok) checkSentence(stepped.refusal);
          else {
            checkLaws(snapshot, event, stepped.snapshot);
            checkWritten(snapshot, event, stepped.snapshot);
          }
          if (!listed) expect(stepped.ok, `${type} in ${state} is in no row`).toBe(false);
        }
      expect(JSON.stringify(snapshot)).toBe(before);
    }
    expect(tried.size).toBe(EVENT_TYPES.length);
  });
});

/** Keeps what differs in what waits, runs, is approved or was halted. */
function keepSituation(from: Snapshot): void {
  const { running, approval, halt, done, retries, resolved_at, rollback } = from.context;
  const key = [
    running?.kind,
    approval?.status,
    halt?.reason,
    halt?.resume_to,
    done.length,
    Math.min(retries, 1),
    resolved_at === null,
    rollback?.undone.length,
  ].join();
  const of_state = situations.get(from.state) ?? new Map<string, Snapshot>();
  if (of_state.size < SITUATIONS_MAX && !of_state.has(key)) of_state.set(key, from);
  situations.set(from.state, of_state);
}
