/** Questions about oneself (may I? who am I?) and the minting of service account tokens. */
import type { JsonObject } from '../world/kube-object.ts';
import { at, isObject, kubeTime, stringAt } from '../world/kube-object.ts';
import type { World } from '../world/world.ts';
import type { ResourceRequest } from './api-request.ts';
import { isAllowed, rulesOf } from './authorize.ts';
import { groupVersion } from './kinds.ts';
import { badRequest, conflict, invalid, notFound, notImplemented } from './status.ts';
import type { TokenStore } from './token-store.ts';
import { readBody } from './write.ts';

export function answerReview(world: World, request: ResourceRequest): JsonObject {
  const { kind, user } = request;
  const body = readBody(request);
  const base = {
    kind: kind.kind,
    apiVersion: groupVersion(kind),
    metadata: { creationTimestamp: null },
    spec: body['spec'] ?? {},
  };
  const rules = rulesOf(world.store, user);
  if (kind.kind === 'SelfSubjectReview') {
    const userInfo = { username: user.username, uid: user.uid, groups: user.groups };
    return { ...base, status: { userInfo } };
  }
  if (kind.kind === 'SelfSubjectRulesReview') {
    const namespace = stringAt(body, 'spec', 'namespace');
    const resourceRules = rules
      .filter(
        (rule) => rule.namespaces?.includes('*') === true || rule.namespaces?.includes(namespace) === true,
      )
      .map(({ verbs, apiGroups, resources, resourceNames = [] }) => ({
        verbs,
        apiGroups,
        resources,
        resourceNames,
      }));
    return { ...base, status: { resourceRules, nonResourceRules: NON_RESOURCE, incomplete: false } };
  }
  const wanted = at(body, 'spec', 'resourceAttributes');
  if (!isObject(wanted)) {
    const path = stringAt(body, 'spec', 'nonResourceAttributes', 'path');
    if (path === '') throw badRequest('spec.resourceAttributes or spec.nonResourceAttributes must be given');
    const allowed = NON_RESOURCE.some(({ nonResourceURLs }) =>
      nonResourceURLs.some((known) => covers(known, path)),
    );
    return { ...base, status: { allowed } };
  }
  const namespace = stringAt(wanted, 'namespace');
  const subresource = stringAt(wanted, 'subresource');
  const allowed = isAllowed(rules, {
    verb: stringAt(wanted, 'verb'),
    group: stringAt(wanted, 'group'),
    resource: `${stringAt(wanted, 'resource')}${subresource === '' ? '' : `/${subresource}`}`,
    name: stringAt(wanted, 'name'),
    namespace: namespace === '' ? undefined : namespace,
  });
  return {
    ...base,
    status: { allowed, ...(allowed ? { reason: 'RBAC: allowed by a rule of the token or a binding' } : {}) },
  };
}

/** What every signed-in user may read (system:discovery). */
const NON_RESOURCE = [
  {
    verbs: ['get'],
    nonResourceURLs: [
      '/api',
      '/api/*',
      '/apis',
      '/apis/*',
      '/healthz',
      '/livez',
      '/openapi',
      '/openapi/*',
      '/readyz',
      '/version',
      '/version/',
    ],
  },
];

function covers(known: string, path: string): boolean {
  return known.endsWith('*') ? path.startsWith(known.slice(0, -1)) : known === path;
}

const TOKEN_TTL_S_MIN = 600;

export function mintToken(world: World, tokens: TokenStore, request: ResourceRequest): JsonObject {
  const { kind, name, namespace = '' } = request;
  const account = world.store.get('ServiceAccount', namespace, name);
  if (account === undefined) throw notFound(kind, name);
  const body = readBody(request);
  const asked = at(body, 'spec', 'expirationSeconds');
  const ttl_s = typeof asked === 'number' ? asked : 3_600;
  if (ttl_s < TOKEN_TTL_S_MIN) {
    const message = `Invalid value: ${ttl_s}: may not specify a duration less than 10 minutes`;
    throw invalid({ ...kind, kind: 'TokenRequest', group: 'authentication.k8s.io' }, name, [
      { reason: 'FieldValueInvalid', message, field: 'spec.expirationSeconds' },
    ]);
  }
  const reference = at(body, 'spec', 'boundObjectRef');
  const bound = isObject(reference) ? boundObject(world, request, reference) : undefined;
  const spec = {
    audiences: ['https://kubernetes.default.svc'],
    expirationSeconds: ttl_s,
    boundObjectRef: bound ?? null,
  };
  const base = {
    kind: 'TokenRequest',
    apiVersion: 'authentication.k8s.io/v1',
    metadata: { name, namespace, creationTimestamp: kubeTime(world.now()) },
    spec,
  };
  if (request.dry_run) return { ...base, status: { token: '', expirationTimestamp: null } };
  const { token, expires_at_ms } = tokens.issue({
    namespace,
    name,
    account_uid: account.metadata.uid ?? '',
    rules: [],
    ttl_ms: ttl_s * 1_000,
    ...(bound === undefined ? {} : { bound: { ...bound, namespace } }),
  });
  return { ...base, status: { token, expirationTimestamp: kubeTime(expires_at_ms) } };
}

function boundObject(
  world: World,
  request: ResourceRequest,
  reference: JsonObject,
): { kind: string; name: string; uid: string } {
  const kind = stringAt(reference, 'kind');
  const name = stringAt(reference, 'name');
  if (kind !== 'Pod' && kind !== 'Secret') throw notImplemented(`binding a token to a ${kind}`);
  const found = world.store.get(kind, request.namespace, name);
  if (found === undefined) throw notFound({ ...request.kind, plural: `${kind.toLowerCase()}s` }, name);
  const uid = stringAt(reference, 'uid');
  if (uid !== '' && uid !== found.metadata.uid) {
    const why = `the UID in the bound object reference (${uid}) does not match the UID in record. The object might have been deleted and then recreated`;
    throw conflict({ ...request.kind, plural: `${kind.toLowerCase()}s` }, name, why);
  }
  return { kind, name, uid: found.metadata.uid ?? '' };
}
