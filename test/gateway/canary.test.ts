import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { canonicalJson, hashOf } from '../../src/contract/canonical.ts';
import type { FieldChange, Permit, Preview } from '../../src/contract/tool.ts';
import { isRefusal } from '../../src/contract/verdict.ts';
import { imageOfRows } from '../../src/gateway/change-image.ts';
import { canaryProblem, changesAfterCanary } from '../../src/gateway/pipeline/after-canary.ts';
import { approvedPlan, execute, type ApprovedPlan } from './approved-plan.ts';
import { patient, startStage, type Stage } from './stage.ts';

/** A change with a canary at the gateway: which permits are refused, and in which order things may happen. */
const API = 'mcp://k8s/prod-1/spark-jobs/deployment/settlement-api';
const PATH = '/spec/replicas';
const scaleTo = (value: number) => ({ changes: [{ path: PATH, value }] });
let stage: Stage;

const replicas = (): unknown =>
  stage.world.store.get('Deployment', 'spark-jobs', 'settlement-api')?.spec?.['replicas'];
const writes = (): number => stage.kubernetes.mutations().length;

/** From 2 to 3 pods first, then to 4. */
const plan = (): Promise<ApprovedPlan> =>
  approvedPlan(stage, {
    action: { tool: 'k8s.scale', target: API, params: scaleTo(4), canary: scaleTo(3) },
  });

type Answer = Awaited<ReturnType<typeof execute>>;

async function tryCanary(
  approved: ApprovedPlan,
  change: Partial<Permit> = {},
  params: Record<string, unknown> = scaleTo(3),
): Promise<Answer> {
  const { effect_hash } = approved.canary as Preview;
  const permit_id = await approved.mint({
    phase: 'canary',
    effect_hash,
    args_hash: hashOf(params),
    ...change,
  });
  return execute(stage, approved, { permit_id, params });
}

async function follow(approved: ApprovedPlan, params: Record<string, unknown> = scaleTo(4)): Promise<Answer> {
  const permit_id = await approved.mint({ args_hash: hashOf(params) });
  return execute(stage, approved, { permit_id, params });
}

/** As the harness records what a check of the canary said. */
function says(approved: ApprovedPlan, status: 'passed' | 'failed' | 'unknown'): Promise<unknown> {
  const payload = { check_id: 'a1c1', title: 'It bears it', status, found: 'x', evidence_id: null, tries: 1 };
  return stage.store.ledger.append(approved.incident_id, [
    { kind: 'verify', actor: 'aegis:harness', payload },
  ]);
}

describe('a canary and what follows it', () => {
  beforeAll(async () => {
    stage = await startStage({ settings: patient });
  });
  afterAll(() => stage.close());
  beforeEach(() => {
    stage.kubernetes.patchFromOutside('Deployment', 'spark-jobs', 'settlement-api', {
      spec: { replicas: 2 },
    });
  });

  it('runs in two writes under two permits, and the second expects what the first left', async () => {
    const approved = await plan();
    const before = writes();
    expect(await tryCanary(approved)).toMatchObject({ outcome: { status: 'done' } });
    expect(replicas()).toBe(3);
    await says(approved, 'passed');
    expect(await follow(approved)).toMatchObject({ outcome: { status: 'done' } });
    expect(replicas()).toBe(4);
    expect(writes()).toBe(before + 2);
    const token = await stage.token({ incident_id: approved.incident_id });
    for (const phase of ['canary', 'apply']) {
      const key = `${approved.incident_id}#CHG-7#${phase}`;
      const found = await stage.gateway.reconcile({ token, journal_key: key });
      expect(found).toMatchObject({ outcome: { status: phase === 'apply' ? 'done' : 'conflict' } });
    }
  });

  it('the same canary twice is one write', async () => {
    const approved = await plan();
    const before = writes();
    await tryCanary(approved);
    expect(await tryCanary(approved)).toMatchObject({ outcome: { status: 'done', replayed: true } });
    expect(writes()).toBe(before + 1);
  });

  it('somebody who changed it after the canary is not overwritten', async () => {
    const approved = await plan();
    await tryCanary(approved);
    await says(approved, 'passed');
    stage.kubernetes.patchFromOutside('Deployment', 'spark-jobs', 'settlement-api', {
      spec: { replicas: 5 },
    });
    expect(await follow(approved)).toMatchObject({ outcome: { status: 'conflict' } });
    expect(replicas()).toBe(5);
  });

  it.each([
    ['the canary has not run', async () => undefined],
    ['its check has said nothing', async (p: ApprovedPlan) => void (await tryCanary(p))],
    [
      'its check failed',
      async (p: ApprovedPlan) => {
        await tryCanary(p);
        await says(p, 'failed');
      },
    ],
    [
      'its check gave no answer the last time',
      async (p: ApprovedPlan) => {
        await tryCanary(p);
        await says(p, 'passed');
        await says(p, 'unknown');
      },
    ],
    [
      'its check passed before the canary was sent',
      async (p: ApprovedPlan) => {
        await says(p, 'passed');
        await tryCanary(p);
      },
    ],
  ])('the rest is refused while %s', async (_name, prepare) => {
    const approved = await plan();
    await prepare(approved);
    const before = writes();
    expect(await follow(approved)).toMatchObject({ code: 'canary-unproven' });
    expect(writes()).toBe(before);
  });

  it('a canary permit with other arguments than the approved canary is refused', async () => {
    const approved = await plan();
    const before = writes();
    const answer = await tryCanary(approved, {}, scaleTo(6));
    expect(answer).toMatchObject({ code: 'permit-mismatch' });
    expect(writes()).toBe(before);
  });

  it('a canary permit for the effect of the whole change is refused', async () => {
    const approved = await plan();
    const answer = await tryCanary(approved, { effect_hash: approved.preview.effect_hash });
    expect(answer).toMatchObject({ code: 'effect-mismatch' });
  });

  it('a canary of a plan that has none is refused', async () => {
    const approved = await approvedPlan(stage, {
      action: { tool: 'k8s.scale', target: API, params: scaleTo(3) },
    });
    const { effect_hash } = approved.preview;
    const permit_id = await approved.mint({ phase: 'canary', effect_hash });
    expect(await execute(stage, approved, { permit_id })).toMatchObject({ code: 'permit-mismatch' });
  });

  it('a canary whose preview nobody approved is refused, however often it is previewed later', async () => {
    const approved = await plan();
    const token = await stage.token({ incident_id: approved.incident_id });
    const asked = { token, tool: 'k8s.scale', target: API, change_id: 'CHG-7', why: 'test' };
    stage.kubernetes.patchFromOutside('Deployment', 'spark-jobs', 'settlement-api', {
      spec: { replicas: 1 },
    });
    const later = await stage.gateway.preview({ ...asked, params: scaleTo(3) });
    if (isRefusal(later)) throw new Error(later.reason);
    await stage.store.ledger.append(approved.incident_id, [
      {
        kind: 'preview',
        actor: 'aegis:gateway',
        payload: { change_id: 'CHG-7', phase: 'canary', preview: later.preview },
      },
    ]);
    const answer = await tryCanary(approved, { effect_hash: later.preview.effect_hash });
    expect(answer).toMatchObject({ code: 'effect-mismatch' });
    expect(replicas()).toBe(1);
  });

  it('a replayed canary permit is refused', async () => {
    const approved = await plan();
    const { effect_hash } = approved.canary as Preview;
    const params = scaleTo(3);
    const permit_id = await approved.mint({ phase: 'canary', effect_hash, args_hash: hashOf(params) });
    await execute(stage, approved, { permit_id, params });
    expect(await execute(stage, approved, { permit_id, params })).toMatchObject({ code: 'permit-used' });
  });

  it('the rest with other arguments than the canary left to do is refused', async () => {
    const approved = await plan();
    await tryCanary(approved);
    await says(approved, 'passed');
    const answer = await follow(approved, scaleTo(5));
    expect(isRefusal(answer) && answer.code).toMatch(/^(effect|permit)-mismatch$/);
    expect(replicas()).toBe(3);
  });

  it('a frozen place lets neither the canary nor the rest through', async () => {
    const approved = await plan();
    await tryCanary(approved);
    await says(approved, 'passed');
    const freeze = { freeze_id: 'FRZ-1', scope: 'data/prod', reason: 'audit', by: 'ines', until_ms: null };
    await stage.store.freezes.set(freeze);
    expect(await follow(approved)).toMatchObject({ code: 'frozen' });
    expect(await tryCanary(await plan())).toMatchObject({ code: 'frozen' });
    expect(replicas()).toBe(3);
    await stage.store.freezes.lift('data/prod', 'ines', 'done');
  });

  it('a stop lets neither through, up to the last moment before bytes leave', async () => {
    const approved = await plan();
    await stage.store.freezes.stop(approved.incident_id, 'maya', 'enough');
    expect(await tryCanary(approved)).toMatchObject({ code: 'stopped' });
    expect(replicas()).toBe(2);
  });
});

const value = fc.option(fc.oneof(fc.integer({ min: 0, max: 4 }), fc.constantFrom('25%', 'a')), { nil: null });
const object = fc.dictionary(fc.constantFrom('/a', '/b', '/c', '/d'), value, { maxKeys: 4 });

/** What a set of changes makes of an object. */
function after(start: Record<string, unknown>, changes: readonly FieldChange[]): Record<string, unknown> {
  return { ...start, ...Object.fromEntries(changes.map((change) => [change.path, change.after])) };
}

const changesOf = (start: Record<string, unknown>, wanted: Record<string, unknown>): FieldChange[] =>
  Object.entries(wanted).map(([path, to]) => ({ path, before: start[path] ?? null, after: to }));

const bare = (values: Record<string, unknown>): string =>
  canonicalJson(Object.fromEntries(Object.entries(values).filter(([, each]) => each !== null)));

describe('the action after its canary (property)', () => {
  it('ends where the action alone would have ended, and expects exactly what the canary left', () => {
    fc.assert(
      fc.property(object, object, object, (start, tried, wanted) => {
        const canary = changesOf(start, tried);
        const apply = changesOf(start, wanted);
        const derived = changesAfterCanary(canary, apply);
        const between = after(start, canary);
        for (const { path, before } of derived) expect(before).toEqual(between[path] ?? null);
        expect(bare(after(between, derived))).toBe(bare(after(start, apply)));
        const touched = new Set([...Object.keys(tried), ...Object.keys(wanted)]);
        expect(new Set(derived.map(({ path }) => path))).toEqual(touched);
      }),
    );
  });

  it('the image of both is the object from before both', () => {
    fc.assert(
      fc.property(object, object, object, (start, tried, wanted) => {
        const canary = changesOf(start, tried);
        const derived = changesAfterCanary(canary, changesOf(start, wanted));
        const between = after(start, canary);
        const imageOf = (from: Record<string, unknown>, changes: readonly FieldChange[]) =>
          Object.fromEntries(changes.map(({ path }) => [path, from[path] ?? null]));
        const row = (before_image: Record<string, unknown>) => ({
          status: 'done' as const,
          outcome: null,
          before_image,
        });
        const image = imageOfRows(row(imageOf(start, canary)), row(imageOf(between, derived)));
        const end = after(between, derived);
        expect(bare({ ...end, ...image })).toBe(bare({ ...start }));
      }),
    );
  });

  it.each([
    [
      'another object',
      { object_uid: 'u2', changes: [{ path: '/a', before: 1, after: 2 }] },
      /another object/,
    ],
    [
      'another prior state',
      { object_uid: 'u1', changes: [{ path: '/a', before: 9, after: 2 }] },
      /between the two dry runs/,
    ],
    ['all of it', { object_uid: 'u1', changes: [{ path: '/a', before: 1, after: 3 }] }, /nothing left/],
  ])('is none when the canary is of %s', (_name, canary, why) => {
    expect(
      canaryProblem(canary, { object_uid: 'u1', changes: [{ path: '/a', before: 1, after: 3 }] }),
    ).toMatch(why);
  });
});
