import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Action } from '../../src/contract/plan.ts';
import type { HarnessDeps } from '../../src/harness/deps.ts';
import { undoEffect } from '../../src/harness/effects/undo.ts';
import type { HarnessEvent } from '../../src/harness/events.ts';
import { emptySnapshot } from '../../src/harness/state.ts';
import type { MachineContext } from '../../src/harness/state.ts';
import { approvedPlan, execute } from '../gateway/approved-plan.ts';
import type { ApprovedPlan } from '../gateway/approved-plan.ts';
import { patient, startStage } from '../gateway/stage.ts';
import type { Stage } from '../gateway/stage.ts';

/** The undo of one change against the real gateway and store: what it does, and what it leaves to people. */
const API = 'mcp://k8s/prod-1/spark-jobs/deployment/settlement-api';
const PATH = '/spec/replicas';
let stage: Stage;

const scaleTo = (value: number) => ({ changes: [{ path: PATH, value }] });
const replicas = (): unknown => deployment()?.spec?.['replicas'];
const deployment = () => stage.world.store.get('Deployment', 'spark-jobs', 'settlement-api');
const writes = (): number => stage.kubernetes.mutations().length;
const outside = (value: number): void =>
  void stage.kubernetes.patchFromOutside('Deployment', 'spark-jobs', 'settlement-api', {
    spec: { replicas: value },
  });

/** A change from 2 to 3 pods that is done, and how many writes the cluster has seen by then. */
async function changed(
  rollback: Action['rollback'] = { from: 'before_image' },
): Promise<{ approved: ApprovedPlan; writes_before: number }> {
  const action = { tool: 'k8s.scale', target: API, params: scaleTo(3), rollback };
  const approved = await approvedPlan(stage, { action });
  expect(await execute(stage, approved)).toMatchObject({ outcome: { status: 'done' } });
  return { approved, writes_before: writes() };
}

async function contextOf({ incident_id }: ApprovedPlan): Promise<MachineContext> {
  const entries = await stage.store.ledger.read(incident_id, { limit: 1000 });
  const opened = entries[0]?.payload as { context: MachineContext['incident'] };
  const payload = entries.find((e) => e.kind === 'plan')?.payload as never;
  return {
    ...emptySnapshot().context,
    incident: opened.context,
    plan: { payload, previews: [], gates: [] },
    running: { effect_id: `${incident_id}/9/0`, kind: 'undo', change_id: 'CHG-7' },
  };
}

async function undo(approved: ApprovedPlan): Promise<HarnessEvent> {
  const context = await contextOf(approved);
  const { store, gateway, ids, clock } = stage;
  const deps = { store, gateway, ids, clock } as unknown as HarnessDeps;
  const signal = new AbortController().signal;
  const at = () => new Date(clock.now()).toISOString();
  return undoEffect({ deps, context, running: context.running as never, signal, at });
}

describe('the undo of one change', () => {
  beforeAll(async () => {
    stage = await startStage({ settings: patient });
  });
  beforeEach(() => {
    // The incident of the test before holds the target until its lease ends.
    stage.clock.skip(600_000);
    outside(2);
  });
  afterAll(() => stage.close());

  it('puts back what was observed before the change, shows it, and does so once however often it is asked', async () => {
    // The incident of the test before holds the target until its lease ends.
    stage.clock.skip(600_000);
    const { approved, writes_before } = await changed();
    expect(await undo(approved)).toMatchObject({
      type: 'undone',
      change_id: 'CHG-7',
      put_back: 'yes',
      outcome: { status: 'done', replayed: false },
    });
    expect(replicas()).toBe(2);
    // As after a crash between the undo and its report.
    expect(await undo(approved)).toMatchObject({ put_back: 'yes', outcome: { replayed: true } });
    expect(writes()).toBe(writes_before + 1);
    const row = await stage.store.journal.get(`${approved.incident_id}#CHG-7#undo`);
    expect(row).toMatchObject({ status: 'done', permit: { phase: 'undo' } });
    const ledger = await stage.store.ledger.read(approved.incident_id, { limit: 1000, kinds: ['preview'] });
    expect(ledger.map((e) => e.payload['phase'])).toEqual([undefined, 'undo']);
  });

  it('takes the rollback that the plan names, when it names one', async () => {
    const { approved } = await changed({ tool: 'k8s.scale', params: scaleTo(2) });
    expect(await undo(approved)).toMatchObject({ put_back: 'yes' });
    expect(replicas()).toBe(2);
  });

  it('leaves what somebody changed meanwhile, and says which field and what it is now', async () => {
    const { approved, writes_before } = await changed();
    outside(4);
    expect(await undo(approved)).toMatchObject({
      type: 'undone',
      put_back: 'no',
      outcome: { status: 'conflict', conflict_fields: [{ path: PATH, after: 4 }] },
    });
    expect([replicas(), writes()]).toEqual([4, writes_before]);
    expect(await stage.store.journal.get(`${approved.incident_id}#CHG-7#undo`)).toBeNull();
  });

  it('is a conflict also when somebody has put it back already', async () => {
    const { approved, writes_before } = await changed();
    outside(2);
    expect(await undo(approved)).toMatchObject({ put_back: 'no', outcome: { status: 'conflict' } });
    expect(writes()).toBe(writes_before);
  });

  it('says so when the object shows another state again after it was put back', async () => {
    const { approved } = await changed();
    await undo(approved);
    outside(5);
    expect(await undo(approved)).toMatchObject({
      put_back: 'changed_since',
      outcome: { status: 'conflict' },
    });
    expect(replicas()).toBe(5);
  });

  it('is refused under a freeze, with nothing written, and goes on when it is lifted', async () => {
    const { approved, writes_before } = await changed();
    await stage.store.freezes.set({
      freeze_id: 'frz',
      scope: 'data/prod',
      reason: 'audit',
      by: 'ines',
      until_ms: null,
    });
    expect(await undo(approved)).toMatchObject({ type: 'undo_refused', code: 'frozen' });
    expect(writes()).toBe(writes_before);
    await stage.store.freezes.lift('data/prod', 'ines', 'done');
    expect(await undo(approved)).toMatchObject({ put_back: 'yes' });
  });

  it('still has the approvals of its change when an approver resumed the incident after the change was made', async () => {
    const { approved } = await changed();
    const resumed = { type: 'resumed', at: new Date(stage.clock.now()).toISOString(), by: 'bo' };
    await stage.store.ledger.append(approved.incident_id, [
      { kind: 'event', actor: 'person:bo', payload: resumed },
    ]);
    expect(await undo(approved)).toMatchObject({ put_back: 'yes' });
  });

  it('has nothing to do for a change without a rollback', async () => {
    const { approved, writes_before } = await changed({ none: true, reason: 'pods cannot be unmade' });
    expect(await undo(approved)).toMatchObject({
      type: 'undo_refused',
      code: 'no-rollback',
      reason: expect.stringContaining('pods cannot be unmade'),
    });
    expect(writes()).toBe(writes_before);
  });

  it('is tried again later when the server is ill, and finds out what became of a lost answer', async () => {
    const { approved, writes_before } = await changed();
    stage.kubernetes.faults.answer({ status: 503, match: (r) => r.method === 'PATCH' });
    expect(await undo(approved)).toMatchObject({ type: 'effect_failed', retryable: true });
    stage.kubernetes.faults.clear();
    stage.kubernetes.faults.dropAfter({ times: 1, match: (r) => r.method === 'PATCH' && !r.dry_run });
    expect(await undo(approved)).toMatchObject({ put_back: 'yes', outcome: { status: 'done' } });
    expect([replicas(), writes()]).toEqual([2, writes_before + 1]);
  });
});
