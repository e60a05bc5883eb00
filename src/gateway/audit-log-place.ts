import type { HttpSource, Settings } from '../contract/settings.ts';
import type { Target } from '../contract/tool.ts';

/**
 * `mcp://k8s/<cluster>/<namespace>/auditlog/-` belongs to whoever owns the namespace in the cluster, and is read from the
 * Loki source that the cluster's configuration names. Pure.
 */
export const AUDIT_LOG_KIND = 'auditlog';

export interface AuditPlace {
  /** Labels of the cluster's audit lines. */
  readonly selector: Readonly<Record<string, string>>;
  /** Principals by the user names of API servers. */
  readonly people: Readonly<Record<string, string>>;
}

export interface AuditUpstream {
  readonly system: 'loki';
  readonly name: string;
  readonly config: HttpSource;
  readonly audit: AuditPlace;
}

/** Null where the cluster has no audit log. */
export function auditUpstream(
  settings: Pick<Settings, 'clusters' | 'sources'> & Partial<Pick<Settings, 'identity'>>,
  { cluster }: Pick<Target, 'cluster'>,
): AuditUpstream | null {
  const audit = Object.hasOwn(settings.clusters, cluster) ? settings.clusters[cluster]?.audit : undefined;
  if (audit === undefined || !Object.hasOwn(settings.sources.loki, audit.source)) return null;
  const config = settings.sources.loki[audit.source] as HttpSource;
  const people = Object.fromEntries(
    (settings.identity ?? []).flatMap(({ principal, kubernetes = [] }) =>
      kubernetes.map((user) => [user, principal]),
    ),
  );
  return { system: 'loki', name: audit.source, config, audit: { selector: audit.selector, people } };
}
