import { rmSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isoTime } from '../../src/contract/ports.ts';
import { isRefusal } from '../../src/contract/verdict.ts';
import type { DriverGit } from '../../src/gateway/drivers/driver-git.ts';
import { arrivalsSince } from '../../src/gateway/drivers/git/branch-arrivals.ts';
import { cameAfter, timeOf, windowOf } from '../../src/gateway/drivers/git/commit-window.ts';
import type { GatewaySettings } from '../../src/gateway/pipeline/core.ts';
import { GitRepository } from '../../src/contract/system-git.ts';
import { branchTarget, makeRepository, type TestRepository } from './git-fixture.ts';
import { startStage, type Stage } from './stage.ts';

/** What came to the branches of a repository, by real git, through the real gateway. */
interface Row {
  readonly id: string;
  readonly branch: string;
  readonly merge: boolean;
  readonly author: string;
  readonly committer: string;
  readonly at: string | null;
  readonly absent_at: string | null;
  readonly subject: string;
  readonly aegis: unknown;
  readonly files: { path: string; blob: string | null }[];
  readonly more_files: number;
  readonly all_files: boolean;
}

interface Answer {
  readonly commits: readonly Row[];
  readonly more: boolean;
  readonly undated: number;
}

const HOUR_MS = 3_600_000;

/** One stage for all tests, since it takes its time; each test has a repository of its own. */
const repositories = Array.from({ length: 12 }, () => makeRepository());
let stage: Stage;
beforeAll(async () => {
  stage = await startStage({ settings: withRepositories });
});
afterAll(() => stage.close());

const nameOf = (n: number): string => `repo-${n}`;

function withRepositories(settings: GatewaySettings): GatewaySettings {
  const configured = repositories.map(({ path }) =>
    GitRepository.parse({ remote: path, mirror_age_s_max: 0 }),
  );
  const prod = settings.teams['data']?.environments['prod'];
  if (prod === undefined) throw new Error('the stage has no data/prod');
  const systems = configured.map((_, n) => ({ system: 'git' as const, name: nameOf(n), namespaces: [] }));
  return {
    ...settings,
    repositories: {
      ...Object.fromEntries(configured.map((each, n) => [nameOf(n), each])),
      risk: configured[0] as GitRepository,
    },
    teams: { ...settings.teams, data: { environments: { prod: { ...prod, systems } } } },
  };
}

async function ask(of: string, args: Record<string, unknown>, branch = '-') {
  return stage.gateway.read({
    token: await stage.token({ action_class: 'read' }),
    tool: 'git.commits',
    target: branchTarget(branch, of),
    args,
    why: 'test',
  });
}

let taken = 0;
function next() {
  const of = nameOf(taken);
  const repository = repositories[taken] as TestRepository;
  taken += 1;
  const commits = async (args: Record<string, unknown>, branch = '-'): Promise<Answer> => {
    const answer = await ask(of, args, branch);
    if (isRefusal(answer)) throw new Error(answer.reason);
    return answer.result as Answer;
  };
  return { repository, of, commits };
}

describe('commits of a branch', () => {
  it('names author and committer, times and files, a merge as one act, and no address', async () => {
    const { repository, commits } = next();
    repository.commitFromOutside(
      'ana/fix',
      { 'deploy/values.yaml': 'replicas: 3\n' },
      { author: 'Ana', committer: 'Bo', email: 'bo.planted@example.com' },
    );
    const merge = repository.commitFromOutside(
      'main',
      {},
      { author: 'Cy', merge: 'ana/fix', message: 'Merge the fix of ana.planted@example.com\n\nlong story' },
    );
    const { commits: rows, more } = await commits({ limit: 2 }, 'main');
    expect(more).toBe(true);
    expect(rows.map(({ id, merge: is, author }) => [id, is, author])).toEqual([
      [merge, true, 'Cy'],
      [repository.main, false, 'Ana'],
    ]);
    expect(rows[0]).toMatchObject({
      subject: 'Merge the fix of [REDACTED_EMAIL]',
      files: [{ path: 'deploy/values.yaml', blob: repository.git('rev-parse', `main:deploy/values.yaml`) }],
      aegis: null,
    });
    const branch = await commits({}, 'ana/fix');
    expect(branch.commits[0]).toMatchObject({ author: 'Ana', committer: 'Bo', branch: 'ana/fix' });
    expect(JSON.stringify([rows, branch])).not.toMatch(/planted|example\.com/);
    const first = branch.commits.at(-1);
    expect(first?.files.map(({ path }) => path)).toEqual(['README.md']);
  });

  it('says that a file is gone', async () => {
    const { repository, commits } = next();
    const tree = repository.git('rev-parse', `${repository.first}^{tree}`);
    const less = repository.git('commit-tree', tree, '-p', repository.main, '-m', 'less');
    repository.git('update-ref', 'refs/heads/less', less);
    const { commits: rows } = await commits({ limit: 1 }, 'less');
    expect(rows[0]?.files).toContainEqual({ path: 'deploy/values.yaml', blob: null });
  });

  it('refuses a branch that is not there, all branches without a moment, and the repository of another team', async () => {
    const { of } = next();
    const code = async (...args: Parameters<typeof ask>) => {
      const answer = await ask(...args);
      return isRefusal(answer) ? answer.code : 'answered';
    };
    expect(await code(of, {}, 'nowhere')).toBe('object-not-found');
    expect(await code(of, { since: isoTime(0) }, 'nowhere')).toBe('object-not-found');
    expect(await code(of, {}, '-')).toBe('object-not-found');
    expect(await code(of, { limit: 201 }, 'main')).toBe('arguments-invalid');
    const foreign = await ask('risk', { since: isoTime(0) });
    const never = await ask('never', { since: isoTime(0) });
    expect(foreign).toMatchObject({ code: (never as { code: string }).code });
    expect(isRefusal(foreign)).toBe(true);
  });
});

describe('what came since a moment', () => {
  it('a commit that was there is not new, whatever its date; one that came is, whatever its date', async () => {
    const { repository, commits } = next();
    const now = stage.clock.now();
    repository.commitFromOutside(
      'main',
      { 'a.txt': 'a' },
      { at_ms: now + 48 * HOUR_MS, message: 'from 2 days on' },
    );
    await commits({}, 'main');
    stage.clock.skip(10_000);
    const since = isoTime(stage.clock.now() - 2000);
    stage.clock.skip(5000);
    const absent = stage.clock.now();
    expect(await commits({ since })).toEqual({ commits: [], more: false, undated: 0 });
    stage.clock.skip(60_000);
    const old = repository.commitFromOutside(
      'main',
      { 'b.txt': 'b' },
      { at_ms: now - 48 * HOUR_MS, message: 'old' },
    );
    const late = repository.commitFromOutside(
      'main',
      { 'c.txt': 'c' },
      { at_ms: now + 99 * HOUR_MS, message: 'late' },
    );
    const right_ms = Math.floor(stage.clock.now() / 1000) * 1000 - 30_000;
    const right = repository.commitFromOutside('main', { 'd.txt': 'd' }, { at_ms: right_ms });
    const found = await commits({ since });
    expect(new Set(found.commits.map(({ id }) => id))).toEqual(new Set([old, late, right]));
    for (const row of found.commits) {
      const at = Date.parse(row.at ?? '');
      expect(at).toBeGreaterThanOrEqual(absent - 1000);
      expect(at).toBeLessThanOrEqual(stage.clock.now());
      expect(Date.parse(row.absent_at ?? '')).toBeGreaterThanOrEqual(absent);
    }
    const told = found.commits.find(({ id }) => id === right);
    expect(told?.at).toBe(isoTime(right_ms));
  });

  it('before it has seen anything dates decide, and an impossible one is counted, not believed', async () => {
    const { repository, commits } = next();
    const now = stage.clock.now();
    const since = isoTime(now - HOUR_MS);
    const inside = repository.commitFromOutside('main', { 'a.txt': 'a' }, { at_ms: now - HOUR_MS / 2 });
    repository.commitFromOutside('side', { 'b.txt': 'b' }, { at_ms: now + 5 * HOUR_MS });
    const found = await commits({ since });
    expect(found.commits.map(({ id }) => id)).toEqual([inside]);
    expect(found).toMatchObject({ more: false, undated: 1 });
  });

  it('promoting a commit that another branch had is an act of that branch; a new or renewed branch is none', async () => {
    const { repository, commits } = next();
    const fix = repository.commitFromOutside('ana/fix', { 'fix.txt': 'x' });
    const stale = repository.first;
    repository.git('update-ref', 'refs/heads/stale', stale);
    await commits({}, 'main');
    stage.clock.skip(10_000);
    const since = isoTime(stage.clock.now());
    stage.clock.skip(10_000);
    await commits({}, 'main');
    stage.clock.skip(10_000);
    repository.git('update-ref', 'refs/heads/main', fix);
    repository.git('update-ref', 'refs/heads/cut', fix);
    repository.git('update-ref', 'refs/heads/stale', repository.main);
    const found = await commits({ since });
    expect(found.commits.map(({ id, branch }) => [id, branch])).toEqual([[fix, 'main']]);
    expect((await commits({ since }, 'main')).commits.map(({ id }) => id)).toEqual([fix]);
  });

  it('a branch that moved several times: each commit has the window of its own move', async () => {
    const { repository, commits } = next();
    const since = isoTime(stage.clock.now());
    stage.clock.skip(1000);
    await commits({}, 'main');
    const asked: number[] = [];
    const pushed: string[] = [];
    for (const name of ['one', 'two', 'three']) {
      stage.clock.skip(60_000);
      pushed.push(repository.commitFromOutside('main', { [name]: name }));
      asked.push(stage.clock.now());
      await commits({}, 'main');
    }
    const rows = (await commits({ since })).commits;
    expect(rows.map(({ id }) => id)).toEqual(pushed.toReversed());
    const absent = Date.parse(rows[0]?.absent_at ?? '');
    expect(absent).toBeGreaterThanOrEqual(asked[1] ?? 0);
    expect(absent).toBeLessThan(asked[2] ?? 0);
  });

  it('a branch that was away for a moment, or all of them, brings nothing old back', async () => {
    const { repository, commits } = next();
    const since = isoTime(stage.clock.now());
    stage.clock.skip(1000);
    await commits({}, 'main');
    stage.clock.skip(10_000);
    repository.git('update-ref', '-d', 'refs/heads/main');
    expect(await commits({ since })).toMatchObject({ commits: [] });
    stage.clock.skip(10_000);
    repository.git('update-ref', 'refs/heads/main', repository.main);
    expect(await commits({ since })).toMatchObject({ commits: [] });
    stage.clock.skip(10_000);
    const pushed = repository.commitFromOutside('main', { a: 'a' });
    expect((await commits({ since })).commits.map(({ id }) => id)).toEqual([pushed]);
  });

  it('a mirror that an earlier version made is made anew', async () => {
    const { repository, commits } = next();
    await commits({}, 'main');
    const root = join(stage.settings.home, 'git');
    const mirror = readdirSync(root).find((name) => name.endsWith('.git')) ?? '';
    rmSync(join(root, mirror, 'aegis-fetches'));
    rmSync(join(root, mirror, 'logs'), { recursive: true });
    stage.clock.skip(60_000);
    repository.commitFromOutside('main', { a: 'a' });
    // With branches of unknown past the whole history would look new.
    expect((await commits({ since: isoTime(stage.clock.now() - 1000) })).commits).toEqual([]);
  });
});

describe('commits that lie', () => {
  it('shows a forged record, control characters and long texts as one commit each, and nothing cut in half', async () => {
    const { repository, commits } = next();
    const id = 'f'.repeat(40);
    const secret = 'AKIAIOSFODNN7EXAMPLE';
    repository.import(
      [
        'commit refs/heads/forged',
        'author \u0001\u001b[2Jaegis\u202e <x@example.com> 1700000000 +0000',
        'committer dependabot[bot] <x@example.com> 1700000000 +0000',
        `data ${Buffer.byteLength(`one \u0001${id}\u0001 two`)}`,
        `one \u0001${id}\u0001 two`,
        `from ${repository.main}`,
        '',
        'commit refs/heads/forged',
        'committer Ana <x@example.com> 1700000000 +0000',
        `data ${5000 + secret.length}`,
        `${'a'.repeat(1990)}${secret}${'b'.repeat(3010)}`,
        '',
      ].join('\n'),
    );
    const { commits: rows } = await commits({ limit: 3 }, 'forged');
    expect(rows).toHaveLength(3);
    expect(rows.map((row) => row.id)).not.toContain(id);
    expect(rows[0]?.subject).toBe('(a subject of 5020 characters)');
    expect(rows[1]?.committer).toBe('dependabot[bot]');
    expect(rows[1]?.author).toContain('aegis');
    expect(rows[1]?.aegis).toBeNull();
  });

  it('takes a commit for its own only by identity and trailers together, and says which change it claims', async () => {
    const { repository, commits } = next();
    const trailers = `\n\nAegis-Incident: INC-2026-1123-001\nAegis-Change: CHG-7\nAegis-Plan: ${'a'.repeat(64)}`;
    const make = (message: string, email?: string) =>
      repository.commitFromOutside(
        'main',
        {},
        { author: 'Aegis', message, ...(email === undefined ? {} : { email }) },
      );
    make(`by name${trailers}`);
    make('by identity', 'aegis@noreply.invalid');
    make(`by both${trailers}`, 'aegis@noreply.invalid');
    const { commits: rows } = await commits({ limit: 3 }, 'main');
    expect(rows.map(({ subject, aegis }) => [subject, aegis])).toEqual([
      ['by both', { incident_id: 'INC-2026-1123-001', change_id: 'CHG-7' }],
      ['by identity', null],
      ['by name', null],
    ]);
  });

  it('10,000 commits and a commit of 10,000 files: the newest ones, the first files, and that there are more', async () => {
    const { repository, commits } = next();
    await commits({}, 'main');
    stage.clock.skip(10_000);
    const since = isoTime(stage.clock.now());
    stage.clock.skip(10_000);
    await commits({}, 'main');
    stage.clock.skip(10_000);
    const parts: string[] = [];
    for (let n = 0; n < 10_000; n += 1) {
      const from = n === 0 ? `from ${repository.main}\n` : '';
      parts.push(
        `commit refs/heads/main\ncommitter Ana <x@example.com> ${1_700_000_000 + n} +0000\ndata 6\nflood\n\n${from}M 100644 inline f${n % 7}\ndata 5\n${String(n).padStart(5, '0')}\n`,
      );
    }
    parts.push('commit refs/heads/main\ncommitter Ana <x@example.com> 1700000000 +0000\ndata 5\nlarge\n');
    for (let n = 0; n < 10_000; n += 1) parts.push(`M 100644 inline many/file-${n}\ndata 1\nx\n`);
    repository.import(parts.join(''));
    const found = await commits({ since, limit: 200 });
    expect(found.commits).toHaveLength(200);
    expect(found.more).toBe(true);
    const large = found.commits.find(({ subject }) => subject === 'large');
    expect(large?.files).toHaveLength(50);
    expect(large).toMatchObject({ all_files: false });
    expect(large?.more_files).toBeGreaterThan(1000);
  });
});

describe('a branch that moved more often than is walked', () => {
  it('keeps every commit as proven, the later ones with a wider window', async () => {
    const id = (n: number): string => String(n).padStart(40, '0');
    const chain = Array.from({ length: 31 }, (_, n) => n);
    const git = {
      isAncestor: async () => true,
      history: async (tip: string, not: readonly string[], limit: number) =>
        chain
          .filter((n) => n <= Number(tip) && n > Math.max(-1, ...not.map(Number)))
          .toReversed()
          .slice(0, limit)
          .map((n) => ({
            id: id(n),
            parents: [],
            author: 'A',
            committer: 'A',
            committer_email: '',
            authored_ms: 0,
            committed_ms: 1000,
            message: '',
          })),
    } as unknown as DriverGit;
    // Asked every ten seconds; each time one commit had come.
    const moves = chain.map((n) => ({ at_s: 100 + n * 10, commit: id(n) }));
    const found = await arrivalsSince(
      git,
      {
        tips: new Map([['main', { commit: id(30), committed_ms: 1000 }]]),
        asked_ms: moves.map(({ at_s }) => at_s * 1000),
        moves: new Map([['main', moves]]),
      },
      { branch: null, since_ms: 105_000, limit: 50, protected: ['main'] },
    );
    // The first of them came between the question before the moment and the one after it, and has an old date.
    expect(found.found.map(({ commit }) => Number(commit.id))).toEqual(chain.slice(2).toReversed());
    const window = (n: number) => found.found.find(({ commit }) => commit.id === id(n))?.window;
    expect(window(2)).toEqual({ absent_ms: 110_000, seen_ms: 120_999 });
    expect(window(30)).toEqual({ absent_ms: 200_000, seen_ms: 400_999 });
  });
});

describe('when a commit came', () => {
  const window = { absent_ms: 10_000, seen_ms: 20_999 };

  it.each([
    ['proven after', window, null, 9000, 'after'],
    ['proven before', { absent_ms: null, seen_ms: 5999 }, 99_000_000, 9000, 'before'],
    ['between, dated after', window, 16_000, 15_000, 'after'],
    ['between, dated before', window, 14_000, 15_000, 'before'],
    ['between, without a date', window, null, 15_000, 'unknown'],
    ['between, from the future', window, 20_999 + 300_001, 15_000, 'unknown'],
    ['a clock that is a little ahead', window, 20_999 + 300_000, 15_000, 'after'],
    ['never seen to move', { absent_ms: null, seen_ms: null }, 14_000, 15_000, 'before'],
  ] as const)('%s', (_, found, committed_ms, since_ms, came) => {
    expect(cameAfter(found, committed_ms, since_ms)).toBe(came);
  });

  it('tells the own date inside the window, else the earliest possible time', () => {
    expect(timeOf(window, 15_000, 0)).toBe(15_000);
    expect(timeOf(window, 10_000, 0)).toBe(10_000);
    expect(timeOf(window, 2000, 0)).toBe(10_000);
    expect(timeOf(window, 90_000, 0)).toBe(10_000);
    expect(timeOf(window, 12_000, 15_000)).toBe(15_000);
    expect(timeOf({ absent_ms: null, seen_ms: null }, null, Number.NEGATIVE_INFINITY)).toBeNull();
  });

  it('only a question in an earlier second proves that it was not there', () => {
    expect(windowOf([1000, 2500, 3100], 3)).toEqual({ absent_ms: 2500, seen_ms: 3999 });
    expect(windowOf([3100], 3)).toEqual({ absent_ms: null, seen_ms: 3999 });
  });
});
