/** Discovery: versions, groups and resources, in the old form and the aggregated one that kubectl asks for first. */
import type { JsonObject } from '../world/kube-object.ts';
import type { Kind } from './kinds.ts';
import { KINDS, groupVersion } from './kinds.ts';

export interface DiscoveryAnswer {
  body: JsonObject;
  content_type: string;
}

const AGGREGATED = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList';

/** The answer for a discovery path, or undefined when the path is not one. */
export function discover(path: string, accept: string, address: string): DiscoveryAnswer | undefined {
  const parts = path.split('/').filter((part) => part !== '');
  const isAggregated = accept.split(',').some((entry) => {
    const options = entry.split(';').map((part) => part.trim());
    return options.includes('as=APIGroupDiscoveryList') && options.includes('v=v2');
  });
  const plain = (body: JsonObject) => ({ body, content_type: 'application/json' });
  if (path === '/api' && isAggregated) return { body: aggregated(['']), content_type: AGGREGATED };
  if (path === '/apis' && isAggregated) return { body: aggregated(namedGroups()), content_type: AGGREGATED };
  if (path === '/api') {
    const serverAddressByClientCIDRs = [{ clientCIDR: '0.0.0.0/0', serverAddress: address }];
    return plain({ kind: 'APIVersions', versions: ['v1'], serverAddressByClientCIDRs });
  }
  if (path === '/apis')
    return plain({ kind: 'APIGroupList', apiVersion: 'v1', groups: namedGroups().map(groupEntry) });
  if (path === '/api/v1') return plain(resourceList('', 'v1'));
  if (parts[0] !== 'apis' || !namedGroups().includes(parts[1] ?? '')) return undefined;
  const [, group = '', version] = parts;
  if (parts.length === 2) return plain({ kind: 'APIGroup', apiVersion: 'v1', ...groupEntry(group) });
  if (parts.length === 3 && version === versionOf(group)) return plain(resourceList(group, version));
  return undefined;
}

export function namedGroups(): string[] {
  return [...new Set(KINDS.map(({ group }) => group).filter((group) => group !== ''))];
}

export function versionOf(group: string): string {
  return KINDS.find((kind) => kind.group === group)?.version ?? 'v1';
}

export function kindsOf(group: string): Kind[] {
  return KINDS.filter((kind) => kind.group === group);
}

function groupEntry(group: string): JsonObject {
  const version = { groupVersion: `${group}/${versionOf(group)}`, version: versionOf(group) };
  return { name: group, versions: [version], preferredVersion: version };
}

function resourceList(group: string, version: string): JsonObject {
  const resources = kindsOf(group).flatMap((kind) => [
    {
      name: kind.plural,
      singularName: kind.singular,
      namespaced: kind.namespaced,
      kind: kind.kind,
      verbs: kind.verbs,
      ...(kind.short.length === 0 ? {} : { shortNames: kind.short }),
      ...(kind.categories === undefined ? {} : { categories: kind.categories }),
    },
    ...kind.subresources.map((sub) => ({
      name: `${kind.plural}/${sub.name}`,
      singularName: '',
      namespaced: kind.namespaced,
      kind: sub.kind,
      verbs: sub.verbs,
      ...(sub.group === kind.group ? {} : { group: sub.group, version: sub.version }),
    })),
  ]);
  return {
    kind: 'APIResourceList',
    apiVersion: 'v1',
    groupVersion: groupVersion({ group, version }),
    resources,
  };
}

function aggregated(groups: readonly string[]): JsonObject {
  const items = groups.map((group) => ({
    metadata: { ...(group === '' ? {} : { name: group }), creationTimestamp: null },
    versions: [
      { version: versionOf(group), freshness: 'Current', resources: kindsOf(group).map(aggregatedResource) },
    ],
  }));
  return { kind: 'APIGroupDiscoveryList', apiVersion: 'apidiscovery.k8s.io/v2', metadata: {}, items };
}

function aggregatedResource(kind: Kind): JsonObject {
  return {
    resource: kind.plural,
    responseKind: { group: kind.group, version: kind.version, kind: kind.kind },
    scope: kind.namespaced ? 'Namespaced' : 'Cluster',
    singularResource: kind.singular,
    verbs: kind.verbs,
    ...(kind.short.length === 0 ? {} : { shortNames: kind.short }),
    ...(kind.categories === undefined ? {} : { categories: kind.categories }),
    ...(kind.subresources.length === 0
      ? {}
      : {
          subresources: kind.subresources.map((sub) => ({
            subresource: sub.name,
            responseKind: { group: sub.group, version: sub.version, kind: sub.kind },
            verbs: sub.verbs,
          })),
        }),
  };
}
