import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { join } from 'node:path';
import { hashOf } from '../../src/contract/canonical.ts';
import { journalKey, type Permit } from '../../src/contract/tool.ts';
import { isRefusal } from '../../src/contract/verdict.ts';
import { approvedPlan, execute, type ApprovedPlan, type PlanKnobs } from '../gateway/approved-plan.ts';
import { JOB, startStage, type Stage } from '../gateway/stage.ts';
import { mutatingRequestsOf, refusedWrite, type Attempt } from './refused-write.ts';
import { editEntry, editPermit, forgePermit, forgetUse, type Place } from './edit-rows.ts';

/**
 * Attacks on the execute door. Each ends the same way: no mutating request reached the cluster, the answer is a refusal
 * with its sentence and its next step, and the ledger holds it.
 */
let stage: Stage;
let place: Place;
beforeAll(async () => {
  stage = await startStage();
  place = { home: join(stage.home, 'state'), store: stage.store };
});
afterAll(() => stage.close());
beforeEach(() => {
  stage.kubernetes.patchFromOutside('SparkApplication', 'spark-jobs', 'nightly-settlement', {
    spec: { driver: { memory: '1g' } },
  });
});

const mutatingRequests = (): number => mutatingRequestsOf(stage);

const refusedWith = (code: string, attempt: Attempt, chain = 'SYSTEM'): Promise<void> =>
  refusedWrite(stage, code, attempt, chain);

/** A permit as a forger writes it: everything right but what the case changes. */
async function forged(approved: ApprovedPlan, in_ledger: boolean): Promise<string> {
  const permit = { ...approved.permit, permit_id: stage.ids.next('prm') };
  await forgePermit(place, permit, in_ledger);
  return permit.permit_id;
}

describe('an approved plan', () => {
  it('runs once, and the permit is used up', async () => {
    const approved = await approvedPlan(stage);
    const permit_id = await approved.mint();
    const answer = await execute(stage, approved, { permit_id });
    expect(answer).toMatchObject({
      outcome: { status: 'done', replayed: false, before_image: { '/spec/driver/memory': '1g' } },
    });
    await refusedWith('permit-used', () => execute(stage, approved, { permit_id }), approved.incident_id);
  });

  it('returns the stored result to a second permit with the same arguments, without a second write', async () => {
    const approved = await approvedPlan(stage);
    await execute(stage, approved);
    const before = mutatingRequests();
    expect(await execute(stage, approved)).toMatchObject({ outcome: { status: 'done', replayed: true } });
    expect(mutatingRequests()).toBe(before);
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
    const before = mutatingRequests();
    const answers = await Promise.all([execute(stage, approved), execute(stage, approved)]);
    expect(mutatingRequests()).toBe(before + 1);
    expect(answers.filter((a) => !isRefusal(a) && a.outcome.status === 'done').length).toBeGreaterThanOrEqual(
      1,
    );
    for (const answer of answers)
      expect(isRefusal(answer) ? answer.code : answer.outcome.status).toMatch(/^(done|already-dispatched)$/);
  });

  it('runs exactly once when one permit is used five times at the same time: the others are refused', async () => {
    const approved = await approvedPlan(stage);
    const permit_id = await approved.mint();
    const before = mutatingRequests();
    const answers = await Promise.all(
      Array.from({ length: 5 }, () => execute(stage, approved, { permit_id })),
    );
    expect(mutatingRequests()).toBe(before + 1);
    const codes = answers.map((a) => (isRefusal(a) ? a.code : a.outcome.status));
    expect(codes.toSorted()).toEqual(['done', 'permit-used', 'permit-used', 'permit-used', 'permit-used']);
    const refusals = await stage.store.ledger.read(approved.incident_id, { kinds: ['refusal'] });
    expect(refusals.filter((entry) => entry.payload['code'] === 'permit-used')).toHaveLength(4);
  });
});

describe('a permit that is not for this call is refused', () => {
  const cases: readonly [string, string, (approved: ApprovedPlan) => ReturnType<typeof execute>][] = [
    ['no permit at all', 'permit-missing', (a) => execute(stage, a, { permit_id: '' })],
    ['a permit that does not exist', 'permit-missing', (a) => execute(stage, a, { permit_id: 'prm_none' })],
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
      'a change that the plan does not hold',
      'permit-mismatch',
      async (a) => execute(stage, a, { permit_id: await a.mint({ change_id: 'CHG-99' }) }),
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
      'another phase: a canary that the plan does not hold',
      'permit-mismatch',
      async (a) => execute(stage, a, { permit_id: await a.mint({ phase: 'canary' }) }),
    ],
    [
      'another phase: an undo without a before-image',
      'undo-mismatch',
      async (a) => execute(stage, a, { permit_id: await a.mint({ phase: 'undo' }) }),
    ],
    [
      'arguments that match the permit but not the plan',
      'permit-mismatch',
      async (a) => {
        const params = { changes: [{ path: '/spec/driver/memory', value: '1900m' }] };
        return execute(stage, a, { params, permit_id: await a.mint({ args_hash: hashOf(params) }) });
      },
    ],
  ];
  it.each(cases)('%s', async (_title, code, attempt) => {
    const approved = await approvedPlan(stage);
    await refusedWith(code, () => attempt(approved), approved.incident_id);
  });

  it('a permit of another incident', async () => {
    const [mine, other] = [await approvedPlan(stage), await approvedPlan(stage)];
    const permit_id = await other.mint();
    await refusedWith('permit-mismatch', () => execute(stage, mine, { permit_id }), mine.incident_id);
  });

  it('the own permit in the name of another incident', async () => {
    const [mine, other] = [await approvedPlan(stage), await approvedPlan(stage)];
    const [permit_id, token] = [await mine.mint(), await stage.token({ incident_id: other.incident_id })];
    await refusedWith('permit-mismatch', () => execute(stage, mine, { permit_id, token }), other.incident_id);
  });

  it('another tool, with arguments that both tools take', async () => {
    const target = 'mcp://k8s/prod-1/spark-jobs/deployment/settlement-api';
    const path = '/spec/template/spec/containers/settlement-api/resources/limits/memory';
    const params = { changes: [{ path, value: '768Mi' }] };
    const approved = await approvedPlan(stage, { action: { tool: 'k8s.patch', target, params } });
    const permit_id = await approved.mint({ tool: 'k8s.scale' });
    await refusedWith('permit-mismatch', () => execute(stage, approved, { permit_id }), approved.incident_id);
  });
});

describe('a permit whose row was edited is refused, field by field', () => {
  const edits: readonly [keyof Permit, (permit: Permit) => Partial<Permit>, string][] = [
    ['incident_id', () => ({ incident_id: 'INC-2026-1123-099' }), 'permit-mismatch'],
    ['change_id', () => ({ change_id: 'CHG-8' }), 'permit-altered'],
    ['phase', () => ({ phase: 'undo' }), 'permit-altered'],
    ['revision', () => ({ revision: 2 }), 'permit-altered'],
    ['plan_hash', () => ({ plan_hash: '2'.repeat(64) }), 'permit-altered'],
    ['effect_hash', () => ({ effect_hash: '2'.repeat(64) }), 'permit-altered'],
    ['tool', () => ({ tool: 'k8s.patch' }), 'permit-mismatch'],
    ['target', () => ({ target: JOB.replace('nightly', 'weekly') }), 'permit-mismatch'],
    ['args_hash', () => ({ args_hash: '2'.repeat(64) }), 'permit-mismatch'],
    ['expires_at_ms', (permit) => ({ expires_at_ms: permit.expires_at_ms + 1 }), 'permit-altered'],
  ];
  it.each(edits)('%s', async (_field, edit, code) => {
    const approved = await approvedPlan(stage);
    const permit_id = await approved.mint();
    editPermit(place, permit_id, edit({ ...approved.permit, permit_id }));
    await refusedWith(code, () => execute(stage, approved, { permit_id }), approved.incident_id);
  });

  it('covers every field but the id, by which the row is found', async () => {
    const { permit } = await approvedPlan(stage);
    expect(edits.map(([field]) => field).toSorted()).toEqual(
      Object.keys(permit)
        .filter((field) => field !== 'permit_id')
        .toSorted(),
    );
  });

  it('an expired permit whose row was given more time', async () => {
    const approved = await approvedPlan(stage);
    const permit_id = await approved.mint({ expires_at_ms: stage.clock.now() - 1 });
    editPermit(place, permit_id, { expires_at_ms: stage.clock.now() + 60_000 });
    await refusedWith('permit-altered', () => execute(stage, approved, { permit_id }), approved.incident_id);
  });

  it('a permit that stands in the table and was never minted', async () => {
    const approved = await approvedPlan(stage);
    const permit_id = await forged(approved, false);
    await refusedWith('permit-altered', () => execute(stage, approved, { permit_id }), approved.incident_id);
  });

  it('a used permit whose row was set back', async () => {
    const approved = await approvedPlan(stage);
    const permit_id = await approved.mint();
    await execute(stage, approved, { permit_id });
    forgetUse(place, permit_id, false);
    await refusedWith('permit-used', () => execute(stage, approved, { permit_id }), approved.incident_id);
  });

  it('a used permit whose row was set back, its journal row deleted and the object put back', async () => {
    const approved = await approvedPlan(stage);
    const permit_id = await approved.mint();
    await execute(stage, approved, { permit_id });
    forgetUse(place, permit_id, true);
    expect(await stage.store.journal.get(journalKey(approved.incident_id, 'CHG-7', 'apply'))).toBeNull();
    stage.kubernetes.patchFromOutside('SparkApplication', 'spark-jobs', 'nightly-settlement', {
      spec: { driver: { memory: '1g' } },
    });
    await refusedWith('permit-used', () => execute(stage, approved, { permit_id }), approved.incident_id);
  });
});

describe('an incident that may not act', () => {
  it.each(['suggest', 'read_only'] as const)('%s: no permit can be minted', async (autonomy) => {
    const approved = await approvedPlan(stage, { autonomy });
    await expect(approved.mint()).rejects.toThrow(/no permit is minted/);
    expect(await stage.store.ledger.count(approved.incident_id, ['permit'])).toBe(0);
  });

  it.each(['suggest', 'read_only'] as const)('%s: a forged permit is not accepted', async (autonomy) => {
    const approved = await approvedPlan(stage, { autonomy });
    const permit_id = await forged(approved, true);
    await refusedWith(
      'autonomy-forbids',
      () => execute(stage, approved, { permit_id }),
      approved.incident_id,
    );
  });

  it('an incident whose autonomy fell later: no permit can be minted, and none is accepted', async () => {
    const approved = await approvedPlan(stage, { events: [{ type: 'stepped_down', autonomy: 'suggest' }] });
    await expect(approved.mint()).rejects.toThrow(/no permit is minted/);
    const permit_id = await forged(approved, true);
    await refusedWith(
      'autonomy-forbids',
      () => execute(stage, approved, { permit_id }),
      approved.incident_id,
    );
  });
});

describe('a ledger row that was edited breaks the chain, and nothing runs', () => {
  const edits: readonly [string, Parameters<typeof editEntry>[2], (payload: string) => string][] = [
    ['the plan row', 'plan', (text) => text.replaceAll('"timeout_s":30', '"timeout_s":31')],
    ['the preview row', 'preview', (text) => text.replace('"before":"1g"', '"before":"2g"')],
    [
      'the approval row: two people become one',
      'approval',
      (text) => text.replace('"people":2', '"people":1'),
    ],
    ['the opening row', 'event', (text) => text.replace('"sev2"', '"sev3"')],
    [
      'the permit row',
      'permit',
      (text) => text.replace(/"expires_at_ms":\d+/, '"expires_at_ms":9999999999999'),
    ],
  ];
  it.each(edits)('%s', async (_title, kind, edit) => {
    const approved = await approvedPlan(stage);
    const permit_id = await approved.mint();
    await editEntry(place, approved.incident_id, kind, edit);
    // The chain is broken for good, so the refusal itself is appended after the break.
    await refusedWith('ledger-tampered', () => execute(stage, approved, { permit_id }), approved.incident_id);
  });
});

describe('approvals are re-derived from the ledger', () => {
  const cases: readonly [string, string, PlanKnobs][] = [
    ['nobody was asked', 'approval-missing', { without: 'approval' }],
    ['one person approved', 'approval-missing', { approvers: ['bo'] }],
    ['the same person approved twice', 'approval-missing', { approvers: ['bo', 'bo'] }],
    ['an approver is involved', 'approval-missing', { approvers: ['bo', 'ana'], involved: ['ana'] }],
    ...(['activated', 'resumed', 'plan_again', 'asked', 'edited'] as const).map(
      (type): [string, string, PlanKnobs] => [
        `an approver is involved by an event: ${type}`,
        'approval-missing',
        { approvers: ['bo', 'ana'], events: [{ type, by: 'ana' }] },
      ],
    ),
    ['an approver has lost the role since', 'approval-missing', { approvers: ['bo', 'dee'] }],
    ['somebody denied', 'approval-missing', { denied_by: 'dee' }],
    ['the approval expired', 'approval-missing', { approval_status: 'expired' }],
    ['the approval is void', 'approval-missing', { approval_status: 'void' }],
    ['the plan is missing', 'plan-missing', { without: 'plan' }],
    ['the preview is missing', 'effect-mismatch', { without: 'preview' }],
    ['the policies changed since', 'policy-changed', { policy_digest: '2'.repeat(64) }],
    ['the tool definitions changed since', 'tools-changed', { tool_definitions_digest: '2'.repeat(64) }],
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
    await refusedWith(code, () => execute(stage, approved), approved.incident_id);
  });
});

describe('a token that may not execute', () => {
  it('a read-class token', async () => {
    const approved = await approvedPlan(stage);
    const token = await stage.token({ incident_id: approved.incident_id, action_class: 'read' });
    await refusedWith('policy-denied', () => execute(stage, approved, { token }), approved.incident_id);
  });

  it('a token without an incident', async () => {
    const approved = await approvedPlan(stage);
    const token = await stage.token({ incident_id: null });
    await refusedWith('permit-mismatch', () => execute(stage, approved, { token }));
  });

  it('an unknown or empty one', async () => {
    const approved = await approvedPlan(stage);
    await refusedWith('token-unknown', () => execute(stage, approved, { token: 'agt_guess' }));
    await refusedWith('token-unknown', () => execute(stage, approved, { token: '' }));
  });

  it('an expired one', async () => {
    const approved = await approvedPlan(stage);
    const token = await stage.token({ incident_id: approved.incident_id, ttl_ms: -1 });
    await refusedWith('token-unknown', () => execute(stage, approved, { token }));
  });

  it('a revoked one', async () => {
    const approved = await approvedPlan(stage);
    const token = await stage.token({ incident_id: approved.incident_id });
    const grant = await stage.store.tokens.find(token);
    await stage.store.tokens.revoke(grant?.token_id ?? '');
    await refusedWith('token-unknown', () => execute(stage, approved, { token }));
  });
});
