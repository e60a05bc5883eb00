import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GitRepository } from '../../src/contract/system-git.ts';
import { TerraformWorkspace } from '../../src/contract/system-terraform.ts';
import { approvedPlan, type ApprovedPlan } from './approved-plan.ts';
import { makeRepository, type TestRepository } from './git-fixture.ts';
import { startStage, type Stage, type StageOptions } from './stage.ts';

/** The real program, if there is one on this machine. */
export const PROGRAM = ['terraform', 'tofu']
  .map((name) => {
    try {
      return execFileSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).trim();
    } catch {
      return '';
    }
  })
  .find((path) => path !== '');

export const TARGET = 'mcp://tf/network/-/workspace/default';

export interface TerraformStage {
  readonly stage: Stage;
  readonly repository: TestRepository;
  /** Commits a root module on main, as merged by people. */
  merge(main_tf: string, more?: Readonly<Record<string, string>>): string;
  /** State as it lies on disk; null when there is none. */
  state(): {
    serial: number;
    lineage: string;
    resources: { instances: { attributes: Record<string, unknown> }[] }[];
  } | null;
  /** The input of every resource in the state. */
  inputs(): unknown[];
  readonly state_path: string;
  /** Arguments of every run so far. */
  runs(): string[];
  /** Applies hang from now on, before they do anything or after they have done it. */
  hang(when: 'before' | 'after' | 'never'): void;
  /** Names of the variables of the last run. */
  variables(): string[];
  close(): Promise<void>;
}

/** A root module whose state lies outside of every checkout, as a remote backend's would. */
export async function startTerraformStage(
  change: Partial<TerraformWorkspace> = {},
  options: StageOptions = {},
): Promise<TerraformStage> {
  const dir = mkdtempSync(join(tmpdir(), 'aegis-tf-'));
  const state_path = join(dir, 'terraform.tfstate');
  const repository = makeRepository();
  // Writes down what it is asked and which variables it has, and then is the real program.
  const program = join(dir, 'terraform');
  const asked = join(dir, 'asked');
  writeFileSync(
    program,
    `#!/bin/sh\necho "$*" >> '${asked}'\nexport -p > '${dir}/variables'
case "$*" in *" apply "*)
  if [ -f '${dir}/before' ]; then /bin/sleep 60; fi
  if [ -f '${dir}/after' ]; then '${PROGRAM ?? 'false'}' "$@"; /bin/sleep 60; fi
esac
exec '${PROGRAM ?? 'false'}' "$@"
`,
    { mode: 0o755 },
  );
  const merge = (main_tf: string, more: Readonly<Record<string, string>> = {}): string =>
    repository.commitFromOutside('main', {
      'net/main.tf': `terraform {\n  backend "local" { path = "${state_path}" }\n}\n${main_tf}\n`,
      ...more,
    });
  const network = TerraformWorkspace.parse({
    repository: 'infra',
    folder: 'net',
    lock_timeout_s: 1,
    program,
    ...change,
  });
  const infra = GitRepository.parse({ remote: repository.path, mirror_age_s_max: 0 });
  const stage = await startStage({
    ...options,
    settings: (settings) => {
      const give = (team: string, name: string) => {
        const { environments } = settings.teams[team] as (typeof settings.teams)[string];
        const prod = environments['prod'] as (typeof environments)[string];
        return {
          environments: { prod: { ...prod, systems: [{ system: 'tf' as const, name, namespaces: [] }] } },
        };
      };
      return {
        ...settings,
        repositories: { infra },
        terraform: { network, risk: network },
        teams: { data: give('data', 'network'), fraud: give('fraud', 'risk') },
      };
    },
  });
  const state: TerraformStage['state'] = () => {
    // The lock of the local backend leaves an empty file.
    const text = existsSync(state_path) ? readFileSync(state_path, 'utf8') : '';
    return text === '' ? null : (JSON.parse(text) as ReturnType<TerraformStage['state']>);
  };
  return {
    stage,
    repository,
    merge,
    state_path,
    runs: () => (existsSync(asked) ? readFileSync(asked, 'utf8').trim().split('\n') : []),
    hang: (when) => {
      for (const each of ['before', 'after']) rmSync(join(dir, each), { force: true });
      if (when !== 'never') writeFileSync(join(dir, when), '');
    },
    variables: () =>
      [...readFileSync(join(dir, 'variables'), 'utf8').matchAll(/^export ([A-Za-z_]\w*)/gm)].map(
        ([, name]) => name ?? '',
      ),
    state,
    inputs: () =>
      (state()?.resources ?? []).flatMap((resource) =>
        resource.instances.map((one) => (one.attributes['input'] as { value?: unknown } | null)?.value),
      ),
    close: () => stage.close(),
  };
}

/** The apply of a commit, approved by two people. */
export function approveApply({ stage }: TerraformStage, commit: string): Promise<ApprovedPlan> {
  return approvedPlan(stage, {
    action: {
      tool: 'terraform.apply',
      target: TARGET,
      params: { commit },
      rollback: { none: true, reason: 'People plan the reverse.' },
    },
  });
}
