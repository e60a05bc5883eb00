import { setImmediate } from 'node:timers/promises';
import { tenantKey } from '../../contract/scope.ts';
import { formatTarget, parseTarget, type Target, type ToolDefinition } from '../../contract/tool.ts';
import type { TokenGrant } from '../../store/authority.ts';
import { KINDS } from '../drivers/kubernetes/kinds.ts';
import { ownersOf, tierOf, type TeamSettings } from '../pipeline/tenancy.ts';
import type { Authorizer } from '../policy/authorizer.ts';

/** The read tools that a token may use somewhere, by the same policies and the same question as a call. */
export interface VisibleTool {
  readonly definition: ToolDefinition;
  /** Places of the token's tenant where the tool works: `mcp://k8s/prod-1/spark-jobs`. */
  readonly places: readonly string[];
}

export async function visibleTools(
  definitions: readonly ToolDefinition[],
  settings: TeamSettings,
  authorizer: Authorizer,
  grant: TokenGrant,
): Promise<VisibleTool[]> {
  const visible: VisibleTool[] = [];
  for (const definition of definitions) {
    if (definition.base_class !== 'read') continue;
    const own = definition.target === undefined ? null : parseTarget(definition.target).cluster;
    const places = placesOf(settings, grant, definition.system).filter(
      ({ cluster }) => own === null || own === cluster,
    );
    if (await allowedSomewhere(definition, places, settings, authorizer, grant))
      visible.push({
        definition,
        places: places.map((p) => `mcp://${definition.system}/${p.cluster}/${p.namespace}`),
      });
  }
  return visible;
}

interface Place {
  readonly cluster: string;
  readonly namespace: string;
}

async function allowedSomewhere(
  definition: ToolDefinition,
  places: readonly Place[],
  settings: TeamSettings,
  authorizer: Authorizer,
  grant: TokenGrant,
): Promise<boolean> {
  for (const kind of definition.target_kinds) {
    for (const place of places)
      if (allowed(definition, targetOf(definition, place, kind), settings, authorizer, grant)) return true;
    // Where everything is forbidden there are many questions: others get their turn in between.
    await setImmediate();
  }
  return false;
}

function allowed(
  { name, base_class }: ToolDefinition,
  target: Target,
  settings: TeamSettings,
  authorizer: Authorizer,
  grant: TokenGrant,
): boolean {
  const tier = tierOf(settings, grant.team, grant.env);
  if (tier === null) return false;
  return authorizer.decide({
    principal: {
      id: grant.principal,
      tenant: tenantKey(grant),
      token_class: grant.action_class,
      has_incident: grant.incident_id !== null,
    },
    target: { ...target, uri: formatTarget(target), tenants: ownersOf(settings, target) },
    call: { action: 'read', tool: name, action_class: base_class, env: grant.env, tier },
  }).allow;
}

/** What is outside of namespaces is addressed without one; a namespace object is its own name. */
function targetOf({ system, target }: ToolDefinition, { cluster, namespace }: Place, kind: string): Target {
  if (target !== undefined) return parseTarget(target);
  if (system === 'k8s' && KINDS[kind]?.namespaced === false)
    return { system, cluster, namespace: '-', kind, name: namespace };
  return { system, cluster, namespace, kind, name: '-' };
}

function placesOf(settings: TeamSettings, { team, env }: TokenGrant, system: string): Place[] {
  const places = new Map<string, Place>();
  for (const mount of settings.teams[team]?.environments[env]?.mounts ?? []) {
    const [of, cluster] =
      mount.kind === 'logs'
        ? ['loki', mount.source]
        : mount.kind === 'metrics'
          ? ['prometheus', mount.source]
          : ['k8s', mount.cluster];
    if (of !== system) continue;
    for (const namespace of mount.namespaces) places.set(`${cluster}/${namespace}`, { cluster, namespace });
  }
  for (const owned of settings.teams[team]?.environments[env]?.systems ?? [])
    if (owned.system === system)
      for (const namespace of owned.namespaces.length === 0 ? ['-'] : owned.namespaces)
        places.set(`${owned.name}/${namespace}`, { cluster: owned.name, namespace });
  return [...places.values()];
}
