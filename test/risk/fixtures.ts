import type { Plan } from '../../src/contract/plan.ts';
import { Service } from '../../src/contract/settings.ts';
import { effectHashOf, type ActionClass, type Preview } from '../../src/contract/tool.ts';
import type { RiskInput } from '../../src/risk/envelope.ts';
import { sparkIncident } from '../cognition/spark-story.ts';

const TARGET = 'mcp://k8s/prod-a/settlement/sparkapplication/nightly-settlement';
const MIB = 2 ** 20;
const GIB = 2 ** 30;

export function service(name: string, change: Partial<Service> = {}): Service {
  return Service.parse({
    name,
    team: 'data',
    env: 'prod',
    tier: 'tier2',
    namespace: 'settlement',
    cluster: 'prod-a',
    kind: 'deployment',
    ...change,
  });
}

export const JOB = service('nightly-settlement', {
  kind: 'sparkapplication',
  if_down: { text: 'Shops see no settlement report', within_min: 240 },
});

export function preview(change: Partial<Preview> = {}): Preview {
  const base = {
    tool: 'job.update_spec',
    target: TARGET,
    object_uid: '6f3f0d5e',
    changes: [{ path: '/spec/driver/memory', before: '1g', after: '2g' }],
    side_changes: [],
    diff: [],
    warnings: [],
    resources: {
      memory_bytes_before: 1408 * MIB,
      memory_bytes_after: 2432 * MIB,
      cpu_millis_before: 1000,
      cpu_millis_after: 1000,
    },
    ...change,
  };
  return { ...base, effect_hash: effectHashOf(base) };
}

export function planOf(action_class: ActionClass = 'write', target = TARGET): Plan {
  const pointer = {
    evidence_id: 'EV-00000001',
    path: '/x',
    query: 'read /x',
    lines: '1-1',
    sha256: 'a'.repeat(64),
    captured_at: '2026-11-23T13:20:00.000Z',
  };
  return {
    schema: 'aegis.plan/v1',
    incident_id: 'INC-2026-1123-001',
    revision: 1,
    hypothesis: 'The driver ran out of memory.',
    confidence: 0.9,
    alternatives: [],
    gaps: [],
    evidence: [{ id: 'e1', role: 'precondition', pointer, claim: 'It did.' }],
    actions: [
      {
        id: 'a1',
        change_id: 'CHG-1',
        action_class,
        tool: 'job.update_spec',
        target,
        params: {},
        intent: 'Raise driver memory',
        preconditions: ['e1'],
        rollback: { from: 'before_image' },
        timeout_s: 60,
      },
    ],
    verify: [
      {
        id: 'v1',
        title: 'Completed',
        read: 'read /x',
        expect: { select: 'state', op: 'eq', value: 'COMPLETED' },
        within_s: 10,
        every_s: 1,
      },
    ],
    skill: { name: 'spark_driver_oom', version: 1 },
  };
}

export const QUOTA = {
  hard_memory_bytes: 20 * GIB,
  used_memory_bytes: 11 * GIB,
  hard_cpu_millis: 16_000,
  used_cpu_millis: 8000,
};

export function input(change: Partial<RiskInput> = {}): RiskInput {
  return {
    plan: planOf(),
    previews: [preview()],
    services: [JOB, service('settlement-api', { depends_on: ['nightly-settlement'] })],
    incident: sparkIncident(),
    quota: QUOTA,
    history: { succeeded: 0, failed: 0 },
    ...change,
  };
}
