import { canonicalJson } from '../../../src/contract/canonical.ts';
import { commitOf, effectsOf } from '../../../src/harness/commit-of.ts';
import type { HarnessEvent } from '../../../src/harness/events.ts';
import { parseSnapshot, step } from '../../../src/harness/machine.ts';
import { MOVES } from '../../../src/harness/moves.ts';
import type { Move } from '../../../src/harness/moves.ts';
import { emptySnapshot } from '../../../src/harness/state.ts';
import type { Snapshot } from '../../../src/harness/state.ts';
import { brokenLaw } from './invariants.ts';
import { tale, walk } from './walk.ts';
import type { WalkStep } from './walk.ts';

const VIEW = { ledger_head: '0'.repeat(64), tool_calls: 0, simulated: true, approvers: 'Dan' };

/** Cards and entries of every so manieth life are made as well: they cost more than the step itself. */
const WRITTEN_EVERY = 5;

export interface Seen {
  readonly lives: number;
  readonly events: number;
  readonly refused: number;
  readonly states: ReadonlySet<string>;
  /** Rows of the table that no life has taken. */
  readonly untaken: readonly string[];
}

/**
 * Lives through these seeds; `look` sees each situation that an event came to.
 *
 * @throws with the whole life when a law is broken or a replay differs.
 */
export function liveThrough(
  seeds: { first: number; count: number },
  events_max: number,
  look: (situation: Snapshot) => void = () => undefined,
): Seen {
  const states = new Set<string>();
  const taken = new Set<string>();
  let [events, refused] = [0, 0];
  for (let seed = seeds.first; seed < seeds.first + seeds.count; seed++) {
    const life: WalkStep[] = [];
    let end = emptySnapshot();
    try {
      for (const taken_step of walk(seed, events_max)) {
        life.push(taken_step);
        events += 1;
        const { from, event, stepped } = taken_step;
        look(from);
        if (!stepped.ok) {
          refused += 1;
          checkSentence(stepped.refusal);
          continue;
        }
        checkLaws(from, event, stepped.snapshot);
        if (seed % WRITTEN_EVERY === 0) checkWritten(from, event, stepped.snapshot);
        end = stepped.snapshot;
        states.add(end.state);
        taken.add(`${from.state} ${event.type} ${end.state}`);
      }
      checkReplay(life, end);
    } catch (error) {
      throw new Error(`life ${seed}: ${String(error)}\n${tale(life)}`, { cause: error });
    }
  }
  const untaken = MOVES.map(rowOf).filter((row) => !taken.has(row));
  return { lives: seeds.count, events, refused, states, untaken: [...new Set(untaken)] };
}

function rowOf(move: Move): string {
  return `${move.from} ${move.on} ${move.to}`;
}

/** Every refusal has what a person reads: what was refused, and what to do. */
export function checkSentence(refusal: { code: string; reason: string; remedy: string }): void {
  for (const part of ['code', 'reason', 'remedy'] as const)
    if (refusal[part].trim() === '') throw new Error(`a refusal has no ${part}: ${JSON.stringify(refusal)}`);
}

export function checkLaws(from: Snapshot, event: HarnessEvent, to: Snapshot): void {
  const broken = brokenLaw(from, event, to);
  if (broken !== null) throw new Error(broken);
}

/** What the step writes can be written: one effect at most, no card that cannot be made. */
export function checkWritten(from: Snapshot, event: HarnessEvent, to: Snapshot): void {
  const commit = commitOf(from, event, to, 'aegis:test', [], VIEW);
  if (commit.effects.length > 1) throw new Error(`${commit.effects.length} effects in one step`);
  const [first] = effectsOf(to);
  if (first?.kind !== commit.effects[0]?.kind) throw new Error('the effect of the step is not written');
  if (commit.entries[0]?.kind !== 'event') throw new Error('the event does not come first in the ledger');
}

/** Bit by bit: the fold of the recorded events is the live snapshot, also after each has been to disk and back. */
function checkReplay(life: readonly WalkStep[], end: Snapshot): void {
  const recorded = life.filter(({ stepped }) => stepped.ok).map(({ event }) => event);
  const live = canonicalJson(end);
  const from_disk = JSON.parse(JSON.stringify(recorded)) as HarnessEvent[];
  const folded = from_disk.reduce((snapshot, event) => {
    const stepped = step(snapshot, event);
    if (!stepped.ok) throw new Error(`the replay refuses ${event.type}: ${stepped.refusal.reason}`);
    return stepped.snapshot;
  }, emptySnapshot());
  if (canonicalJson(folded) !== live) throw new Error('the replay differs from the live state');
  if (canonicalJson(parseSnapshot(JSON.parse(JSON.stringify(end)))) !== live)
    throw new Error('the snapshot changes on its way through the disk');
}
