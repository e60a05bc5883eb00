import { sha256Hex } from '../../src/contract/canonical.ts';
import type { Approval } from '../../src/contract/approval.ts';
import type { EvidenceRecord } from '../../src/contract/evidence.ts';
import type { IncidentContext } from '../../src/contract/incident.ts';
import type { NewLedgerEntry } from '../../src/contract/ledger.ts';
import type { Notice } from '../../src/contract/notice.ts';
import { isoTime } from '../../src/contract/ports.ts';
import { journalKey } from '../../src/contract/tool.ts';
import type { Permit, ToolOutcome } from '../../src/contract/tool.ts';
import type { NewCard, NewInboxRow, StepCommit } from '../../src/store/store.ts';

/** Monday, 3 a.m. */
export const START_MS = Date.UTC(2026, 10, 23, 3, 0, 0);
export const INC = 'INC-2026-1123-001';
export const H = (text: string) => sha256Hex(text);

/** A clock that stands still until a test moves it. */
export function handClock(start_ms = START_MS): { now(): number; at: number } {
  return {
    at: start_ms,
    now() {
      return this.at;
    },
  };
}

export function entry(payload: Record<string, unknown> = { type: 'noted' }): NewLedgerEntry {
  return { kind: 'event', actor: 'aegis:harness', payload };
}

export function incidentContext(incident_id: string, service?: string): IncidentContext {
  return {
    v: 1,
    incident_id,
    source: { trigger: 'alertmanager', fingerprint: 'f1', group_key: 'g1' },
    title: 'Driver out of memory',
    severity: 'sev2',
    scope: {
      team: 'data',
      env: 'prod',
      tier: 'tier1',
      labels: {},
      ...(service === undefined ? {} : { service }),
    },
    on_call: [],
    change_window: null,
    freeze: null,
    budget: { tokens_max: 1000, tool_calls_max: 10, cost_usd_max: 1, minutes_max: 30 },
    approval_policy: 'default',
    autonomy: 'approve',
    activation: 'auto',
    involved: [],
    alerts: [],
    recurrence_of: null,
    opened_at: isoTime(START_MS),
  };
}

type StepOverrides = Partial<Omit<StepCommit, 'row'>> & { row?: Partial<StepCommit['row']> };

export function step(expected_step: number, overrides: StepOverrides = {}): StepCommit {
  const incident_id = overrides.incident_id ?? INC;
  return {
    inbox_ids: [],
    entries: [
      entry(
        expected_step === 0
          ? { type: 'opened', context: incidentContext(incident_id) }
          : { type: 'moved', expected_step },
      ),
    ],
    snapshot: { state: 'TRIAGE', steps: expected_step + 1 },
    effects: [],
    arm_timers: [],
    cancel_timers: [],
    cards: [],
    approvals: [],
    planned: [],
    locks: 'keep',
    ...overrides,
    incident_id,
    expected_step,
    row: {
      state: 'TRIAGE',
      identity: H(`identity of ${incident_id}`),
      open: true,
      title: 'Driver out of memory',
      team: 'data',
      env: 'prod',
      channel: 'C1',
      ...overrides.row,
    },
  };
}

export function inboxRow(dedup_key: string, incident_id: string | null = INC): NewInboxRow {
  return { source: 'slack', dedup_key, incident_id, kind: 'click', payload: { key: dedup_key } };
}

export function card(placement: NewCard['placement'], card_key: string, text = 'hello'): NewCard {
  const segments = [{ t: 'text' as const, text }];
  const notice: Notice =
    placement === 'private'
      ? {
          kind: 'private',
          incident_id: INC,
          workspace: 'T1',
          user: 'U1',
          channel: 'C1',
          thread_ts: null,
          segments,
        }
      : placement === 'thread'
        ? { kind: 'timeline', incident_id: INC, topic: 'triage', segments, broadcast: false }
        : { kind: 'progress', incident_id: INC, title: text, tasks: [] };
  return { card_key, placement, channel: 'C1', notice };
}

export function permit(n: number, overrides: Partial<Permit> = {}): Permit {
  return {
    permit_id: `permit_${n}`,
    incident_id: INC,
    change_id: 'CHG-1',
    phase: 'apply',
    revision: 1,
    plan_hash: H('plan'),
    effect_hash: H('effect'),
    tool: 'k8s.patch',
    target: 'mcp://k8s/main/spark/sparkapplication/nightly',
    args_hash: H('args'),
    expires_at_ms: START_MS + 60_000,
    ...overrides,
  };
}

export const KEY = journalKey(INC, 'CHG-1', 'apply');

export function outcome(status: ToolOutcome['status'] = 'done'): ToolOutcome {
  return {
    status,
    summary: 'patched',
    conflict_fields: [],
    before_image: { '/spec/x': '1g' },
    result: { ok: true },
    replayed: false,
  };
}

export function approval(approval_id: string, status: Approval['status'] = 'open'): Approval {
  return {
    approval_id,
    incident_id: INC,
    revision: 1,
    plan_hash: H('plan'),
    effect_hash: H('effect'),
    rule: {
      name: 'default',
      people: 2,
      roles: ['sre'],
      distinct_roles: false,
      step_up: false,
      expires_after_s: 900,
    },
    opened_at: isoTime(START_MS),
    expires_at: isoTime(START_MS + 900_000),
    decisions: [],
    status,
  };
}

export function evidence(
  evidence_id: string,
  text: string,
  overrides: Partial<EvidenceRecord> = {},
): EvidenceRecord {
  return {
    evidence_id,
    incident_id: INC,
    team: 'data',
    env: 'prod',
    path: '/teams/data/prod/logs/driver.log',
    query: 'cat /teams/data/prod/logs/driver.log',
    mount: 'loki',
    kind: 'stream',
    source_query: '{app="nightly"}',
    sha256: sha256Hex(text),
    bytes: Buffer.byteLength(text),
    line_count: text.split('\n').length,
    redactions: 0,
    rules_hash: H('rules'),
    raw_hmac: H('raw'),
    captured_at: isoTime(START_MS),
    expires_at: isoTime(START_MS + 3_600_000),
    why_needed: 'to see why the driver died',
    attacker_writable: true,
    ...overrides,
  };
}

/** The ledger entry that belongs to a capture. */
export function readEntry(record: EvidenceRecord): NewLedgerEntry {
  const { evidence_id, path, query, mount, source_query, sha256, bytes, line_count, redactions } = record;
  const payload = { evidence_id, path, query, mount, source_query, sha256, bytes, line_count, redactions };
  return {
    kind: 'read',
    actor: 'aegis:vfs',
    payload: { ...payload, intent: record.why_needed, cost: { tokens: 0, usd: 0, ms: 1 } },
  };
}
