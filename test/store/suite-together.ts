import { setImmediate as nextTurn } from 'node:timers/promises';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Store } from '../../src/store/store.ts';
import { entry, H, handClock, INC, permit } from './samples.ts';
import { useBench } from './store-place.ts';
import type { Bench, MakePlace } from './store-place.ts';

/** What happens when callers do not wait for each other. */
export function describeTogether(make: MakePlace): void {
  describe('operations side by side', () => {
    const bench = useBench(make);
    likeOneAfterAnother(bench, make);
    keepsOrder(bench);
  });
}

type Step =
  | { readonly do: 'append'; readonly chain: string; readonly rows: number; readonly bad: boolean }
  | { readonly do: 'mint' | 'accept' | 'dispatch'; readonly n: number }
  | { readonly do: 'freeze' | 'lift' | 'stop' | 'go on'; readonly n?: never }
  | { readonly do: 'wait'; readonly turns: number };

const steps = fc.array(
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constant('append' as const),
        chain: fc.constantFrom(INC, 'SYSTEM', 'INC-2026-1123-002'),
        rows: fc.integer({ min: 1, max: 3 }),
        bad: fc.boolean(),
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constantFrom('mint' as const, 'accept' as const, 'dispatch' as const),
        n: fc.integer({ min: 0, max: 2 }),
      }),
    },
    fc.record({ do: fc.constantFrom('freeze' as const, 'lift' as const, 'stop' as const, 'go on' as const) }),
    fc.record({ do: fc.constant('wait' as const), turns: fc.integer({ min: 0, max: 2 }) }),
  ),
  { minLength: 2, maxLength: 20 },
) satisfies fc.Arbitrary<Step[]>;

/** Starts one step. `run` keeps the names of one history apart from those of the history before it. */
function start(store: Store, step: Exclude<Step, { do: 'wait' }>, run: number, at: number): Promise<unknown> {
  const { ledger, journal, freezes } = store;
  if (step.do === 'append') {
    const rows = Array.from({ length: step.rows }, (_, row) => entry({ run, at, row }));
    return ledger.append(step.chain, step.bad ? [...rows, { ...entry(), actor: '' }] : rows);
  }
  if (step.do === 'freeze')
    return freezes.set({
      freeze_id: `f${run}-${at}`,
      scope: '*',
      reason: 'quiet please',
      by: 'U1',
      until_ms: null,
    });
  if (step.do === 'lift') return freezes.lift('*', 'U1', 'go');
  if (step.do === 'stop') return freezes.stop(INC, 'U1', 'halt');
  if (step.do === 'go on') return freezes.clearStop(INC);
  const n = run * 10 + (step.n ?? 0);
  const key = `key-${n}`;
  if (step.do === 'mint') return journal.mintPermit(permit(n), entry({ minted: n }));
  if (step.do === 'dispatch') return journal.dispatch(key, { before_image: { n }, object_uid: null });
  const audit = { kind: 'call', actor: 'aegis:gateway', payload: { at } } as const;
  return journal.accept({ permit_id: `permit_${n}`, key, args_hash: H('args'), audit });
}

/** What a caller gets: the answer, or the words of the error. */
async function answer(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    (value) => ({ value: value ?? null }),
    (error: Error) => ({ error: error.message }),
  );
}

async function together(store: Store, history: readonly Step[], run: number): Promise<unknown[]> {
  const answers: Promise<unknown>[] = [];
  for (const [at, step] of history.entries()) {
    if (step.do !== 'wait') answers.push(answer(start(store, step, run, at)));
    else if (step.turns === 0) await Promise.resolve();
    else for (let turn = 0; turn < step.turns; turn += 1) await nextTurn();
  }
  return Promise.all(answers);
}

async function inTurn(store: Store, history: readonly Step[], run: number): Promise<unknown[]> {
  const answers: unknown[] = [];
  for (const [at, step] of history.entries())
    if (step.do !== 'wait') answers.push(await answer(start(store, step, run, at)));
  return answers;
}

async function everything(store: Store): Promise<unknown> {
  const heads = await store.ledger.heads();
  const chains = await Promise.all(heads.map(({ incident_id }) => store.ledger.read(incident_id)));
  return { chains, unfinished: await store.journal.unfinished() };
}

function likeOneAfterAnother(bench: Bench, make: MakePlace): void {
  it('give every caller the answer, and every chain the entries, of the same operations one after another', async () => {
    const place = make();
    const patient = await place.open(handClock());
    let run = 0;
    let failed = 0;
    try {
      await fc.assert(
        fc.asyncProperty(steps, async (history) => {
          run += 1;
          const [answers, expected] = [
            await together(bench.store, history, run),
            await inTurn(patient, history, run),
          ];
          failed += answers.filter((one) => 'error' in (one as object)).length;
          expect(answers).toEqual(expected);
          expect(await everything(bench.store)).toEqual(await everything(patient));
        }),
        { numRuns: 25, endOnFailure: true },
      );
      expect(failed).toBeGreaterThan(0);
      expect((await bench.store.ledger.verify()).problems).toEqual([]);
    } finally {
      await patient.close();
      place.dispose();
    }
  });
}

function keepsOrder(bench: Bench): void {
  it('count in the order in which they came, whatever their kind: only what comes after a freeze is frozen', async () => {
    const { ledger, journal, freezes } = bench.store;
    const audit = { kind: 'call', actor: 'aegis:gateway', payload: {} } as const;
    for (const n of [1, 2]) {
      await journal.mintPermit(permit(n), entry());
      await journal.accept({ permit_id: `permit_${n}`, key: `key-${n}`, args_hash: H('args'), audit });
    }
    const nothing = { before_image: null, object_uid: null };
    const before = journal.dispatch('key-1', nothing);
    const noted = ledger.append('SYSTEM', [entry({ type: 'noted' })]);
    const frozen = freezes.set({ freeze_id: 'f1', scope: '*', reason: 'quiet', by: 'U1', until_ms: null });
    const after = journal.dispatch('key-2', nothing);
    await frozen;
    expect(await before).toBe('dispatched');
    expect(await after).toMatchObject({ code: 'frozen' });
    expect((await noted)[0]?.seq).toBe(1);
  });

  it('are kept when the store closes before it got to them', async () => {
    const { store } = bench;
    const appended = store.ledger.append(INC, [entry({ type: 'late' })]);
    await bench.restart();
    expect(await bench.store.ledger.read(INC)).toEqual(await appended);
    await expect(store.ledger.append(INC, [entry()])).rejects.toThrow(/not open/);
  });
}
