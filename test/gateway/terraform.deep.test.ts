import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isRefusal } from '../../src/contract/verdict.ts';
import { approvedPlan, execute, type ApprovedPlan } from './approved-plan.ts';
import { describeDriver } from './describe-driver.ts';
import {
  approveApply,
  PROGRAM,
  startTerraformStage,
  TARGET,
  type TerraformStage,
} from './terraform-fixture.ts';

/** The real Terraform (or OpenTofu) with its built-in provider; nothing of the network is needed. */
if (PROGRAM === undefined)
  process.stdout.write(
    'skipped: test/gateway/terraform.deep.test.ts needs terraform or tofu, and neither is here\n',
  );

const ONE = 'resource "terraform_data" "a" {\n  input = "one"\n}';
const TWO = ONE.replace('one', 'two');
const PLANTED = 'ask ana.planted@example.com';

describe.skipIf(PROGRAM === undefined)('with the real program', () => {
  const suite: { tf?: TerraformStage; commit: string } = { commit: '0'.repeat(40) };
  const action = {
    tool: 'terraform.apply',
    target: TARGET,
    params: { commit: '' },
    rollback: { none: true as const, reason: 'People plan the reverse.' },
  };

  describeDriver({
    name: 'tf',
    stage: async () => {
      const tf = await startTerraformStage();
      suite.tf = tf;
      tf.merge(`${ONE}\nresource "terraform_data" "p" {\n  input = "${PLANTED}"\n}`);
      suite.commit = tf.repository.tip('main') ?? '';
      action.params.commit = suite.commit;
      changes[0] = { ...changes[0], after: `commit ${suite.commit}` } as (typeof changes)[0];
      return tf.stage;
    },
    read: {
      tool: 'tf.show',
      target: TARGET,
      foreign_target: 'mcp://tf/risk/-/workspace/default',
      unknown_target: 'mcp://tf/nowhere/-/workspace/default',
      args: () => ({}),
      bad_args: { address: 7 },
      planted: async (stage) => {
        const planted = suite.tf as TerraformStage;
        // Somebody applied it by hand before Aegis was asked.
        const dir = join(stage.home, 'by-hand');
        execFileSync('git', ['clone', '--quiet', planted.repository.path, dir], { stdio: 'pipe' });
        const by_hand = (...args: string[]): Buffer =>
          execFileSync(PROGRAM as string, [`-chdir=${join(dir, 'net')}`, ...args], { stdio: 'pipe' });
        by_hand('init', '-input=false');
        by_hand('apply', '-auto-approve', '-input=false', '-target=terraform_data.p');
        return [PLANTED.slice(4)];
      },
    },
    write: {
      action,
      mutations: () => (suite.tf?.runs() ?? []).filter((line) => / apply /.test(line)).length,
      now: () => {
        const found = suite.tf
          ?.state()
          ?.resources.flatMap((resource) => resource.instances.map((one) => one.attributes));
        return JSON.stringify(found).includes('"one"') ? 'one' : null;
      },
      before: null,
      after: 'one',
      get changes() {
        return changes;
      },
      diff: [
        '-resources: {}',
        '+resources:',
        '+  terraform_data.a:',
        '+    id: (known after apply)',
        '+    input: one',
        '+    output: (known after apply)',
        '+    triggers_replace: null',
      ],
    },
  });
  const changes = [{ path: '/applied', before: 'serial 1' as unknown, after: '' as unknown }];
});

describe.skipIf(PROGRAM === undefined)('applying a saved plan', () => {
  let tf: TerraformStage;
  beforeAll(async () => {
    tf = await startTerraformStage();
  });
  afterAll(() => tf.close());

  const approve = (commit: string): Promise<ApprovedPlan> => approveApply(tf, commit);
  const refused = async (commit: string): Promise<string> =>
    approve(commit).then(
      () => 'previewed',
      (error: Error) => error.message,
    );
  const inputs = (): unknown[] => tf.inputs();

  it('creates what was approved, keeps a sealed copy of the state before, and replays', async () => {
    const approved = await approve(tf.merge(ONE));
    expect(approved.preview.object_uid).toMatch(/^plan [0-9a-f]{64} lineage - serial 0$/);
    expect(approved.preview.changes[0]?.before).toBe('no state');
    expect(tf.state()).toBeNull();
    expect(await execute(tf.stage, approved)).toMatchObject({
      outcome: { status: 'done', replayed: false, result: { serial: 1 } },
    });
    expect(inputs()).toEqual(['one']);
    expect(await execute(tf.stage, approved)).toMatchObject({ outcome: { status: 'done', replayed: true } });
    expect(tf.state()?.serial).toBe(1);
    expect(readdirSync(join(tf.stage.home, 'state', 'terraform', 'states'))).toHaveLength(1);
  });

  it('changes in place, and a second preview finds the plan that people approved', async () => {
    const commit = tf.merge(TWO);
    const approved = await approve(commit);
    expect(approved.preview.side_changes).toContainEqual({
      path: '/terraform_data.a/input',
      before: 'one',
      after: 'two',
    });
    const again = await approve(commit);
    expect(again.preview.effect_hash).toBe(approved.preview.effect_hash);
    expect(await execute(tf.stage, approved)).toMatchObject({ outcome: { status: 'done' } });
    expect(inputs()).toEqual(['two']);
    expect(await execute(tf.stage, again)).toMatchObject({ outcome: { status: 'conflict' } });
  });

  it('somebody else changed the state after the approval: conflict, nothing is applied', async () => {
    const approved = await approve(tf.merge(ONE));
    const state = JSON.parse(readFileSync(tf.state_path, 'utf8')) as { serial: number };
    writeFileSync(tf.state_path, JSON.stringify({ ...state, serial: state.serial + 7 }));
    expect(await execute(tf.stage, approved)).toMatchObject({
      outcome: {
        status: 'conflict',
        conflict_fields: [{ path: '/applied', after: `serial ${state.serial + 7}` }],
      },
    });
    expect(inputs()).toEqual(['two']);
  });

  it.each([
    ['a resource that goes', '# nothing', /terraform_data\.a would be deleted \(class destroy\)/],
    [
      'a replacement',
      'resource "terraform_data" "a" {\n  input = "two"\n  triggers_replace = ["x"]\n}',
      /would be replaced \(class destroy\)/,
    ],
    [
      'what is only forgotten',
      'removed {\n  from = terraform_data.a\n  lifecycle {\n    destroy = false\n  }\n}',
      /would be forgotten \(class destroy\)/,
    ],
    [
      'a program',
      `${TWO}\nresource "terraform_data" "b" {\n  provisioner "local-exec" {\n    command = "touch /tmp/pwned"\n  }\n}`,
      /runs programs \(provisioner/,
    ],
    ['nothing at all', TWO, /the plan changes nothing/],
    [
      'a module from elsewhere',
      `${TWO}\nmodule "m" {\n  source = "hashicorp/consul/aws"\n}`,
      /collecting local modules/,
    ],
    [
      'a module over git',
      `${TWO}\nmodule "m" {\n  source = "git::https://example.com/x.git"\n}`,
      /collecting local modules/,
    ],
    [
      'a provider that is in no mirror',
      `${TWO}\nresource "random_id" "r" {\n  byte_length = 4\n}`,
      /terraform init/,
    ],
    ['what is no configuration', 'resource {', /Error:/],
  ])('%s is refused', async (_what, text, reason) => {
    expect(await refused(tf.merge(text))).toMatch(reason);
    expect(inputs()).toEqual(['two']);
  });

  it('only commits of the protected branch are planned, and only configured workspaces', async () => {
    const side = tf.repository.commitFromOutside('side', { 'net/main.tf': ONE });
    expect(await refused(side)).toMatch(/main has no commit/);
    expect(await refused('HEAD')).toMatch(/40 hex digits/);
    const answer = await tf.stage.gateway.read({
      token: await tf.stage.token(),
      tool: 'tf.show',
      target: TARGET.replace('default', 'other'),
      args: {},
      why: 'test',
    });
    expect(isRefusal(answer) && answer.reason).toMatch(/no workspace other/);
  });

  it('a saved plan that somebody altered, or that is gone, is not applied', async () => {
    const approved = await approve(tf.merge(TWO.replace('two', 'three')));
    const plans = join(tf.stage.home, 'state', 'terraform', 'plans');
    for (const name of readdirSync(plans)) {
      const bytes = readFileSync(join(plans, name));
      bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
      writeFileSync(join(plans, name), bytes);
    }
    expect(await execute(tf.stage, approved)).toMatchObject({
      outcome: { status: 'failed', summary: expect.stringContaining('the saved plan is gone') },
    });
    expect(inputs()).toEqual(['two']);
  });

  it('a saved plan that is too old is not applied', async () => {
    const approved = await approve(tf.merge(TWO.replace('two', 'four')));
    tf.stage.clock.skip(3_700_000);
    const permit_id = await approved.mint({ expires_at_ms: tf.stage.clock.now() + 60_000 });
    const answer = await execute(tf.stage, approved, { permit_id });
    expect(JSON.stringify(answer)).toMatch(/too old|expired/);
    expect(inputs()).toEqual(['two']);
  });
});

describe.skipIf(PROGRAM === undefined)('what is secret', () => {
  const TOKEN = 'tok_planted_0123456789abcdef';
  it('reaches the child under its configured name, and leaves neither in cards, ledger, log nor files', async () => {
    const tf = await startTerraformStage(
      {
        credentials: { engine: 'token', token: { env: 'TF_TOKEN' } },
        credential_variables: { token: 'TF_VAR_api' },
        variables: { TF_VAR_size: '3' },
      },
      { secrets: { TF_TOKEN: TOKEN } },
    );
    try {
      const commit = tf.merge(
        [
          'variable "api" {\n  type = string\n  sensitive = true\n}',
          'variable "size" {\n  type = number\n}',
          'resource "terraform_data" "s" {\n  input = { api = var.api, size = var.size }\n}',
        ].join('\n'),
      );
      const approved = await approvedPlan(tf.stage, {
        action: {
          tool: 'terraform.apply',
          target: TARGET,
          params: { commit },
          rollback: { none: true, reason: 'People plan the reverse.' },
        },
      });
      expect(approved.preview.diff).toContain('+      api: "[SENSITIVE]"');
      expect(approved.preview.diff).toContain('+      size: 3');
      expect(await execute(tf.stage, approved)).toMatchObject({ outcome: { status: 'done' } });
      expect(readFileSync(tf.state_path, 'utf8')).toContain(TOKEN);
      expect(tf.runs().join('\n')).not.toMatch(/auto-approve|destroy|tok_planted/);
      expect(tf.variables().filter((name) => !['PWD', 'OLDPWD', 'SHLVL', '_'].includes(name))).toEqual([
        'CHECKPOINT_DISABLE',
        'HOME',
        'LC_ALL',
        'PATH',
        'TF_CLI_CONFIG_FILE',
        'TF_DATA_DIR',
        'TF_INPUT',
        'TF_IN_AUTOMATION',
        'TF_VAR_api',
        'TF_VAR_size',
        'TF_WORKSPACE',
        'TMPDIR',
      ]);
      const shown = await tf.stage.gateway.read({
        token: await tf.stage.token({ incident_id: approved.incident_id }),
        tool: 'tf.show',
        target: TARGET,
        args: {},
        why: 'test',
      });
      expect(JSON.stringify(shown)).toContain('[SENSITIVE]');
      const seen = JSON.stringify([
        shown,
        approved.preview,
        await tf.stage.store.ledger.read(approved.incident_id, {}),
        tf.stage.log_lines,
      ]);
      expect(seen).not.toContain(TOKEN);
      const home = join(tf.stage.home, 'state', 'terraform');
      expect(existsSync(home)).toBe(true);
      const found = execFileSync('sh', ['-c', 'grep -rl "$1" "$2" || true', 'sh', TOKEN, home]).toString();
      expect(found).toBe('');
    } finally {
      await tf.close();
    }
  });
});
