import { z } from 'zod';
import { present, sortedDeep } from '../yaml-text.ts';

/**
 * Kubernetes objects as state files: only fields that mean something to a reader, in a stable order. Labels, annotations
 * and termination messages are left out on purpose: workloads write them, and a state file counts as a control-plane fact.
 */
export const KubeObject = z.looseObject({
  kind: z.string().optional(),
  apiVersion: z.string().optional(),
  metadata: z.looseObject({
    name: z.string(),
    namespace: z.string().optional(),
    uid: z.string().optional(),
    generation: z.number().optional(),
    creationTimestamp: z.string().nullish(),
    deletionTimestamp: z.string().nullish(),
  }),
  spec: z.record(z.string(), z.unknown()).optional(),
  status: z.record(z.string(), z.unknown()).optional(),
});
export type KubeObject = z.infer<typeof KubeObject>;

export function specView(object: KubeObject): Record<string, unknown> {
  return present({
    api_version: object.apiVersion,
    kind: object.kind,
    metadata: identity(object),
    spec: sortedDeep(withoutLabels(object.spec ?? {})),
  });
}

export function statusView(object: KubeObject): Record<string, unknown> {
  const status = object.status ?? {};
  if (object.kind === 'Pod') return podStatus(object, status);
  if (object.kind === 'SparkApplication') return jobStatus(object);
  return { ...head(object), ...(sortedDeep(withoutTimes(status)) as Record<string, unknown>) };
}

/** A job's outcome in the words of its operator. */
export function jobStatus(object: KubeObject): Record<string, unknown> {
  const status = object.status ?? {};
  const application = asObject(status['applicationState']);
  const executors = Object.values(asObject(status['executorState'])).map(String).sort();
  const counts: Record<string, number> = {};
  for (const state of executors) counts[state.toLowerCase()] = (counts[state.toLowerCase()] ?? 0) + 1;
  return {
    ...head(object),
    ...present({
      state: application['state'] ?? 'NEW',
      error: application['errorMessage'],
      attempts: status['executionAttempts'] ?? 0,
      submission_attempts: status['submissionAttempts'] ?? 0,
      driver_pod: asObject(status['driverInfo'])['podName'],
      application_id: status['sparkApplicationId'],
      submission_id: status['submissionID'],
      submitted_at: status['lastSubmissionAttemptTime'],
      terminated_at: status['terminationTime'],
      executors: executors.length === 0 ? undefined : counts,
    }),
  };
}

/** Limits and use of every quota of a namespace. */
export function quotaView(quotas: readonly KubeObject[]): Record<string, unknown> {
  const sorted = [...quotas].sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
  return {
    quotas: sorted.map((quota) => ({
      name: quota.metadata.name,
      hard: sortedDeep(quota.status?.['hard'] ?? quota.spec?.['hard'] ?? {}),
      used: sortedDeep(quota.status?.['used'] ?? {}),
    })),
  };
}

function podStatus(object: KubeObject, status: Record<string, unknown>): Record<string, unknown> {
  const specs = asList(asObject(object.spec)['containers']).map(asObject);
  const statuses = asList(status['containerStatuses']).map(asObject);
  const containers = specs.map((spec) =>
    containerView(spec, statuses.find((each) => each['name'] === spec['name']) ?? {}),
  );
  return {
    ...head(object),
    ...present({
      phase: status['phase'],
      reason: status['reason'],
      node: asObject(object.spec)['nodeName'],
      start_time: status['startTime'],
      deleted_at: object.metadata.deletionTimestamp,
      memory_limit: containers.length === 1 ? containers[0]?.['memory_limit'] : undefined,
      containers,
    }),
  };
}

function containerView(
  spec: Record<string, unknown>,
  status: Record<string, unknown>,
): Record<string, unknown> {
  const state = asObject(status['state']);
  const resources = asObject(spec['resources']);
  const [limits, requests] = [asObject(resources['limits']), asObject(resources['requests'])];
  const waiting = asObject(state['waiting']);
  const running = asObject(state['running']);
  return present({
    name: spec['name'],
    image: spec['image'],
    state: ['waiting', 'running', 'terminated'].find((name) => state[name] !== undefined) ?? 'unknown',
    ready: status['ready'],
    restart_count: status['restartCount'],
    waiting: state['waiting'] === undefined ? undefined : present({ reason: waiting['reason'] }),
    running: state['running'] === undefined ? undefined : present({ started_at: running['startedAt'] }),
    terminated: terminatedView(state['terminated']),
    last_terminated: terminatedView(asObject(status['lastState'])['terminated']),
    memory_limit: limits['memory'],
    memory_request: requests['memory'],
    cpu_limit: limits['cpu'],
    cpu_request: requests['cpu'],
  });
}

function terminatedView(value: unknown): Record<string, unknown> | undefined {
  if (value === undefined || value === null) return undefined;
  const ended = asObject(value);
  return present({
    reason: ended['reason'],
    exit_code: ended['exitCode'],
    signal: ended['signal'],
    started_at: ended['startedAt'],
    finished_at: ended['finishedAt'],
  });
}

function head(object: KubeObject): Record<string, unknown> {
  const { name, namespace, uid, generation } = object.metadata;
  return present({ kind: object.kind, name, namespace, uid, generation });
}

function identity(object: KubeObject): Record<string, unknown> {
  const { name, namespace, uid, generation, creationTimestamp } = object.metadata;
  return present({ name, namespace, uid, generation, created_at: creationTimestamp });
}

const WRITTEN_BY_WORKLOADS = new Set(['labels', 'annotations', 'managedFields']);

function withoutLabels(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutLabels);
  if (typeof value !== 'object' || value === null) return value;
  const kept = Object.entries(value).filter(([key]) => !WRITTEN_BY_WORKLOADS.has(key));
  return Object.fromEntries(kept.map(([key, child]) => [key, withoutLabels(child)]));
}

/** Times of conditions move without meaning anything. */
function withoutTimes(status: Record<string, unknown>): Record<string, unknown> {
  const conditions = asList(status['conditions']).map((condition) => {
    const { type, status: is, reason } = asObject(condition);
    return present({ type, status: is, reason });
  });
  return { ...status, ...(conditions.length === 0 ? {} : { conditions }) };
}

export function asObject(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : {};
}

export function asList(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
