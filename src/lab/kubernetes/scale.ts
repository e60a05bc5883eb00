/** The scale subresource of Deployments. */
import type { JsonObject, KubeObject } from '../world/kube-object.ts';
import { at, numberAt, objectAt, stringAt } from '../world/kube-object.ts';
import type { World } from '../world/world.ts';
import type { ResourceRequest } from './api-request.ts';
import { MODIFIED, badRequest, conflict, invalid, notFound, unsupportedMediaType } from './status.ts';
import { patched, readBody, writerOf } from './write.ts';

export function serveScale(world: World, request: ResourceRequest): JsonObject {
  const deployment = world.store.get('Deployment', request.namespace, request.name);
  if (deployment === undefined) throw notFound(request.kind, request.name);
  const current = scaleOf(deployment);
  if (request.verb === 'get') return current;
  const wanted =
    request.verb === 'update' ? readBody(request) : (patchedScale(request, current) as JsonObject);
  const version = stringAt(wanted, 'metadata', 'resourceVersion');
  if (version !== '' && version !== deployment.metadata.resourceVersion)
    throw conflict(request.kind, request.name, MODIFIED);
  const uid = stringAt(wanted, 'metadata', 'uid');
  if (uid !== '' && uid !== deployment.metadata.uid) {
    throw conflict(
      request.kind,
      request.name,
      `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${deployment.metadata.uid ?? ''}`,
    );
  }
  const replicas = at(wanted, 'spec', 'replicas') ?? 0;
  if (typeof replicas !== 'number' || !Number.isInteger(replicas)) {
    throw badRequest(
      'Scale in version "v1" cannot be handled as a Scale: json: cannot unmarshal into Go struct field ScaleSpec.spec.replicas of type int32',
    );
  }
  if (replicas < 0) {
    const message = `Invalid value: ${replicas}: must be greater than or equal to 0`;
    throw invalid({ ...request.kind, kind: 'Scale', group: 'autoscaling' }, request.name, [
      { reason: 'FieldValueInvalid', message, field: 'spec.replicas' },
    ]);
  }
  const next: KubeObject = { ...deployment, spec: { ...deployment.spec, replicas } };
  const writer = writerOf(request);
  const stored = request.dry_run
    ? world.store.prepareUpdate(deployment, next, writer)
    : world.store.update(next, writer);
  return scaleOf(stored);
}

function patchedScale(request: ResourceRequest, current: JsonObject): unknown {
  const type = (request.headers['content-type'] ?? '').split(';')[0]?.trim() ?? '';
  const accepted = [
    'application/json-patch+json',
    'application/merge-patch+json',
    'application/strategic-merge-patch+json',
  ];
  if (!accepted.includes(type)) throw unsupportedMediaType(accepted);
  try {
    return patched(type, current, JSON.parse(request.body));
  } catch (error) {
    if (error instanceof SyntaxError) throw badRequest(`error decoding patch: ${error.message}`);
    throw error;
  }
}

function scaleOf(deployment: KubeObject): JsonObject {
  const { name, namespace, uid, resourceVersion, creationTimestamp } = deployment.metadata;
  const labels = objectAt(deployment, 'spec', 'selector', 'matchLabels');
  return {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: { name, namespace, uid, resourceVersion, creationTimestamp },
    spec: { replicas: numberAt(deployment, 'spec', 'replicas') },
    status: {
      replicas: numberAt(deployment, 'status', 'replicas'),
      selector: Object.entries(labels)
        .map(([key, value]) => `${key}=${String(value)}`)
        .join(','),
    },
  };
}
