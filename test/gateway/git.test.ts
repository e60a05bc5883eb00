import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isRefusal } from '../../src/contract/verdict.ts';
import { blobId } from '../../src/gateway/drivers/git/file-paths.ts';
import { restoreOf } from '../../src/gateway/drivers/git/commit-plan.ts';
import { sha256Hex } from '../../src/contract/canonical.ts';
import { describeDriver } from './describe-driver.ts';
import { branchTarget, makeRepository, startGitStage, VALUES } from './git-fixture.ts';
import type { Stage } from './stage.ts';

const RAISED = 'replicas: 2\nmemory: 2g\n';
const subject = makeRepository({ 'notes.txt': 'ask ana.planted@example.com, key AKIAIOSFODNN7EXAMPLE\n' });
const BRANCH = 'aegis/raise-memory';

const raise = (parent: string, more: Record<string, unknown> = {}) => ({
  parent,
  subject: 'Raise the memory',
  files: [{ path: 'deploy/values.yaml', content: RAISED }],
  ...more,
});

describeDriver({
  name: 'git',
  stage: () => startGitStage(subject),
  read: {
    tool: 'git.show_file',
    target: branchTarget('main'),
    foreign_target: branchTarget('main', 'risk'),
    unknown_target: branchTarget('main', 'nowhere'),
    args: () => ({ path: 'notes.txt' }),
    bad_args: { path: '../../etc/passwd' },
    planted: async () => ['ana.planted@example.com', 'AKIAIOSFODNN7EXAMPLE'],
  },
  write: {
    mutations: () => subject.pushes(),
    now: () => subject.tip(BRANCH) && subject.git('show', `${BRANCH}:deploy/values.yaml`),
    action: { tool: 'git.commit', target: branchTarget(BRANCH), params: raise(subject.main) },
    before: null,
    after: RAISED.trim(),
    changes: [
      { path: '/branch', before: null, after: `one commit on ${subject.main}` },
      { path: '/message', before: null, after: `sha256 ${sha256Hex('Raise the memory')}` },
      {
        path: '/files/deploy/values.yaml',
        before: `blob ${blobId(VALUES)}`,
        after: `blob ${blobId(RAISED)}`,
      },
    ],
    diff: [
      '+commit:',
      `+  parent: ${subject.main}`,
      '+  subject: Raise the memory',
      '-    memory: 1g',
      '+    memory: 2g',
    ],
    undo: (image) => ({ ...restoreOf(image) }),
  },
});

describe('reading a repository', () => {
  const repository = makeRepository();
  let stage: Stage;
  beforeAll(async () => {
    repository.git('branch', 'release/1.2', repository.first);
    stage = await startGitStage(repository);
  });
  afterAll(() => stage.close());

  const read = async (tool: string, args: Record<string, unknown> = {}, branch = 'main') => {
    const answer = await stage.gateway.read({
      token: await stage.token({ action_class: 'read' }),
      tool,
      target: branchTarget(branch),
      args,
      why: 'test',
    });
    return isRefusal(answer) ? answer.code : (answer.result as Record<string, unknown>);
  };

  it('lists branches, also without naming one', async () => {
    const branches = [
      { name: 'main', commit: repository.main },
      { name: 'release/1.2', commit: repository.first },
    ];
    expect(await read('git.branches')).toEqual({ branches });
    expect(await read('git.branches', {}, '-')).toEqual({ branches });
  });

  it('gives the log of a branch and of a path, a branch with a slash written as ..', async () => {
    const log = (await read('git.log')) as { commits: { id: string; message: string; parents: string[] }[] };
    expect(log.commits.map((commit) => [commit.id, commit.parents])).toEqual([
      [repository.main, [repository.first]],
      [repository.first, []],
    ]);
    expect(log.commits[0]?.message).toBe('values for [REDACTED_EMAIL]');
    const of_readme = (await read('git.log', { path: 'README.md', limit: 5 })) as {
      commits: { id: string }[];
    };
    expect(of_readme.commits.map((commit) => commit.id)).toEqual([repository.first]);
    const release = (await read('git.log', {}, 'release/1.2')) as { commits: { id: string }[] };
    expect(release.commits.map((commit) => commit.id)).toEqual([repository.first]);
  });

  it('shows files, says what is a link, and follows none', async () => {
    expect(await read('git.show_file', { path: 'deploy/values.yaml' })).toMatchObject({
      kind: 'file',
      executable: false,
      content: VALUES,
    });
    expect(await read('git.show_file', { path: 'scripts/run.sh' })).toMatchObject({ executable: true });
    expect(await read('git.show_file', { path: 'passwd' })).toMatchObject({
      kind: 'symlink',
      points_at: '/etc/passwd',
    });
    expect(await read('git.show_file', { path: 'current/values.yaml' })).toBe('object-not-found');
    expect(await read('git.show_file', { path: 'deploy' })).toBe('source-rejected');
    expect(await read('git.show_file', { path: 'none' })).toBe('object-not-found');
  });

  it('shows a commit of the branch and none of another branch', async () => {
    const { first, main } = repository;
    expect(await read('git.show_file', { path: 'README.md', commit: first })).toMatchObject({ kind: 'file' });
    expect(await read('git.show_file', { path: 'README.md', commit: main }, 'release/1.2')).toBe(
      'object-not-found',
    );
    expect(await read('git.show_file', { path: 'README.md', commit: 'f'.repeat(40) })).toBe(
      'object-not-found',
    );
  });

  it('shows what a commit changed, and who wrote a line', async () => {
    const diff = (await read('git.diff', { path: 'deploy/values.yaml' })) as { lines: string[] };
    expect(diff.lines.filter((line) => line.startsWith('+') && !line.startsWith('+++'))).toEqual([
      '+replicas: 2',
      '+memory: 1g',
    ]);
    const blame = await read('git.blame', { path: 'deploy/values.yaml', first_line: 2, last_line: 2 });
    expect(blame).toMatchObject({
      lines: [
        {
          line: 2,
          commit: repository.main,
          author: 'Ana',
          at: '2023-11-14T22:13:20.000Z',
          text: 'memory: 1g',
        },
      ],
    });
  });

  it('sees a push at once when the mirror may not be old', async () => {
    const commit = repository.commitFromOutside('moving', { 'a.txt': 'a' });
    const log = (await read('git.log', { limit: 1 }, 'moving')) as { commits: { id: string }[] };
    expect(log.commits[0]?.id).toBe(commit);
  });

  it.each(['none', 'HEAD', 'refs..heads..main', '0'.repeat(40), 'a..-b', 'x.lock'])(
    'refuses the branch %s',
    async (branch) => {
      expect(['object-not-found', 'source-rejected']).toContain(await read('git.log', {}, branch));
    },
  );
});
