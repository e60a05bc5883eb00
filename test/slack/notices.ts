// Sample notices of the Spark driver story, complete enough to pass the contract.
import type {
  ApprovalNotice,
  IncidentNotice,
  PostmortemNotice,
  ProgressNotice,
  ShadowNotice,
  TimelineNotice,
} from '../../src/contract/notice.ts';

export const INC = 'INC-2026-1123-001';
const HEX = '7c1f9a3e5b20d84c6e11f0aa92d7b3cc4e58a9016f2d3b7785c0aa41e9d2f604';
const OTHER = 'a91f000000000000000000000000000000000000000000000000000000c04411';

const scope = {
  team: 'data',
  env: 'prod',
  tier: 'tier1' as const,
  region: 'us-west-2',
  cluster: 'prod-a',
  namespace: 'spark-jobs',
  service: 'nightly-settlement',
  labels: {},
};

export function incidentNotice(changes: Partial<IncidentNotice> = {}): IncidentNotice {
  return {
    kind: 'incident',
    incident_id: INC,
    title: 'SparkApplication nightly-settlement FAILED',
    severity: 'sev2',
    state: 'PENDING_APPROVAL',
    halt: null,
    scope,
    mode: 'Execute with approval (2 people)',
    shadow: false,
    owner: 'maya',
    recurrence_of: null,
    alerts: { firing: 1, resolved: 0 },
    doing: 'Waiting for two people',
    cause: {
      text: 'The driver was killed for memory (OOMKilled, exit 137): it needs 1.7 GiB and may use 1 GiB.',
      confidence: 0.93,
      evidence_count: 3,
    },
    budget: { tool_calls: 17, tool_calls_max: 60, cost_usd: 0, cost_usd_max: 2 },
    waiting_for: { who: 'data-oncall or platform-leads', until: '2026-11-23T08:00:00.000Z' },
    checks: null,
    outcome: null,
    buttons: ['evidence', 'stop'],
    approval_card: 'approval:APR-512',
    step: 17,
    ledger_head: OTHER,
    updated_at: '2026-11-23T07:15:23.000Z',
    simulated: true,
    ...changes,
  };
}

const DIFF = [
  '  spec:',
  '    driver:',
  '      cores: 1',
  '-     memory: 1g',
  '+     memory: 2g',
  '      memoryOverheadFactor: 0.1',
];

export function approvalAction(
  changes: Partial<ApprovalNotice['actions'][number]> = {},
): ApprovalNotice['actions'][number] {
  return {
    change_id: 'CHG-8891',
    intent: 'Raise driver memory of nightly-settlement from 1g to 2g',
    target: 'mcp://k8s/prod-a/spark-jobs/sparkapplication/nightly-settlement',
    tool: 'job.update_spec',
    action_class: 'write',
    diff: DIFF,
    changes: [{ path: '/spec/driver/memory', before: '1g', after: '2g' }],
    side_changes: [],
    rollback: 'restore /spec/driver/memory to 1g, as observed before the change',
    previewed_at: '2026-11-23T07:15:00.000Z',
    warnings: [],
    credential_revocable: true,
    ...changes,
  };
}

export function approvalNotice(changes: Partial<ApprovalNotice> = {}): ApprovalNotice {
  return {
    kind: 'approval',
    incident_id: INC,
    approval_id: 'APR-512',
    revision: 1,
    plan_hash: HEX,
    effect_hash: OTHER,
    status: 'open',
    status_text: 'Waiting for approvals',
    scope,
    actions: [approvalAction()],
    started_by: 'maya',
    cause: 'The driver needs 1.7 GiB and may use 1 GiB.',
    confidence: 0.93,
    risk: {
      v: 1,
      blast_radius_score: 0.34,
      impact_scope: ['nightly-settlement', 'settlement-report'],
      confidence: 0.9,
      required_gates: ['dry_run_required', 'two_person_approval_required'],
      counterfactual_impact: {
        affected_services: ['nightly-settlement'],
        estimated_downtime_sec: 0,
        failure_likelihood: { mean: 0.08, low: 0.01, high: 0.24, n: 0 },
      },
      if_not_applied: 'The job stays down; the settlement SLO is breached in 41 min.',
      why: [],
      safe_alternatives: ['split the input by day (2 h longer)'],
    },
    gates: [
      { gate: 'evidence', title: 'Evidence unchanged', status: 'passed', reason: '', remedy: '' },
      { gate: 'preview', title: 'Dry run passed', status: 'passed', reason: '', remedy: '' },
      {
        gate: 'approvals',
        title: 'Two people',
        status: 'waiting',
        reason: '1 of 2 given.',
        remedy: 'One of data-oncall or platform-leads can approve.',
      },
    ],
    rule: {
      name: 'two-people',
      people: 2,
      roles: ['data-oncall', 'platform-leads'],
      distinct_roles: false,
      step_up: false,
      expires_after_s: 3600,
    },
    decisions: [
      {
        principal: 'dan',
        via: 'slack',
        role: 'data-oncall',
        decision: 'approve',
        reason: '',
        at: '2026-11-23T07:16:00.000Z',
      },
    ],
    approvals_given: 1,
    who_can: 'data-oncall or platform-leads',
    expires_at: '2026-11-23T08:00:00.000Z',
    evidence: [
      {
        id: 'oom',
        claim: 'The driver pod was OOMKilled three times',
        role: 'cause',
        pointer: {
          evidence_id: 'EV-abcdefgh',
          path: '/teams/data/prod/logs/driver.log',
          query: 'grep OOM /teams/data/prod/logs/driver.log --since 2026-11-23T06:00:00.000Z',
          lines: '120-124',
          sha256: HEX,
          captured_at: '2026-11-23T07:10:00.000Z',
        },
      },
    ],
    checks: ['No OOMKill for 2 minutes', 'Job succeeded', 'Memory below the limit'],
    gaps: [],
    simulated: true,
    ...changes,
  };
}

export function timelineNotice(changes: Partial<TimelineNotice> = {}): TimelineNotice {
  return {
    kind: 'timeline',
    incident_id: INC,
    topic: 'decision',
    segments: [
      { t: 'person', principal: 'dan', mention: false },
      { t: 'text', text: ' approved ' },
      { t: 'code', text: 'CHG-8891' },
      { t: 'text', text: ' at ' },
      { t: 'time', at: '2026-11-23T07:16:00.000Z' },
      { t: 'text', text: '. One more is needed.' },
    ],
    broadcast: false,
    ...changes,
  };
}

export function progressNotice(changes: Partial<ProgressNotice> = {}): ProgressNotice {
  return {
    kind: 'progress',
    incident_id: INC,
    title: 'Carrying out CHG-8891',
    tasks: [
      { id: 'evidence', title: 'Check the evidence again', status: 'complete', output: '3 of 3 unchanged' },
      { id: 'preview', title: 'Dry run again', status: 'complete', output: 'same effect' },
      { id: 'a1', title: 'Raise driver memory to 2g', status: 'in_progress', output: null },
      { id: 'v1', title: 'No OOMKill for 2 minutes', status: 'pending', output: null },
    ],
    ...changes,
  };
}

export function postmortemNotice(changes: Partial<PostmortemNotice> = {}): PostmortemNotice {
  return {
    kind: 'postmortem',
    incident_id: INC,
    title: `Postmortem draft: ${INC}`,
    markdown: [
      '# nightly-settlement failed for memory',
      '',
      'The driver was **OOMKilled** three times; `spec.driver.memory` was `1g`.',
      '',
      '## Timeline',
      '| Time | What |',
      '| --- | --- |',
      '| 07:02 | alert fired |',
      '| 07:16 | Dan approved |',
      '',
      '## What to do',
      '- set requests from the measured peak',
      '- alert on memory above 85 %',
      '',
      '```',
      'ledger: 61 entries, verified',
      '```',
    ].join('\n'),
    ...changes,
  };
}

export function shadowNotice(changes: Partial<ShadowNotice> = {}): ShadowNotice {
  return {
    kind: 'shadow',
    incident_id: INC,
    verdict: 'hit',
    headline: 'People did what the plan says',
    lines: [
      'The plan (revision 1, confidence 0.88): Revision 2 of settlement-api crashes again and again.',
      'The plan was there 3 min before people acted.',
      'The cause that people named is the one of the plan.',
    ],
    rows: [
      {
        mark: 'hit',
        plan: 'CHG-1 Roll settlement-api back from revision 2 to revision 1',
        people: 'kubectl changed deployment/settlement-api: …settlement-api.image = "settlement-api:2.14.0"',
        at: '2026-11-23T07:16:00.000Z',
      },
      { mark: 'said', plan: null, people: 'dan said: rolled it back', at: '2026-11-23T07:16:30.000Z' },
    ],
    warning: null,
    gaps: [],
    ladder:
      'data/prod/settlement-api is on suggest. For approve: 7 of 20 scored incidents, 0 wrong and confident, lower bound 0.61 of 0.80.',
    simulated: true,
    ...changes,
  };
}
