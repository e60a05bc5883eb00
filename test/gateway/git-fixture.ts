import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { GitRepository } from '../../src/contract/system-git.ts';
import type { GatewaySettings } from '../../src/gateway/pipeline/core.ts';
import { hashOf } from '../../src/contract/canonical.ts';
import { isRefusal } from '../../src/contract/verdict.ts';
import { execute, type ApprovedPlan } from './approved-plan.ts';
import { startStage, type Stage, type StageOptions } from './stage.ts';

/** A bare repository with a history, made by real git. */
export interface TestRepository {
  readonly path: string;
  /** First and second commit of main. */
  readonly first: string;
  readonly main: string;
  git(...args: string[]): string;
  tip(branch: string): string | null;
  /** How many pushes the server has taken. */
  pushes(): number;
  /** A commit with these files on top of a branch, pushed past Aegis. */
  commitFromOutside(branch: string, files: Readonly<Record<string, string>>, as?: CommitAs): string;
  /** Feeds `git fast-import`: histories that no person would type. */
  import(stream: string): void;
}

/** What a commit claims of itself; left out: Ana, long ago. */
export interface CommitAs {
  readonly author?: string;
  readonly committer?: string;
  readonly email?: string;
  readonly at_ms?: number;
  readonly message?: string;
  /** Merges this branch, besides the files. */
  readonly merge?: string;
}

export const VALUES = 'replicas: 2\nmemory: 1g\n';
const ENV = {
  PATH: process.env['PATH'] ?? '',
  HOME: '/nonexistent',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_AUTHOR_NAME: 'Ana',
  GIT_AUTHOR_EMAIL: 'ana.planted@example.com',
  GIT_COMMITTER_NAME: 'Ana',
  GIT_COMMITTER_EMAIL: 'ana.planted@example.com',
  GIT_AUTHOR_DATE: '1700000000 +0000',
  GIT_COMMITTER_DATE: '1700000000 +0000',
};

export function makeRepository(files: Readonly<Record<string, string>> = {}): TestRepository {
  const dir = mkdtempSync(join(tmpdir(), 'aegis-git-'));
  const work = join(dir, 'work');
  const path = join(dir, 'infra.git');
  mkdirSync(work);
  const runAs = (env: Readonly<Record<string, string>>, cwd: string, ...args: string[]): string =>
    execFileSync('git', args, {
      cwd,
      env: { ...ENV, ...env },
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    }).trim();
  const run = (cwd: string, ...args: string[]): string => runAs({}, cwd, ...args);
  const put = (file: string, text: string): void => {
    mkdirSync(dirname(join(work, file)), { recursive: true });
    writeFileSync(join(work, file), text);
  };
  run(work, 'init', '--quiet', '--initial-branch=main', '.');
  put('README.md', 'the deployments\n');
  run(work, 'add', '--all');
  run(work, 'commit', '--quiet', '-m', 'begin');
  const first = run(work, 'rev-parse', 'HEAD');
  put('deploy/values.yaml', VALUES);
  put('.github/workflows/ci.yml', 'on: push\n');
  put('scripts/run.sh', '#!/bin/sh\necho run\n');
  chmodSync(join(work, 'scripts/run.sh'), 0o755);
  symlinkSync('/etc/passwd', join(work, 'passwd'));
  symlinkSync('deploy', join(work, 'current'));
  for (const [file, text] of Object.entries(files)) put(file, text);
  run(work, 'add', '--all', '--force');
  run(work, 'commit', '--quiet', '-m', 'values for ana.planted@example.com');
  const main = run(work, 'rev-parse', 'HEAD');
  run(dir, 'clone', '--quiet', '--bare', work, path);
  const counter = join(dir, 'pushes');
  writeFileSync(join(path, 'hooks', 'post-receive'), `#!/bin/sh\necho push >> '${counter}'\n`, {
    mode: 0o755,
  });
  const git = (...args: string[]): string => run(dir, '--git-dir', path, ...args);
  const tip = (branch: string): string | null =>
    git('for-each-ref', '--format=%(objectname)', `refs/heads/${branch}`) || null;
  return {
    path,
    first,
    main,
    git,
    tip,
    pushes: () => (existsSync(counter) ? readFileSync(counter, 'utf8').trim().split('\n').length : 0),
    import: (stream) => {
      execFileSync('git', ['--git-dir', path, 'fast-import', '--quiet', '--force'], {
        env: ENV,
        input: stream,
      });
    },
    commitFromOutside: (branch, changed, as = {}) => {
      const at = tip(branch);
      run(work, 'fetch', '--quiet', path, '+refs/heads/*:refs/remotes/bare/*');
      run(work, 'checkout', '--quiet', '--force', '--detach', at ?? 'main');
      if (as.merge !== undefined)
        runAs(envOf(as), work, 'merge', '--no-ff', '--no-commit', `bare/${as.merge}`);
      for (const [file, text] of Object.entries(changed)) put(file, text);
      run(work, 'add', '--all');
      runAs(envOf(as), work, 'commit', '--quiet', '--allow-empty', '-m', as.message ?? 'from outside');
      const commit = run(work, 'rev-parse', 'HEAD');
      run(work, 'branch', '--force', 'outside', commit);
      git('fetch', '--quiet', work, `+outside:refs/heads/${branch}`);
      return commit;
    },
  };
}

function envOf({ author, committer, email, at_ms }: CommitAs): Record<string, string> {
  const date = at_ms === undefined ? ENV.GIT_AUTHOR_DATE : `${Math.floor(at_ms / 1000)} +0000`;
  return {
    GIT_AUTHOR_NAME: author ?? ENV.GIT_AUTHOR_NAME,
    GIT_COMMITTER_NAME: committer ?? author ?? ENV.GIT_COMMITTER_NAME,
    GIT_AUTHOR_EMAIL: email ?? ENV.GIT_AUTHOR_EMAIL,
    GIT_COMMITTER_EMAIL: email ?? ENV.GIT_COMMITTER_EMAIL,
    GIT_AUTHOR_DATE: date,
    GIT_COMMITTER_DATE: date,
  };
}

/** A stage whose team "data" owns the repository `infra`; `risk` belongs to somebody else. */
export function startGitStage(
  repository: TestRepository,
  change: Partial<GitRepository> = {},
  options: StageOptions = {},
): Promise<Stage> {
  const infra = GitRepository.parse({ remote: repository.path, mirror_age_s_max: 0, ...change });
  return startStage({ ...options, settings: (settings) => withRepository(settings, infra) });
}

function withRepository(settings: GatewaySettings, infra: GitRepository): GatewaySettings {
  const give = (team: string, name: string): GatewaySettings['teams'][string] => {
    const { environments } = settings.teams[team] as GatewaySettings['teams'][string];
    const prod = environments['prod'] as (typeof environments)[string];
    return { environments: { prod: { ...prod, systems: [{ system: 'git', name, namespaces: [] }] } } };
  };
  return {
    ...settings,
    repositories: { infra, risk: infra },
    teams: { data: give('data', 'infra'), fraud: give('fraud', 'risk') },
  };
}

export function branchTarget(branch: string, repository = 'infra'): string {
  return `mcp://git/${repository}/-/branch/${branch.replaceAll('/', '..')}`;
}

/** The undo of an applied change, from the before-image in the journal, previewed and bound like the change. */
export async function undoChange(stage: Stage, approved: ApprovedPlan): ReturnType<typeof execute> {
  const row = await stage.store.journal.get(`${approved.incident_id}#CHG-7#apply`);
  const image = row?.before_image ?? {};
  const params = { restore: { commit: image['/commit'], to: image['/branch'] } };
  const previewed = await stage.gateway.preview({
    token: await stage.token({ incident_id: approved.incident_id }),
    tool: approved.permit.tool,
    target: approved.permit.target,
    params,
    change_id: 'CHG-7',
    why: 'undo',
  });
  if (isRefusal(previewed)) return previewed;
  const { preview } = previewed;
  await stage.store.ledger.append(approved.incident_id, [
    { kind: 'preview', actor: 'aegis:gateway', payload: { change_id: 'CHG-7', preview } },
  ]);
  const permit_id = await approved.mint({
    phase: 'undo',
    effect_hash: preview.effect_hash,
    args_hash: hashOf(params),
  });
  return execute(stage, approved, { params, permit_id });
}
