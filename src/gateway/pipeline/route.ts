import type { Settings } from '../../contract/settings.ts';
import { parseTarget, TargetUri, type Target } from '../../contract/tool.ts';
import { refuse, type Refusal } from '../../contract/verdict.ts';
import type { CredentialSource } from '../../contract/settings.ts';
import type { Upstream } from '../drivers/driver.ts';

/** Step 2: `mcp://<system>/<name>/...` to a configured system. Nothing that an argument says can pick a host. */
export interface Route {
  readonly uri: string;
  readonly target: Target;
  readonly upstream: Upstream;
  readonly credentials: CredentialSource;
}

export type RouteSettings = Pick<Settings, 'clusters' | 'sources'>;

export function route(settings: RouteSettings, uri: string): Route | Refusal {
  if (!TargetUri.safeParse(uri).success)
    return refuse(
      'target-malformed',
      `"${uri.slice(0, 200)}" is not a target.`,
      'Write mcp://<system>/<cluster or source>/<namespace>/<kind>/<name>, with - for none.',
    );
  const target = parseTarget(uri);
  const upstream = upstreamOf(settings, target);
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

function upstreamOf(settings: RouteSettings, { system, cluster }: Target): Upstream | null {
  const own = <T>(table: Readonly<Record<string, T>>): T | null =>
    Object.hasOwn(table, cluster) ? (table[cluster] as T) : null;
  if (system === 'k8s') {
    const config = own(settings.clusters);
    return config === null ? null : { system, name: cluster, config };
  }
  if (system !== 'loki' && system !== 'prometheus') return null;
  const config = own(settings.sources[system]);
  return config === null ? null : { system, name: cluster, config };
}
