import type { ApprovalRule, Decision } from '../../src/contract/approval.ts';
import { hashOf } from '../../src/contract/canonical.ts';
import type { Autonomy, IncidentContext } from '../../src/contract/incident.ts';
import type { NewLedgerEntry } from '../../src/contract/ledger.ts';
import { planHashOf, type Action, type Plan } from '../../src/contract/plan.ts';
import { isoTime } from '../../src/contract/ports.ts';
import type { RiskEnvelope } from '../../src/contract/risk.ts';
import type { Tier } from '../../src/contract/scope.ts';
import { combinedEffectHash, type Permit, type Preview, type ToolOutcome } from '../../src/contract/tool.ts';
import { isRefusal, type Refusal } from '../../src/contract/verdict.ts';
import { JOB, type Stage } from './stage.ts';

/** The ledger of an incident up to the approved plan, written as the harness writes it, with knobs for attacks. */
export interface PlanKnobs {
  /** What the plan does; left out: more memory for the Spark driver. */
  readonly action?: PlannedAction;
  readonly value?: string;
  readonly autonomy?: Autonomy;
  readonly involved?: readonly string[];
  readonly approvers?: readonly string[];
  /** Approvals that came from the command line, by person: the id of their token. */
  readonly tokens?: Readonly<Record<string, string>>;
  readonly people?: number;
  readonly denied_by?: string;
  readonly approval_status?: 'open' | 'expired' | 'void';
  readonly policy_digest?: string;
  readonly tool_definitions_digest?: string;
  readonly without?: 'approval' | 'preview' | 'plan';
  /** Events between the opening and the plan. */
  readonly events?: readonly Readonly<Record<string, unknown>>[];
  readonly tampered_preview?: (preview: Preview) => Preview;
  readonly env?: string;
  readonly tier?: Tier;
  readonly rule?: Partial<ApprovalRule>;
  readonly risk?: Partial<RiskEnvelope>;
  /** Left out: CHG-7. */
  readonly change_id?: string;
  /** When the incident opened; left out: now. */
  readonly opened_at?: string;
}

export interface PlannedAction {
  readonly tool: string;
  readonly target: string;
  readonly params: Record<string, unknown>;
  readonly rollback?: Action['rollback'];
  /** Arguments of a smaller call that goes first; its one check is `a1c1`. */
  readonly canary?: Record<string, unknown>;
}

let incidents = 100;

export interface ApprovedPlan {
  readonly incident_id: string;
  readonly plan: Plan;
  readonly preview: Preview;
  /** The dry run of the canary, when there is one. */
  readonly canary: Preview | null;
  readonly permit: Permit;
  readonly params: Record<string, unknown>;
  mint(change?: Partial<Permit>): Promise<string>;
}

export async function approvedPlan(stage: Stage, knobs: PlanKnobs = {}): Promise<ApprovedPlan> {
  const { gateway, store, clock } = stage;
  incidents += 1;
  const incident_id = `INC-2026-1123-${incidents}`;
  const action = knobs.action ?? {
    tool: 'job.update_spec',
    target: JOB,
    params: { changes: [{ path: '/spec/driver/memory', value: knobs.value ?? '2g' }] },
  };
  const { tool, target, params } = action;
  const { change_id = 'CHG-7' } = knobs;
  const now = isoTime(clock.now());
  const context = contextOf(knobs, incident_id, knobs.opened_at ?? now);
  await store.ledger.append(incident_id, [event({ type: 'opened', at: now, context, channel: 'C0123' })]);
  const dryRun = async (args: Record<string, unknown>): Promise<Preview> => {
    const token = await stage.token({ incident_id });
    const asked = { token, tool, target, params: args, change_id, why: 'test' };
    const previewed = await gateway.preview(asked);
    if (isRefusal(previewed)) throw new Error(`preview refused: ${previewed.reason}`);
    return previewed.preview;
  };
  const preview = await dryRun(params);
  const canary = action.canary === undefined ? null : await dryRun(action.canary);
  const plan = planOf(incident_id, action, change_id);
  const rule: ApprovalRule = {
    name: 'test',
    people: knobs.people ?? 2,
    roles: ['oncall', 'lead'],
    distinct_roles: false,
    step_up: false,
    expires_after_s: 900,
    ...knobs.rule,
  };
  const bound = {
    plan,
    risk: { ...RISK, ...knobs.risk },
    policy_digest: knobs.policy_digest ?? (gateway.policyDigest() as string),
    tool_definitions_digest: knobs.tool_definitions_digest ?? gateway.toolDefinitionsDigest(),
  };
  const plan_hash = planHashOf({ ...bound, approval_rule: rule });
  const effect_hash = combinedEffectHash(
    [canary, preview].flatMap((each) => (each === null ? [] : [each.effect_hash])),
  );
  const entries: NewLedgerEntry[] = [];
  for (const later of knobs.events ?? []) entries.push(event({ at: now, ...later }));
  if (knobs.without !== 'plan') entries.push(entry('plan', { ...bound, rule, plan_hash, effect_hash }));
  const shown = knobs.tampered_preview?.(preview) ?? preview;
  if (knobs.without !== 'preview') entries.push(entry('preview', { change_id, preview: shown }));
  if (canary !== null) entries.push(entry('preview', { change_id, phase: 'canary', preview: canary }));
  if (knobs.without !== 'approval')
    entries.push(
      ...approvalEntries(knobs, incident_id, {
        rule,
        plan_hash,
        effect_hash,
        now,
        expires_at: isoTime(clock.now() + 900_000),
      }),
    );
  await store.ledger.append(incident_id, entries);
  const permit: Permit = {
    permit_id: '',
    incident_id,
    change_id,
    phase: 'apply',
    revision: 1,
    plan_hash,
    effect_hash: preview.effect_hash,
    tool,
    target,
    args_hash: hashOf(params),
    expires_at_ms: clock.now() + 60_000,
  };
  const mint: ApprovedPlan['mint'] = async (change = {}) => {
    const expires_at_ms = clock.now() + 60_000;
    const minted = { ...permit, expires_at_ms, permit_id: stage.ids.next('prm'), ...change };
    const answer = await store.journal.mintPermit(minted, entry('permit', { permit: minted }));
    if (isRefusal(answer)) throw new Error(answer.reason);
    return minted.permit_id;
  };
  return { incident_id, plan, preview, canary, permit, params, mint };
}

/** Executes as the harness does. */
export async function execute(
  stage: Stage,
  approved: ApprovedPlan,
  change: {
    permit_id?: string;
    params?: Record<string, unknown>;
    token?: string;
    tool?: string;
    target?: string;
    timeout_ms?: number;
  } = {},
): Promise<{ call_id: string; outcome: ToolOutcome } | Refusal> {
  return stage.gateway.execute({
    token: change.token ?? (await stage.token({ incident_id: approved.incident_id })),
    permit_id: change.permit_id ?? (await approved.mint()),
    tool: change.tool ?? approved.permit.tool,
    target: change.target ?? approved.permit.target,
    params: change.params ?? approved.params,
    timeout_ms: change.timeout_ms ?? 5000,
  });
}

const RISK: RiskEnvelope = {
  v: 1,
  blast_radius_score: 0.1,
  impact_scope: ['nightly-settlement'],
  confidence: 0.9,
  required_gates: ['two_person_approval_required'],
  counterfactual_impact: {
    affected_services: [],
    estimated_downtime_sec: 0,
    failure_likelihood: { mean: 0.1, low: 0, high: 0.3, n: 0 },
  },
  if_not_applied: 'The job stays failed.',
  why: [],
  safe_alternatives: [],
};

function planOf(
  incident_id: string,
  { tool, target, params, rollback, canary }: PlannedAction,
  change_id: string,
): Plan {
  const pointer = {
    evidence_id: 'EV-abcdefgh',
    path: '/x',
    query: 'read /x',
    lines: '1-1',
    sha256: '0'.repeat(64),
    captured_at: '2026-11-23T00:00:00.000Z',
  };
  return {
    schema: 'aegis.plan/v1',
    incident_id,
    revision: 1,
    hypothesis: 'The driver has too little memory.',
    confidence: 0.9,
    alternatives: [],
    gaps: [],
    evidence: [{ id: 'oom', role: 'precondition', pointer, claim: 'The driver was killed.' }],
    actions: [
      {
        id: 'a1',
        change_id,
        action_class: 'write',
        tool,
        target,
        params,
        intent: 'Mend it.',
        preconditions: ['oom'],
        rollback: rollback ?? { from: 'before_image' },
        ...(canary === undefined ? {} : { canary: canaryOf(canary) }),
        timeout_s: 30,
      },
    ],
    verify: [
      {
        id: 'v1',
        title: 'It runs.',
        read: 'read /x',
        expect: { select: 'a', op: 'eq', value: 1 },
        within_s: 10,
        every_s: 1,
      },
    ],
    skill: null,
  };
}

function canaryOf(params: Record<string, unknown>): NonNullable<Action['canary']> {
  const expect = { select: 'a', op: 'eq', value: 1 } as const;
  const check = { id: 'a1c1', title: 'It bears it', read: 'read /x', expect, within_s: 10, every_s: 1 };
  return { params, intent: 'a little first', bake_s: 5, checks: [check] };
}

function contextOf(knobs: PlanKnobs, incident_id: string, now: string): IncidentContext {
  return {
    v: 1,
    incident_id,
    source: { trigger: 'test', fingerprint: 'f', group_key: 'g' },
    title: 'Spark driver OOM',
    severity: 'sev2',
    scope: {
      team: 'data',
      env: knobs.env ?? 'prod',
      tier: knobs.tier ?? 'tier1',
      cluster: 'prod-1',
      namespace: 'spark-jobs',
      service: 'nightly-settlement',
      labels: {},
    },
    on_call: [],
    change_window: null,
    freeze: null,
    budget: { tokens_max: 1, tool_calls_max: 100, cost_usd_max: 1, minutes_max: 60 },
    approval_policy: 'default',
    autonomy: knobs.autonomy ?? 'approve',
    activation: 'button',
    involved: (knobs.involved ?? []).map((principal) => ({ principal, role: 'asker' as const })),
    alerts: [],
    recurrence_of: null,
    opened_at: now,
  };
}

function approvalEntries(
  knobs: PlanKnobs,
  incident_id: string,
  facts: { rule: ApprovalRule; plan_hash: string; effect_hash: string; now: string; expires_at: string },
): NewLedgerEntry[] {
  const { rule, plan_hash, effect_hash, now, expires_at } = facts;
  const request = {
    approval_id: 'APR-1',
    incident_id,
    revision: 1,
    plan_hash,
    effect_hash,
    rule,
    opened_at: now,
    expires_at,
  };
  const decide = (principal: string, decision: Decision['decision']): NewLedgerEntry => {
    const token_id = knobs.tokens?.[principal];
    const how =
      token_id === undefined
        ? { via: 'slack' }
        : { via: 'cli', token: { token_id, statement_sha256: 'a'.repeat(64) } };
    return entry('approval', {
      type: 'decision',
      approval_id: 'APR-1',
      plan_hash,
      decision: { principal, role: 'oncall', decision, reason: '', at: now, ...how },
    });
  };
  const entries = [entry('approval', { type: 'opened', request })];
  for (const person of knobs.approvers ?? ['bo', 'cy']) entries.push(decide(person, 'approve'));
  if (knobs.denied_by !== undefined) entries.push(decide(knobs.denied_by, 'deny'));
  const status = knobs.approval_status ?? 'approved';
  entries.push(entry('approval', { type: 'status', approval_id: 'APR-1', status, reason: 'test' }));
  return entries;
}

function event(payload: Record<string, unknown>): NewLedgerEntry {
  return { kind: 'event', actor: 'aegis:harness', payload };
}

function entry(kind: NewLedgerEntry['kind'], payload: Record<string, unknown>): NewLedgerEntry {
  return { kind, actor: 'aegis:harness', payload };
}
