import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ComparedPlan, SeenChange } from '../../src/contract/shadow.ts';
import { SeenChange as SeenChangeSchema, ShadowScore } from '../../src/contract/shadow.ts';
import { readCommits } from '../../src/harness/shadow/commits.ts';
import { scoreShadow } from '../../src/harness/shadow/compare.ts';
import { changeWords } from '../../src/harness/shadow/people.ts';
import { yamlLines } from '../../src/vfs/yaml-text.ts';
import { at } from './fixtures.ts';
import { API, comparedPlan, facts, NEW_TEMPLATE, rollback, said, seen } from './shadow-samples.ts';

const MAIN = 'mcp://git/infra/-/branch/main';
const FIX = 'mcp://git/infra/-/branch/aegis..fix';
const VALUES = 'apps/settlement/values.yaml';
const OLD = 'a'.repeat(40);
const NEW = 'b'.repeat(40);
const WATCHED = { repositories: ['infra'] };

type Action = ComparedPlan['actions'][number];

function planned(
  change: Partial<Action> = {},
  files: Record<string, string> = { [VALUES]: `blob ${NEW}` },
): Action {
  return {
    change_id: 'CHG-1',
    tool: 'git.change_request',
    target: FIX,
    intent: 'Put the memory back to 2g',
    uid: `tree ${NEW} on ${OLD}`,
    changes: [
      { path: '/branch', before: null, after: `one commit on ${OLD}` },
      { path: '/message', before: null, after: 'sha256 0' },
      ...Object.entries(files).map(([path, after]) => ({
        path: `/files/${path.replaceAll('~', '~0')}`,
        before: `blob ${OLD}`,
        after,
      })),
      { path: '/request', before: null, after: 'into main' },
    ],
    ...change,
  };
}

function commit(n: number, change: Partial<SeenChange> = {}): SeenChange {
  const values = change.values ?? { [VALUES]: `blob ${NEW}` };
  return {
    key: `c${n}`,
    target: MAIN,
    uid: String(n).padStart(40, '0'),
    manager: 'Ana',
    operation: 'commit',
    at: at(160),
    generation: 0,
    fields: Object.keys(values),
    more_fields: 0,
    values,
    template: null,
    robot: false,
    commit: { repository: 'infra', branch: 'main', protected: true, subject: 'Back to 2g' },
    ...change,
  };
}

const git = (list: readonly SeenChange[], action = planned(), change = {}) =>
  scoreShadow(facts({ plan: comparedPlan({ actions: [action] }), seen: list, ...WATCHED, ...change }));

describe('a planned commit and what people committed', () => {
  it('hit: the same content in the same files, on the branch that it is meant for', () => {
    const found = git([commit(1)]);
    expect(found).toMatchObject({ verdict: 'hit', gaps: [], lead_ms: 60_000 });
    expect(found.rows).toEqual([
      {
        mark: 'hit',
        plan: 'CHG-1 Put the memory back to 2g',
        people: `Ana committed 0000000000 to main of infra, “Back to 2g”: ${VALUES}`,
        at: at(160),
      },
    ]);
  });

  it('hit: on the branch of the plan itself, whatever has slashes in its name', () => {
    const own = commit(1, {
      target: FIX,
      commit: { repository: 'infra', branch: 'aegis/fix', protected: false, subject: 'x' },
    });
    expect(git([own]).verdict).toBe('hit');
    const plain = planned({ tool: 'git.commit', changes: planned().changes.slice(0, 3) });
    expect(git([own], plain).verdict).toBe('hit');
    // Without a request nobody meant main.
    expect(git([commit(1)], plain).rows.map(({ mark }) => mark)).toEqual(['extra', 'miss']);
  });

  it('equivalent: a merge that brought more with it, or several commits', () => {
    const merge = commit(1, {
      operation: 'merge',
      manager: 'Bo',
      values: { [VALUES]: `blob ${NEW}`, 'README.md': `blob ${OLD}` },
    });
    expect(git([merge]).rows).toMatchObject([{ mark: 'equivalent' }]);
    expect(changeWords(merge)).toContain('Bo merged 0000000000 into main of infra');
    const two = planned({}, { [VALUES]: `blob ${NEW}`, 'old.yaml': 'removed' });
    const parts = [commit(1), commit(2, { values: { 'old.yaml': 'removed' }, at: at(170) })];
    expect(git(parts, two)).toMatchObject({ verdict: 'hit', rows: [{ mark: 'equivalent', at: at(160) }] });
  });

  it('other content in the same files counts neither way', () => {
    const found = git([commit(1, { values: { [VALUES]: `blob ${OLD}` } })]);
    expect(found).toMatchObject({ verdict: 'unknown', wrong_and_confident: false });
    expect(found.rows).toHaveLength(1);
    expect(found.rows[0]?.mark).toBe('unknown');
    expect(found.rows[0]?.people).toMatch(/^other content in the same files: Ana committed/);
    const half = planned({}, { [VALUES]: `blob ${NEW}`, 'old.yaml': 'removed' });
    expect(git([commit(1)], half).verdict).toBe('unknown');
  });

  it('a miss row of its own for other files and other branches, and no verdict from them', () => {
    const other = commit(1, { values: { 'docs/a.md': `blob ${NEW}` } });
    const found = git([other]);
    expect(found.rows.map(({ mark }) => mark)).toEqual(['extra', 'miss']);
    expect(found).toMatchObject({ verdict: 'unknown', wrong_and_confident: false, lead_ms: null });
    expect(found.gaps).toEqual(['whether one commit had to do with this incident: shown, and not scored']);
    const side = commit(1, {
      target: 'mcp://git/infra/-/branch/side',
      commit: { repository: 'infra', branch: 'side', protected: false, subject: 's' },
    });
    expect(git([side]).rows.map(({ mark }) => mark)).toEqual(['extra', 'miss']);
    const elsewhere = commit(1, { target: 'mcp://git/other/-/branch/main' });
    expect(git([elsewhere]).rows.map(({ mark }) => mark)).toEqual(['extra', 'miss']);
  });

  it('a commit that came to two branches is one act and one row', () => {
    const side = commit(1, { key: 'c1b', target: 'mcp://git/infra/-/branch/side' });
    expect(git([side, commit(1)]).rows).toHaveLength(1);
    const docs = { values: { 'docs/a.md': `blob ${NEW}` } };
    const twice = [commit(1, docs), commit(1, { ...docs, key: 'c1b', target: side.target })];
    expect(git(twice).rows.map(({ mark }) => mark)).toEqual(['extra', 'miss']);
  });

  it('names with ~ and modes are compared as files', () => {
    const tilde = planned({}, { 'a~b.yaml': `blob ${NEW} executable` });
    expect(git([commit(1, { values: { 'a~b.yaml': `blob ${NEW}` } })], tilde).verdict).toBe('hit');
  });

  it('a robot’s commit counts only for a person who said so', () => {
    const robot = commit(1, { manager: 'renovate[bot]', robot: true });
    expect(git([robot]).verdict).toBe('nobody_acted');
    const told = git([robot], planned(), { said: [said('merged the update')] });
    expect(told).toMatchObject({ verdict: 'hit', rows: [{ mark: 'equivalent' }, { mark: 'said' }] });
  });

  it('nobody acted only where the repository was looked at', () => {
    expect(git([]).verdict).toBe('nobody_acted');
    const blind = { place: 'git/infra/*', why: 'answered 503' };
    expect(git([], planned(), { unseen: [blind] })).toMatchObject({
      verdict: 'unknown',
      gaps: ['git/infra: answered 503'],
    });
    expect(git([], planned(), { unseen: [blind], said: [said('x')] }).verdict).toBe('unknown');
    const other = git([], planned(), { repositories: ['apps'], said: [said('x')] });
    expect(other).toMatchObject({ verdict: 'unknown', gaps: ['Aegis does not watch what people do in git'] });
    // A branch that goes back has no files to compare.
    const restore = planned({ changes: [{ path: '/branch', before: NEW, after: OLD }] });
    expect(git([], restore, { said: [said('x')] }).verdict).toBe('unknown');
  });
});

describe('a commit and the controller that applies it', () => {
  const apps = { values: { 'apps/settlement-api/values.yaml': `blob ${NEW}` } };
  const argo = (change: Partial<SeenChange> = {}) =>
    seen({ manager: 'argocd-application-controller', robot: true, at: at(200), ...change });
  const kube = (list: readonly SeenChange[], change = {}) =>
    scoreShadow(facts({ seen: list, ...WATCHED, ...change }));

  it('is one act: the commit names the object, the controller wrote what was planned, after it', () => {
    const found = kube([commit(1, apps), argo()]);
    expect(found).toMatchObject({ verdict: 'hit', lead_ms: 60_000 });
    expect(found.rows).toHaveLength(1);
    expect(found.rows[0]).toMatchObject({ mark: 'equivalent', at: at(160) });
    expect(found.rows[0]?.people).toMatch(/Ana committed .*; argocd-application-controller changed/);
  });

  it('is known by its client where the audit log names its account, and no person is one by calling himself so', () => {
    const client = 'argocd-controller';
    const account = 'system:serviceaccount:argocd:argocd-application-controller';
    const audited = argo({ manager: account, authenticated: true, client });
    expect(kube([commit(1, apps), audited])).toMatchObject({
      verdict: 'hit',
      rows: [{ mark: 'equivalent' }],
    });
    const eve = argo({ manager: 'eve', robot: false, authenticated: true, client });
    expect(kube([commit(1, apps), eve]).rows.map(({ people }) => people)).toContainEqual(
      expect.stringContaining('Ana committed'),
    );
    expect(kube([commit(1, apps), eve]).rows).toHaveLength(2);
  });

  it.each([
    ['wrote before it', argo({ at: at(100) }), 'unknown'],
    // It reached the object with something else than the plan says.
    ['brought another state', argo({ template: NEW_TEMPLATE }), 'missed'],
    ['is no GitOps controller', argo({ manager: 'horizontal-pod-autoscaler' }), 'unknown'],
  ])('no credit when the controller %s', (_, write, verdict) => {
    const found = kube([commit(1, apps), write]);
    expect(found.rows.map(({ mark }) => mark)).toEqual(['extra', 'miss']);
    expect(found.verdict).toBe(verdict);
    expect(found.wrong_and_confident).toBe(verdict === 'missed');
  });

  it('work on a branch that is not protected is credited for nothing', () => {
    const side = { ...apps, commit: { repository: 'infra', branch: 'wip', protected: false, subject: 'w' } };
    expect(kube([commit(1, side), argo()])).toMatchObject({
      verdict: 'unknown',
      rows: [{ mark: 'unknown' }],
    });
    expect(kube([commit(1, side), argo({ template: NEW_TEMPLATE })]).verdict).toBe('unknown');
  });

  it('one commit that names nothing is shown beside the action and counts neither way', () => {
    const found = kube([commit(1), argo()]);
    expect(found.rows).toHaveLength(1);
    expect(found.rows[0]).toMatchObject({ mark: 'unknown', at: null });
    expect(found).toMatchObject({ verdict: 'unknown', wrong_and_confident: false });
  });

  it('of several commits that name nothing none is credited and none is blamed', () => {
    const found = kube([commit(1), commit(2), argo()]);
    expect(found.rows.map(({ mark }) => mark)).toEqual(['extra', 'miss', 'miss']);
    expect(found).toMatchObject({ verdict: 'unknown', wrong_and_confident: false });
  });

  it('with a person’s word the commit is no second act either', () => {
    const found = kube([commit(1), argo()], { said: [said('reverted the release')] });
    expect(found).toMatchObject({ verdict: 'hit', rows: [{ mark: 'equivalent' }, { mark: 'said' }] });
  });

  it('a name that only contains the object’s name is another object', () => {
    for (const path of ['apps/settlement-api-v2/values.yaml', 'settlement-apis.yaml', 'x-settlement-api/a'])
      expect(kube([commit(1, { values: { [path]: `blob ${NEW}` } }), argo()]).rows[0]?.mark).toBe('unknown');
    for (const path of ['settlement-api.yaml', 'settlement-api.prod.yml', 'k8s/settlement-api/x/y.yaml'])
      expect(kube([commit(1, { values: { [path]: `blob ${NEW}` } }), argo()]).rows[0]?.mark).toBe(
        'equivalent',
      );
  });

  it('perhaps done is neither missed nor a whole hit', () => {
    const plan = comparedPlan({ actions: [planned(), rollback()] });
    const other = commit(1, { values: { [VALUES]: `blob ${OLD}` } });
    const both = scoreShadow(facts({ plan, seen: [other, seen()], ...WATCHED }));
    expect(both).toMatchObject({ verdict: 'partial', rows: [{ mark: 'unknown' }, { mark: 'hit' }] });
    const wrong = seen({ template: NEW_TEMPLATE });
    expect(scoreShadow(facts({ plan, seen: [other, wrong], ...WATCHED }))).toMatchObject({
      verdict: 'unknown',
      wrong_and_confident: false,
    });
  });

  it('ordinary work beside what people did by hand changes nothing of the verdict', () => {
    const work = [commit(1), commit(2)];
    expect(kube([seen(), ...work])).toMatchObject({ verdict: 'hit', lead_ms: 60_000 });
    const wrong = seen({ template: NEW_TEMPLATE });
    expect(kube([wrong, ...work]).verdict).toBe('missed');
    expect(kube(work, { plan: null }).verdict).toBe('unknown');
    // Whatever a commit names, it shows nothing as long as nobody applied it.
    expect(kube([commit(1, apps)])).toMatchObject({
      verdict: 'unknown',
      rows: [{ mark: 'extra' }, { mark: 'miss' }],
    });
  });

  it('whatever is committed: a valid score, no change counted twice, never a hit without planned content', () => {
    const one = fc.record({
      n: fc.nat(5),
      target: fc.constantFrom(MAIN, FIX, 'mcp://git/infra/-/branch/side', 'mcp://git/infra/-/branch/-'),
      blob: fc.constantFrom(OLD, NEW),
      path: fc.constantFrom(VALUES, 'docs/a.md', '__proto__', 'apps/settlement-api/values.yaml'),
      robot: fc.boolean(),
      offset_s: fc.integer({ min: 0, max: 400 }),
    });
    fc.assert(
      fc.property(fc.array(one, { maxLength: 50 }), fc.boolean(), (list, applied) => {
        const changes = list.map((c, i) =>
          commit(c.n, {
            key: `k${i}`,
            target: c.target,
            values: Object.fromEntries([[c.path, `blob ${c.blob}`]]),
            fields: [c.path],
            robot: c.robot,
            at: at(c.offset_s),
          }),
        );
        const plan = comparedPlan({ actions: [planned(), rollback()] });
        const all = [...changes, ...(applied ? [argo()] : [])];
        const input = facts({ plan, seen: all, ...WATCHED });
        const found = ShadowScore.parse(scoreShadow(input));
        expect(found.rows.filter((row) => row.plan !== null)).toHaveLength(2);
        const done = changes.some(
          (c) => !c.robot && [MAIN, FIX].includes(c.target) && c.values[VALUES] === `blob ${NEW}`,
        );
        expect(['hit', 'equivalent'].includes(found.rows[0]?.mark ?? '')).toBe(done);
        if (!applied) expect(found.rows[1]?.mark).toBe('extra');
        if (found.wrong_and_confident) expect(applied).toBe(true);
      }),
    );
  });
});

describe('the captured file of commits', () => {
  const file = (commits: Record<string, unknown>[], change: Record<string, unknown> = {}) =>
    yamlLines({ kind: 'Commits', repository: 'infra', commits, more: false, undated: 0, ...change }).join(
      '\n',
    );
  const row = (change: Record<string, unknown> = {}) => ({
    commit: OLD,
    branch: 'release/1.2',
    protected: true,
    target: 'mcp://git/infra/-/branch/release..1.2',
    author: 'Ana',
    committer: 'Bo',
    at: '2026-11-23T10:02:00.000Z',
    subject: 'Back to 2g',
    files: [
      { path: VALUES, blob: NEW },
      { path: 'gone', blob: null },
    ],
    ...change,
  });
  const read = (commits: Record<string, unknown>[], robots: string[] = [], plan: Action[] = []) => {
    const found = readCommits(file(commits), robots, plan);
    if (found === null) throw new Error('not a file of commits');
    for (const change of found.changes) SeenChangeSchema.parse(change);
    return found;
  };

  it('is nothing when it has another form', () => {
    expect(readCommits('commits: x', [], [])).toBeNull();
    expect(readCommits('a: [', [], [])).toBeNull();
    expect(readCommits(file([row({ commit: 'short' })]), [], [])).toBeNull();
    expect(readCommits(file([row({ at: 'now' })]), [], [])).toBeNull();
  });

  it('gives each commit of each branch a key of its own, the same at every look', () => {
    const [first] = read([row()]).changes;
    expect(first).toMatchObject({
      target: 'mcp://git/infra/-/branch/release..1.2',
      uid: OLD,
      manager: 'Ana',
      fields: [VALUES, 'gone'],
      values: { [VALUES]: `blob ${NEW}`, gone: 'removed' },
      commit: { repository: 'infra', branch: 'release/1.2', protected: true, subject: 'Back to 2g' },
    });
    const later = read([row({ at: '2026-11-23T10:09:00.000Z', subject: 'other words' })]).changes[0];
    expect(later?.key).toBe(first?.key);
    expect(read([row({ branch: 'main' })]).changes[0]?.key).not.toBe(first?.key);
  });

  it('robots by the list, author or committer; their commits only where the plan writes', () => {
    const robots = ['renovate*', 'bors'];
    expect(read([row({ author: 'renovate[bot]' })], robots).changes).toEqual([]);
    expect(read([row({ committer: 'bors' })], robots).changes).toEqual([]);
    const near = read([row({ author: 'renovate[bot]', target: MAIN, branch: 'main' })], robots, [planned()]);
    expect(near.changes).toMatchObject([{ robot: true }]);
    expect(read([row({ author: 'Renata' })], robots).changes).toMatchObject([{ robot: false }]);
  });

  it('a borrowed name is no way out: "aegis" is somebody of that name', () => {
    for (const author of ['aegis', 'Aegis', ' AEGIS '])
      expect(read([row({ author })]).changes).toMatchObject([
        { robot: false, manager: `somebody named ${author.trim()}` },
      ]);
    expect(read([row({ author: '' })]).changes).toMatchObject([{ manager: 'somebody without a name' }]);
    const found = read([row({ author: 'Aegis', aegis: { incident: 'INC-1', change: 'CHG-1' } })]);
    expect(found.changes).toEqual([]);
    expect(found.claimed).toEqual([{ incident_id: 'INC-1', change_id: 'CHG-1', commit: OLD }]);
  });

  it('keeps the planned file among many, and says how many more there are', () => {
    const files = Array.from({ length: 50 }, (_, n) => ({ path: `f${n}`, blob: OLD }));
    const found = read(
      [row({ files: [...files.slice(1), { path: VALUES, blob: NEW }], more_files: 9, all_files: false })],
      [],
      [planned()],
    );
    expect(found.changes[0]?.fields).toHaveLength(30);
    expect(found.changes[0]?.fields[0]).toBe(VALUES);
    expect(found.changes[0]?.more_fields).toBe(20 + 9 + 1);
    expect([...found.near]).toEqual([found.changes[0]?.key]);
  });

  it('takes names and texts of any length and a branch without a target', () => {
    const long = 'x'.repeat(5000);
    const [change] = read(
      [
        row({
          author: long,
          subject: long,
          branch: long,
          target: undefined,
          files: [{ path: long, blob: OLD }],
        }),
      ].map(({ target, ...rest }) => (target === undefined ? rest : { target, ...rest })),
    ).changes;
    expect(change?.target).toBe('mcp://git/infra/-/branch/-');
    expect(changeWords(change as SeenChange).length).toBeLessThan(2000);
  });

  it('a change of an earlier version is read as it was', () => {
    expect(SeenChangeSchema.parse(seen({ target: API }))).not.toHaveProperty('commit');
  });
});
