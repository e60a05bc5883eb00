import type { Environment, Settings } from './contract/settings.ts';
import { nearest } from './config-issue.ts';

/** Names in the configuration that point at nothing, each with the nearest name that exists. Pure. */
export function referenceProblems(settings: Settings): string[] {
  const problems: string[] = [];
  const check = (where: string, what: string, name: string, known: readonly string[]) => {
    if (known.includes(name)) return;
    const near = nearest(name, known);
    problems.push(
      `${where}: there is no ${what} "${name}"${near === null ? '' : `; did you mean "${near}"?`}`,
    );
  };
  const clusters = Object.keys(settings.clusters);
  const people = settings.identity.map((i) => i.principal);
  for (const [team, { environments }] of Object.entries(settings.teams))
    for (const [env, environment] of Object.entries(environments)) {
      const where = `teams.${team}.environments.${env}`;
      environment.on_call.forEach((p) => check(`${where}.on_call`, 'identity', p, people));
      mountProblems(settings, environment, where, check, clusters);
    }
  for (const service of settings.services) {
    const where = `services.${service.name}`;
    check(where, 'team', service.team, Object.keys(settings.teams));
    check(
      where,
      `environment of ${service.team}`,
      service.env,
      Object.keys(settings.teams[service.team]?.environments ?? {}),
    );
    check(where, 'cluster', service.cluster, clusters);
    service.depends_on.forEach((d) =>
      check(
        `${where}.depends_on`,
        'service',
        d,
        settings.services.map((s) => s.name),
      ),
    );
  }
  for (const trigger of settings.triggers)
    for (const scope of trigger.scopes) {
      check(`triggers.${trigger.name}.scopes`, 'team', scope.team, Object.keys(settings.teams));
      check(
        `triggers.${trigger.name}.scopes`,
        `environment of ${scope.team}`,
        scope.env,
        Object.keys(settings.teams[scope.team]?.environments ?? {}),
      );
    }
  return [...problems, ...duplicateAccounts(settings), ...vaultProblems(settings)];
}

type Check = (where: string, what: string, name: string, known: readonly string[]) => void;

function mountProblems(
  settings: Settings,
  environment: Environment,
  where: string,
  check: Check,
  clusters: readonly string[],
): void {
  environment.mounts.forEach((mount, n) => {
    const at = `${where}.mounts[${n}]`;
    if (mount.kind === 'kubernetes' || mount.kind === 'jobs') check(at, 'cluster', mount.cluster, clusters);
    if (mount.kind === 'logs') check(at, 'Loki source', mount.source, Object.keys(settings.sources.loki));
    if (mount.kind === 'metrics')
      check(at, 'Prometheus source', mount.source, Object.keys(settings.sources.prometheus));
  });
}

/** One Slack account is one person: two entries for it would let one human approve twice. */
function duplicateAccounts(settings: Settings): string[] {
  const seen = new Map<string, string>();
  const problems: string[] = [];
  for (const identity of settings.identity) {
    if (seen.has(`p:${identity.principal}`))
      problems.push(`identity: "${identity.principal}" stands there twice`);
    seen.set(`p:${identity.principal}`, identity.principal);
    for (const account of identity.slack) {
      const key = `${account.workspace}/${account.user}`;
      const other = seen.get(key);
      if (other !== undefined)
        problems.push(
          `identity: Slack account ${key} belongs to both "${other}" and "${identity.principal}"`,
        );
      seen.set(key, identity.principal);
    }
  }
  return problems;
}

function vaultProblems(settings: Settings): string[] {
  if (settings.vault !== undefined) return [];
  const needs = Object.entries(settings.clusters).filter(
    ([, c]) => c.credentials.engine === 'vault_kubernetes',
  );
  return needs.map(
    ([name]) => `clusters.${name}.credentials: engine vault_kubernetes needs a \`vault\` section`,
  );
}
