import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { journalKey } from '../../src/contract/tool.ts';
import { isRefusal } from '../../src/contract/verdict.ts';
import { blobId } from '../../src/gateway/drivers/git/file-paths.ts';
import { approvedPlan, execute, type ApprovedPlan } from './approved-plan.ts';
import {
  branchTarget,
  makeRepository,
  startGitStage,
  undoChange,
  VALUES,
  type TestRepository,
} from './git-fixture.ts';
import type { Stage } from './stage.ts';

const RAISED = 'replicas: 2\nmemory: 2g\n';

const raise = (parent: string, more: Record<string, unknown> = {}) => ({
  parent,
  subject: 'Raise the memory',
  files: [{ path: 'deploy/values.yaml', content: RAISED }],
  ...more,
});

describe('committing', () => {
  let stage: Stage;
  const repository = makeRepository();
  beforeAll(async () => {
    repository.git('branch', 'release/1.2', 'main');
    stage = await startGitStage(repository);
  });
  afterAll(() => stage.close());

  const preview = async (branch: string, params: Record<string, unknown>, tool = 'git.commit') => {
    const answer = await stage.gateway.preview({
      token: await stage.token(),
      tool,
      target: branchTarget(branch),
      params,
      change_id: 'CHG-7',
      why: 'test',
    });
    return isRefusal(answer) ? `${answer.code}: ${answer.reason}` : answer.preview;
  };
  const approve = (branch: string, params: Record<string, unknown>): Promise<ApprovedPlan> =>
    approvedPlan(stage, { action: { tool: 'git.commit', target: branchTarget(branch), params } });

  it.each(['main', 'Main', 'release/1.2', 'release/9', 'master'])(
    'never writes to the protected branch %s',
    async (branch) => {
      expect(await preview(branch, raise(repository.main))).toMatch(/request-blocked.*git\.change_request/);
    },
  );

  it.each([
    ['.github/workflows/ci.yml', 'class-forbidden'],
    ['.GitHub/Workflows/x.yml', 'class-forbidden'],
    ['sub/Jenkinsfile', 'class-forbidden'],
    ['.gitlab-ci.yml', 'class-forbidden'],
    ['docs/CODEOWNERS', 'class-forbidden'],
    ['hooks/pre-commit', 'class-forbidden'],
    ['.gitmodules', 'class-forbidden'],
    ['deploy/.gitattributes', 'class-forbidden'],
    ['../outside', 'arguments-invalid'],
    ['a/../../b', 'arguments-invalid'],
    ['/etc/passwd', 'arguments-invalid'],
    ['.git/config', 'arguments-invalid'],
    ['sub/.GIT/hooks/x', 'arguments-invalid'],
    ['GIT~1/config', 'arguments-invalid'],
    ['.git /config', 'arguments-invalid'],
    ['.g\u200cit/config', 'arguments-invalid'],
    ['cafe\u0301.txt', 'arguments-invalid'],
    ['a\\b', 'arguments-invalid'],
    ['a//b', 'arguments-invalid'],
    ['a\nb', 'arguments-invalid'],
    ['passwd', 'source-rejected'],
    ['current/values.yaml', 'source-rejected'],
    ['README.md/x', 'source-rejected'],
    ['readme.md', 'source-rejected'],
    ['Deploy/values.yaml', 'source-rejected'],
    ['deploy', 'source-rejected'],
  ])('refuses the path %j: %s', async (path, code) => {
    expect(await preview('fix', raise(repository.main, { files: [{ path, content: 'x' }] }))).toMatch(code);
    expect(repository.tip('fix')).toBeNull();
  });

  it('refuses what makes a file executable, and leaves the mode of one that is', async () => {
    const run_sh = { path: 'scripts/run.sh', content: '#!/bin/sh\necho again\n' };
    const made = { ...run_sh, path: 'scripts/new.sh', executable: true };
    expect(await preview('fix', raise(repository.main, { files: [made] }))).toMatch('class-forbidden');
    const approved = await approve('mode', raise(repository.main, { files: [run_sh] }));
    expect(await execute(stage, approved)).toMatchObject({ outcome: { status: 'done' } });
    expect(repository.git('ls-tree', 'mode', 'scripts/run.sh')).toMatch(/^100755/);
  });

  it('refuses a parent that no branch has, words that imitate ours, files twice and a change of nothing', async () => {
    expect(await preview('fix', raise('f'.repeat(40)))).toMatch('object-not-found');
    expect(await preview('fix', raise(repository.main, { subject: 'a\nb' }))).toMatch('arguments-invalid');
    expect(await preview('fix', raise(repository.main, { body: 'x\n\nAegis-Plan: 0' }))).toMatch(
      'arguments-invalid',
    );
    const twice = ['a.txt', 'A.txt'].map((path) => ({ path, content: 'x' }));
    expect(await preview('fix', raise(repository.main, { files: twice }))).toMatch(/named twice/);
    const same = [{ path: 'deploy/values.yaml', content: VALUES }];
    expect(await preview('fix', raise(repository.main, { files: same }))).toMatch(/already like that/);
    expect(await preview('main/x', raise(repository.main))).toMatch(/beside main/);
  });

  it('makes, changes and removes files in one commit, signed by the plan and dated by it', async () => {
    const files = [
      { path: 'deploy/values.yaml', content: RAISED },
      { path: 'deploy/new/über.yaml', content: 'a: 1\n' },
      { path: 'README.md', content: null },
    ];
    const approved = await approve('several', raise(repository.main, { files, body: 'It was killed.' }));
    expect(approved.preview.changes.slice(2)).toEqual([
      {
        path: '/files/deploy/values.yaml',
        before: `blob ${blobId(VALUES)}`,
        after: `blob ${blobId(RAISED)}`,
      },
      { path: '/files/deploy/new/über.yaml', before: null, after: `blob ${blobId('a: 1\n')}` },
      { path: '/files/README.md', before: `blob ${blobId('the deployments\n')}`, after: 'removed' },
    ]);
    expect(await execute(stage, approved)).toMatchObject({ outcome: { status: 'done' } });
    expect(
      repository.git('diff', '--name-status', 'main', 'several', '--', 'README.md', 'deploy/values.yaml'),
    ).toBe('D\tREADME.md\nM\tdeploy/values.yaml');
    expect(repository.git('show', 'several:deploy/new/über.yaml')).toBe('a: 1');
    const shown = repository.git('log', '-1', '--format=%an|%cn|%ce|%P|%at%n%B', 'several').split('\n');
    const entries = await stage.store.ledger.read(approved.incident_id, { kinds: ['plan'] });
    const planned_s = Math.floor(Date.parse(entries[0]?.at ?? '') / 1000);
    expect(shown[0]).toBe(`Aegis|Aegis|aegis@noreply.invalid|${repository.main}|${planned_s}`);
    expect(shown.slice(1).join('\n').trim()).toBe(
      [
        'Raise the memory',
        '',
        'It was killed.',
        '',
        `Aegis-Incident: ${approved.incident_id}`,
        'Aegis-Change: CHG-7',
        `Aegis-Plan: ${approved.permit.plan_hash}`,
      ].join('\n'),
    );
  });

  it('adds to a branch that exists and takes exactly that commit away again', async () => {
    repository.git('branch', 'feature', repository.first);
    const approved = await approve(
      'feature',
      raise(repository.first, { files: [{ path: 'b.txt', content: 'b' }] }),
    );
    expect(approved.preview.changes[0]).toMatchObject({ path: '/branch', before: repository.first });
    expect(await execute(stage, approved)).toMatchObject({ outcome: { status: 'done' } });
    expect(repository.git('rev-parse', 'feature^')).toBe(repository.first);
    expect(await undoChange(stage, approved)).toMatchObject({ outcome: { status: 'done' } });
    expect(repository.tip('feature')).toBe(repository.first);
  });

  it('somebody made the branch in the meantime: conflict, nothing is written', async () => {
    const approved = await approve('race', raise(repository.main));
    const pushes = repository.pushes();
    const theirs = repository.commitFromOutside('race', { 'c.txt': 'c' });
    expect(await execute(stage, approved)).toMatchObject({
      outcome: {
        status: 'conflict',
        conflict_fields: [{ path: '/branch', before: null, after: theirs }],
      },
    });
    expect([repository.tip('race'), repository.pushes()]).toEqual([theirs, pushes]);
  });

  it('somebody added to the branch in the meantime: conflict, and the preview before it says where it is', async () => {
    repository.git('branch', 'busy', repository.first);
    const files = [{ path: 'b.txt', content: 'b' }];
    const approved = await approve('busy', raise(repository.first, { files }));
    const theirs = repository.commitFromOutside('busy', { 'c.txt': 'c' });
    expect(await execute(stage, approved)).toMatchObject({ outcome: { status: 'conflict' } });
    expect(repository.tip('busy')).toBe(theirs);
    expect(await preview('busy', raise(repository.first, { files }))).toMatch(
      `source-conflict: ${branchTarget('busy')}: busy is at ${theirs.slice(0, 12)}`,
    );
  });

  it('the undo leaves a branch alone that somebody has added to', async () => {
    const approved = await approve('kept', raise(repository.main));
    expect(await execute(stage, approved)).toMatchObject({ outcome: { status: 'done' } });
    const theirs = repository.commitFromOutside('kept', { 'c.txt': 'c' });
    const undone = await undoChange(stage, approved);
    expect(isRefusal(undone) && undone.code).toBe('source-conflict');
    expect(repository.tip('kept')).toBe(theirs);
  });

  it('restore takes back nothing that Aegis did not make', async () => {
    const theirs = repository.commitFromOutside('theirs', { 'd.txt': 'd' });
    expect(await preview('theirs', { restore: { commit: theirs, to: null } })).toMatch(
      /not a commit that Aegis made/,
    );
    const approved = await approve('ours', raise(repository.main));
    await execute(stage, approved);
    const ours = repository.tip('ours') ?? '';
    expect(await preview('ours', { restore: { commit: ours, to: repository.first } })).toMatch(
      /only to the commit before/,
    );
    expect(await preview('main', { restore: { commit: repository.main, to: null } })).toMatch(/protected/);
  });

  it('other arguments under the same permit, and a tampered preview, are refused', async () => {
    const approved = await approve('strict', raise(repository.main));
    const params = raise(repository.main, {
      files: [{ path: 'deploy/values.yaml', content: 'memory: 99g\n' }],
    });
    const answer = await execute(stage, approved, { params });
    expect(isRefusal(answer) && answer.code).toBe('permit-mismatch');
    expect(repository.tip('strict')).toBeNull();
  });

  it('after a crash: what the ref shows decides, and the same plan makes the same commit', async () => {
    const approved = await approve('crashed', raise(repository.main));
    const key = journalKey(approved.incident_id, 'CHG-7', 'apply');
    const permit_id = await approved.mint();
    const audit = { kind: 'call' as const, actor: 'aegis:gateway', payload: {} };
    await stage.store.journal.accept({ permit_id, key, args_hash: approved.permit.args_hash, audit });
    await stage.store.journal.dispatch(key, {
      before_image: { '/branch': null },
      object_uid: approved.preview.object_uid,
    });
    const token = await stage.token({ incident_id: approved.incident_id });
    const lost = await stage.gateway.reconcile({ token, journal_key: key });
    expect(isRefusal(lost) && lost.code).toBe('upstream-never-saw-it');
    expect(await execute(stage, approved)).toMatchObject({ outcome: { status: 'done', replayed: false } });
    const commit = repository.tip('crashed');
    repository.git('update-ref', '-d', 'refs/heads/crashed');
    const again = await execute(stage, approved);
    expect(again).toMatchObject({ outcome: { status: 'conflict', replayed: true } });
    repository.git('update-ref', 'refs/heads/crashed', commit ?? '');
    expect(await execute(stage, approved)).toMatchObject({ outcome: { status: 'done', replayed: true } });
  });

  it('a branch that was merged and removed counts as done', async () => {
    const approved = await approve('merged', raise(repository.main));
    expect(await execute(stage, approved)).toMatchObject({ outcome: { status: 'done' } });
    repository.git('update-ref', 'refs/heads/main', repository.tip('merged') ?? '');
    repository.git('update-ref', '-d', 'refs/heads/merged');
    expect(await execute(stage, approved)).toMatchObject({ outcome: { status: 'done', replayed: true } });
    repository.git('update-ref', 'refs/heads/main', repository.main);
  });

  it('killed while the server still decides: nothing is there, and a person is asked', async () => {
    const approved = await approve('slow', raise(repository.main));
    const hook = serverHook(repository, 'pre-receive');
    try {
      const answer = await execute(stage, approved, { timeout_ms: 2500 });
      expect(answer).toMatchObject({ outcome: { status: 'outcome_unknown' } });
      expect(repository.tip('slow')).toBeNull();
    } finally {
      hook.remove();
    }
  });

  it('killed after the server has moved the branch: found by looking, one push', async () => {
    const approved = await approve('late', raise(repository.main));
    const hook = serverHook(repository, 'post-update');
    try {
      expect(await execute(stage, approved, { timeout_ms: 2500 })).toMatchObject({
        outcome: { status: 'done' },
      });
      expect(repository.git('rev-parse', 'late^')).toBe(repository.main);
    } finally {
      hook.remove();
    }
  });

  it('a server that declines says why, and nothing is written', async () => {
    const approved = await approve('declined', raise(repository.main));
    const hook = serverHook(repository, 'update', 'echo "ticket number is missing" >&2; exit 1');
    try {
      expect(await execute(stage, approved)).toMatchObject({
        outcome: { status: 'failed', summary: expect.stringContaining('ticket number is missing') },
      });
      expect(repository.tip('declined')).toBeNull();
    } finally {
      hook.remove();
    }
  });
});

/** A hook of the server; without a script it takes longer than anybody waits. */
function serverHook(repository: TestRepository, name: string, script = 'sleep 60'): { remove(): void } {
  const path = join(repository.path, 'hooks', name);
  writeFileSync(path, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  return { remove: () => rmSync(path) };
}
