/** A minimal OpenAPI v3: enough for clients to learn which options a PATCH takes. It holds no schemas. */
import type { JsonObject } from '../world/kube-object.ts';
import { kindsOf, namedGroups, versionOf } from './discovery.ts';
import type { Kind } from './kinds.ts';

/** The document for `/openapi/v3` or `/openapi/v3/apis/<group>/<version>`; undefined: no such path. */
export function openapiDocument(path: string): JsonObject | undefined {
  if (path === '/openapi/v3') {
    const entries = ['', ...namedGroups()].map((group) => {
      const root = rootOf(group);
      return [root, { serverRelativeURL: `/openapi/v3/${root}?hash=LAB` }] as const;
    });
    return { paths: Object.fromEntries(entries) };
  }
  const group = ['', ...namedGroups()].find((name) => path === `/openapi/v3/${rootOf(name)}`);
  if (group === undefined) return undefined;
  const paths = Object.fromEntries(kindsOf(group).map((kind) => [objectPath(kind), pathItem(kind)]));
  const info = { title: 'Kubernetes (Aegis lab twin)', version: 'v1.32.4' };
  return { openapi: '3.0.0', info, paths, components: { schemas: {} } };
}

function rootOf(group: string): string {
  return group === '' ? 'api/v1' : `apis/${group}/${versionOf(group)}`;
}

function objectPath(kind: Kind): string {
  return `/${rootOf(kind.group)}${kind.namespaced ? '/namespaces/{namespace}' : ''}/${kind.plural}/{name}`;
}

function pathItem(kind: Kind): JsonObject {
  const gvk = { group: kind.group, version: kind.version, kind: kind.kind };
  const parameter = (name: string) => ({ name, in: 'query', schema: { type: 'string', uniqueItems: true } });
  const operation = (action: string, names: readonly string[]) => ({
    operationId: `${action}${kind.kind}`,
    parameters: names.map(parameter),
    responses: { '200': { description: 'OK' } },
    'x-kubernetes-action': action,
    'x-kubernetes-group-version-kind': gvk,
  });
  const write = ['dryRun', 'fieldManager', 'fieldValidation', 'force'];
  return {
    get: operation('get', []),
    ...(kind.verbs.includes('update') ? { put: operation('put', write) } : {}),
    ...(kind.verbs.includes('patch') || kind.kind === 'Namespace'
      ? { patch: operation('patch', write) }
      : {}),
  };
}
