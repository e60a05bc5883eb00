import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { journalKey } from '../../src/contract/tool.ts';
import { isRefusal } from '../../src/contract/verdict.ts';
import { approvedPlan, execute, type ApprovedPlan } from './approved-plan.ts';
import { patient, startStage, type Stage } from './stage.ts';

/** Writes whose answer is lost, late or an error: exactly one effect, or an honest "unknown". */
let stage: Stage;
beforeAll(async () => {
  stage = await startStage();
});
afterAll(() => stage.close());
beforeEach(() => {
  stage.kubernetes.patchFromOutside('SparkApplication', 'spark-jobs', 'nightly-settlement', {
    spec: { driver: { memory: '1g' } },
  });
});
afterEach(() => stage.kubernetes.faults.clear());

const isPatch = ({ method, dry_run }: { method: string; dry_run: boolean }): boolean =>
  method === 'PATCH' && !dry_run;

function patchesSent(on = stage): number {
  return on.kubernetes.requests().filter((request) => isPatch(request)).length;
}

function memoryNow(on = stage): unknown {
  const spec = on.world.store.get('SparkApplication', 'spark-jobs', 'nightly-settlement')?.['spec'] as {
    driver: { memory: string };
  };
  return spec.driver.memory;
}

async function journalStatus(approved: ApprovedPlan, on = stage): Promise<string | undefined> {
  return (await on.store.journal.get(journalKey(approved.incident_id, 'CHG-7', 'apply')))?.status;
}

async function crashedAfterDispatch(
  on = stage,
): Promise<{ approved: ApprovedPlan; key: string; token: string }> {
  const approved = await approvedPlan(on);
  const permit_id = await approved.mint();
  const key = journalKey(approved.incident_id, 'CHG-7', 'apply');
  const audit = { kind: 'call' as const, actor: 'aegis:gateway', payload: {} };
  await on.store.journal.accept({ permit_id, key, args_hash: approved.permit.args_hash, audit });
  await on.store.journal.dispatch(key, {
    before_image: { '/spec/driver/memory': '1g' },
    object_uid: approved.preview.object_uid,
  });
  return { approved, key, token: await on.token({ incident_id: approved.incident_id }) };
}

describe('an answer that never comes', () => {
  it('the server acted and then broke the connection: found done by looking, one patch', async () => {
    const approved = await approvedPlan(stage);
    const sent = patchesSent();
    stage.kubernetes.faults.dropAfter({ times: 1, match: isPatch });
    const answer = await execute(stage, approved);
    expect(answer).toMatchObject({ outcome: { status: 'done' } });
    expect(patchesSent()).toBe(sent + 1);
    expect(memoryNow()).toBe('2g');
    expect(await journalStatus(approved)).toBe('done');
  });
});

describe('an answer that is an error', () => {
  it('403 is failed at once', async () => {
    const approved = await approvedPlan(stage);
    stage.kubernetes.faults.answer({ status: 403, times: 1, match: isPatch });
    expect(await execute(stage, approved)).toMatchObject({ outcome: { status: 'failed' } });
  });

  it('an API server that fails before the write leaves the change accepted, and it can run later', async () => {
    const approved = await approvedPlan(stage);
    stage.kubernetes.faults.answer({ status: 500, match: ({ method }) => method === 'GET' });
    const answer = await execute(stage, approved);
    expect(isRefusal(answer) && answer.code).toBe('upstream-failed');
    expect(await journalStatus(approved)).toBe('accepted');
    stage.kubernetes.faults.clear();
    expect(await execute(stage, approved)).toMatchObject({ outcome: { status: 'done' } });
  });

  it('a race between the last look and the write is the server’s to catch: conflict, nothing written', async () => {
    const approved = await approvedPlan(stage);
    let raced = false;
    stage.kubernetes.faults.delay({
      ms: 1,
      times: 1,
      match: (facts) => {
        if (!isPatch(facts) || raced) return false;
        raced = true;
        stage.kubernetes.patchFromOutside('SparkApplication', 'spark-jobs', 'nightly-settlement', {
          spec: { driver: { memory: '1200m' } },
        });
        return true;
      },
    });
    const answer = await execute(stage, approved);
    expect(answer).toMatchObject({
      outcome: {
        status: 'conflict',
        conflict_fields: [{ path: '/spec/driver/memory', before: '1g', after: '1200m' }],
      },
    });
    expect(memoryNow()).toBe('1200m');
  });
});

describe('after a crash', () => {
  it('killed right after the patch: reconcile finds it done and sends nothing', async () => {
    const { approved, key, token } = await crashedAfterDispatch();
    stage.kubernetes.patchFromOutside('SparkApplication', 'spark-jobs', 'nightly-settlement', {
      spec: { driver: { memory: '2g' } },
    });
    const sent = patchesSent();
    expect(await stage.gateway.reconcile({ token, journal_key: key })).toMatchObject({
      outcome: { status: 'done' },
    });
    expect(await journalStatus(approved)).toBe('done');
    expect(patchesSent()).toBe(sent);
  });

  it('an object that shows a third state is unknown, with the field named', async () => {
    const { key, token } = await crashedAfterDispatch();
    stage.kubernetes.patchFromOutside('SparkApplication', 'spark-jobs', 'nightly-settlement', {
      spec: { driver: { memory: '4g' } },
    });
    expect(await stage.gateway.reconcile({ token, journal_key: key })).toMatchObject({
      outcome: { status: 'outcome_unknown', conflict_fields: [{ path: '/spec/driver/memory', after: '4g' }] },
    });
  });

  it('reconcile is refused to a token of another incident', async () => {
    const { key } = await crashedAfterDispatch();
    const answer = await stage.gateway.reconcile({
      token: await stage.token({ incident_id: 'INC-2026-1123-999' }),
      journal_key: key,
    });
    expect(isRefusal(answer) && answer.code).toBe('scope-forbidden');
  });
});

// Each of these waits for seconds until the gateway has looked often enough; on stages of their own they wait together.
describe.concurrent('an answer that takes its time', () => {
  const alone = (what: string, test: (stage: Stage) => Promise<void>): void =>
    it(what, async () => {
      const own = await startStage({ settings: patient });
      try {
        own.kubernetes.patchFromOutside('SparkApplication', 'spark-jobs', 'nightly-settlement', {
          spec: { driver: { memory: '1g' } },
        });
        await test(own);
      } finally {
        await own.close();
      }
    });

  alone('the connection broke before the server acted: unknown, never a blind second run', async (stage) => {
    const approved = await approvedPlan(stage);
    const sent = patchesSent(stage);
    stage.kubernetes.faults.dropBefore({ times: 1, match: isPatch });
    const answer = await execute(stage, approved);
    expect(answer).toMatchObject({ outcome: { status: 'outcome_unknown' } });
    expect(patchesSent(stage)).toBe(sent + 1);
    expect(memoryNow(stage)).toBe('1g');
    expect(await journalStatus(approved, stage)).toBe('outcome_unknown');
  });

  alone('the server is slower than the deadline but acts: found done by looking', async (stage) => {
    const approved = await approvedPlan(stage);
    stage.kubernetes.faults.delay({ times: 1, match: isPatch, ms: 1200 });
    const answer = await execute(stage, approved, { timeout_ms: 400 });
    expect(answer).toMatchObject({ outcome: { status: 'done' } });
    expect(memoryNow(stage)).toBe('2g');
  });

  alone('an unknown outcome is settled by reconcile once the object shows the change', async (stage) => {
    const approved = await approvedPlan(stage);
    stage.kubernetes.faults.dropBefore({ times: 1, match: isPatch });
    expect(await execute(stage, approved)).toMatchObject({ outcome: { status: 'outcome_unknown' } });
    stage.kubernetes.patchFromOutside('SparkApplication', 'spark-jobs', 'nightly-settlement', {
      spec: { driver: { memory: '2g' } },
    });
    const token = await stage.token({ incident_id: approved.incident_id });
    const key = journalKey(approved.incident_id, 'CHG-7', 'apply');
    expect(await stage.gateway.reconcile({ token, journal_key: key })).toMatchObject({
      outcome: { status: 'done', before_image: { '/spec/driver/memory': '1g' } },
    });
    expect(await journalStatus(approved, stage)).toBe('done');
  });

  alone('500 with an unchanged object is failed', async (stage) => {
    const approved = await approvedPlan(stage);
    stage.kubernetes.faults.answer({ status: 500, times: 1, match: isPatch });
    expect(await execute(stage, approved)).toMatchObject({ outcome: { status: 'failed' } });
    expect(memoryNow(stage)).toBe('1g');
    expect(await journalStatus(approved, stage)).toBe('failed');
  });

  alone(
    'killed right before the patch: once no request can be under way the key is free, and a fresh permit sends it once',
    async (stage) => {
      const { approved, key, token } = await crashedAfterDispatch(stage);
      const sent = patchesSent(stage);
      const answer = await stage.gateway.reconcile({ token, journal_key: key });
      expect(isRefusal(answer) && answer.code).toBe('upstream-never-saw-it');
      expect(await journalStatus(approved, stage)).toBe('accepted');
      expect(patchesSent(stage)).toBe(sent);
      expect(await execute(stage, approved)).toMatchObject({ outcome: { status: 'done', replayed: false } });
      expect(patchesSent(stage)).toBe(sent + 1);
    },
  );

  alone('a write that is still under way in this process is waited for, not declared lost', async (stage) => {
    const approved = await approvedPlan(stage);
    const sent = patchesSent(stage);
    stage.kubernetes.faults.delay({ times: 1, match: isPatch, ms: 4500 });
    const first = execute(stage, approved, { timeout_ms: 10_000 });
    await vi.waitFor(async () => expect(await journalStatus(approved, stage)).toBe('dispatched'), 10_000);
    const second = await execute(stage, approved);
    expect(second).toMatchObject({ outcome: { status: 'done' } });
    expect(await first).toMatchObject({ outcome: { status: 'done' } });
    expect(patchesSent(stage)).toBe(sent + 1);
  });
});
