import type { Service } from '../contract/settings.ts';
import { parseTarget } from '../contract/tool.ts';

/**
 * The dependency graph of the configuration: who depends on whom. Built once, asked often; unknown names in `depends_on`
 * and cycles are harmless (a service is never its own dependant).
 */
export interface Topology {
  readonly services: readonly Service[];
  readonly dependants_of: ReadonlyMap<string, readonly Service[]>;
}

/** A service that depends on another, directly (1 hop) or through others. */
export interface Dependant {
  readonly service: Service;
  readonly hops: number;
}

/** Names are unique inside one environment; a dependency on a bare name means the same team and environment first. */
export function buildTopology(services: readonly Service[]): Topology {
  const by_name = new Map<string, Service[]>();
  for (const service of services) by_name.set(service.name, [...(by_name.get(service.name) ?? []), service]);
  const dependants_of = new Map<string, Service[]>();
  for (const service of services)
    for (const name of new Set(service.depends_on))
      for (const upstream of resolveName(by_name.get(name) ?? [], service)) {
        const key = serviceKey(upstream);
        dependants_of.set(key, [...(dependants_of.get(key) ?? []), service]);
      }
  return { services, dependants_of };
}

/** Nearest meaning first: own team and environment, then own environment, else every service of that name. */
function resolveName(candidates: readonly Service[], of: Service): readonly Service[] {
  const same_env = candidates.filter((c) => c.env === of.env);
  const same_team = same_env.filter((c) => c.team === of.team);
  return same_team.length > 0 ? same_team : same_env.length > 0 ? same_env : candidates;
}

function serviceKey(service: Pick<Service, 'team' | 'env' | 'name'>): string {
  return `${service.team}/${service.env}/${service.name}`;
}

/** Everything that depends on any of `roots`, nearest first; the roots themselves are not in it. */
export function transitiveDependants(topology: Topology, roots: readonly Service[]): Dependant[] {
  const seen = new Set(roots.map(serviceKey));
  const found: Dependant[] = [];
  let wave: readonly Service[] = roots;
  for (let hops = 1; wave.length > 0; hops++) {
    const next: Service[] = [];
    for (const service of wave.flatMap(
      (upstream) => topology.dependants_of.get(serviceKey(upstream)) ?? [],
    )) {
      if (seen.has(serviceKey(service))) continue;
      seen.add(serviceKey(service));
      found.push({ service, hops });
      next.push(service);
    }
    wave = next;
  }
  return found;
}

/** Kinds of targets that are the same thing as a kind of the catalog. */
const KIND_OF_TARGET: Readonly<Record<string, Service['kind']>> = {
  deployment: 'deployment',
  sparkapplication: 'sparkapplication',
  cronjob: 'cronjob',
};

/** The catalog's service behind a target, by cluster, namespace, object and kind; null when the catalog has none. */
export function serviceOfTarget(services: readonly Service[], target: string): Service | null {
  const { cluster, namespace, kind, name } = parseTarget(target);
  const known_kind = KIND_OF_TARGET[kind];
  const matches = services.filter(
    (s) => s.cluster === cluster && s.namespace === namespace && (s.object ?? s.name) === name,
  );
  return (
    matches.find((s) => s.kind === known_kind) ?? (known_kind === undefined ? (matches[0] ?? null) : null)
  );
}
