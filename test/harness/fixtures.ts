import { isoTime } from '../../src/contract/ports.ts';
import { combinedEffectHash, effectHashOf } from '../../src/contract/tool.ts';
import type { Preview, ToolOutcome } from '../../src/contract/tool.ts';
import type { IncidentContext } from '../../src/contract/incident.ts';
import type { Findings, PlanDraft } from '../../src/contract/plan.ts';
import { planHashOf } from '../../src/contract/plan.ts';
import type { RiskEnvelope } from '../../src/contract/risk.ts';
import type { ApprovalRule } from '../../src/contract/approval.ts';
import { freezeDraft } from '../../src/harness/freeze-draft.ts';
import type { EventOf, HarnessEvent } from '../../src/harness/events.ts';
import { step } from '../../src/harness/machine.ts';
import { emptySnapshot } from '../../src/harness/state.ts';
import type { Snapshot } from '../../src/harness/state.ts';

/** One valid value of everything that crosses the machine, so that tests only say what is special about them. */
export const T0 = Date.parse('2026-11-23T10:00:00.000Z');
export const ID = 'INC-2026-1123-001';
export const TARGET = 'mcp://k8s/prod-1/spark-jobs/sparkapplication/nightly-settlement';
const SHA = 'a'.repeat(64);

export function at(offset_s = 0): string {
  return isoTime(T0 + offset_s * 1000);
}

export function incidentContext(change: Partial<IncidentContext> = {}): IncidentContext {
  return {
    v: 1,
    incident_id: ID,
    source: { trigger: 'prod-alerts', fingerprint: 'f1', group_key: 'g' },
    title: 'SparkApplication failed',
    severity: 'sev2',
    scope: {
      team: 'data',
      env: 'prod',
      tier: 'tier2',
      cluster: 'prod-1',
      namespace: 'spark-jobs',
      labels: {},
    },
    on_call: ['maya'],
    change_window: null,
    freeze: null,
    budget: { tokens_max: 1000, tool_calls_max: 60, cost_usd_max: 2, minutes_max: 60 },
    approval_policy: 'default',
    autonomy: 'approve',
    activation: 'button',
    involved: [],
    alerts: [
      {
        name: 'SparkApplicationFailed',
        status: 'firing',
        fingerprint: 'f1',
        starts_at: at(-60),
        labels: {},
        annotations: {},
      },
    ],
    recurrence_of: null,
    opened_at: at(),
    ...change,
  };
}

const pointer = {
  evidence_id: 'EV-00000001',
  path: '/teams/data/prod/jobs/j/status.yaml',
  query: 'read /x',
  lines: '1-2',
  sha256: SHA,
  captured_at: at(),
};

export function findings(conclusive = true): Findings {
  return {
    conclusive,
    cause: conclusive ? 'driver memory too small' : null,
    confidence: 0.9,
    hypotheses: [],
    evidence: [{ id: 'e1', role: 'precondition', pointer, claim: 'OOMKilled' }],
    gaps: [],
    facts: {},
    skill: null,
  };
}

export function draft(actions = 1): PlanDraft {
  return {
    hypothesis: 'driver memory too small',
    confidence: 0.9,
    alternatives: [],
    gaps: [],
    evidence: findings().evidence,
    actions: Array.from({ length: actions }, (_, n) => ({
      tool: 'job.update_spec',
      target: TARGET,
      params: { changes: [{ path: '/spec/driver/memory', value: `${n + 2}g` }] },
      intent: `Raise driver memory to ${n + 2}g`,
      preconditions: ['e1'],
      rollback: { from: 'before_image' as const },
      timeout_s: 30,
    })),
    verify: [
      {
        title: 'job completed',
        read: 'read /x',
        expect: { select: 'state', op: 'eq', value: 'COMPLETED' },
        within_s: 60,
        every_s: 1,
      },
    ],
    skill: null,
  };
}

export const RULE: ApprovalRule = {
  name: 'two',
  people: 2,
  roles: ['oncall', 'lead'],
  distinct_roles: false,
  step_up: false,
  expires_after_s: 900,
};

const RISK: RiskEnvelope = {
  v: 1,
  blast_radius_score: 0.2,
  impact_scope: [],
  confidence: 0.7,
  required_gates: ['dry_run_required'],
  counterfactual_impact: {
    affected_services: [],
    estimated_downtime_sec: 0,
    failure_likelihood: { mean: 0.1, low: 0, high: 0.2, n: 0 },
  },
  if_not_applied: 'stays down',
  why: [],
  safe_alternatives: [],
};

export function preparedEvent(
  effect_id: string,
  revision: number,
  offset_s: number,
  rule: ApprovalRule = RULE,
  actions = 1,
): EventOf<'prepared'> {
  const change_ids = Array.from({ length: actions }, (_, n) => `CHG-${revision * 10 + n}`);
  const plan = freezeDraft({
    draft: draft(actions),
    incident_id: ID,
    revision,
    change_ids,
    classes: change_ids.map(() => 'write' as const),
  });
  const previews = plan.actions.map((a) => {
    const changes = [{ path: '/spec/driver/memory', before: '1g', after: '2g' }];
    const preview: Preview = {
      tool: a.tool,
      target: a.target,
      object_uid: 'u1',
      changes,
      side_changes: [],
      diff: ['-1g', '+2g'],
      warnings: [],
      resources: null,
      effect_hash: effectHashOf({ target: a.target, object_uid: 'u1', changes }),
    };
    return { change_id: a.change_id, previewed_at: at(offset_s), credential_revocable: true, preview };
  });
  const digests = { policy_digest: SHA, tool_definitions_digest: SHA };
  const plan_hash = planHashOf({ plan, risk: RISK, approval_rule: rule, ...digests });
  const effect_hash = combinedEffectHash(previews.map((p) => p.preview.effect_hash));
  const request = {
    approval_id: `APR-${revision}`,
    incident_id: ID,
    revision,
    plan_hash,
    effect_hash,
    rule,
    opened_at: at(offset_s),
    expires_at: at(offset_s + rule.expires_after_s),
  };
  return {
    type: 'prepared',
    at: at(offset_s),
    effect_id,
    payload: { plan, risk: RISK, rule, ...digests, plan_hash, effect_hash },
    previews,
    gates: [],
    request,
  };
}

/** The same plan, its first action with a canary. */
export function withCanary(event: EventOf<'prepared'>): EventOf<'prepared'> {
  const copy = structuredClone(event);
  const first = copy.payload.plan.actions[0];
  const check = copy.payload.plan.verify[0];
  if (first === undefined || check === undefined) return copy;
  first.canary = {
    params: { changes: [{ path: '/spec/driver/memory', value: '1200m' }] },
    intent: 'a little more first',
    bake_s: 20,
    checks: [{ ...check, id: 'a1c1', title: 'it bears it' }],
  };
  return copy;
}

export function decide(
  snapshot: Snapshot,
  by: string,
  decision: 'approve' | 'deny' | 'withdraw',
  offset_s: number,
  change: Partial<EventOf<'decided'>> = {},
): EventOf<'decided'> {
  const approval = snapshot.context.approval;
  return {
    type: 'decided',
    at: at(offset_s),
    by,
    approval_id: approval?.approval_id ?? 'APR-1',
    revision: approval?.revision ?? 1,
    plan_hash: approval?.plan_hash ?? SHA,
    decision,
    via: 'slack',
    role: 'oncall',
    reason: decision === 'deny' ? 'too risky right now' : '',
    because: decision === 'deny' ? 'too_risky' : null,
    ...change,
  };
}

export function outcome(status: ToolOutcome['status'] = 'done'): ToolOutcome {
  return {
    status,
    summary: status,
    conflict_fields: [],
    before_image: { '/spec/driver/memory': '1g' },
    result: null,
    replayed: false,
  };
}

/** Takes an event that must be legal. */
export function take(snapshot: Snapshot, event: HarnessEvent): Snapshot {
  const stepped = step(snapshot, event);
  if (!stepped.ok) throw new Error(`${event.type} in ${snapshot.state}: ${stepped.refusal.reason}`);
  return stepped.snapshot;
}

export function runningId(snapshot: Snapshot): string {
  return snapshot.context.running?.effect_id ?? 'none';
}

/** Walks the usual way to a state. */
export function walkTo(
  goal:
    | 'TRIAGE'
    | 'DIAGNOSING'
    | 'PLANNING'
    | 'PENDING_APPROVAL'
    | 'CLEARING'
    | 'EXECUTING'
    | 'VERIFYING'
    | 'CLOSED',
  change: Partial<IncidentContext> = {},
  actions = 1,
  edit: (event: EventOf<'prepared'>) => EventOf<'prepared'> = (event) => event,
): Snapshot {
  let s = take(emptySnapshot(), {
    type: 'opened',
    at: at(0),
    context: incidentContext(change),
    channel: 'C1',
  });
  const path: readonly [typeof goal, () => HarnessEvent][] = [
    ['TRIAGE', () => ({ type: 'triaged', at: at(1), effect_id: runningId(s), skills: [] })],
    ['DIAGNOSING', () => ({ type: 'activated', at: at(2), by: 'maya' })],
    ['PLANNING', () => ({ type: 'investigated', at: at(3), effect_id: runningId(s), findings: findings() })],
    [
      'PENDING_APPROVAL',
      () => ({ type: 'drafted', at: at(4), effect_id: runningId(s), draft: draft(actions) }),
    ],
  ];
  for (const [state, event] of path) {
    s = take(s, event());
    if (state === 'PENDING_APPROVAL')
      s = take(s, edit(preparedEvent(runningId(s), s.context.revision, 5, RULE, actions)));
    if (state === goal) return s;
  }
  s = take(s, decide(s, 'dan', 'approve', 6));
  s = take(s, decide(s, 'ines', 'approve', 7, { role: 'lead' }));
  if (goal === 'CLEARING') return s;
  s = take(s, {
    type: 'cleared',
    at: at(8),
    effect_id: runningId(s),
    verdict: 'passed',
    gates: [],
    reason: '',
    remedy: '',
  });
  if (goal === 'EXECUTING') return s;
  for (let n = 0; n < actions; n++)
    s = take(s, {
      type: 'executed',
      at: at(9 + n),
      effect_id: runningId(s),
      change_id: s.context.running?.change_id ?? '',
      outcome: outcome(),
    });
  if (goal === 'VERIFYING') return s;
  const check = {
    check_id: 'v1',
    title: 'job completed',
    status: 'passed' as const,
    found: 'COMPLETED',
    evidence_id: null,
    tries: 1,
  };
  return take(s, { type: 'verified', at: at(20), effect_id: runningId(s), checks: [check] });
}
