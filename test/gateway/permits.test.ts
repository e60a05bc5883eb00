import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { isRefusal } from '../../src/contract/verdict.ts';
import { approvedPlan, execute, type ApprovedPlan, type PlanKnobs } from './approved-plan.ts';
import { JOB, startStage, type Stage } from './stage.ts';

/** Attacks on the execute door. Each asserts the code of the refusal and that the cluster saw no write. */
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

async function refusedWith(code: string, attempt: () => ReturnType<typeof execute>): Promise<void> {
  const before = stage.kubernetes.mutations().length;
  const answer = await attempt();
  expect(isRefusal(answer) ? answer.code : answer.outcome.status).toBe(code);
  expect(stage.kubernetes.mutations().length).toBe(before);
}

describe('an approved plan', () => {
  it('runs once, and the permit is used up', async () => {
    const approved = await approvedPlan(stage);
    const permit_id = await approved.mint();
    const answer = await execute(stage, approved, { permit_id });
    expect(answer).toMatchObject({
      outcome: { status: 'done', replayed: false, before_image: { '/spec/driver/memory': '1g' } },
    });
    await refusedWith('permit-used', () => execute(stage, approved, { permit_id }));
  });

  it('returns the stored result to a second permit with the same arguments, without a second write', async () => {
    const approved = await approvedPlan(stage);
    await execute(stage, approved);
    const before = stage.kubernetes.mutations().length;
    expect(await execute(stage, approved)).toMatchObject({ outcome: { status: 'done', replayed: true } });
    expect(stage.kubernetes.mutations().length).toBe(before);
  });

  it('does not repeat the write when somebody changed the object afterwards: that is a conflict', async () => {
    const approved = await approvedPlan(stage);
    await execute(stage, approved);
    stage.kubernetes.patchFromOutside('SparkApplication', 'spark-jobs', 'nightly-settlement', {
      spec: { driver: { memory: '3g' } },
    });
    const again = await execute(stage, approved);
    expect(again).toMatchObject({
      outcome: { status: 'conflict', conflict_fields: [{ path: '/spec/driver/memory', after: '3g' }] },
    });
  });

  it('runs exactly once when two permits are used at the same time', async () => {
    const approved = await approvedPlan(stage);
    const before = stage.kubernetes.mutations().length;
    const answers = await Promise.all([execute(stage, approved), execute(stage, approved)]);
    expect(stage.kubernetes.mutations().length).toBe(before + 1);
    expect(answers.filter((a) => !isRefusal(a) && a.outcome.status === 'done').length).toBeGreaterThanOrEqual(
      1,
    );
    for (const answer of answers)
      expect(isRefusal(answer) ? answer.code : answer.outcome.status).toMatch(/^(done|already-dispatched)$/);
  });
});

describe('a forged or altered permit is refused', () => {
  const cases: readonly [string, string, (approved: ApprovedPlan) => ReturnType<typeof execute>][] = [
    ['no permit at all', 'permit-missing', (a) => execute(stage, a, { permit_id: 'prm_none' })],
    [
      'an expired one',
      'permit-expired',
      async (a) => execute(stage, a, { permit_id: await a.mint({ expires_at_ms: stage.clock.now() - 1 }) }),
    ],
    [
      'other arguments',
      'permit-mismatch',
      (a) => execute(stage, a, { params: { changes: [{ path: '/spec/driver/memory', value: '1900m' }] } }),
    ],
    [
      'another object',
      'permit-mismatch',
      (a) => execute(stage, a, { target: JOB.replace('nightly-settlement', 'daily-ledger-export') }),
    ],
    [
      'another plan hash',
      'plan-hash-mismatch',
      async (a) => execute(stage, a, { permit_id: await a.mint({ plan_hash: '1'.repeat(64) }) }),
    ],
    [
      'another effect hash',
      'effect-mismatch',
      async (a) => execute(stage, a, { permit_id: await a.mint({ effect_hash: '1'.repeat(64) }) }),
    ],
    [
      'another revision',
      'plan-missing',
      async (a) => execute(stage, a, { permit_id: await a.mint({ revision: 9 }) }),
    ],
    [
      'a change that the plan does not hold',
      'permit-mismatch',
      async (a) => execute(stage, a, { permit_id: await a.mint({ change_id: 'CHG-99' }) }),
    ],
    [
      'a canary that the plan does not hold',
      'permit-mismatch',
      async (a) => execute(stage, a, { permit_id: await a.mint({ phase: 'canary' }) }),
    ],
    [
      'an undo without a before-image',
      'undo-mismatch',
      async (a) => execute(stage, a, { permit_id: await a.mint({ phase: 'undo' }) }),
    ],
  ];
  it.each(cases)('%s', async (_title, code, attempt) => {
    const approved = await approvedPlan(stage);
    await refusedWith(code, () => attempt(approved));
  });

  it('a permit of another incident', async () => {
    const [mine, other] = [await approvedPlan(stage), await approvedPlan(stage)];
    const permit_id = await other.mint();
    await refusedWith('permit-mismatch', () => execute(stage, mine, { permit_id }));
  });

  it('arguments that match the permit but not the plan', async () => {
    const approved = await approvedPlan(stage);
    const params = { changes: [{ path: '/spec/driver/memory', value: '1900m' }] };
    const { hashOf } = await import('../../src/contract/canonical.ts');
    const permit_id = await approved.mint({ args_hash: hashOf(params) });
    await refusedWith('permit-mismatch', () => execute(stage, approved, { params, permit_id }));
  });
});

describe('approvals are re-derived from the ledger', () => {
  const cases: readonly [string, string, PlanKnobs][] = [
    ['nobody was asked', 'approval-missing', { without: 'approval' }],
    ['one person approved', 'approval-missing', { approvers: ['bo'] }],
    ['the same person approved twice', 'approval-missing', { approvers: ['bo', 'bo'] }],
    ['an approver is involved', 'approval-missing', { approvers: ['bo', 'ana'], involved: ['ana'] }],
    ['an approver pressed Activate', 'approval-missing', { approvers: ['bo', 'ana'], activated_by: 'ana' }],
    ['somebody denied', 'approval-missing', { denied_by: 'dee' }],
    ['the approval expired', 'approval-missing', { approval_status: 'expired' }],
    ['the approval is void', 'approval-missing', { approval_status: 'void' }],
    ['the plan is missing', 'plan-missing', { without: 'plan' }],
    ['the preview is missing', 'effect-mismatch', { without: 'preview' }],
    ['the policies changed since', 'policy-changed', { policy_digest: '2'.repeat(64) }],
    ['the incident runs in shadow', 'autonomy-forbids', { autonomy: 'suggest' }],
    ['the incident is read-only', 'autonomy-forbids', { autonomy: 'read_only' }],
    [
      'a rule of one person stands in the plan of a tier 1 production change',
      'policy-denied',
      { people: 1, approvers: ['bo'] },
    ],
    ['a rule of nobody stands in the plan', 'approval-missing', { people: 0, approvers: [] }],
    ['the incident belongs to another environment', 'scope-forbidden', { env: 'staging' }],
    [
      'the preview in the ledger claims another prior state',
      'effect-mismatch',
      {
        tampered_preview: (p) => ({
          ...p,
          changes: [{ path: '/spec/driver/memory', before: '512m', after: '2g' }],
        }),
      },
    ],
  ];
  it.each(cases)('refused when %s', async (_title, code, knobs) => {
    const approved = await approvedPlan(stage, knobs);
    await refusedWith(code, () => execute(stage, approved));
  });
});

describe('stop, freeze and policy', () => {
  it('a freeze stops an execution and leaves previews and reads alone (law 12)', async () => {
    const approved = await approvedPlan(stage);
    await stage.store.freezes.set({
      freeze_id: 'f1',
      scope: 'data/prod',
      reason: 'month end',
      by: 'ana',
      until_ms: null,
    });
    try {
      await refusedWith('frozen', () => execute(stage, approved));
      const token = await stage.token();
      const read = await stage.gateway.read({ token, tool: 'k8s.get', target: JOB, args: {}, why: 'test' });
      expect(isRefusal(read)).toBe(false);
      const preview = await stage.gateway.preview({
        token,
        tool: 'job.update_spec',
        target: JOB,
        params: approved.params,
        change_id: 'CHG-8',
        why: 'test',
      });
      expect(isRefusal(preview)).toBe(false);
    } finally {
      await stage.store.freezes.lift('data/prod', 'ana', 'test');
    }
  });

  it('a stop between acceptance and dispatch is seen: nothing leaves, and no lease stays (law 12)', async () => {
    const approved = await approvedPlan(stage);
    await stage.store.freezes.stop(approved.incident_id, 'ana', 'wrong job');
    await refusedWith('stopped', () => execute(stage, approved));
    const row = await stage.store.journal.get(`${approved.incident_id}#CHG-7#apply`);
    expect(row?.status).toBe('accepted');
    expect(
      stage.vault.outstanding().leases.filter((lease) => lease.lease_id.includes('aegis-write')),
    ).toEqual([]);
    await stage.store.freezes.clearStop(approved.incident_id);
    expect(await execute(stage, approved)).toMatchObject({ outcome: { status: 'done' } });
  });

  it('an object that changed after the approval is a conflict that names the field, and nothing is written (law 5)', async () => {
    const approved = await approvedPlan(stage);
    stage.kubernetes.patchFromOutside('SparkApplication', 'spark-jobs', 'nightly-settlement', {
      spec: { driver: { memory: '1500m' } },
    });
    const before = stage.kubernetes.mutations().length;
    const answer = await execute(stage, approved);
    expect(answer).toMatchObject({
      outcome: {
        status: 'conflict',
        conflict_fields: [{ path: '/spec/driver/memory', before: '1g', after: '1500m' }],
      },
    });
    expect(stage.kubernetes.mutations().length).toBe(before);
  });

  it('every refusal is an entry of the incident', async () => {
    const approved = await approvedPlan(stage, { autonomy: 'suggest' });
    await execute(stage, approved);
    const refusals = await stage.store.ledger.read(approved.incident_id, { kinds: ['refusal'] });
    expect(refusals.map((entry) => entry.payload['code'])).toContain('autonomy-forbids');
  });

  it('a read-class token cannot execute', async () => {
    const approved = await approvedPlan(stage);
    const token = await stage.token({ incident_id: approved.incident_id, action_class: 'read' });
    await refusedWith('policy-denied', () => execute(stage, approved, { token }));
  });

  it('an expired, unknown or revoked token is refused', async () => {
    const approved = await approvedPlan(stage);
    await refusedWith('token-unknown', () => execute(stage, approved, { token: 'agt_guess' }));
    await refusedWith('token-unknown', () => execute(stage, approved, { token: '' }));
  });
});
