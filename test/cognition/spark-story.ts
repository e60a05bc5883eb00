import { IncidentContext } from '../../src/contract/incident.ts';
import type { FakeFile } from './fake-world.ts';

/** The Spark driver story as an incident and the files that the VFS shows for it. */
export const TENANT = '/teams/data/prod';
export const POD = `${TENANT}/k8s/clusters/prod-a/namespaces/settlement/pods/nightly-settlement-driver`;
export const LOG = `${TENANT}/logs/pods/nightly-settlement-driver.log`;
export const MEMORY = `${TENANT}/metrics/pods/nightly-settlement-driver/memory.prom?window=15m`;

export function sparkIncident(
  change: {
    labels?: Record<string, string>;
    title?: string;
    alert?: string;
    annotations?: Record<string, string>;
    service?: string;
  } = {},
): IncidentContext {
  return IncidentContext.parse({
    v: 1,
    incident_id: 'INC-2026-1123-001',
    source: {
      trigger: 'alertmanager',
      fingerprint: '117b05488aa8189a',
      group_key: '{}:{alertname="SparkApplicationFailed"}',
    },
    title: change.title ?? 'SparkApplicationFailed: nightly-settlement',
    severity: 'sev2',
    scope: {
      team: 'data',
      env: 'prod',
      tier: 'tier2',
      region: 'eu-central-1',
      cluster: 'prod-a',
      namespace: 'settlement',
      ...(change.service === undefined ? {} : { service: change.service }),
      labels: {},
    },
    on_call: ['maria'],
    change_window: null,
    freeze: null,
    budget: { tokens_max: 100_000, tool_calls_max: 60, cost_usd_max: 2, minutes_max: 60 },
    approval_policy: 'default',
    autonomy: 'approve',
    activation: 'button',
    involved: [],
    alerts: [
      {
        name: change.alert ?? 'SparkApplicationFailed',
        status: 'firing',
        fingerprint: '117b05488aa8189a',
        starts_at: '2026-11-23T13:11:30.568Z',
        labels: change.labels ?? {
          alertname: 'SparkApplicationFailed',
          app_name: 'nightly-settlement',
          severity: 'page',
        },
        annotations: change.annotations ?? { summary: 'SparkApplication nightly-settlement FAILED' },
      },
    ],
    recurrence_of: null,
    opened_at: '2026-11-23T13:13:34.577Z',
  });
}

export function sparkFiles(): Record<string, FakeFile | string> {
  return {
    [`${TENANT}/jobs/settlement.nightly-settlement/status.yaml`]: [
      'name: nightly-settlement',
      'state: FAILED',
      'driver_pod: nightly-settlement-driver',
      'attempts: 1',
      'submitted_at: 2026-11-23T13:05:01Z',
      'terminated_at: 2026-11-23T13:11:02Z',
      "error: 'driver container failed with ExitCode: 137, Reason: OOMKilled'",
      'generation: 3',
    ].join('\n'),
    [`${POD}/status.yaml`]: [
      'phase: Failed',
      'start_time: 2026-11-23T13:05:04Z',
      'containers:',
      '  - name: spark-kubernetes-driver',
      '    memory_limit: 1408Mi',
      '    terminated:',
      '      reason: OOMKilled',
      '      exit_code: 137',
      '      finished_at: 2026-11-23T13:11:00Z',
    ].join('\n'),
    [`${POD}/events.tail`]: [
      '2026-11-23T13:05:04Z Normal Scheduled Successfully assigned',
      '2026-11-23T13:05:06Z Normal Started Started container spark-kubernetes-driver',
    ].join('\n'),
    [LOG]: {
      text: [
        '26/11/23 13:10:52 INFO DAGScheduler: ShuffleMapStage 4 finished',
        '26/11/23 13:10:58 ERROR Utils: Uncaught exception in thread broadcast-exchange-0',
        'java.lang.OutOfMemoryError: Java heap space',
        'Exception in thread "main" java.lang.OutOfMemoryError: Java heap space',
      ].join('\n'),
      attacker_writable: true,
    },
    [`${TENANT}/jobs/settlement.nightly-settlement/spec.yaml`]: [
      'metadata:',
      '  name: nightly-settlement',
      '  uid: 6f3f0d5e-6a39-4a68-8a1b-000000000001',
      '  generation: 3',
      'spec:',
      '  driver:',
      '    cores: 1',
      '    memory: 1g',
      '  executor:',
      '    instances: 2',
    ].join('\n'),
    [MEMORY]: [
      'latest: {at: 2026-11-23T13:10:58Z, working_set_bytes: 1470000000, limit_bytes: 1476395008, ratio: 0.9957}',
      'max: {at: 2026-11-23T13:10:58Z, working_set_bytes: 1470000000, limit_bytes: 1476395008, ratio: 0.9957}',
    ].join('\n'),
    [`${TENANT}/k8s/clusters/prod-a/namespaces/settlement/quota.yaml`]:
      'hard: {memory: 16Gi}\nused: {memory: 9Gi}',
  };
}
