import { describe, expect, it } from 'vitest';
import type { Permit } from '../../src/contract/tool.ts';
import { entry, H, INC, incidentContext, KEY, outcome, permit, START_MS, step } from './samples.ts';
import { useBench } from './store-place.ts';
import type { Bench, MakePlace } from './store-place.ts';

const AUDIT = { kind: 'call', actor: 'aegis:gateway', payload: { phase: 'before' } } as const;
const NOTHING = { before_image: null, object_uid: null };

/** Mints a permit and tries to accept it. */
async function accept(bench: Bench, n: number, args = 'args', overrides: Partial<Permit> = {}) {
  const { journal } = bench.store;
  await journal.mintPermit(permit(n, { args_hash: H(args), ...overrides }), {
    kind: 'permit',
    actor: 'aegis:harness',
    payload: { n },
  });
  return journal.accept({ permit_id: `permit_${n}`, key: KEY, args_hash: H(args), audit: AUDIT });
}

const callsIn = (bench: Bench) => bench.store.ledger.count(INC, ['call']);

export function describeJournal(make: MakePlace): void {
  describe('journal', () => {
    const bench = useBench(make);
    accepts(bench);
    goesOn(bench);
  });
  describe('dispatch', () => dispatches(useBench(make)));
  describe('dispatch under a freeze', () => dispatchesFrozen(useBench(make)));
}

function accepts(bench: Bench): void {
  it('consumes a permit once, writes row and audit together, and keeps the permit on the row', async () => {
    const first = await accept(bench, 1);
    expect(first).toMatchObject({
      result: 'accepted',
      row: { status: 'accepted', key: KEY, tool: 'k8s.patch', permit: permit(1) },
    });
    expect(await callsIn(bench)).toBe(1);
    const again = await bench.store.journal.accept({
      permit_id: 'permit_1',
      key: KEY,
      args_hash: H('args'),
      audit: AUDIT,
    });
    expect(again.result).toBe('permit_used');
    expect(await callsIn(bench)).toBe(1);
  });

  it('lets exactly one of many racing calls have a permit', async () => {
    await bench.store.journal.mintPermit(permit(1), entry());
    const other = await bench.another();
    const calls = Array.from({ length: 20 }, (_, i) =>
      (i % 2 === 0 ? bench.store : other).journal.accept({
        permit_id: 'permit_1',
        key: `${KEY}${i}`,
        args_hash: H('args'),
        audit: AUDIT,
      }),
    );
    const results = (await Promise.all(calls)).map((r) => r.result).sort();
    expect(results).toEqual(['accepted', ...Array.from({ length: 19 }, () => 'permit_used')]);
  });

  it('refuses an expired permit without consuming anything, and one that was never minted is a fault', async () => {
    bench.clock.at = START_MS + 60_000;
    expect(await accept(bench, 1)).toEqual({ result: 'permit_expired', row: null });
    expect(await bench.store.journal.get(KEY)).toBeNull();
    await expect(
      bench.store.journal.accept({ permit_id: 'forged', key: KEY, args_hash: H('args'), audit: AUDIT }),
    ).rejects.toThrow(/never minted/);
    await expect(bench.store.journal.mintPermit(permit(1), entry())).rejects.toThrow();
    expect(await bench.store.journal.permit('forged')).toBeNull();
    expect(await bench.store.journal.permit('permit_1')).toEqual(permit(1));
  });

  it('answers other arguments under a known key with a conflict and changes nothing', async () => {
    await accept(bench, 1);
    expect(await accept(bench, 2, 'other args')).toMatchObject({
      result: 'conflict',
      row: { args_hash: H('args'), permit: { permit_id: 'permit_1' } },
    });
    expect(await callsIn(bench)).toBe(1);
  });
}

function goesOn(bench: Bench): void {
  it('lets a call that was accepted and never dispatched go on with a fresh permit, and then dispatches it once', async () => {
    await accept(bench, 1);
    await bench.restart();
    expect((await bench.store.journal.unfinished()).map((r) => r.status)).toEqual(['accepted']);
    expect(await accept(bench, 2)).toMatchObject({
      result: 'accepted',
      row: { permit: { permit_id: 'permit_2' } },
    });
    expect(await callsIn(bench)).toBe(2);
    expect(await bench.store.journal.dispatch(KEY, NOTHING)).toBe('dispatched');
    expect(await bench.store.journal.dispatch(KEY, NOTHING)).toMatchObject({
      allow: false,
      code: 'already-dispatched',
    });
  });

  it('answers a known key that was dispatched with the row, consumes the permit and writes no audit row', async () => {
    await accept(bench, 1);
    await bench.store.journal.dispatch(KEY, { before_image: { '/spec/x': '1g' }, object_uid: 'u1' });
    expect(await accept(bench, 2)).toMatchObject({
      result: 'existing',
      row: { status: 'dispatched', before_image: { '/spec/x': '1g' }, object_uid: 'u1' },
    });
    await bench.store.journal.finish(KEY, 'done', outcome());
    expect(await accept(bench, 3)).toMatchObject({
      result: 'existing',
      row: { status: 'done', outcome: outcome() },
    });
    const used = await bench.store.journal.accept({
      permit_id: 'permit_3',
      key: 'x',
      args_hash: H('args'),
      audit: AUDIT,
    });
    expect(used.result).toBe('permit_used');
    expect(await callsIn(bench)).toBe(1);
    expect(await bench.store.journal.unfinished()).toEqual([]);
  });

  it('opens a dispatched row again when the write was shown not to have run, and no other row', async () => {
    const { journal } = bench.store;
    await accept(bench, 1);
    await expect(journal.reopen(KEY)).rejects.toThrow(/not dispatched/);
    await journal.dispatch(KEY, { before_image: { '/spec/x': '1g' }, object_uid: 'u1' });
    await journal.reopen(KEY);
    expect(await journal.get(KEY)).toMatchObject({
      status: 'accepted',
      before_image: null,
      dispatched_at_ms: null,
    });
    expect(await accept(bench, 2)).toMatchObject({ result: 'accepted' });
    expect(await journal.dispatch(KEY, NOTHING)).toBe('dispatched');
    const left_ms = bench.clock.now();
    bench.clock.at += 5000;
    await journal.finish(KEY, 'done', outcome());
    expect(await journal.get(KEY)).toMatchObject({
      dispatched_at_ms: left_ms,
      updated_at_ms: left_ms + 5000,
    });
    await expect(journal.reopen(KEY)).rejects.toThrow(/not dispatched/);
  });

  it('keeps a final outcome, settles an unknown one later, and takes no "done" from a call that never left', async () => {
    const { journal } = bench.store;
    await accept(bench, 1);
    await expect(journal.finish(KEY, 'done', outcome())).rejects.toThrow(/accepted and cannot become done/);
    await journal.dispatch(KEY, NOTHING);
    await journal.finish(KEY, 'outcome_unknown', outcome('outcome_unknown'));
    await journal.finish(KEY, 'done', outcome());
    await journal.finish(KEY, 'done', outcome());
    await expect(journal.finish(KEY, 'failed', outcome('failed'))).rejects.toThrow(
      /done and cannot become failed/,
    );
    expect(await journal.get(KEY)).toMatchObject({ status: 'done', outcome: outcome() });
    await expect(journal.finish('unknown key', 'done', outcome())).rejects.toThrow();
  });
}

function dispatches(bench: Bench): void {
  it('refuses after a stop, names who stopped it, and goes on when the stop is cleared', async () => {
    await bench.store.step.commit(step(0));
    await accept(bench, 1);
    await bench.store.freezes.stop(INC, 'mira', 'looks wrong');
    expect(await bench.store.freezes.stopped(INC)).toBe(true);
    const refused = await bench.store.journal.dispatch(KEY, NOTHING);
    expect(refused).toMatchObject({ code: 'stopped' });
    expect((refused as { reason: string }).reason).toContain('mira');
    expect((await bench.store.journal.get(KEY))?.status).toBe('accepted');
    await bench.store.freezes.clearStop(INC);
    expect(await bench.store.journal.dispatch(KEY, NOTHING)).toBe('dispatched');
  });

  it('refuses when the permit expired between accepting and dispatching', async () => {
    await bench.store.step.commit(step(0));
    await accept(bench, 1);
    bench.clock.at = START_MS + 60_000;
    expect(await bench.store.journal.dispatch(KEY, NOTHING)).toMatchObject({ code: 'permit-expired' });
    expect(await accept(bench, 2, 'args', { expires_at_ms: START_MS + 90_000 })).toMatchObject({
      result: 'accepted',
    });
    expect(await bench.store.journal.dispatch(KEY, NOTHING)).toBe('dispatched');
  });

  it('dispatches a row once among many racing calls', async () => {
    await bench.store.step.commit(step(0));
    await accept(bench, 1);
    const other = await bench.another();
    const results = await Promise.all(
      Array.from({ length: 10 }, (_, i) => (i % 2 ? other : bench.store).journal.dispatch(KEY, NOTHING)),
    );
    expect(results.filter((r) => r === 'dispatched')).toHaveLength(1);
    await expect(other.journal.dispatch('unknown key', NOTHING)).rejects.toThrow();
  });
}

function dispatchesFrozen(bench: Bench): void {
  const freeze = (scope: string, until_ms: number | null = null) =>
    bench.store.freezes.set({
      freeze_id: `FRZ-${scope}-${until_ms}`,
      scope,
      reason: 'release day',
      by: 'mira',
      until_ms,
    });
  const open = (service?: string) =>
    bench.store.step.commit(
      step(0, { entries: [entry({ type: 'opened', context: incidentContext(INC, service) })] }),
    );

  it.each(['*', 'data', 'data/prod', 'data/prod/nightly'])('refuses under a freeze of %s', async (scope) => {
    await open('nightly');
    await accept(bench, 1);
    await freeze(scope);
    const refused = await bench.store.journal.dispatch(KEY, NOTHING);
    expect(refused).toMatchObject({
      allow: false,
      code: 'frozen',
      remedy: `Lift it with: aegis unfreeze ${scope}`,
    });
    expect(await bench.store.freezes.lift(scope, 'mira', 'over')).toBe(1);
    expect(await bench.store.journal.dispatch(KEY, NOTHING)).toBe('dispatched');
  });

  it.each(['shop', 'data/dev', 'data/prod/other', 'dat'])(
    'dispatches under a freeze of %s, which is elsewhere',
    async (scope) => {
      await open('nightly');
      await accept(bench, 1);
      await freeze(scope);
      expect(await bench.store.journal.dispatch(KEY, NOTHING)).toBe('dispatched');
    },
  );

  it('treats every freeze as covering an incident whose place cannot be read: fail closed', async () => {
    await accept(bench, 1);
    await freeze('shop/dev/checkout');
    expect(await bench.store.journal.dispatch(KEY, NOTHING)).toMatchObject({ code: 'frozen' });
  });

  it('obeys the emergency freeze that was put after the call was accepted, and stops obeying when it is gone', async () => {
    await open();
    await accept(bench, 1);
    bench.place.emergencyFreeze('the building burns\n');
    const refused = await bench.store.journal.dispatch(KEY, NOTHING);
    expect(refused).toMatchObject({ code: 'frozen' });
    expect((refused as { reason: string }).reason).toContain('the building burns');
    bench.place.emergencyFreeze(null);
    expect(await bench.store.journal.dispatch(KEY, NOTHING)).toBe('dispatched');
  });

  it('forgets a freeze whose time is over', async () => {
    await open();
    await accept(bench, 1);
    await freeze('*', START_MS + 10);
    expect(await bench.store.journal.dispatch(KEY, NOTHING)).toMatchObject({ code: 'frozen' });
    bench.clock.at = START_MS + 10;
    expect(await bench.store.journal.dispatch(KEY, NOTHING)).toBe('dispatched');
  });
}
