import { describe, expect, it } from 'vitest';
import { DuplicateIncidentError, SeqConflictError } from '../../src/store/errors.ts';
import { approval, card, H, INC, inboxRow, START_MS, step } from './samples.ts';
import { useBench } from './store-place.ts';
import type { Bench, MakePlace } from './store-place.ts';

const OTHER = 'INC-2026-1123-002';

export function describeStep(make: MakePlace): void {
  describe('step', () => {
    const bench = useBench(make);
    writesAll(bench);
    refuses(bench);
  });
  describe('incidents', () => findsIncidents(useBench(make)));
}

function writesAll(bench: Bench): void {
  it('writes ledger, snapshot, effects, timers, cards and approvals together and consumes the inbox row', async () => {
    const { inbox_id } = await bench.store.inbox.append(inboxRow('click-1'));
    const result = await bench.store.step.commit(
      step(0, {
        inbox_ids: [inbox_id],
        effects: [{ effect_id: `${INC}/1/0`, kind: 'triage', payload: { a: 1 } }],
        arm_timers: [{ kind: 'quiet', due_at_ms: START_MS + 5 }],
        cards: [card('root', `root:${INC}`)],
        approvals: [approval('APR-1')],
      }),
    );
    const { store } = bench;
    expect(result.step).toBe(1);
    expect(result.head).toBe(result.entries.at(-1)?.hash);
    expect(await store.inbox.pending(10)).toEqual([]);
    expect(await store.incidents.get(INC)).toMatchObject({
      step: 1,
      open: true,
      snapshot: { state: 'TRIAGE', steps: 1 },
      opened_at_ms: START_MS,
    });
    expect(await store.effects.open(10)).toMatchObject([
      { effect_id: `${INC}/1/0`, state: 'pending', payload: { a: 1 } },
    ]);
    expect(await store.timers.due(START_MS + 5, 10)).toEqual([
      { incident_id: INC, kind: 'quiet', due_at_ms: START_MS + 5, armed_step: 1 },
    ]);
    expect(await store.outbox.due(10)).toMatchObject([
      { card_key: `root:${INC}`, incident_id: INC, wanted_revision: 1 },
    ]);
    expect(await store.approvals.get('APR-1')).toEqual(approval('APR-1'));
  });

  it('counts on from step to step, keeps the opening time, and shows approvals as they are now', async () => {
    await bench.store.step.commit(step(0, { approvals: [approval('APR-1')] }));
    bench.clock.at += 1000;
    const second = await bench.store.step.commit(
      step(1, { approvals: [approval('APR-1', 'denied'), approval('APR-2')] }),
    );
    expect(second.step).toBe(2);
    expect(await bench.store.incidents.get(INC)).toMatchObject({
      step: 2,
      opened_at_ms: START_MS,
      updated_at_ms: START_MS + 1000,
    });
    expect((await bench.store.approvals.get('APR-1'))?.status).toBe('denied');
    expect((await bench.store.approvals.get('APR-2'))?.status).toBe('open');
    expect(await bench.store.approvals.standingIn()).toEqual([INC]);
    expect(await bench.store.approvals.get('APR-9')).toBeNull();
  });
}

function refuses(bench: Bench): void {
  const traces = async () => ({
    entries: await bench.store.ledger.read(INC),
    incident: await bench.store.incidents.get(INC),
    effects: await bench.store.effects.open(10),
    cards: await bench.store.outbox.due(10),
    timer: await bench.store.timers.nextDue(),
    inbox: await bench.store.inbox.pending(10),
  });
  const full = (expected: number, inbox_ids: readonly string[] = []) =>
    step(expected, {
      inbox_ids,
      effects: [{ effect_id: `${INC}/9/0`, kind: 'plan', payload: {} }],
      arm_timers: [{ kind: 'quiet', due_at_ms: 1 }],
      cards: [card('root', `root:${INC}`)],
    });

  it('refuses a step that another step overtook, and leaves no trace of it', async () => {
    await bench.store.step.commit(step(0));
    const before = await traces();
    for (const wrong of [0, 2, 7])
      await expect(bench.store.step.commit(full(wrong))).rejects.toThrow(SeqConflictError);
    expect(await traces()).toEqual(before);
  });

  it('refuses a second step for one inbox row, and one for a row that does not exist', async () => {
    const { inbox_id } = await bench.store.inbox.append(inboxRow('click-1'));
    await bench.store.step.commit(step(0, { inbox_ids: [inbox_id] }));
    const before = await traces();
    for (const id of [inbox_id, 'in_999', 'nonsense', ''])
      await expect(bench.store.step.commit(full(1, [id]))).rejects.toThrow(SeqConflictError);
    expect(await traces()).toEqual(before);
  });

  it('consumes several inbox rows at once, or none when one of them is not pending any more', async () => {
    const ids: string[] = [];
    for (const key of ['a1', 'a2', 'a3']) ids.push((await bench.store.inbox.append(inboxRow(key))).inbox_id);
    await bench.store.step.commit(step(0, { inbox_ids: ids.slice(0, 1) }));
    await expect(bench.store.step.commit(full(1, ids.toReversed()))).rejects.toThrow(SeqConflictError);
    expect(await bench.store.inbox.pending(10)).toHaveLength(2);
    await bench.store.step.commit(full(1, ids.slice(1)));
    expect(await bench.store.inbox.pending(10)).toEqual([]);
  });

  it('undoes everything when the last part of a step fails', async () => {
    const { inbox_id } = await bench.store.inbox.append(inboxRow('click-1'));
    const before = await traces();
    const broken = { ...card('root', 'x'), placement: 'ceiling' as never };
    await expect(
      bench.store.step.commit({ ...full(0, [inbox_id]), cards: [card('root', 'y'), broken] }),
    ).rejects.toThrow();
    await expect(bench.store.step.commit({ ...full(0, [inbox_id]), entries: [] })).rejects.toThrow(
      /at least one/,
    );
    expect(await traces()).toEqual(before);
  });

  it('refuses a second open incident with one identity and names the first, until that one is closed', async () => {
    const identity = H('same');
    await bench.store.step.commit(step(0, { row: { identity } }));
    const second = step(0, { incident_id: OTHER, row: { identity } });
    const error = await bench.store.step.commit(second).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(DuplicateIncidentError);
    expect((error as DuplicateIncidentError).existing_id).toBe(INC);
    await bench.store.step.commit(step(1, { row: { identity, open: false, state: 'CLOSED' } }));
    bench.clock.at += 1;
    expect((await bench.store.step.commit(second)).step).toBe(1);
    expect((await bench.store.incidents.findOpen(identity))?.incident_id).toBe(OTHER);
    expect((await bench.store.incidents.findLatest(identity))?.incident_id).toBe(OTHER);
    await expect(bench.store.step.commit(step(2, { row: { identity } }))).rejects.toThrow(
      DuplicateIncidentError,
    );
  });
}

function findsIncidents(bench: Bench): void {
  it('never gives an id or number twice, also after a restart, and starts every UTC day at 001', async () => {
    const { incidents } = bench.store;
    expect(await incidents.allocateId(START_MS)).toBe('INC-2026-1123-001');
    expect(await incidents.allocateNumber('CHG')).toBe(1);
    await bench.restart();
    expect(await bench.store.incidents.allocateId(START_MS)).toBe('INC-2026-1123-002');
    expect(await bench.store.incidents.allocateId(START_MS + 86_400_000)).toBe('INC-2026-1124-001');
    expect(await bench.store.incidents.allocateId(Date.UTC(2026, 10, 23, 23, 59, 59, 999))).toBe(
      'INC-2026-1123-003',
    );
    expect(await bench.store.incidents.allocateNumber('CHG')).toBe(2);
    expect(await bench.store.incidents.allocateNumber('APR')).toBe(1);
  });

  it('finds an incident by the thread of its root card only', async () => {
    await bench.store.step.commit(step(0, { cards: [card('root', `root:${INC}`), card('thread', 't1')] }));
    await bench.store.outbox.sent(`root:${INC}`, 1, 'C1', '100.1');
    await bench.store.outbox.sent('t1', 1, 'C1', '100.2');
    expect((await bench.store.incidents.findByThread('C1', '100.1'))?.incident_id).toBe(INC);
    expect(await bench.store.incidents.findByThread('C1', '100.2')).toBeNull();
    expect(await bench.store.incidents.findByThread('C2', '100.1')).toBeNull();
  });

  it('finds who plans the same effect: by tool and object, in plans of any revision, as long as they moved lately', async () => {
    const effect = { tool: 'k8s.patch', target: 'mcp://k8s/prod-1/spark-jobs/deployment/api' };
    await bench.store.step.commit(step(0, { planned: [effect, { ...effect, tool: 'k8s.scale' }] }));
    bench.clock.at += 10;
    await bench.store.step.commit(step(0, { incident_id: OTHER, planned: [effect, effect] }));
    await bench.store.step.commit(step(1, { incident_id: OTHER, planned: [] }));
    const ids = async (sought: typeof effect, since_ms: number) =>
      (await bench.store.incidents.planning(sought, since_ms)).map((row) => row.incident_id);
    expect(await ids(effect, START_MS)).toEqual([OTHER, INC]);
    expect(await ids(effect, START_MS + 10)).toEqual([OTHER]);
    expect(await ids(effect, START_MS + 11)).toEqual([]);
    expect(await ids({ ...effect, tool: 'k8s.scale' }, START_MS)).toEqual([INC]);
    expect(await ids({ ...effect, target: `${effect.target}-2` }, START_MS)).toEqual([]);
  });

  it('lists by openness, team and environment, newest first', async () => {
    await bench.store.step.commit(step(0));
    bench.clock.at += 1;
    await bench.store.step.commit(
      step(0, { incident_id: OTHER, row: { open: false, state: 'CLOSED', team: 'shop' } }),
    );
    const ids = async (options: { open?: boolean; team?: string; env?: string }) =>
      (await bench.store.incidents.list({ ...options, limit: 10 })).map((row) => row.incident_id);
    expect(await ids({})).toEqual([OTHER, INC]);
    expect(await ids({ open: true })).toEqual([INC]);
    expect(await ids({ open: false })).toEqual([OTHER]);
    expect(await ids({ team: 'shop', env: 'prod' })).toEqual([OTHER]);
    expect(await ids({ team: 'shop', env: 'dev' })).toEqual([]);
    expect(await bench.store.incidents.get('INC-2026-1123-999')).toBeNull();
  });
}
