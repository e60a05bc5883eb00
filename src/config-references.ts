import { nearest } from './config-issue.ts';
import { SLACK_TRIGGER } from './contract/budgets.ts';
import type { CredentialSource } from './contract/credentials.ts';
import type { Mount, OwnedSystem, Settings } from './contract/settings.ts';

/** Something that the schema cannot see, with the place in the file where a person corrects it. */
export interface Problem {
  readonly path: readonly (string | number)[];
  readonly say: string;
}

type Report = (path: Problem['path'], say: string) => void;

/** Names in the configuration that point at nothing, each with the nearest name that exists. Pure. */
export function referenceProblems(settings: Settings): Problem[] {
  const problems: Problem[] = [];
  const report: Report = (path, say) => problems.push({ path, say });
  const known = knownNames(settings, report);
  for (const [team, { environments }] of Object.entries(settings.teams))
    for (const [env, environment] of Object.entries(environments)) {
      const path = ['teams', team, 'environments', env];
      environment.on_call.forEach((p, n) => known.person([...path, 'on_call', n], p));
      environment.systems.forEach(({ system, name }, n) =>
        known.system([...path, 'systems', n], system, name),
      );
      environment.mounts.forEach((mount, n) => mountProblem(known, mount, [...path, 'mounts', n]));
    }
  auditProblems(settings, known, report);
  settings.services.forEach((service, n) => {
    known.tenant(['services', n], service.team, service.env);
    known.cluster(['services', n, 'cluster'], service.cluster);
    if (service.owner !== undefined) known.person(['services', n, 'owner'], service.owner);
    service.depends_on.forEach((d, i) => known.service(['services', n, 'depends_on', i], d));
  });
  settings.identity.forEach((identity, n) =>
    identity.roles.forEach(({ team, env }, i) =>
      known.tenant(['identity', n, 'roles', i], team, env === '*' ? null : env),
    ),
  );
  settings.triggers.forEach((trigger, n) =>
    trigger.scopes.forEach((scope, i) => {
      const path = ['triggers', n, 'scopes', i];
      known.tenant(path, scope.team, scope.env);
      if (scope.cluster !== undefined) known.cluster([...path, 'cluster'], scope.cluster);
    }),
  );
  settings.quotas.forEach(({ team, env }, n) => {
    if (team !== '*') known.tenant(['quotas', n], team, env === '*' ? null : env);
  });
  const triggers = [...settings.triggers.map((t) => t.name), SLACK_TRIGGER];
  const teams = Object.keys(settings.teams);
  for (const team of Object.keys(settings.budgets.teams))
    known.named(['budgets', 'teams', team], 'team', team, teams);
  for (const trigger of Object.keys(settings.budgets.triggers))
    known.named(['budgets', 'triggers', trigger], 'trigger', trigger, triggers);
  terraformProblems(settings, known, report);
  duplicates(settings, report);
  credentialProblems(settings, report);
  return problems;
}

/** What people call the systems of `systems`, and the section that configures them. */
const OWNED = {
  pg: ['database', 'databases'],
  git: ['repository', 'repositories'],
  tf: ['Terraform workspace', 'terraform'],
  aws: ['AWS account', 'aws'],
  mcp: ['MCP server', 'upstreams'],
} as const;

type Known = ReturnType<typeof knownNames>;

function knownNames(settings: Settings, report: Report) {
  const check = (path: Problem['path'], what: string, name: string, names: readonly string[]): boolean => {
    if (names.includes(name)) return true;
    const near = nearest(name, names);
    report(path, `there is no ${what} "${name}"${near === null ? '' : `; did you mean "${near}"?`}`);
    return false;
  };
  const people = settings.identity.map((i) => i.principal);
  const services = settings.services.map((s) => s.name);
  return {
    named: check,
    person: (path: Problem['path'], name: string) => check(path, 'identity', name, people),
    service: (path: Problem['path'], name: string) => check(path, 'service', name, services),
    cluster: (path: Problem['path'], name: string) =>
      check(path, 'cluster', name, Object.keys(settings.clusters)),
    loki: (path: Problem['path'], name: string) =>
      check(path, 'Loki source', name, Object.keys(settings.sources.loki)),
    prometheus: (path: Problem['path'], name: string) =>
      check(path, 'Prometheus source', name, Object.keys(settings.sources.prometheus)),
    repository: (path: Problem['path'], name: string) =>
      check(path, 'repository', name, Object.keys(settings.repositories)),
    system(path: Problem['path'], system: OwnedSystem['system'], name: string) {
      const [what, section] = OWNED[system];
      check([...path, 'name'], what, name, Object.keys(settings[section]));
    },
    /** `env` null: any environment of the team. */
    tenant(path: Problem['path'], team: string, env: string | null) {
      if (!check([...path, 'team'], 'team', team, Object.keys(settings.teams)) || env === null) return;
      const environments = Object.keys(settings.teams[team]?.environments ?? {});
      check([...path, 'env'], `environment of ${team}`, env, environments);
    },
  };
}

function mountProblem(known: Known, mount: Mount, path: Problem['path']): void {
  if (mount.kind === 'kubernetes' || mount.kind === 'jobs')
    known.cluster([...path, 'cluster'], mount.cluster);
  if (mount.kind === 'logs') known.loki([...path, 'source'], mount.source);
  if (mount.kind === 'metrics') known.prometheus([...path, 'source'], mount.source);
}

/** An audit event does not name its cluster: labels alone keep the lines of two clusters apart. */
function auditProblems({ clusters, sources }: Settings, known: Known, report: Report): void {
  const audited = Object.entries(clusters).flatMap(([name, { audit }]) => {
    if (audit === undefined) return [];
    known.loki(['clusters', name, 'audit', 'source'], audit.source);
    const source = sources.loki[audit.source];
    return [{ name, selector: audit.selector, place: JSON.stringify([source?.url, source?.org_id]) }];
  });
  audited.forEach(({ name, selector, place }, n) => {
    const other = audited
      .slice(0, n)
      .find((each) => each.place === place && !isApart(each.selector, selector));
    if (other !== undefined)
      report(
        ['clusters', name, 'audit', 'selector'],
        `may also select audit lines of the cluster "${other.name}"; both need a label that has another value in each`,
      );
  });
}

function isApart(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean {
  return Object.entries(a).some(([label, value]) => b[label] !== undefined && b[label] !== value);
}

/** Terraform plans only what was reviewed: a branch of a configured repository that nobody pushes to directly. */
function terraformProblems(settings: Settings, known: Known, report: Report): void {
  for (const [name, { repository, branch }] of Object.entries(settings.terraform)) {
    const path = ['terraform', name];
    known.repository([...path, 'repository'], repository);
    const { protected: patterns } = settings.repositories[repository] ?? { protected: [branch] };
    const is_protected = patterns.some((pattern) =>
      pattern.endsWith('/*') ? branch.startsWith(pattern.slice(0, -1)) : branch === pattern,
    );
    if (!is_protected)
      report([...path, 'branch'], `"${branch}" is not a protected branch of the repository "${repository}"`);
  }
}

/** One Slack account is one person: two entries for it would let one human approve twice. */
function duplicates(settings: Settings, report: Report): void {
  const twice = (keys: readonly string[], say: (key: string, n: number) => void) =>
    keys.forEach((key, n) => keys.indexOf(key) < n && say(key, n));
  twice(
    settings.identity.map((i) => i.principal),
    (name, n) => report(['identity', n, 'principal'], `"${name}" stands there twice`),
  );
  const owners = new Map<string, string>();
  settings.identity.forEach(({ principal, slack }, n) =>
    slack.forEach(({ workspace, user }, i) => {
      const other = owners.get(`${workspace}/${user}`);
      if (other !== undefined)
        report(
          ['identity', n, 'slack', i],
          `Slack account ${workspace}/${user} belongs to both "${other}" and "${principal}"; one account is one person`,
        );
      owners.set(`${workspace}/${user}`, principal);
    }),
  );
  const users = settings.identity.flatMap(({ kubernetes = [] }, n) =>
    kubernetes.map((user, i) => ({ user, path: ['identity', n, 'kubernetes', i] })),
  );
  users.forEach(({ user, path }, n) => {
    if (users.findIndex((each) => each.user === user) < n)
      report(path, `"${user}" stands there twice; one user of a cluster is one person`);
  });
  twice(
    settings.triggers.map((t) => t.name),
    (name, n) =>
      report(
        ['triggers', n, 'name'],
        `"${name}" stands there twice; each sender has its own name and secret`,
      ),
  );
  twice(
    settings.triggers.map((t) => JSON.stringify(t.secret)),
    (_, n) =>
      report(
        ['triggers', n, 'secret'],
        'is the secret of another sender too; its scopes would be out of reach',
      ),
  );
  twice(
    settings.services.map((s) => `${s.team}/${s.env}/${s.name}`),
    (name, n) => report(['services', n, 'name'], `${name} stands there twice`),
  );
}

/** Sections that an engine needs, and the one engine that only a cluster can have. */
function credentialProblems(settings: Settings, report: Report): void {
  const need = (
    path: Problem['path'],
    { credentials }: { credentials: CredentialSource },
    cluster = false,
  ) => {
    const say = (text: string) => report([...path, 'credentials'], `engine ${credentials.engine} ${text}`);
    if (credentials.engine.startsWith('vault_') && settings.vault === undefined)
      say('needs a `vault` section');
    if (credentials.engine === 'sealed_file' && settings.sealed_file === undefined)
      say('needs a `sealed_file` section');
    if (credentials.engine === 'kubernetes_token_request' && !cluster) say('gives tokens of clusters only');
  };
  for (const section of ['clusters', 'databases', 'repositories', 'terraform', 'aws', 'upstreams'] as const)
    for (const [name, system] of Object.entries(settings[section]))
      need([section, name], system, section === 'clusters');
  for (const [name, source] of Object.entries(settings.sources.loki)) need(['sources', 'loki', name], source);
  for (const [name, source] of Object.entries(settings.sources.prometheus))
    need(['sources', 'prometheus', name], source);
}
