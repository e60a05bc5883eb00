/** RBAC: the token's own rules, and what Roles and ClusterRoles bound to the user or its groups allow. */
import type { KubeObject } from '../world/kube-object.ts';
import { listAt, objectAt, stringAt } from '../world/kube-object.ts';
import type { ObjectStore } from '../world/object-store.ts';
import type { ResourceRequest } from './api-request.ts';
import type { ApiError } from './status.ts';
import { forbidden } from './status.ts';
import type { AccessRule, Identity } from './token-store.ts';

export interface Attributes {
  verb: string;
  group: string;
  /** With its subresource: `pods/log`. */
  resource: string;
  name: string;
  namespace: string | undefined;
}

/** Every signed-in user may ask about itself (the role system:basic-user). */
const BASIC_USER: AccessRule = {
  verbs: ['create'],
  apiGroups: ['authorization.k8s.io', 'authentication.k8s.io'],
  resources: ['selfsubjectaccessreviews', 'selfsubjectrulesreviews', 'selfsubjectreviews'],
  namespaces: ['*'],
};

/** All rules that apply to the user, each with the namespaces where it does. */
export function rulesOf(store: ObjectStore, user: Identity): AccessRule[] {
  const own = user.rules.map((rule) => ({
    ...rule,
    namespaces:
      rule.namespaces ?? (user.service_account === undefined ? [] : [user.service_account.namespace]),
  }));
  const basic = user.groups.includes('system:authenticated') ? [BASIC_USER] : [];
  const bound = [...store.list('RoleBinding'), ...store.list('ClusterRoleBinding')]
    .filter((binding) => listAt(binding, 'subjects').some((subject) => isSubject(subject, user)))
    .flatMap((binding) => boundRules(store, binding));
  return [...own, ...basic, ...bound];
}

function isSubject(subject: unknown, user: Identity): boolean {
  const name = stringAt(subject, 'name');
  switch (stringAt(subject, 'kind')) {
    case 'ServiceAccount':
      return user.username === `system:serviceaccount:${stringAt(subject, 'namespace')}:${name}`;
    case 'User':
      return user.username === name;
    case 'Group':
      return user.groups.includes(name);
    default:
      return false;
  }
}

function boundRules(store: ObjectStore, binding: KubeObject): AccessRule[] {
  const reference = objectAt(binding, 'roleRef');
  const isCluster = reference['kind'] === 'ClusterRole';
  const namespace = isCluster ? undefined : binding.metadata.namespace;
  const role = store.get(isCluster ? 'ClusterRole' : 'Role', namespace, stringAt(reference, 'name'));
  const namespaces = binding.kind === 'ClusterRoleBinding' ? ['*'] : [binding.metadata.namespace ?? ''];
  return listAt(role, 'rules').map((rule) => ({
    verbs: listAt(rule, 'verbs') as string[],
    apiGroups: listAt(rule, 'apiGroups') as string[],
    resources: listAt(rule, 'resources') as string[],
    resourceNames: listAt(rule, 'resourceNames') as string[],
    namespaces,
  }));
}

export function isAllowed(rules: readonly AccessRule[], wanted: Attributes): boolean {
  return rules.some((rule) => {
    const [, subresource] = wanted.resource.split('/');
    const named = rule.resourceNames ?? [];
    return (
      matches(rule.verbs, wanted.verb) &&
      matches(rule.apiGroups, wanted.group) &&
      (matches(rule.resources, wanted.resource) ||
        (subresource !== undefined && rule.resources.includes(`*/${subresource}`))) &&
      (named.length === 0 || (wanted.name !== '' && named.includes(wanted.name))) &&
      (wanted.namespace === undefined
        ? (rule.namespaces ?? []).includes('*')
        : matches(rule.namespaces ?? [], wanted.namespace))
    );
  });
}

function matches(list: readonly string[], wanted: string): boolean {
  return list.includes('*') || list.includes(wanted);
}

/** The refusal that the real server would send, or undefined when the request is allowed. */
export function refusal(store: ObjectStore, request: ResourceRequest): ApiError | undefined {
  const { kind, subresource, verb, user } = request;
  const resource = subresource === '' ? kind.plural : `${kind.plural}/${subresource}`;
  // A namespace itself is authorized inside itself.
  const namespace = kind.kind === 'Namespace' && request.name !== '' ? request.name : request.namespace;
  const wanted = { verb, group: kind.group, resource, name: request.name, namespace };
  if (isAllowed(rulesOf(store, user), wanted)) return undefined;
  const where = namespace === undefined ? 'at the cluster scope' : `in the namespace "${namespace}"`;
  return forbidden(
    kind,
    request.name,
    `User "${user.username}" cannot ${verb} resource "${resource}" in API group "${kind.group}" ${where}`,
  );
}
