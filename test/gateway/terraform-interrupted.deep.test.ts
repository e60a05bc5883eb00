import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { journalKey } from '../../src/contract/tool.ts';
import { execute, type ApprovedPlan } from './approved-plan.ts';
import { approveApply, PROGRAM, startTerraformStage, type TerraformStage } from './terraform-fixture.ts';

/** Applies that are locked out, killed, or whose end nobody heard: the state decides, never a second run. */
if (PROGRAM === undefined)
  process.stdout.write(
    'skipped: test/gateway/terraform-interrupted.deep.test.ts needs terraform or tofu, and neither is here\n',
  );

const TWO = 'resource "terraform_data" "a" {\n  input = "two"\n}';

describe.skipIf(PROGRAM === undefined)('an apply that is interrupted', { timeout: 120_000 }, () => {
  let tf: TerraformStage;
  beforeAll(async () => {
    tf = await startTerraformStage();
    await reset();
  });
  afterAll(() => tf.close());

  const approve = (commit: string): Promise<ApprovedPlan> => approveApply(tf, commit);
  const inputs = (): unknown[] => tf.inputs();
  const reset = async (): Promise<void> => {
    tf.hang('never');
    expect(await execute(tf.stage, await approve(tf.merge(TWO)))).toMatchObject({
      outcome: { status: 'done' },
    });
  };

  it('a state that somebody holds locked is left alone', async () => {
    const approved = await approve(tf.merge(TWO.replace('two', 'five')));
    const release = await holdLock(tf);
    try {
      const answer = await execute(tf.stage, approved);
      expect(JSON.stringify(answer)).toMatch(/holds the lock/);
      expect(inputs()).toEqual(['two']);
    } finally {
      release();
    }
  });

  it('killed before it did anything: a person is asked', async () => {
    const early = await approve(tf.merge(TWO.replace('two', 'early')));
    tf.hang('before');
    expect(await execute(tf.stage, early, { timeout_ms: 2000 })).toMatchObject({
      outcome: { status: 'outcome_unknown' },
    });
    tf.hang('never');
    expect(inputs()).toEqual(['two']);
  });

  it('killed when all was done: found by looking, one run', async () => {
    const late = await approve(tf.merge(TWO.replace('two', 'late')));
    const applies = (): number => tf.runs().filter((line) => line.includes(' apply ')).length;
    const before = applies();
    tf.hang('after');
    expect(await execute(tf.stage, late, { timeout_ms: 16_000 })).toMatchObject({
      outcome: { status: 'done' },
    });
    expect([inputs(), applies()]).toEqual([['late'], before + 1]);
    await reset();
  });

  it('a run that was cut off is settled by its state: done when all of it is there, else a person is asked', async () => {
    const approved = await approve(tf.merge(TWO.replace('two', 'six')));
    const key = journalKey(approved.incident_id, 'CHG-7', 'apply');
    const permit_id = await approved.mint();
    const audit = { kind: 'call' as const, actor: 'aegis:gateway', payload: {} };
    await tf.stage.store.journal.accept({ permit_id, key, args_hash: approved.permit.args_hash, audit });
    await tf.stage.store.journal.dispatch(key, { before_image: {}, object_uid: approved.preview.object_uid });
    const token = await tf.stage.token({ incident_id: approved.incident_id });
    const unsure = await tf.stage.gateway.reconcile({ token, journal_key: key });
    expect(unsure).toMatchObject({ outcome: { status: 'outcome_unknown' } });
    // It went on after we were gone.
    const text = readFileSync(tf.state_path, 'utf8').replaceAll('"two"', '"six"');
    const state = JSON.parse(text) as { serial: number };
    writeFileSync(tf.state_path, JSON.stringify({ ...state, serial: state.serial + 1 }));
    expect(await tf.stage.gateway.reconcile({ token, journal_key: key })).toMatchObject({
      outcome: { status: 'done' },
    });
  });
});

/** Another program that holds the lock of the local backend: a run that waits for an answer. */
async function holdLock(tf: TerraformStage): Promise<() => void> {
  const { spawn } = await import('node:child_process');
  const dir = join(tf.stage.home, `holder-${Date.now()}`);
  execFileSync('git', ['clone', '--quiet', tf.repository.path, dir], { stdio: 'pipe' });
  execFileSync(PROGRAM as string, [`-chdir=${join(dir, 'net')}`, 'init', '-input=false'], { stdio: 'pipe' });
  writeFileSync(join(dir, 'net', 'more.tf'), 'resource "terraform_data" "held" {\n  input = 1\n}\n');
  const child = spawn(PROGRAM as string, [`-chdir=${join(dir, 'net')}`, 'apply'], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  await expect.poll(() => text, { timeout: 20_000 }).toContain('Enter a value');
  return () => child.kill('SIGKILL');
}
