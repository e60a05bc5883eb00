import { entryHash, genesisHash, type LedgerEntry, type NewLedgerEntry } from '../../src/contract/ledger.ts';
import type { Findings } from '../../src/contract/plan.ts';
import { assessRisk } from '../../src/risk/envelope.ts';
import { sparkIncident } from '../cognition/spark-story.ts';
import { input, planOf, preview } from '../risk/fixtures.ts';

const H = 'b'.repeat(64);

/** A chained ledger with one entry each ten seconds. */
export function chain(entries: readonly NewLedgerEntry[]): LedgerEntry[] {
  let prev_hash = genesisHash('INC-2026-1123-001');
  return entries.map(({ kind, actor, payload }, i) => {
    const at = new Date(Date.parse('2026-11-23T13:13:34.577Z') + i * 10_000).toISOString();
    const body = {
      v: 1 as const,
      incident_id: 'INC-2026-1123-001',
      seq: i + 1,
      at,
      kind,
      actor,
      payload,
      prev_hash,
    };
    const hash = entryHash(body);
    prev_hash = hash;
    return { ...body, hash };
  });
}

export function findings(change: Partial<Findings> = {}): Findings {
  const pointer = {
    evidence_id: 'EV-00000004',
    path: '/teams/data/prod/k8s/x/status.yaml',
    query: 'read /x',
    lines: '7-7',
    sha256: 'c'.repeat(64),
    captured_at: '2026-11-23T13:14:00.000Z',
  };
  return {
    conclusive: true,
    cause: 'The driver of nightly-settlement ran out of memory; 1g is too small for it.',
    confidence: 0.92,
    hypotheses: [
      {
        id: 'driver_memory_too_small',
        text: 'The driver ran out of memory.',
        status: 'supported',
        confidence: 0.92,
        evidence_for: ['pod_status'],
        evidence_against: [],
      },
      {
        id: 'application_error',
        text: 'The application failed by itself.',
        status: 'refuted',
        confidence: 0,
        evidence_for: [],
        evidence_against: ['pod_status_n2'],
      },
    ],
    evidence: [
      { id: 'pod_status', role: 'precondition', pointer, claim: 'The driver was OOMKilled.' },
      {
        id: 'pod_status_n2',
        role: 'cause',
        pointer: { ...pointer, lines: '8-8' },
        claim: 'Not so (found: 137): the driver ended by itself.',
      },
    ],
    gaps: [],
    facts: { job: 'nightly-settlement' },
    skill: { name: 'spark_driver_oom', version: 1 },
    ...change,
  };
}

export interface StoryTexts {
  readonly title?: string;
  readonly cause?: string;
  readonly gap?: string;
  readonly reason?: string;
  readonly found?: string;
  readonly path?: string;
}

/** The ledger of a whole incident; texts that outsiders control can be set. */
export function storyEntries(texts: StoryTexts = {}): LedgerEntry[] {
  const context = sparkIncident(texts.title === undefined ? {} : { title: texts.title });
  const found = findings({
    ...(texts.cause === undefined ? {} : { cause: texts.cause }),
    gaps: texts.gap === undefined ? [] : [texts.gap],
  });
  const plan = planOf();
  const risk = assessRisk(input());
  const rule = {
    name: 'two-people',
    people: 2,
    roles: ['sre'],
    distinct_roles: false,
    step_up: false,
    expires_after_s: 1800,
  };
  const request = {
    approval_id: 'APR-3',
    incident_id: context.incident_id,
    revision: 1,
    plan_hash: H,
    effect_hash: H,
    rule,
    opened_at: context.opened_at,
    expires_at: context.opened_at,
  };
  const decision = (principal: string) => ({
    principal,
    via: 'slack' as const,
    role: 'sre',
    decision: 'approve' as const,
    reason: texts.reason ?? '',
    at: context.opened_at,
  });
  const cost = { tokens: 120, usd: 0, ms: 8 };
  const call = {
    call_id: 'call_1',
    door: 'execute',
    tool: 'job.update_spec',
    target: plan.actions[0]?.target as string,
    action_class: 'write',
    principal: 'aegis',
    args: {},
    why: 'CHG-1',
    policy_digest: H,
    trace_id: 't1',
    journal_key: 'INC-2026-1123-001#CHG-1#apply',
    journal_phase: 'apply',
    permit_id: 'prm_1',
    summary: 'patched',
    redactions: 0,
  };
  const outcome = {
    status: 'done',
    summary: texts.reason ?? 'patched nightly-settlement',
    conflict_fields: [],
    before_image: null,
    result: null,
    replayed: false,
  };
  const changes = [{ path: texts.path ?? '/spec/driver/memory', before: '1g', after: '2g' }];
  return chain([
    {
      kind: 'event',
      actor: 'system:alertmanager',
      payload: { type: 'opened', at: context.opened_at, context, channel: 'C0123' },
    },
    {
      kind: 'event',
      actor: 'person:maria',
      payload: { type: 'activated', at: context.opened_at, by: 'maria' },
    },
    {
      kind: 'read',
      actor: 'aegis:vfs',
      payload: {
        evidence_id: 'EV-00000004',
        path: '/x',
        query: 'read /x',
        mount: 'kubernetes',
        source_query: 'GET',
        sha256: H,
        bytes: 300,
        line_count: 8,
        redactions: 0,
        intent: 'how it ended',
        cost,
      },
    },
    {
      kind: 'event',
      actor: 'aegis:harness',
      payload: { type: 'investigated', at: context.opened_at, effect_id: 'e', findings: found },
    },
    {
      kind: 'plan',
      actor: 'aegis:harness',
      payload: {
        plan,
        risk,
        rule,
        policy_digest: H,
        tool_definitions_digest: H,
        plan_hash: H,
        effect_hash: H,
      },
    },
    {
      kind: 'preview',
      actor: 'aegis:gateway',
      payload: { change_id: 'CHG-1', preview: preview({ changes }) },
    },
    { kind: 'approval', actor: 'aegis:harness', payload: { type: 'opened', request } },
    {
      kind: 'refusal',
      actor: 'aegis:harness',
      payload: {
        code: 'self-approval',
        reason: 'You asked for this run.',
        remedy: 'Ask another person.',
        by: 'maria',
        about: 'approval.approve APR-3',
      },
    },
    {
      kind: 'approval',
      actor: 'person:jonas',
      payload: { type: 'decision', approval_id: 'APR-3', plan_hash: H, decision: decision('jonas') },
    },
    {
      kind: 'refusal',
      actor: 'aegis:harness',
      payload: {
        code: 'same-person',
        reason: 'You already gave approval 1 of 2.',
        remedy: 'Another person.',
        by: 'jonas',
        about: 'approval.approve APR-3',
      },
    },
    {
      kind: 'approval',
      actor: 'person:ada',
      payload: { type: 'decision', approval_id: 'APR-3', plan_hash: H, decision: decision('ada') },
    },
    {
      kind: 'transition',
      actor: 'aegis:harness',
      payload: { from: 'PENDING_APPROVAL', to: 'EXECUTING', reason: 'cleared' },
    },
    {
      kind: 'call',
      actor: 'aegis:gateway',
      payload: { ...call, phase: 'before', credential: null, status: 'accepted', cost: null },
    },
    {
      kind: 'call',
      actor: 'aegis:gateway',
      payload: {
        ...call,
        phase: 'after',
        credential: { engine: 'vault_kubernetes', accessor: 'acc', revocable: true, revoked: true },
        status: 'done',
        cost,
      },
    },
    { kind: 'outcome', actor: 'aegis:gateway', payload: { change_id: 'CHG-1', phase: 'apply', outcome } },
    {
      kind: 'verify',
      actor: 'aegis:harness',
      payload: {
        check_id: 'v1',
        title: 'The job completed',
        status: 'passed',
        found: texts.found ?? 'COMPLETED',
        evidence_id: null,
        tries: 3,
      },
    },
    {
      kind: 'transition',
      actor: 'aegis:harness',
      payload: { from: 'VERIFYING', to: 'CLOSED', reason: 'verified' },
    },
  ]);
}
