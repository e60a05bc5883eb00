import type { Settings } from '../../contract/settings.ts';
import { parseTarget, TargetUri, type Target } from '../../contract/tool.ts';
import { refuse, type Refusal } from '../../contract/verdict.ts';
import type { CredentialSource } from '../../contract/credentials.ts';
import { AUDIT_LOG_KIND, auditUpstream } from '../audit-log-place.ts';
import type { Upstream } from '../drivers/driver.ts';

/** Step 2: `mcp://<system>/<name>/...` to a configured system. Nothing that an argument says can pick a host. */
export interface Route {
  readonly uri: string;
  readonly target: Target;
  readonly upstream: Upstream;
  readonly credentials: CredentialSource;
}

export type RouteSettings = Pick<
  Settings,
  'clusters' | 'sources' | 'databases' | 'repositories' | 'terraform' | 'aws' | 'upstreams'
> &
  Partial<Pick<Settings, 'identity'>>;

export function route(settings: RouteSettings, uri: string): Route | Refusal {
  if (!TargetUri.safeParse(uri).success)
    return refuse(
      'target-malformed',
      `"${uri.slice(0, 200)}" is not a target.`,
      'Write mcp://<system>/<cluster or source>/<namespace>/<kind>/<name>, with - for none.',
    );
  const target = parseTarget(uri);
  const is_audit_log = target.system === 'k8s' && target.kind === AUDIT_LOG_KIND;
  const upstream = is_audit_log ? auditUpstream(settings, target) : upstreamOf(settings, target);
  if (upstream === null) return notYours(uri);
  return { uri, target, upstream, credentials: upstream.config.credentials };
}

/** The same words whether a place is unknown or somebody else's: an outsider learns nothing. */
export function notYours(uri: string): Refusal {
  return refuse(
    'scope-forbidden',
    `${uri} is not part of this token's team and environment.`,
    'Check the cluster, namespace and name; mounts in aegis.yaml say what a team and environment own.',
  );
}

/** Where the configuration of each system stands. A system that is not here does not exist. */
const SECTIONS = {
  k8s: (settings) => settings.clusters,
  loki: (settings) => settings.sources.loki,
  prometheus: (settings) => settings.sources.prometheus,
  pg: (settings) => settings.databases,
  git: (settings) => settings.repositories,
  tf: (settings) => settings.terraform,
  aws: (settings) => settings.aws,
  mcp: (settings) => settings.upstreams,
} as const satisfies Readonly<
  Record<Upstream['system'], (settings: RouteSettings) => Readonly<Record<string, Upstream['config']>>>
>;

function upstreamOf(settings: RouteSettings, { system, cluster }: Target): Upstream | null {
  if (!Object.hasOwn(SECTIONS, system)) return null;
  const section = SECTIONS[system as Upstream['system']](settings);
  if (!Object.hasOwn(section, cluster)) return null;
  return { system, name: cluster, config: section[cluster] } as Upstream;
}
