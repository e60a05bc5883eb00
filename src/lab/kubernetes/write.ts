/** Create, update, patch and delete: preconditions, validation, dry run, field managers. */
import { parse as parseYaml } from 'yaml';
import type { JsonObject, KubeObject } from '../world/kube-object.ts';
import { isObject, sameJson, stringAt } from '../world/kube-object.ts';
import type { Writer } from '../world/managed-fields.ts';
import type { World } from '../world/world.ts';
import type { ResourceRequest } from './api-request.ts';
import { asStored } from './as-stored.ts';
import { integerParameter } from './api-request.ts';
import { groupVersion, kindNamed } from './kinds.ts';
import { SCHEMAS } from './kind-schemas.ts';
import { jsonPatch, mergePatch } from './patch.ts';
import { podTemplateCauses } from './pod-template-rules.ts';
import { rolloutCauses } from './rollout-rules.ts';
import { decodeKubernetesProtobuf } from './protobuf.ts';
import type { Checked } from './schema.ts';
import { checkSchema } from './schema.ts';
import {
  MODIFIED,
  alreadyExists,
  badRequest,
  conflict,
  invalid,
  notFound,
  notImplemented,
  unsupportedMediaType,
} from './status.ts';
import { strategicMerge } from './strategic-merge.ts';

export interface Written {
  code: number;
  object: KubeObject | JsonObject;
  warnings: string[];
}

const NAME = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

export function readBody(request: ResourceRequest): JsonObject {
  const type = (request.headers['content-type'] ?? 'application/json').split(';')[0]?.trim();
  if (type === 'application/vnd.kubernetes.protobuf') {
    const decoded = decodeKubernetesProtobuf(request.raw_body);
    if (decoded !== undefined) return decoded;
    throw notImplemented(`a ${request.kind.kind} as protobuf`);
  }
  if (type !== 'application/json' && type !== 'application/yaml') {
    throw unsupportedMediaType([
      'application/json',
      'application/yaml',
      'application/vnd.kubernetes.protobuf',
    ]);
  }
  return parseDocument(request.body, type === 'application/yaml');
}

function parseDocument(text: string, isYaml: boolean): JsonObject {
  const value = parseText(text, isYaml);
  if (!isObject(value)) throw badRequest("Object 'Kind' is missing in request body");
  return value;
}

function parseText(text: string, isYaml: boolean): unknown {
  try {
    return isYaml ? (parseYaml(text, { maxAliasCount: 100 }) as unknown) : (JSON.parse(text) as unknown);
  } catch (error) {
    throw badRequest(`error decoding body: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** The manager that a write is booked under: given, or the start of the user agent. */
export function writerOf(request: ResourceRequest): Writer {
  const given = request.query.get('fieldManager');
  if (given !== null && given.length > 128)
    throw badRequest('fieldManager: Too long: may not be more than 128 bytes');
  const agent = (request.headers['user-agent'] ?? 'unknown').split('/')[0] ?? 'unknown';
  return {
    manager: given === null || given === '' ? agent : given,
    ...(request.subresource === '' ? {} : { subresource: request.subresource }),
  };
}

export function createObject(world: World, request: ResourceRequest): Written {
  const { kind, namespace } = request;
  const body = readBody(request);
  checkTypeMeta(request, body);
  const meta = isObject(body['metadata']) ? body['metadata'] : {};
  if (typeof meta['generateName'] === 'string' && meta['name'] === undefined) {
    meta['name'] = `${meta['generateName']}${world.cluster.random.suffix(5)}`;
  }
  const name = typeof meta['name'] === 'string' ? meta['name'] : '';
  if (name === '') {
    const message = 'Required value: name or generateName is required';
    throw invalid(kind, '', [{ reason: 'FieldValueRequired', message, field: 'metadata.name' }]);
  }
  if (!NAME.test(name) || name.length > 253) {
    const message = `Invalid value: ${JSON.stringify(name)}: a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character`;
    throw invalid(kind, name, [{ reason: 'FieldValueInvalid', message, field: 'metadata.name' }]);
  }
  if (meta['resourceVersion'] !== undefined && meta['resourceVersion'] !== '') {
    throw badRequest('resourceVersion should not be set on objects to be created');
  }
  const {
    uid: _uid,
    creationTimestamp: _created,
    managedFields: _fields,
    generation: _generation,
    ...given
  } = meta;
  const { object, warnings } = checked(request, {
    ...body,
    apiVersion: groupVersion(kind),
    kind: kind.kind,
    metadata: { ...given, name, ...(namespace === undefined ? {} : { namespace }) },
  });
  if (kind.is_custom || kind.kind === 'Deployment') delete object.status;
  if (world.store.get(kind.kind, namespace, name) !== undefined) throw alreadyExists(kind, name);
  const writer = writerOf(request);
  if (request.dry_run) return { code: 201, object: world.store.prepareCreate(object, writer), warnings };
  return { code: 201, object: world.store.create(object, writer), warnings };
}

export function updateObject(world: World, request: ResourceRequest): Written {
  const body = readBody(request);
  checkTypeMeta(request, body);
  const current = existing(world, request);
  return store(world, request, current, body as KubeObject);
}

const PATCH_TYPES = [
  'application/json-patch+json',
  'application/merge-patch+json',
  'application/strategic-merge-patch+json',
  'application/apply-patch+yaml',
];

export function patchObject(world: World, request: ResourceRequest): Written {
  const { kind } = request;
  const type = (request.headers['content-type'] ?? '').split(';')[0]?.trim() ?? '';
  const accepted = PATCH_TYPES.filter((known) => !kind.is_custom || !known.includes('strategic'));
  if (!accepted.includes(type)) throw unsupportedMediaType(accepted);
  if (type === 'application/apply-patch+yaml')
    throw notImplemented('server-side apply (application/apply-patch+yaml)');
  const current = existing(world, request);
  return store(world, request, current, patched(type, current, parsePatch(request.body)) as KubeObject);
}

function parsePatch(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw badRequest(`error decoding patch: ${error instanceof Error ? error.message : String(error)}`);
  }
}

export function patched(type: string, current: unknown, patch: unknown): unknown {
  if (type === 'application/json-patch+json') return jsonPatch(current, patch);
  if (type === 'application/merge-patch+json') {
    if (!isObject(patch)) throw badRequest('error decoding patch: the patch must be a JSON object');
    return mergePatch(current, patch);
  }
  return strategicMerge(current, patch);
}

function existing(world: World, request: ResourceRequest): KubeObject {
  const found = world.store.get(request.kind.kind, request.namespace, request.name);
  if (found === undefined) throw notFound(request.kind, request.name);
  return found;
}

function store(world: World, request: ResourceRequest, current: KubeObject, wanted: KubeObject): Written {
  const { kind, name } = request;
  checkPreconditions(request, current, wanted);
  const { object, warnings } = checked(request, wanted);
  const hasStatus = kind.subresources.some((sub) => sub.name === 'status');
  const next: KubeObject =
    request.subresource === 'status'
      ? { ...current, ...(object.status === undefined ? {} : { status: object.status }) }
      : { ...object, ...(hasStatus && current.status !== undefined ? { status: current.status } : {}) };
  if (hasStatus && request.subresource !== 'status' && current.status === undefined) delete next.status;
  if (kind.kind === 'Deployment' && !sameJson(current.spec?.['selector'], next.spec?.['selector'])) {
    const message = `Invalid value: ${JSON.stringify(next.spec?.['selector'])}: field is immutable`;
    throw invalid(kind, name, [{ reason: 'FieldValueInvalid', message, field: 'spec.selector' }]);
  }
  const writer = writerOf(request);
  if (request.dry_run)
    return { code: 200, object: world.store.prepareUpdate(current, next, writer), warnings };
  return { code: 200, object: world.store.update(next, writer), warnings };
}

/** uid and resourceVersion in the body are preconditions; name and namespace cannot be changed. */
function checkPreconditions(request: ResourceRequest, current: KubeObject, wanted: KubeObject): void {
  const { kind, name, namespace } = request;
  const meta = isObject(wanted.metadata) ? wanted.metadata : ({} as KubeObject['metadata']);
  if (meta.name !== name) {
    throw badRequest(
      `the name of the object (${meta.name ?? ''}) does not match the name on the URL (${name})`,
    );
  }
  if (namespace !== undefined && meta.namespace !== undefined && meta.namespace !== namespace) {
    throw badRequest(`the namespace of the provided object does not match the namespace sent on the request`);
  }
  const { uid, resourceVersion } = current.metadata;
  if (meta.uid !== undefined && meta.uid !== uid) {
    throw conflict(
      kind,
      name,
      `Precondition failed: UID in precondition: ${meta.uid}, UID in object meta: ${uid ?? ''}`,
    );
  }
  if (meta.resourceVersion === undefined || meta.resourceVersion === '') {
    if (request.method === 'PUT' && kind.is_custom) {
      const message = 'Invalid value: 0x0: must be specified for an update';
      throw invalid(kind, name, [
        { reason: 'FieldValueInvalid', message, field: 'metadata.resourceVersion' },
      ]);
    }
    return;
  }
  if (meta.resourceVersion !== resourceVersion) throw conflict(kind, name, MODIFIED);
}

/** Validation: unknown fields are pruned and warned about (or refused with fieldValidation=Strict), bad values refused. */
function checked(request: ResourceRequest, wanted: KubeObject): { object: KubeObject; warnings: string[] } {
  const { kind, name } = request;
  const schema = SCHEMAS[kind.kind];
  if (schema === undefined) throw notImplemented(`writing ${kind.plural}`);
  const result: Checked = checkSchema(schema, wanted);
  const mode = request.query.get('fieldValidation') ?? 'Warn';
  if (!['Ignore', 'Warn', 'Strict', ''].includes(mode)) throw badRequest(`invalid fieldValidation: ${mode}`);
  if (mode === 'Strict' && result.unknown.length > 0) {
    throw badRequest(
      `strict decoding error: ${result.unknown.map((path) => `unknown field "${path}"`).join(', ')}`,
    );
  }
  const wrongType = result.causes.find(({ reason }) => reason === 'FieldValueTypeInvalid');
  if (wrongType !== undefined && !kind.is_custom) {
    throw badRequest(
      `${kind.kind} in version "${kind.version}" cannot be handled as a ${kind.kind}: json: cannot unmarshal into Go struct field ${wrongType.field}: ${wrongType.message}`,
    );
  }
  const causes =
    result.causes.length > 0 ? result.causes : [...podTemplateCauses(wanted), ...rolloutCauses(wanted)];
  if (causes.length > 0) throw invalid(kind, name === '' ? wanted.metadata.name : name, causes);
  const warnings = mode === 'Ignore' ? [] : result.unknown.map((path) => `unknown field "${path}"`);
  const object = asStored(result.value as KubeObject);
  return { object: kind.kind === 'Secret' ? withEncodedStrings(object) : object, warnings };
}

function withEncodedStrings(secret: KubeObject): KubeObject {
  const { stringData, ...rest } = secret;
  if (!isObject(stringData)) return { ...rest, type: rest['type'] ?? 'Opaque' };
  const encoded = Object.entries(stringData).map(([key, value]) => [
    key,
    Buffer.from(String(value)).toString('base64'),
  ]);
  const data = {
    ...(isObject(rest['data']) ? rest['data'] : {}),
    ...Object.fromEntries(encoded),
  } as JsonObject;
  return { ...rest, type: rest['type'] ?? 'Opaque', data };
}

function checkTypeMeta(request: ResourceRequest, body: JsonObject): void {
  const { kind } = request;
  const wanted = groupVersion(kind);
  if (body['kind'] === undefined || body['kind'] === '')
    throw badRequest("Object 'Kind' is missing in request body");
  if (body['kind'] !== kind.kind || body['apiVersion'] !== wanted) {
    throw badRequest(
      `${stringAt(body, 'kind')} in version "${stringAt(body, 'apiVersion')}" cannot be handled as a ${kind.kind}: no kind "${stringAt(body, 'kind')}" is registered for version "${wanted}"`,
    );
  }
}

export function deleteObject(world: World, request: ResourceRequest): Written {
  const { kind, name, namespace } = request;
  const current = existing(world, request);
  const options = request.body === '' ? {} : parseDocument(request.body, false);
  const wanted = isObject(options['preconditions']) ? options['preconditions'] : {};
  for (const [key, label] of [
    ['uid', 'UID'],
    ['resourceVersion', 'ResourceVersion'],
  ] as const) {
    if (wanted[key] === undefined || wanted[key] === current.metadata[key]) continue;
    const why = `Precondition failed: ${label} in precondition: ${JSON.stringify(wanted[key])}, ${label} in object meta: ${current.metadata[key] ?? ''}`;
    throw conflict(kind, name, why);
  }
  const policy = options['propagationPolicy'] ?? request.query.get('propagationPolicy') ?? 'Background';
  if (policy !== 'Background') throw notImplemented(`propagationPolicy ${JSON.stringify(policy)}`);
  if (Array.isArray(options['dryRun']) && options['dryRun'].includes('All')) request.dry_run = true;
  if ((current.metadata.finalizers ?? []).length > 0)
    throw notImplemented('deleting an object that has finalizers');
  integerParameter(request.query, 'gracePeriodSeconds');
  if (!request.dry_run) world.store.remove(kind.kind, namespace, name);
  if (kind.kind === 'Pod') return { code: 200, object: current, warnings: [] };
  const details = {
    name,
    ...(kind.group === '' ? {} : { group: kind.group }),
    kind: kind.plural,
    uid: current.metadata.uid,
  };
  return {
    code: 200,
    object: { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details },
    warnings: [],
  };
}

/** Objects cannot be created in a namespace that is not there. */
export function checkNamespace(world: World, request: ResourceRequest): void {
  const { namespace, verb } = request;
  if (verb !== 'create' || namespace === undefined || request.name !== '') return;
  if (world.store.get('Namespace', undefined, namespace) === undefined) {
    throw notFound(kindNamed('Namespace'), namespace);
  }
}
