import { Name } from '../contract/scope.ts';
import type { AlertmanagerTrigger } from '../contract/settings.ts';
import type { AlertBatch } from '../harness/intake.ts';

/**
 * Where an alert belongs. The sender's configured scopes are the only candidates; labels choose among them and may name
 * a service. A label that points elsewhere is a refusal, never a way out. Pure.
 *
 * @returns the place, or the reason for refusing the alert.
 */
export function placeAlert(
  labels: Readonly<Record<string, string>>,
  settings: Pick<AlertmanagerTrigger, 'scopes' | 'labels'>,
): AlertBatch['place'] | string {
  const read = (key: keyof AlertmanagerTrigger['labels']): string | undefined => {
    const value = labels[settings.labels[key]];
    return value === undefined || value === '' ? undefined : value;
  };
  const [team, env, cluster, namespace] = [read('team'), read('env'), read('cluster'), read('namespace')];
  const fits = settings.scopes.filter(
    (s) =>
      (team === undefined || s.team === team) &&
      (env === undefined || s.env === env) &&
      (cluster === undefined || s.cluster === undefined || s.cluster === cluster) &&
      (namespace === undefined || s.namespaces.length === 0 || s.namespaces.includes(namespace)),
  );
  const scope = fits[0];
  if (scope === undefined)
    return `its labels name ${team ?? '?'}/${env ?? '?'}, which is not a scope of this sender`;
  if (fits.length > 1) return 'its labels fit several scopes of this sender; add team and env labels';
  const chosen_cluster = scope.cluster ?? valid(cluster);
  const chosen_namespace =
    valid(namespace) ?? (scope.namespaces.length === 1 ? scope.namespaces[0] : undefined);
  const service = valid(read('service'));
  return {
    team: scope.team,
    env: scope.env,
    ...(chosen_cluster === undefined ? {} : { cluster: chosen_cluster }),
    ...(chosen_namespace === undefined ? {} : { namespace: chosen_namespace }),
    ...(service === undefined ? {} : { service }),
  };
}

function valid(value: string | undefined): string | undefined {
  return value !== undefined && Name.safeParse(value).success ? value : undefined;
}
