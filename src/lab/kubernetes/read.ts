/** Get and list: selectors, paging, and the three shapes of an answer (objects, metadata only, table). */
import type { JsonObject, KubeObject } from '../world/kube-object.ts';
import { isObject } from '../world/kube-object.ts';
import type { World } from '../world/world.ts';
import type { ResourceRequest } from './api-request.ts';
import { integerParameter } from './api-request.ts';
import { inVersionOf } from './event-versions.ts';
import { groupVersion } from './kinds.ts';
import type { Matcher } from './selectors.ts';
import { fieldMatcher, labelMatcher } from './selectors.ts';
import { ApiError, badRequest, notFound } from './status.ts';
import { tableOf } from './table.ts';

export type Shape = 'object' | 'table' | 'metadata';

/** The first representation of the Accept header that the server can give; 406 names what it can. */
export function shapeOf(request: ResourceRequest): Shape {
  const accept = request.headers['accept'] ?? '*/*';
  for (const entry of accept.split(',')) {
    const [type = '', ...parameters] = entry.split(';').map((part) => part.trim());
    if (!['application/json', 'application/*', '*/*'].includes(type)) continue;
    const as = parameters.find((parameter) => parameter.startsWith('as='))?.slice(3);
    const isMetaV1 = parameters.includes('g=meta.k8s.io') && parameters.includes('v=v1');
    if (as === undefined) return 'object';
    if (as === 'Table' && isMetaV1) return 'table';
    if (as.startsWith('PartialObjectMetadata') && isMetaV1) return 'metadata';
  }
  const message =
    'only the following media types are accepted: application/json, application/json;as=Table;v=v1;g=meta.k8s.io';
  throw new ApiError(406, 'NotAcceptable', message);
}

export function shaped(world: World, request: ResourceRequest, object: KubeObject): JsonObject {
  const shown = inVersionOf(request.kind, object);
  const shape = shapeOf(request);
  if (shape === 'metadata') return metadataOnly(shown);
  if (shape === 'object') return shown;
  return table(world, request, [object], { resourceVersion: object.metadata.resourceVersion });
}

export function getObject(world: World, request: ResourceRequest): JsonObject {
  const found = world.store.get(request.kind.kind, request.namespace, request.name);
  if (found === undefined) throw notFound(request.kind, request.name);
  return shaped(world, request, found);
}

export function selectorOf(request: ResourceRequest): Matcher {
  const byLabel = labelMatcher(request.query.get('labelSelector'));
  const byField = fieldMatcher(request.kind, request.query.get('fieldSelector'));
  return (object) =>
    (request.namespace === undefined || object.metadata.namespace === request.namespace) &&
    byLabel(object) &&
    byField(object);
}

export function listObjects(world: World, request: ResourceRequest): JsonObject {
  const { kind } = request;
  const matching = world.store.list(kind.kind, request.namespace).filter(selectorOf(request));
  const limit = integerParameter(request.query, 'limit') ?? 0;
  const after = continueKey(request.query.get('continue'));
  const rest = after === undefined ? matching : matching.filter((object) => keyOf(object) > after);
  const page = limit > 0 ? rest.slice(0, limit) : rest;
  const metadata: JsonObject = { resourceVersion: String(world.store.version()) };
  const last = page.at(-1);
  if (page.length < rest.length && last !== undefined) {
    metadata['continue'] = Buffer.from(JSON.stringify({ v: 'meta.k8s.io/v1', start: keyOf(last) })).toString(
      'base64url',
    );
    metadata['remainingItemCount'] = rest.length - page.length;
  }
  const items = page.map((object) => inVersionOf(kind, object));
  const shape = shapeOf(request);
  if (shape === 'table') return table(world, request, page, metadata);
  if (shape === 'metadata') {
    return {
      kind: 'PartialObjectMetadataList',
      apiVersion: 'meta.k8s.io/v1',
      metadata,
      items: items.map(metadataOnly),
    };
  }
  // List items of built-in kinds carry no kind of their own; those of custom resources do.
  return {
    kind: `${kind.kind}List`,
    apiVersion: groupVersion(kind),
    metadata,
    items: kind.is_custom ? items : items.map(({ apiVersion: _version, kind: _kind, ...item }) => item),
  };
}

/** Columns are the same for both versions of events and are computed from the stored form. */
export function table(
  world: World,
  request: ResourceRequest,
  objects: readonly KubeObject[],
  list_metadata: JsonObject,
): JsonObject {
  const include_object = request.query.get('includeObject') ?? 'Metadata';
  return tableOf(request.kind, objects, { now_ms: world.now(), list_metadata, include_object });
}

export function metadataOnly(object: KubeObject): JsonObject {
  return { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: object.metadata };
}

function keyOf(object: KubeObject): string {
  return `${object.metadata.namespace ?? ''}/${object.metadata.name}`;
}

function continueKey(token: string | null): string | undefined {
  if (token === null || token === '') return undefined;
  try {
    const parsed = JSON.parse(Buffer.from(token, 'base64url').toString('utf8')) as unknown;
    if (isObject(parsed) && typeof parsed['start'] === 'string') return parsed['start'];
  } catch {
    // Falls through to the refusal: the token is not one of ours.
  }
  throw badRequest('continue key is not valid: illegal base64 data');
}
