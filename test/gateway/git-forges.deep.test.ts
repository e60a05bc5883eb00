import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { isRefusal } from '../../src/contract/verdict.ts';
import { startGitHttp, type GitHttp } from '../../src/lab/git/git-http.ts';
import { startGithubTwin, type ForgeTwin } from '../../src/lab/git/github-twin.ts';
import { startGitlabTwin } from '../../src/lab/git/gitlab-twin.ts';
import { approvedPlan, execute, type ApprovedPlan } from './approved-plan.ts';
import {
  branchTarget,
  makeRepository,
  startGitStage,
  undoChange,
  type TestRepository,
} from './git-fixture.ts';
import type { Stage } from './stage.ts';

/** Change requests over real git HTTP and the API of a forge, with a credential that only Aegis has. */
const TOKEN = 'ghp_planted0123456789abcdefABCDEF0123';
const PROJECT = 'acme/infra';

interface Host {
  readonly repository: TestRepository;
  readonly forge: ForgeTwin;
  readonly http: GitHttp;
  readonly stage: Stage;
  close(): Promise<void>;
}

async function startHost(kind: 'github' | 'gitlab', token = TOKEN): Promise<Host> {
  const repository = makeRepository();
  repository.git('config', 'http.receivepack', 'true');
  const user = kind === 'github' ? 'x-access-token' : 'oauth2';
  const login = `Basic ${Buffer.from(`${user}:${TOKEN}`).toString('base64')}`;
  const http = await startGitHttp({
    repository: repository.path,
    path: `/${PROJECT}.git`,
    allows: (authorization) => authorization === login,
  });
  const options = { repository: repository.path, project: PROJECT, token: TOKEN };
  const forge = kind === 'github' ? await startGithubTwin(options) : await startGitlabTwin(options);
  const stage = await startGitStage(
    repository,
    {
      remote: http.url,
      forge: { kind, url: forge.url, project: PROJECT },
      credentials: { engine: 'token', token: { env: 'GIT_TOKEN' } },
    },
    { secrets: { GIT_TOKEN: token } },
  );
  const close = async (): Promise<void> => {
    await stage.close();
    await Promise.all([forge.close(), http.close()]);
  };
  return { repository, forge, http, stage, close };
}

const request = (parent: string, more: Record<string, unknown> = {}) => ({
  parent,
  base: 'main',
  subject: 'Raise the memory',
  body: 'It was killed.',
  files: [{ path: 'deploy/values.yaml', content: 'replicas: 2\nmemory: 2g\n' }],
  ...more,
});

function approve({ stage, repository }: Host, branch: string, more = {}): Promise<ApprovedPlan> {
  const params = request(repository.main, more);
  return approvedPlan(stage, {
    action: { tool: 'git.change_request', target: branchTarget(branch), params },
  });
}

describe.each(['github', 'gitlab'] as const)('a change request on %s', (kind) => {
  let host: Host;
  beforeAll(async () => {
    host = await startHost(kind);
  });
  afterAll(() => host.close());
  afterEach(() => {
    host.forge.faults.clear();
    host.forge.exhaust(false);
  });
  const opened = (): number => host.forge.requests().filter((line) => line.startsWith('POST')).length;

  it('is previewed without a word that changes anything, opened once, replayed, and closed by its undo', async () => {
    const approved = await approve(host, 'one');
    expect(approved.preview.changes.at(-1)).toEqual({ path: '/request', before: null, after: 'into main' });
    expect([host.repository.tip('one'), opened()]).toEqual([null, 0]);
    const first = await execute(host.stage, approved);
    expect(first).toMatchObject({ outcome: { status: 'done', result: { branch: 'one', request: 1 } } });
    expect(await execute(host.stage, approved)).toMatchObject({
      outcome: { status: 'done', replayed: true },
    });
    expect(opened()).toBe(1);
    expect(await host.forge.states()).toEqual([
      { number: 1, state: 'open', base: 'main', title: 'Raise the memory' },
    ]);
    expect(host.repository.tip('main')).toBe(host.repository.main);
    expect(await undoChange(host.stage, approved)).toMatchObject({ outcome: { status: 'done' } });
    expect((await host.forge.states())[0]?.state).toBe('closed');
    expect(host.repository.tip('one')).toBeNull();
  });

  it('whose answer is lost is found by looking: one branch, one request', async () => {
    const approved = await approve(host, 'lost');
    const before = opened();
    host.forge.faults.inject({ kind: 'drop_after' }, { match: ({ method }) => method === 'POST' });
    expect(await execute(host.stage, approved)).toMatchObject({ outcome: { status: 'done' } });
    expect(opened()).toBe(before + 1);
  });

  it('whose push is cut and sent a second time below git is done once', async () => {
    const approved = await approve(host, 'lost-push');
    const pushes = host.repository.pushes();
    host.http.cutNextPush('after', 1);
    expect(await execute(host.stage, approved)).toMatchObject({ outcome: { status: 'done' } });
    expect(host.repository.pushes()).toBe(pushes + 1);
  });

  it('whose push is executed and never answered is left to a person: a branch without its request', async () => {
    const approved = await approve(host, 'half');
    const [pushes, before] = [host.repository.pushes(), opened()];
    host.http.cutNextPush('after', 10);
    expect(await execute(host.stage, approved)).toMatchObject({ outcome: { status: 'outcome_unknown' } });
    host.http.cutNextPush('after', 0);
    expect([host.repository.pushes(), opened()]).toEqual([pushes + 1, before]);
  });

  it('that the forge refuses leaves no branch behind', async () => {
    const approved = await approve(host, 'refused');
    host.forge.faults.inject({ kind: 'status', status: 403 }, { match: ({ method }) => method === 'POST' });
    expect(await execute(host.stage, approved)).toMatchObject({ outcome: { status: 'failed' } });
    expect(host.repository.tip('refused')).toBeNull();
  });

  it('that somebody opened for the same branch in between is theirs to keep', async () => {
    const approved = await approve(host, 'merged');
    await execute(host.stage, approved);
    const number = (await host.forge.states()).at(-1)?.number ?? 0;
    await host.forge.merge(number);
    expect(await execute(host.stage, approved)).toMatchObject({
      outcome: { status: 'done', replayed: true },
    });
    const undone = await undoChange(host.stage, approved);
    expect(isRefusal(undone) ? undone.reason : undone).toMatch(/was merged: revert it by hand/);
    host.repository.git('update-ref', 'refs/heads/main', host.repository.main);
  });

  it('waits when the forge has no quota left, and says so', async () => {
    host.forge.exhaust(true);
    const answer = await approve(host, 'quota').catch((error: Error) => error.message);
    expect(answer).toMatch(kind === 'github' ? /rate limit exceeded/ : /Retry later/);
  });

  it('brings nothing else along: the base must contain the parent', async () => {
    const side = host.repository.commitFromOutside('side', { 'x.txt': 'x' });
    const answer = await approve(host, 'wide', { parent: side }).catch((error: Error) => error.message);
    expect(answer).toMatch(/would bring other changes along/);
  });

  it('leaks no credential: not in what people see, the ledger, the log or the mirror', async () => {
    const approved = await approve(host, 'quiet');
    await execute(host.stage, approved);
    const seen = JSON.stringify([
      await host.stage.store.ledger.read(approved.incident_id, {}),
      await host.stage.store.ledger.read('SYSTEM', {}),
      host.stage.log_lines,
    ]);
    const { execFileSync } = await import('node:child_process');
    for (const form of [TOKEN, Buffer.from(TOKEN).toString('base64').slice(0, 30)])
      expect(seen).not.toContain(form);
    const found = execFileSync('sh', [
      '-c',
      'grep -rlE "$1" "$2" || true',
      'sh',
      TOKEN.slice(0, 20),
      `${host.stage.home}/state/git`,
    ]);
    expect(found.toString()).toBe('');
  });
});

it('a plain repository over HTTP takes the push, and a wrong token is refused in words without it', async () => {
  const host = await startHost('github', 'ghp_wrong00000000000000000000');
  try {
    const answer = await host.stage.gateway.read({
      token: await host.stage.token(),
      tool: 'git.log',
      target: branchTarget('main'),
      args: {},
      why: 'test',
    });
    expect(isRefusal(answer) && answer.code).toBe('credential-refused');
    expect(JSON.stringify(answer)).not.toContain('ghp_wrong');
  } finally {
    await host.close();
  }
});

it('without a forge the branch itself is the request', async () => {
  const repository = makeRepository();
  const stage = await startGitStage(repository);
  try {
    const approved = await approve({ repository, stage } as Host, 'plain');
    expect(await execute(stage, approved)).toMatchObject({
      outcome: { status: 'done', result: { ref: 'refs/heads/plain' } },
    });
    expect(await undoChange(stage, approved)).toMatchObject({ outcome: { status: 'done' } });
    expect(repository.tip('plain')).toBeNull();
  } finally {
    await stage.close();
  }
});
