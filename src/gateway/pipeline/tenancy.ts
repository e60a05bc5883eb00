import type { OwnedSystem, Settings } from '../../contract/settings.ts';
import { matchesNode } from '../../contract/node-pattern.ts';
import { tenantKey, type Tier } from '../../contract/scope.ts';
import type { Target } from '../../contract/tool.ts';

/** Who owns what, from configuration alone. */
export type TeamSettings = Pick<Settings, 'teams'>;

/**
 * Tenants ("team/env") with a mount that covers the target; empty: nobody's, and therefore nobody may touch it. A node is
 * read by all who share its cluster and changed only by those whose mount names it.
 */
export function ownersOf(
  settings: TeamSettings,
  target: Target,
  access: 'read' | 'write' = 'read',
): string[] {
  const owners: string[] = [];
  for (const [team, { environments }] of Object.entries(settings.teams))
    for (const [env, { mounts, systems }] of Object.entries(environments))
      if (
        mounts.some((mount) => covers(mount, target, access)) ||
        systems.some((owned) => owns(owned, target))
      )
        owners.push(tenantKey({ team, env }));
  return owners;
}

type Mount = Settings['teams'][string]['environments'][string]['mounts'][number];

function covers(mount: Mount, target: Target, access: 'read' | 'write'): boolean {
  if (mount.kind === 'kubernetes' || mount.kind === 'jobs') {
    if (target.system !== 'k8s' || mount.cluster !== target.cluster) return false;
    if (target.kind === 'node')
      return target.namespace === '-' && (access === 'read' || ownsNode(mount, target.name));
    if (target.namespace !== '-') return mount.namespaces.includes(target.namespace);
    // A namespace object belongs to those who own the namespace; nothing else lies outside of namespaces.
    return target.kind === 'namespace' && mount.namespaces.includes(target.name);
  }
  const system = mount.kind === 'logs' ? 'loki' : 'prometheus';
  return (
    target.system === system && mount.source === target.cluster && mount.namespaces.includes(target.namespace)
  );
}

function ownsNode(mount: Mount, name: string): boolean {
  return mount.kind === 'kubernetes' && (mount.nodes ?? []).some((pattern) => matchesNode(pattern, name));
}

/** Namespaces whose pods a drain may evict for this tenant; `all` where its mount says so. */
export function drainableNamespaces(
  settings: TeamSettings,
  { team, env }: { readonly team: string; readonly env: string },
  target: Target,
): ReadonlySet<string> | 'all' {
  const mounts = (settings.teams[team]?.environments[env]?.mounts ?? []).filter(
    (mount) => 'cluster' in mount && mount.cluster === target.cluster,
  );
  const is_wide = mounts.some(
    (mount) =>
      mount.kind === 'kubernetes' && mount.drain_other_namespaces === true && ownsNode(mount, target.name),
  );
  return is_wide ? 'all' : new Set(mounts.flatMap(({ namespaces }) => namespaces));
}

function owns({ system, name, namespaces }: OwnedSystem, target: Target): boolean {
  if (target.system !== system || target.cluster !== name) return false;
  return target.namespace === '-' ? namespaces.length === 0 : namespaces.includes(target.namespace);
}

/** A namespace of the tenant in a cluster: where a credential for cluster-wide reads is asked for. */
export function firstNamespace(
  settings: TeamSettings,
  team: string,
  env: string,
  cluster: string,
): string | null {
  for (const mount of settings.teams[team]?.environments[env]?.mounts ?? [])
    if ((mount.kind === 'kubernetes' || mount.kind === 'jobs') && mount.cluster === cluster)
      return mount.namespaces[0] ?? null;
  return null;
}

export function tierOf(settings: TeamSettings, team: string, env: string): Tier | null {
  return settings.teams[team]?.environments[env]?.tier ?? null;
}
