import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { canonicalJson, hashOf } from '../../src/contract/canonical.ts';
import type { Preview } from '../../src/contract/tool.ts';
import { isRefusal } from '../../src/contract/verdict.ts';
import type { KubeObject } from '../../src/lab/world/kube-object.ts';
import { approvedPlan, execute, type ApprovedPlan } from './approved-plan.ts';
import { patient, startStage, type Stage } from './stage.ts';

vi.setConfig({ testTimeout: 90_000, hookTimeout: 90_000 });

/** `k8s.rollout_undo` with a canary: one atomic patch that the Deployment controller itself holds after its first pod. */
const API = 'mcp://k8s/prod-1/spark-jobs/deployment/settlement-api';
const IMAGE = 'registry.example.com/data/settlement-api';
const TOOL = 'k8s.rollout_undo';
const REVISION = 'deployment.kubernetes.io/revision';
/** To the previous revision, whatever its number is by now. */
const HOLD = { canary_hold_s: 300 };
const PACE = [
  '/spec/minReadySeconds',
  '/spec/strategy/rollingUpdate/maxSurge',
  '/spec/strategy/rollingUpdate/maxUnavailable',
];

let stage: Stage;

const deployment = (): KubeObject =>
  stage.world.store.get('Deployment', 'spark-jobs', 'settlement-api') as KubeObject;
const writes = (): number => stage.kubernetes.mutations().length;
const outside = (spec: Record<string, unknown>): void =>
  void stage.kubernetes.patchFromOutside('Deployment', 'spark-jobs', 'settlement-api', { spec });
const tags = (): string[] =>
  stage.world.store
    .list('Pod', 'spark-jobs')
    .filter(
      ({ metadata }) =>
        metadata.name.startsWith('settlement-api-') && metadata.deletionTimestamp === undefined,
    )
    .map((pod) => (pod.spec as { containers: { image: string }[] }).containers[0]?.image.split(':')[1] ?? '')
    .sort();

async function until(what: () => boolean): Promise<void> {
  const look = (): boolean => {
    stage.world.tick();
    return what();
  };
  await vi.waitFor(() => expect(look()).toBe(true), { timeout: 30_000, interval: 20 });
}

/** The controller has taken the newest spec up: until then the history of revisions does not fit the template. */
const settled = (): Promise<void> =>
  until(() => {
    const { metadata, status } = deployment();
    return (status as { observedGeneration?: number }).observedGeneration === metadata.generation;
  });

const plan = async (canary: Record<string, unknown> = HOLD): Promise<ApprovedPlan> => {
  await settled();
  return approvedPlan(stage, { action: { tool: TOOL, target: API, params: {}, canary } });
};

async function refusalOf(canary: Record<string, unknown>): Promise<string> {
  try {
    await plan(canary);
    return 'previewed';
  } catch (error) {
    return (error as Error).message;
  }
}

async function tryCanary(approved: ApprovedPlan): Promise<unknown> {
  const { effect_hash } = approved.canary as Preview;
  const permit_id = await approved.mint({ phase: 'canary', effect_hash, args_hash: hashOf(HOLD) });
  const answer = await execute(stage, approved, { permit_id, params: HOLD });
  await settled();
  return answer;
}

/** The second call as the harness makes it: what the canary left to do. */
async function follow(approved: ApprovedPlan): Promise<unknown> {
  const payload = { check_id: 'a1c1', title: 't', status: 'passed', found: 'x', evidence_id: null, tries: 1 };
  await stage.store.ledger.append(approved.incident_id, [
    { kind: 'verify', actor: 'aegis:harness', payload },
  ]);
  const template = approved.preview.changes[0]?.after;
  const params = { template, pace: { min_ready_s: null, max_surge: '25%', max_unavailable: '25%' } };
  const permit_id = await approved.mint({ args_hash: hashOf(params) });
  return execute(stage, approved, { permit_id, params });
}

async function undo(approved: ApprovedPlan, params: Record<string, unknown>): Promise<unknown> {
  const token = await stage.token({ incident_id: approved.incident_id });
  const asked = { token, tool: TOOL, target: API, params, change_id: 'CHG-7', why: 'test' };
  const previewed = await stage.gateway.preview(asked);
  if (isRefusal(previewed)) return previewed;
  const { preview } = previewed;
  await stage.store.ledger.append(approved.incident_id, [
    { kind: 'preview', actor: 'aegis:gateway', payload: { change_id: 'CHG-7', phase: 'undo', preview } },
  ]);
  const { effect_hash } = preview;
  const permit_id = await approved.mint({ phase: 'undo', effect_hash, args_hash: hashOf(params) });
  return execute(stage, approved, { params, permit_id });
}

describe('a rollback with a canary', () => {
  let crashing: unknown;
  const back = (): Record<string, unknown> => ({
    template: crashing,
    pace: { min_ready_s: null, max_surge: '25%', max_unavailable: '25%' },
  });
  let original = '';

  beforeAll(async () => {
    stage = await startStage({ settings: patient });
    const { template } = deployment().spec as { template: { spec: { containers: object[] } } };
    const containers = template.spec.containers.map((c) => ({ ...c, image: `${IMAGE}:2.15.0` }));
    outside({ template: { spec: { containers } } });
    await until(() => deployment().metadata.annotations?.[REVISION] === '2' && new Set(tags()).size === 1);
    stage.clock.skip(600_000);
    original = canonicalJson(deployment().spec);
  });
  afterAll(() => stage.close());

  it('sets template and pace in one patch; exactly one pod follows, and no other before the hold ends', async () => {
    const approved = await plan();
    const { changes } = approved.canary as Preview;
    crashing = changes[0]?.before;
    expect(changes.map(({ path }) => path)).toEqual(['/spec/template', ...PACE]);
    expect(changes.slice(1).map(({ before, after }) => [before, after])).toEqual([
      [null, 300],
      ['25%', 1],
      ['25%', 0],
    ]);
    expect(approved.preview.changes.map(({ path }) => path)).toEqual(['/spec/template']);
    const before = writes();
    expect(await tryCanary(approved)).toMatchObject({ outcome: { status: 'done' } });
    expect(writes()).toBe(before + 1);
    await until(() => tags().join() === '2.14.0,2.15.0,2.15.0');

    expect(await follow(approved)).toMatchObject({ outcome: { status: 'done' } });
    expect(writes()).toBe(before + 2);
    await until(() => tags().join() === '2.14.0,2.14.0');
    const { minReadySeconds, strategy } = deployment().spec as Record<string, unknown>;
    expect([minReadySeconds, strategy]).toEqual([
      undefined,
      { type: 'RollingUpdate', rollingUpdate: { maxSurge: '25%', maxUnavailable: '25%' } },
    ]);

    expect(await undo(approved, back())).toMatchObject({ outcome: { status: 'done' } });
    expect(canonicalJson(deployment().spec)).toBe(original);
    await until(() => tags().join() === '2.15.0,2.15.0');
  });

  it('the undo of the canary alone brings back template and pace, byte for byte', async () => {
    const approved = await plan();
    expect(await tryCanary(approved)).toMatchObject({ outcome: { status: 'done' } });
    const half = { template: crashing };
    expect(await undo(approved, half)).toMatchObject({ code: 'undo-mismatch' });
    expect(await undo(approved, back())).toMatchObject({ outcome: { status: 'done' } });
    expect(canonicalJson(deployment().spec)).toBe(original);
    await until(() => tags().join() === '2.15.0,2.15.0');
  });

  it('a pace that somebody set after the canary is not overwritten by the rest', async () => {
    const approved = await plan();
    await tryCanary(approved);
    outside({ minReadySeconds: 17 });
    const before = writes();
    expect(await follow(approved)).toMatchObject({
      outcome: {
        status: 'conflict',
        conflict_fields: [{ path: '/spec/minReadySeconds', before: 300, after: 17 }],
      },
    });
    expect(writes()).toBe(before);
    outside({ minReadySeconds: 300 });
    expect(await undo(approved, back())).toMatchObject({ outcome: { status: 'done' } });
    expect(canonicalJson(deployment().spec)).toBe(original);
  });

  it('a lost answer of the canary is found done by looking, and is not sent again', async () => {
    const approved = await plan();
    const before = writes();
    stage.kubernetes.faults.dropAfter({
      times: 1,
      match: ({ method, dry_run }) => method === 'PATCH' && !dry_run,
    });
    expect(await tryCanary(approved)).toMatchObject({ outcome: { status: 'done' } });
    expect(writes()).toBe(before + 1);
    expect(await undo(approved, back())).toMatchObject({ outcome: { status: 'done' } });
  });

  it.each([
    ['all pods at once', { strategy: { type: 'Recreate', rollingUpdate: null } }, /strategy Recreate/],
    ['no pods', { replicas: 0 }, /replicas 0/],
    ['a short deadline', { progressDeadlineSeconds: 300 }, /not below its progressDeadlineSeconds 300/],
    ['a pause', { paused: true }, /paused/],
  ])('is refused in words for a Deployment with %s', async (_name, spec, words) => {
    const before = deployment().spec as Record<string, unknown>;
    outside(spec);
    expect(await refusalOf(HOLD)).toMatch(words);
    const restored = Object.fromEntries(Object.keys(spec).map((key) => [key, before[key] ?? null]));
    outside(restored);
    expect(canonicalJson(deployment().spec)).toBe(original);
  });

  it('arguments cannot smuggle in another pace, nor a hold beside a template', async () => {
    const template = (await plan()).preview.changes[0]?.after;
    const pace = { min_ready_s: 0, max_surge: '100%', max_unavailable: '100%' };
    expect(await refusalOf({ template, pace })).toMatch(/neither a canary's pace nor what it was/);
    expect(await refusalOf({ pace })).toMatch(/pace goes with a template/);
    expect(await refusalOf({ template, canary_hold_s: 60 })).toMatch(/canary_hold_s with a revision/);
    expect(await refusalOf({ canary_hold_s: 0 })).toMatch(/canary_hold_s/);
  });

  it('classes as a write, every field of it only as restored', () => {
    const classified = stage.gateway.classify({ tool: TOOL, target: API, params: HOLD });
    expect(classified).toMatchObject({ action_class: 'write' });
  });
});
