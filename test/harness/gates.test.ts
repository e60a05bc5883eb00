import { Budgets } from '../../src/contract/budgets.ts';
import { budgetsOf } from '../../src/harness/budget-accounts.ts';
import type { BudgetLine } from '../../src/harness/budget-accounts.ts';
import { describe, expect, it } from 'vitest';
import type { EvidenceRecord, HoldsResult } from '../../src/contract/evidence.ts';
import { Guardrails } from '../../src/contract/guardrails.ts';
import { refuse } from '../../src/contract/verdict.ts';
import { selectRule } from '../../src/contract/approval-rule.ts';
import type { GateFacts } from '../../src/harness/gates/gate.ts';
import { checkGates, GATES } from '../../src/harness/gates/index.ts';
import {
  at,
  decide,
  ID,
  incidentContext,
  preparedEvent,
  RULE,
  T0,
  TARGET,
  take,
  walkTo,
} from './fixtures.ts';

const guardrails = Guardrails.parse({
  v: 1,
  touch: [],
  privileged_paths: [],
  risk: { blast_radius_max: 0.8, two_people_at: 0.5 },
  evidence: { max_age_s: 600, gone_cause_max_age_s: 300 },
  approval: [{ when: { action_class: ['write'] }, rule: { ...RULE, people: 1 } }],
});

const SHA = 'a'.repeat(64);
const prepared = preparedEvent('x', 1, 5);
const plan = prepared.payload.plan;
const change_id = plan.actions[0]?.change_id as string;
const preview = prepared.previews[0]?.preview as NonNullable<(typeof prepared.previews)[0]>['preview'];

const record: EvidenceRecord = {
  evidence_id: 'EV-00000001',
  incident_id: ID,
  team: 'data',
  env: 'prod',
  path: '/teams/data/prod/jobs/j/status.yaml',
  query: 'read /x',
  mount: 'jobs',
  kind: 'state',
  source_query: 'GET',
  sha256: SHA,
  bytes: 10,
  line_count: 2,
  redactions: 0,
  rules_hash: SHA,
  raw_hmac: SHA,
  captured_at: at(),
  expires_at: at(3600),
  why_needed: 'why',
  attacker_writable: false,
};
const holds: HoldsResult = { status: 'holds', detail: '', changed: [], now_sha256: SHA, checked_at: at(30) };

function facts(change: Partial<GateFacts> = {}): GateFacts {
  const pending = walkTo('PENDING_APPROVAL');
  const one = take(pending, decide(pending, 'dan', 'approve', 6));
  const two = take(one, decide(one, 'ines', 'approve', 7, { role: 'lead' }));
  return {
    phase: 'clear',
    now_ms: T0 + 30_000,
    incident: incidentContext(),
    plan,
    mounts: [{ kind: 'kubernetes', cluster: 'prod-1', namespaces: ['spark-jobs'] }],
    guardrails,
    records: new Map([['e1', record]]),
    holds: new Map([['e1', holds]]),
    previews: new Map([[change_id, preview]]),
    approved_effects: new Map([[change_id, preview.effect_hash]]),
    freezes: [],
    revoked_tokens: new Set(),
    stopped: false,
    risk: prepared.payload.risk,
    approval: two.context.approval,
    rule: prepared.payload.rule,
    unattended: null,
    involved: new Set(['maya']),
    roles_now: new Map([
      ['dan', ['oncall']],
      ['ines', ['lead']],
    ]),
    digests: { policy_now: SHA, policy_plan: SHA, tools_now: SHA, tools_plan: SHA },
    budgets: budgets(20),
    locks: new Map(),
    ...change,
  };
}

/** The incident's budgets with so many calls of the plan's reserve used. */
function budgets(reserve_calls: number): BudgetLine[] {
  const { context } = walkTo('CLEARING');
  return budgetsOf(context, Budgets.parse({}), at(30)).map((line) => ({
    ...line,
    spent: {
      investigations: 0,
      calls: line.whose === 'reserve' ? reserve_calls : 60,
      reads: 0,
      bytes: 0,
      tokens: 0,
      cost_usd: 0,
    },
  }));
}

const withHolds = (change: Partial<HoldsResult>) => ({ holds: new Map([['e1', { ...holds, ...change }]]) });
const withRecord = (change: Partial<EvidenceRecord>) => ({
  records: new Map([['e1', { ...record, ...change }]]),
});

const onNode = {
  ...plan,
  actions: plan.actions.map((a) => ({ ...a, target: 'mcp://k8s/prod-1/-/node/prod-1-pool-1' })),
};
const nodeMount = (pattern: string) => ({
  kind: 'kubernetes' as const,
  cluster: 'prod-1',
  namespaces: ['spark-jobs'],
  nodes: [pattern],
});

/** The plan with a canary that may be judged only after a minute. */
function trying(params: Record<string, unknown> = {}): typeof plan {
  const [first, ...rest] = plan.actions;
  if (first === undefined) return plan;
  const check = { ...plan.verify[0]!, id: 'a1c1', within_s: 60 };
  const canary = { params, intent: 'a little first', bake_s: 10, checks: [check] };
  return { ...plan, actions: [{ ...first, canary }, ...rest] };
}

/** Dry runs of change and canary that belong together. */
function dryRuns(): Map<string, typeof preview> {
  const canary = { ...preview, changes: preview.changes.map((c) => ({ ...c, after: 'half of it' })) };
  return new Map([
    [change_id, preview],
    [`${change_id}#canary`, canary],
  ]);
}

describe('gates', () => {
  it('lets a plan change a node that a mount of its team names', () => {
    const of = (change: Partial<GateFacts>) =>
      checkGates(facts(change)).find(({ gate }) => gate === 'target-scope')?.status;
    expect(of({ plan: onNode, mounts: [nodeMount('prod-1-pool-*')] })).toBe('passed');
    expect(of({ plan: onNode, mounts: [nodeMount('prod-1-pool-1')] })).toBe('passed');
  });

  it.each<[string, string, Partial<GateFacts>]>([
    [
      'well-formed',
      'a plan of another incident',
      { incident: incidentContext({ incident_id: 'INC-2026-1123-009' }) },
    ],
    [
      'target-scope',
      'a namespace that is not mounted',
      { mounts: [{ kind: 'kubernetes', cluster: 'prod-1', namespaces: ['fraud'] }] },
    ],
    [
      'target-scope',
      'another cluster',
      { mounts: [{ kind: 'kubernetes', cluster: 'prod-2', namespaces: ['spark-jobs'] }] },
    ],
    ['target-scope', 'a node that no mount names', { plan: onNode, mounts: [nodeMount('prod-2-*')] }],
    [
      'target-scope',
      'a node of another cluster',
      { plan: onNode, mounts: [{ ...nodeMount('*'), cluster: 'prod-2' }] },
    ],
    ['evidence-present', 'evidence that is not stored', { records: new Map() }],
    ['evidence-present', 'evidence of another incident', withRecord({ incident_id: 'INC-2026-1123-007' })],
    [
      'evidence-present',
      'a pointer whose hash is not the stored one',
      withRecord({ sha256: 'b'.repeat(64) }),
    ],
    ['evidence-present', 'a pointer whose query is not the stored one', withRecord({ query: 'read /y' })],
    ['evidence-present', 'lines beyond the end of the file', withRecord({ line_count: 1 })],
    ['evidence-present', 'only evidence that others can write', withRecord({ attacker_writable: true })],
    ['evidence-current', 'a changed precondition', withHolds({ status: 'changed', detail: 'line 2' })],
    ['evidence-current', 'a gone precondition', withHolds({ status: 'gone' })],
    ['evidence-current', 'a tampered blob', withHolds({ status: 'tampered' })],
    ['evidence-current', 'an unreachable source', withHolds({ status: 'unreachable' })],
    ['evidence-current', 'evidence that is too old', { now_ms: T0 + 601_000 }],
    ['evidence-current', 'evidence that was not checked', { holds: new Map() }],
    [
      'tools-allowed',
      'a forbidden class',
      {
        plan: { ...plan, actions: plan.actions.map((a) => ({ ...a, action_class: 'privileged' as const })) },
      },
    ],
    [
      'tools-allowed',
      'a policy set that failed to load',
      { digests: { policy_now: null, policy_plan: SHA, tools_now: SHA, tools_plan: SHA } },
    ],
    [
      'tools-allowed',
      'changed policies',
      { digests: { policy_now: 'b'.repeat(64), policy_plan: SHA, tools_now: SHA, tools_plan: SHA } },
    ],
    [
      'tools-allowed',
      'changed tool definitions',
      { digests: { policy_now: SHA, policy_plan: SHA, tools_now: 'b'.repeat(64), tools_plan: SHA } },
    ],
    [
      'tools-allowed',
      'autonomy that has no execution',
      { incident: incidentContext({ autonomy: 'suggest' }) },
    ],
    ['previewed', 'no dry run', { previews: new Map() }],
    [
      'previewed',
      'a refused dry run',
      {
        previews: new Map([
          [change_id, refuse('upstream-error', 'the API server said no', 'Look at its log.')],
        ]),
      },
    ],
    [
      'previewed',
      'another effect than the approved one',
      { approved_effects: new Map([[change_id, 'c'.repeat(64)]]) },
    ],
    [
      'previewed',
      'a change that changes nothing',
      { previews: new Map([[change_id, { ...preview, changes: [] }]]) },
    ],
    ['previewed', 'a canary without a dry run', { plan: trying() }],
    [
      'previewed',
      'a canary that does all of it',
      { plan: trying(), previews: new Map([...dryRuns(), [`${change_id}#canary`, preview]]) },
    ],
    [
      'previewed',
      'another effect of the canary than the approved one',
      { plan: trying(), previews: dryRuns() },
    ],
    [
      'well-formed',
      'a hold that ends before the canary is judged',
      { plan: trying({ canary_hold_s: 60 }), previews: dryRuns() },
    ],
    [
      'window-and-freeze',
      'a freeze',
      { freezes: [{ scope: 'data/prod', reason: 'audit', by: 'ines', until_ms: null, remedy: 'Lift it.' }] },
    ],
    ['window-and-freeze', 'a stop', { stopped: true }],
    [
      'window-and-freeze',
      'a closed change window',
      { incident: incidentContext({ change_window: { days: [1], from: '12:00', to: '13:00', tz: 'UTC' } }) },
    ],
    [
      'risk',
      'a blast radius above the limit',
      { risk: { ...prepared.payload.risk, blast_radius_score: 0.9 } },
    ],
    [
      'risk',
      'a risk that wants two people under a rule for one',
      {
        risk: { ...prepared.payload.risk, blast_radius_score: 0.6 },
        rule: { ...RULE, people: 1 },
      },
    ],
    [
      'risk',
      'a risk that wants an approval outside Slack under a rule without one',
      { risk: { ...prepared.payload.risk, required_gates: ['step_up_required'] } },
    ],
    [
      'approvals',
      'a plan that asks nobody in an incident that asks people',
      { rule: { ...RULE, people: 0 } },
    ],
    [
      'approvals',
      'a plan that asks nobody when the caps are used up',
      { rule: { ...RULE, people: 0 }, unattended: { may: false, words: 'It was changed twice today.' } },
    ],
    [
      'approvals',
      'an approver who lost the role',
      {
        roles_now: new Map([
          ['dan', ['oncall']],
          ['ines', []],
        ]),
      },
    ],
    ['approvals', 'an approver who became involved', { involved: new Set(['maya', 'dan']) }],
    ['approvals', 'an expired approval', { now_ms: T0 + 1_000_000 }],
    ['budget', 'a reserve too small for the change, its checks and its undo', { budgets: budgets(280) }],
    [
      'target-lock',
      'a target that another incident changes',
      { locks: new Map([[TARGET, 'INC-2026-1123-002']]) },
    ],
  ])('%s refuses %s, with a reason and a next step', (gate, _what, change) => {
    const lines = checkGates(facts(change));
    const line = lines.find((l) => l.gate === gate);
    expect(line?.status).toBe('refused');
    expect(line?.reason.length).toBeGreaterThan(10);
    expect(line?.remedy.length).toBeGreaterThan(5);
    expect(lines).toHaveLength(GATES.length);
  });

  it('all pass when nothing speaks against the plan', () => {
    expect(checkGates(facts()).filter((l) => l.status !== 'passed')).toEqual([]);
  });

  it('young cause evidence may be gone from its source, with a warning', () => {
    const cause = { ...plan, evidence: plan.evidence.map((e) => ({ ...e, role: 'cause' as const })) };
    const line = checkGates(facts({ plan: cause, ...withHolds({ status: 'gone' }) })).find(
      (l) => l.gate === 'evidence-current',
    );
    expect(line?.status).toBe('warning');
  });

  it('let a plan run alone within its caps, and say how much of them it uses', () => {
    const rule = { ...RULE, people: 0 };
    const unattended = { may: true, words: '1 of 2 of deployment/x' };
    for (const phase of ['prepare', 'clear'] as const)
      expect(
        checkGates(facts({ phase, rule, unattended })).find((l) => l.gate === 'approvals'),
      ).toMatchObject({
        status: 'passed',
        reason: `nobody is asked: rule ${RULE.name}; 1 of 2 of deployment/x`,
      });
  });

  it('say why people are asked although the incident may act alone', () => {
    const unattended = { may: false, words: 'The ladder went down to approve.' };
    expect(
      checkGates(facts({ phase: 'prepare', approval: null, unattended })).find((l) => l.gate === 'approvals'),
    ).toMatchObject({
      status: 'waiting',
      reason: 'nobody has been asked yet',
      remedy: 'People are asked: The ladder went down to approve.',
    });
  });

  it('wait for people before anybody was asked', () => {
    expect(
      checkGates(facts({ phase: 'prepare', approval: null })).find((l) => l.gate === 'approvals')?.status,
    ).toBe('waiting');
  });
});

const scaled = { tool: 'k8s.scale', action_class: 'write' } as const;

describe('the approval rule', () => {
  it('comes from the first row that matches, and no row means no approval', () => {
    expect(selectRule(guardrails, incidentContext(), prepared.payload.risk, [scaled])).toMatchObject({
      people: 1,
    });
    expect(
      selectRule(guardrails, incidentContext(), prepared.payload.risk, [
        { ...scaled, action_class: 'destroy' },
      ]),
    ).toMatchObject({
      allow: false,
      code: 'no-approval-rule',
    });
    expect(
      selectRule(guardrails, incidentContext({ approval_policy: 'other' }), prepared.payload.risk, [scaled]),
    ).toMatchObject({ allow: false });
  });

  it('gets a second person from the risk, never fewer', () => {
    expect(
      selectRule(guardrails, incidentContext(), { ...prepared.payload.risk, blast_radius_score: 0.55 }, [
        scaled,
      ]),
    ).toMatchObject({ people: 2 });
    expect(
      selectRule(
        guardrails,
        incidentContext(),
        { ...prepared.payload.risk, required_gates: ['two_person_approval_required'] },
        [scaled],
      ),
    ).toMatchObject({ people: 2 });
  });
});
