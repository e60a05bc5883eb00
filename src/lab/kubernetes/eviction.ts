/**
 * The eviction subresource of pods, decision by decision as in pkg/registry/core/pod/storage/eviction.go of 1.32: which
 * pods no budget protects, who is held back, what a dry run leaves out, and the words of each refusal.
 */
import { budgetsOf, isPodReady } from '../world/disruption-controller.ts';
import type { JsonObject, KubeObject } from '../world/kube-object.ts';
import { at, isObject, listAt, numberAt, objectAt, stringAt } from '../world/kube-object.ts';
import { evictPod } from '../world/pod-termination.ts';
import type { World } from '../world/world.ts';
import type { ResourceRequest } from './api-request.ts';
import { ApiError, badRequest, conflict, notFound, notImplemented } from './status.ts';
import { readBody } from './write.ts';

const MESSAGE = "Cannot evict pod as it would violate the pod's disruption budget.";
const SUCCESS: JsonObject = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 };

export function serveEviction(world: World, request: ResourceRequest): JsonObject {
  const body = readBody(request);
  if (body['kind'] !== 'Eviction' || !['policy/v1', 'policy/v1beta1'].includes(String(body['apiVersion'])))
    throw badRequest(
      `no kind "${stringAt(body, 'kind')}" is registered for version "${stringAt(body, 'apiVersion')}"`,
    );
  if (stringAt(body, 'metadata', 'name') !== request.name)
    throw badRequest('name in URL does not match name in Eviction object');
  const options = isObject(body['deleteOptions']) ? body['deleteOptions'] : {};
  const in_body = listAt(options, 'dryRun');
  if (in_body.some((value) => value !== 'All')) throw badRequest(`invalid dryRun: ${in_body.join(',')}`);
  // The dry run of the query and the one of the body are one; only the body's may be there alone.
  request.dry_run ||= in_body.length > 0;
  if (options['gracePeriodSeconds'] === 0) throw notImplemented('an eviction without a grace period');
  const pod = world.store.get('Pod', request.namespace, request.name);
  if (pod === undefined) throw notFound(request.kind, request.name);
  const refused = isUnprotected(pod) ? undefined : spend(world, request, pod);
  if (refused !== undefined) return refused;
  checkPreconditions(request, pod, objectAt(options, 'preconditions'));
  if (!request.dry_run) evictPod(world.cluster, pod);
  return SUCCESS;
}

/** Ended, not started or already going: its disruption has happened. */
function isUnprotected(pod: KubeObject): boolean {
  const phase = stringAt(pod, 'status', 'phase');
  return ['Succeeded', 'Failed', 'Pending'].includes(phase) || pod.metadata.deletionTimestamp !== undefined;
}

/** Takes one disruption from the pod's budget, or says why there is none. A returned body is a failure with status 201. */
function spend(world: World, request: ResourceRequest, pod: KubeObject): JsonObject | undefined {
  const budgets = budgetsOf(world.cluster, pod);
  const [budget] = budgets;
  if (budget === undefined) return undefined;
  if (budgets.length > 1) {
    const message =
      'This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.';
    return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, code: 500 };
  }
  const { name } = budget.metadata;
  const healthy = numberAt(budget, 'status', 'currentHealthy');
  const desired = numberAt(budget, 'status', 'desiredHealthy');
  if (!isPodReady(pod)) {
    if (at(budget, 'spec', 'unhealthyPodEvictionPolicy') === 'AlwaysAllow') return undefined;
    if (healthy >= desired && desired > 0) return undefined;
  }
  if (numberAt(budget, 'status', 'observedGeneration') < (budget.metadata.generation ?? 0))
    throw held(`The disruption budget ${name} is still being processed by the server.`, 10);
  const allowed = numberAt(budget, 'status', 'disruptionsAllowed');
  if (allowed === 0)
    throw held(`The disruption budget ${name} needs ${desired} healthy pods and has ${healthy} currently`, 0);
  if (request.dry_run) return undefined;
  const disruptedPods = {
    ...objectAt(budget, 'status', 'disruptedPods'),
    [pod.metadata.name]: new Date(world.now()).toISOString(),
  };
  world.store.update(
    { ...budget, status: { ...budget.status, disruptionsAllowed: allowed - 1, disruptedPods } },
    { manager: 'kube-apiserver', subresource: 'status' },
  );
  return undefined;
}

function held(cause: string, retry_after_s: number): ApiError {
  return new ApiError(429, 'TooManyRequests', MESSAGE, {
    causes: [{ reason: 'DisruptionBudget', message: cause }],
    ...(retry_after_s === 0 ? {} : { retryAfterSeconds: retry_after_s }),
  });
}

function checkPreconditions(request: ResourceRequest, pod: KubeObject, wanted: JsonObject): void {
  for (const [key, label] of [
    ['uid', 'UID'],
    ['resourceVersion', 'ResourceVersion'],
  ] as const) {
    const value = stringAt(wanted, key);
    if (value === '' || value === pod.metadata[key]) continue;
    const why =
      key === 'uid'
        ? 'The object might have been deleted and then recreated'
        : 'The object might have been modified';
    throw conflict(
      request.kind,
      request.name,
      `the ${label} in the precondition (${value}) does not match the ${label} in record (${pod.metadata[key] ?? ''}). ${why}`,
    );
  }
}
