import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { IncidentContext } from '../../src/contract/incident.ts';
import { isoTime } from '../../src/contract/ports.ts';
import { Settings } from '../../src/contract/settings.ts';
import type { ComparedPlan, SeenChange } from '../../src/contract/shadow.ts';
import { isRefusal } from '../../src/contract/verdict.ts';
import type { HarnessDeps } from '../../src/harness/deps.ts';
import { observeEffect } from '../../src/harness/effects/observe.ts';
import { Observed } from '../../src/harness/shadow/shadow-events.ts';
import type { EffectInput } from '../../src/harness/effects/effect.ts';
import { gitCommits } from '../../src/harness/shadow-sources/git-commits.ts';
import type { Looked } from '../../src/harness/shadow-sources/source.ts';
import { withWorld } from '../../src/harness/world-session.ts';
import { createVfs } from '../../src/vfs/vfs.ts';
import { approvedPlan, execute } from '../gateway/approved-plan.ts';
import { branchTarget, makeRepository, startGitStage, type TestRepository } from '../gateway/git-fixture.ts';
import type { Stage } from '../gateway/stage.ts';
import { comparedPlan } from './shadow-samples.ts';
import { walkTo } from './fixtures.ts';

/** What people commit, by real git, through gateway, files and evidence, as the harness sees it. */
let stage: Stage;
let repository: TestRepository;
let deps: HarnessDeps;

beforeAll(async () => {
  repository = makeRepository();
  stage = await startGitStage(repository);
  const { store, gateway, settings, clock, ids } = stage;
  const log = { debug() {}, info() {}, warn() {}, error() {} };
  const vfs = createVfs({ store, gateway, settings, skills_dir: null, clock, ids, log });
  const shadow = Settings.shape.shadow.parse(undefined);
  deps = {
    store,
    gateway,
    vfs,
    clock,
    ids,
    log,
    settings: { ...settings, shadow },
  } as unknown as HarnessDeps;
});
afterAll(() => stage.close());

interface Incident {
  readonly opened_at: string;
  readonly repositories?: string[] | undefined;
  readonly seen?: readonly SeenChange[];
  readonly compared?: ComparedPlan;
  readonly scope?: Partial<IncidentContext['scope']>;
}

/** One look, as the effect makes it; a second one with the same `seen` is that of a restart. */
async function look(incident: Incident): Promise<Looked> {
  const { opened_at, seen = [], compared = null, scope } = incident;
  const repositories = 'repositories' in incident ? incident.repositories : ['infra'];
  const terms = { quiet_s: 60, watch_s: 3600, ...(repositories === undefined ? {} : { repositories }) };
  const snapshot = walkTo('DIAGNOSING', {
    autonomy: 'suggest',
    opened_at,
    shadow: terms,
    ...(scope === undefined
      ? {}
      : { scope: { team: 'data', env: 'prod', tier: 'tier2', labels: {}, ...scope } }),
  });
  const shadow = { compared, seen: [...seen], said: [], unseen: [], score: null };
  const context = { ...snapshot.context, shadow };
  const input = { deps, context, signal: new AbortController().signal } as unknown as EffectInput;
  return withWorld(deps, context, { purpose: 'look', principal: 'aegis' }, (read) =>
    gitCommits.look(input, read, new Set(compared?.actions.map(({ target }) => target))),
  );
}

/** An incident that opens now, of which the mirror knows what stood there before. */
async function opens(): Promise<string> {
  stage.clock.skip(5000);
  const opened_at = isoTime(stage.clock.now());
  stage.clock.skip(5000);
  await look({ opened_at });
  stage.clock.skip(5000);
  return opened_at;
}

const people = (looked: Looked) => looked.changes.filter(({ robot }) => !robot);

describe('the effect that watches', () => {
  it('asks all sources at one look: what was changed in the cluster and what was committed', async () => {
    // First of all: the cluster has a clock of its own, which the other tests leave behind.
    const opened_at = isoTime(Date.now() - 1000);
    const commit = repository.commitFromOutside(
      'main',
      { 'w.txt': 'w' },
      { author: 'Dan', at_ms: Date.now() },
    );
    stage.kubernetes.patchFromOutside(
      'Deployment',
      'spark-jobs',
      'settlement-api',
      { spec: { replicas: 5 } },
      'kubectl-scale',
    );
    const terms = { quiet_s: 1, watch_s: 3600, repositories: ['infra'] };
    const { context } = walkTo('DIAGNOSING', { autonomy: 'suggest', opened_at, shadow: terms });
    const event = await observeEffect({
      deps,
      context: { ...context, resolved_at: opened_at },
      running: { effect_id: 'e1' },
      signal: new AbortController().signal,
      at: () => opened_at,
    } as unknown as EffectInput);
    if (event.type !== 'observed') throw new Error(event.type);
    expect(event.changes[0]).toMatchObject({ manager: 'kubectl-scale', fields: ['/spec/replicas'] });
    expect(event.changes.find(({ uid }) => uid === commit)).toMatchObject({ manager: 'Dan' });
    expect(Observed.parse(event)).toEqual(event);
  });
});

describe('commits of people as a shadow source', () => {
  it('an environment without repositories, and an incident of an earlier version, give an empty look', async () => {
    const opened_at = isoTime(stage.clock.now());
    const nothing = { changes: [], unseen: [], outage: false };
    expect(await look({ opened_at, repositories: undefined })).toEqual(nothing);
  });

  it('a person’s commit, on branches with slashes too, with files and end states; once, however often it is seen', async () => {
    const opened_at = await opens();
    const fix = repository.commitFromOutside(
      'team/fix/now',
      { 'deploy/values.yaml': 'replicas: 4\n' },
      { author: 'Dan', at_ms: stage.clock.now(), message: 'Scale to 4' },
    );
    const first = await look({ opened_at });
    expect(first).toMatchObject({ unseen: [], outage: false });
    const blob = repository.git('rev-parse', `${fix}:deploy/values.yaml`);
    expect(first.changes).toMatchObject([
      {
        target: branchTarget('team/fix/now'),
        uid: fix,
        manager: 'Dan',
        operation: 'commit',
        fields: ['deploy/values.yaml'],
        values: { 'deploy/values.yaml': `blob ${blob}` },
        robot: false,
        commit: { repository: 'infra', branch: 'team/fix/now', protected: false, subject: 'Scale to 4' },
      },
    ]);
    expect(Date.parse(first.changes[0]?.at ?? '')).toBeGreaterThanOrEqual(Date.parse(opened_at) - 1000);
    // A look that a restart runs again finds the same act; once it is known, nothing.
    const again = await look({ opened_at });
    expect(again.changes.map(({ key }) => key)).toEqual(first.changes.map(({ key }) => key));
    expect((await look({ opened_at, seen: first.changes })).changes).toEqual([]);
    // Merged, it is another act: somebody brought it to main.
    const merge = repository.commitFromOutside('main', {}, { author: 'Eve', merge: 'team/fix/now' });
    const later = await look({ opened_at, seen: first.changes });
    expect(later.changes).toMatchObject([{ uid: merge, manager: 'Eve', operation: 'merge' }]);
  });

  it('clocks that are wrong, either way, hide nobody and make nobody earlier than the incident', async () => {
    repository.commitFromOutside('main', { 'x.txt': '1' }, { at_ms: stage.clock.now() + 86_400_000 });
    await opens();
    const opened_at = await opens();
    const past = repository.commitFromOutside('main', { 'x.txt': '2' }, { at_ms: 1_000_000_000_000 });
    const future = repository.commitFromOutside('main', { 'x.txt': '3' }, { at_ms: 4_000_000_000_000 });
    const found = await look({ opened_at });
    expect(new Set(found.changes.map(({ uid }) => uid))).toEqual(new Set([past, future]));
    for (const { at } of found.changes) {
      expect(Date.parse(at)).toBeGreaterThanOrEqual(Date.parse(opened_at));
      expect(Date.parse(at)).toBeLessThanOrEqual(stage.clock.now());
    }
    expect(found.unseen).toEqual([]);
  });

  it('robots by the built-in list, somebody who calls himself aegis, and names with control characters', async () => {
    const opened_at = await opens();
    const as = (author: string, n: number) =>
      repository.commitFromOutside('main', { 'y.txt': `${n}` }, { author, message: `m${n}` });
    as('renovate[bot]', 1);
    as('dependabot[bot]', 2);
    as('aegis', 3);
    repository.import(
      [
        'commit refs/heads/main',
        'committer \u001b[31mEve\u0007\u202e\u0001 !channel <eve@example.com> 1700000000 +0000',
        'data 4',
        'evil',
        `from ${repository.tip('main')}`,
        'M 100644 inline z.txt',
        'data 1',
        'z',
        '',
      ].join('\n'),
    );
    const found = people(await look({ opened_at }));
    expect(found.map(({ manager }) => manager).toSorted()).toEqual([
      'somebody named aegis',
      '␛[31mEve␇\ufffd␁ !channel',
    ]);
    expect(JSON.stringify(found)).not.toMatch(/[\u0000-\u001f\u202e]|eve@|example\.com/);
  });

  it('a flood leaves room for what the plan is about, stays within its limit, and is said', async () => {
    const opened_at = await opens();
    const parts: string[] = [];
    for (let n = 0; n < 500; n += 1)
      parts.push(
        `commit refs/heads/main\ncommitter Ana <x@example.com> ${1_700_000_000 + n} +0000\ndata 5\nflood\n${n === 0 ? `from ${repository.tip('main')}\n` : ''}M 100644 inline flood.txt\ndata 5\n${String(n).padStart(5, '0')}\n`,
      );
    repository.import(parts.join(''));
    const flood = await look({ opened_at });
    expect(flood.changes).toHaveLength(40);
    expect(flood.unseen.map(({ place }) => place)).toEqual(['git/infra/*', 'git/infra/*']);
    const blob = 'b'.repeat(40);
    const compared = comparedPlan({
      actions: [
        {
          change_id: 'CHG-1',
          tool: 'git.change_request',
          target: branchTarget('aegis/fix'),
          intent: 'x',
          uid: 'u',
          changes: [
            { path: '/files/deploy/values.yaml', before: null, after: `blob ${blob}` },
            { path: '/request', before: null, after: 'into main' },
          ],
        },
      ],
    });
    const fix = repository.commitFromOutside('main', { 'deploy/values.yaml': 'replicas: 9\n' });
    const seen = [...flood.changes];
    for (let round = 0; round < 3; round += 1) {
      const next = await look({ opened_at, compared, seen });
      seen.push(...next.changes);
    }
    expect(seen.filter(({ uid }) => uid === fix)).toHaveLength(1);
    expect(seen.length).toBeLessThanOrEqual(50);
  });
});

describe('commits of Aegis', () => {
  it('its own is never of interest; one under its identity that it did not make is said', async () => {
    const opened_at = await opens();
    const parent = repository.tip('main') ?? '';
    const approved = await approvedPlan(stage, {
      action: {
        tool: 'git.commit',
        target: branchTarget('aegis/raise'),
        params: {
          parent,
          subject: 'Raise the memory',
          files: [{ path: 'deploy/values.yaml', content: 'memory: 2g\n' }],
        },
      },
    });
    const done = await execute(stage, approved);
    expect(isRefusal(done) ? done.reason : done.outcome.status).toBe('done');
    expect(await look({ opened_at })).toEqual({ changes: [], unseen: [], outage: false });
    const own = repository.git('log', '-1', '--format=%B', 'aegis/raise');
    const forged = repository.commitFromOutside(
      'main',
      { 'deploy/values.yaml': 'memory: 9g\n' },
      { author: 'Aegis', email: 'aegis@noreply.invalid', message: own },
    );
    const found = await look({ opened_at });
    expect(found.changes).toEqual([]);
    expect(found.unseen).toEqual([
      {
        place: 'git/infra/*',
        why: `${forged.slice(0, 10)} under the identity of Aegis, made by somebody else`,
      },
    ]);
  });
});

describe('a repository that cannot be read', () => {
  it('of another team, of another environment, or gone from the configuration: unseen, and no outage', async () => {
    const opened_at = isoTime(stage.clock.now());
    for (const repositories of [['risk'], ['never']])
      expect(await look({ opened_at, repositories })).toMatchObject({
        changes: [],
        unseen: [{ place: `git/${repositories[0]}/*`, why: expect.stringContaining('There is nothing at') }],
        outage: false,
      });
    // The name of the team comes from the incident, so the neighbour's own look is refused by scope.
    const foreign = await look({ opened_at, repositories: ['infra'], scope: { team: 'fraud', env: 'prod' } });
    expect(foreign).toMatchObject({ changes: [], outage: false });
  });

  it('while the remote does not answer it is an outage, and nobody is called idle', async () => {
    const opened_at = isoTime(stage.clock.now());
    repository.git('config', 'core.repositoryformatversion', '99');
    try {
      expect(await look({ opened_at })).toMatchObject({
        changes: [],
        unseen: [{ place: 'git/infra/*' }],
        outage: true,
      });
    } finally {
      const config = join(repository.path, 'config');
      writeFileSync(config, readFileSync(config, 'utf8').replace('= 99', '= 0'));
    }
  });
});
