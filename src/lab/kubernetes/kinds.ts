/** The resources that the twin serves. Discovery, paths, rights and tables all read this one table. */
export interface Kind {
  group: string;
  version: string;
  kind: string;
  plural: string;
  singular: string;
  short: readonly string[];
  namespaced: boolean;
  verbs: readonly string[];
  subresources: readonly Subresource[];
  categories?: readonly string[];
  /** Defined by a CustomResourceDefinition: no strategic merge patch, schema with pruning. */
  is_custom: boolean;
}

interface Subresource {
  name: string;
  kind: string;
  group: string;
  version: string;
  verbs: readonly string[];
}

const READ = ['get', 'list', 'watch'] as const;
const WRITE = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'] as const;

function core(
  kind: string,
  plural: string,
  short: string[],
  verbs: readonly string[],
  extra: Partial<Kind> = {},
): Kind {
  return {
    group: '',
    version: 'v1',
    kind,
    plural,
    singular: kind.toLowerCase(),
    short,
    namespaced: true,
    verbs,
    subresources: [],
    is_custom: false,
    ...extra,
  };
}

function sub(name: string, kind: string, verbs: string[], group = '', version = 'v1'): Subresource {
  return { name, kind, group, version, verbs };
}

const RBAC = { group: 'rbac.authorization.k8s.io' };

export const KINDS: readonly Kind[] = [
  core('ConfigMap', 'configmaps', ['cm'], WRITE),
  core('Event', 'events', ['ev'], READ),
  core('Namespace', 'namespaces', ['ns'], READ, { namespaced: false }),
  core('Node', 'nodes', ['no'], [...READ, 'patch', 'update'], { namespaced: false }),
  core('Pod', 'pods', ['po'], [...READ, 'delete'], {
    categories: ['all'],
    subresources: [sub('eviction', 'Eviction', ['create'], 'policy'), sub('log', 'Pod', ['get'])],
  }),
  core('ResourceQuota', 'resourcequotas', ['quota'], [...READ, 'update', 'patch']),
  core('Secret', 'secrets', [], WRITE),
  core('ServiceAccount', 'serviceaccounts', ['sa'], WRITE, {
    subresources: [sub('token', 'TokenRequest', ['create'], 'authentication.k8s.io')],
  }),
  core('Deployment', 'deployments', ['deploy'], WRITE, {
    group: 'apps',
    categories: ['all'],
    subresources: [
      sub('scale', 'Scale', ['get', 'patch', 'update'], 'autoscaling'),
      sub('status', 'Deployment', ['get'], 'apps'),
    ],
  }),
  core('ReplicaSet', 'replicasets', ['rs'], READ, { group: 'apps', categories: ['all'] }),
  core('DaemonSet', 'daemonsets', ['ds'], READ, { group: 'apps', categories: ['all'] }),
  core('PodDisruptionBudget', 'poddisruptionbudgets', ['pdb'], WRITE, {
    group: 'policy',
    subresources: [sub('status', 'PodDisruptionBudget', ['get'], 'policy')],
  }),
  core('SelfSubjectReview', 'selfsubjectreviews', [], ['create'], {
    group: 'authentication.k8s.io',
    namespaced: false,
  }),
  core('SelfSubjectAccessReview', 'selfsubjectaccessreviews', [], ['create'], {
    group: 'authorization.k8s.io',
    namespaced: false,
  }),
  core('SelfSubjectRulesReview', 'selfsubjectrulesreviews', [], ['create'], {
    group: 'authorization.k8s.io',
    namespaced: false,
  }),
  core('Lease', 'leases', [], READ, { group: 'coordination.k8s.io' }),
  core('Event', 'events', ['ev'], READ, { group: 'events.k8s.io' }),
  core('ClusterRole', 'clusterroles', [], WRITE, { ...RBAC, namespaced: false }),
  core('ClusterRoleBinding', 'clusterrolebindings', [], WRITE, { ...RBAC, namespaced: false }),
  core('Role', 'roles', [], WRITE, RBAC),
  core('RoleBinding', 'rolebindings', [], WRITE, RBAC),
  core('SparkApplication', 'sparkapplications', ['sparkapp'], WRITE, {
    group: 'sparkoperator.k8s.io',
    version: 'v1beta2',
    is_custom: true,
    subresources: [
      sub('status', 'SparkApplication', ['get', 'patch', 'update'], 'sparkoperator.k8s.io', 'v1beta2'),
    ],
  }),
];

export function findKind(group: string, version: string, plural: string): Kind | undefined {
  return KINDS.find((kind) => kind.group === group && kind.version === version && kind.plural === plural);
}

export function kindNamed(name: string): Kind {
  const found = KINDS.find(({ kind }) => kind === name);
  if (found === undefined) throw new Error(`the Kubernetes twin serves no kind ${name}`);
  return found;
}

export function groupVersion(kind: { group: string; version: string }): string {
  return kind.group === '' ? kind.version : `${kind.group}/${kind.version}`;
}

/** `pods`, `deployments.apps`: how messages name a resource. */
export function qualifiedName(kind: Kind): string {
  return kind.group === '' ? kind.plural : `${kind.plural}.${kind.group}`;
}
