import { describe, expect, it } from 'vitest';
import type { SeenChange } from '../../src/contract/shadow.ts';
import { refuse } from '../../src/contract/verdict.ts';
import type { EffectInput } from '../../src/harness/effects/effect.ts';
import { KubernetesWatch } from '../../src/harness/shadow-sources/kubernetes-watch.ts';
import { OpenWatches } from '../../src/harness/shadow-sources/open-watches.ts';
import { scoreShadow } from '../../src/harness/shadow/compare.ts';
import { readLook } from '../../src/harness/shadow/look.ts';
import { oneAct } from '../../src/harness/shadow/one-act.ts';
import { changeWords } from '../../src/harness/shadow/people.ts';
import { MachineContext } from '../../src/harness/state.ts';
import type { WatchPositions } from '../../src/harness/shadow/watch.ts';
import { at, draft, preparedEvent, runningId, T0, take, TARGET, walkTo } from './fixtures.ts';
import { facts, seen } from './shadow-samples.ts';

/** What happened between two looks: watches that go on where the last one ended. */
const PLACE = 'prod-1/spark-jobs/sparkapplication';
const WRITE = {
  name: 'nightly-settlement',
  uid: 'u1',
  generation: 3,
  revision: null,
  manager: 'kubectl-edit',
  operation: 'Update',
  at: at(90),
  fields: ['/spec/driver/memory'],
  more_fields: 0,
  values: { '/spec/driver/memory': '2g' },
  template: null,
};
const GONE = {
  name: 'nightly-settlement',
  uid: 'u1',
  generation: 3,
  at: null,
  owned: false,
  managers: ['kubectl-create'],
};
const answer = (change: object = {}) => ({
  resource_version: '11',
  gone: false,
  writes: [],
  deletions: [],
  more: false,
  ...change,
});
const lost = answer({ resource_version: null, gone: true });

function watched(positions?: WatchPositions) {
  let s = walkTo('PLANNING', { autonomy: 'suggest', shadow: { quiet_s: 60, watch_s: 3600 } });
  s = take(s, { type: 'drafted', at: at(4), effect_id: runningId(s), draft: draft() });
  s = take(s, preparedEvent(runningId(s), s.context.revision, 5));
  const { shadow } = s.context;
  if (positions !== undefined && shadow !== undefined && shadow !== null)
    s = { ...s, context: { ...s.context, shadow: { ...shadow, positions } } };
  return s;
}

/** A watch whose gateway gives these answers, one after the other, then nothing new. */
function watchOf(
  answers: readonly (object | { code: string })[],
  options: { positions?: WatchPositions; on?: boolean; signal?: AbortSignal } = {},
) {
  const asked: Record<string, unknown>[] = [];
  const rest = [...answers];
  const s = watched(options.positions);
  const input = {
    deps: {
      gateway: {
        read: ({ target, args }: { target: string; args: object }) => {
          asked.push({ target, ...args });
          const next = rest.shift() ?? answer();
          return Promise.resolve('code' in next ? next : { result: next });
        },
      },
      settings: { shadow: { robots: ['argocd-*'], kinds: ['sparkapplication'], watch: options.on ?? true } },
      clock: { now: () => T0 + 200_000 },
    },
    context: s.context,
    running: s.context.running,
    signal: options.signal ?? new AbortController().signal,
    at: () => at(200),
  } as unknown as EffectInput;
  const watch = new KubernetesWatch(input, { session: { token: 't' } as never }, new Set());
  return { watch, asked };
}

describe('the watch of an incident', () => {
  it('asks nothing where it is not switched on', async () => {
    const { watch, asked } = watchOf([], { on: false });
    expect(await watch.look()).toEqual({ changes: [], unseen: [], outage: false });
    expect([asked, watch.positions()]).toEqual([[], undefined]);
  });

  it('begins without a past, goes on where it ended, and keeps what it found', async () => {
    const { watch, asked } = watchOf([
      answer({ resource_version: '10' }),
      answer({ resource_version: '12', writes: [WRITE], deletions: [GONE] }),
    ]);
    expect((await watch.look()).changes).toEqual([]);
    const found = await watch.look();
    expect(found.changes.map(changeWords)).toEqual([
      'kubectl-edit changed sparkapplication/nightly-settlement: spec.driver.memory = "2g"',
      'somebody deleted sparkapplication/nightly-settlement',
    ]);
    expect((await watch.look()).changes).toHaveLength(2);
    expect(asked.map((each) => each['resource_version'])).toEqual([null, '10', '12']);
    expect(asked[0]).toMatchObject({ target: 'mcp://k8s/prod-1/spark-jobs/sparkapplication/-' });
    expect(watch.positions()).toEqual({ [PLACE]: { version: '11', anew_at: null } });
  });

  it('names the same write as the objects do: seen twice it is one act', async () => {
    const { watch } = watchOf([answer({ writes: [WRITE] })], {
      positions: { [PLACE]: { version: '5', anew_at: null } },
    });
    const { changes } = await watch.look();
    const { name: _name, revision: _revision, ...write } = WRITE;
    const file = JSON.stringify({
      cluster: 'prod-1',
      namespace: 'spark-jobs',
      changes: [{ ...write, target: TARGET }],
      unseen: [],
    });
    expect(readLook(file, [], new Set())?.changes).toEqual(changes);
  });

  it('goes on after a restart where the incident says, and says for ever what it may have missed', async () => {
    const positions = { [PLACE]: { version: '7', anew_at: null } };
    const { watch, asked } = watchOf([lost, answer({ resource_version: '90' })], { positions });
    const found = await watch.look();
    expect(asked.map((each) => each['resource_version'])).toEqual(['7', null]);
    expect(found).toMatchObject({
      outage: false,
      unseen: [
        {
          place: 'prod-1/spark-jobs/watch of sparkapplication',
          why: `began anew at ${at(200)}; what came and went before is not seen`,
        },
      ],
    });
    const next = watchOf([answer()], { positions: watch.positions() as WatchPositions });
    expect((await next.watch.look()).unseen).toEqual(found.unseen);
    expect(next.asked[0]).toMatchObject({ resource_version: '90' });
    expect(scoreShadow(facts({ unseen: found.unseen })).gaps).toEqual([
      `watch of sparkapplication of prod-1/spark-jobs: began anew at ${at(200)}; what came and went before is not seen`,
    ]);
  });

  it('keeps its place over an outage, says so, and is quiet about kinds that the cluster lacks', async () => {
    const positions = { [PLACE]: { version: '7', anew_at: null } };
    const away = refuse('upstream-unreachable', 'prod-1 is away.', 'Wait.');
    const { watch, asked } = watchOf([away], { positions });
    expect(await watch.look()).toMatchObject({ outage: true, unseen: [{ why: 'prod-1 is away.' }] });
    expect(await watch.look()).toMatchObject({ outage: false, unseen: [] });
    expect(asked[1]).toMatchObject({ resource_version: '7' });
    const missing = watchOf([refuse('object-not-found', 'no such kind', 'x')]);
    expect(await missing.watch.look()).toMatchObject({ outage: false, unseen: [] });
    expect(await missing.watch.look()).toMatchObject({ outage: false, unseen: [] });
    const forbidden = watchOf([refuse('source-forbidden', 'may not watch', 'x')]);
    // Each refusal is a ledger entry: neither is asked again in this observation.
    for (let n = 0; n < 2; n += 1)
      expect(await forbidden.watch.look()).toMatchObject({
        outage: false,
        unseen: [{ why: 'may not watch' }],
      });
    expect([missing.asked.length, forbidden.asked.length]).toEqual([1, 1]);
  });

  it('takes programs’ writes and what went with its owner for no person’s', async () => {
    const { watch } = watchOf([
      answer({ writes: [{ ...WRITE, manager: 'argocd-controller' }], deletions: [{ ...GONE, owned: true }] }),
    ]);
    expect((await watch.look()).changes).toEqual([]);
    const programs = watchOf([answer({ deletions: [{ ...GONE, managers: ['argocd-controller'] }] })]);
    expect((await programs.watch.look()).changes).toEqual([]);
    const mixed = watchOf([answer({ deletions: [{ ...GONE, managers: ['argocd-controller', 'kubectl'] }] })]);
    expect((await mixed.watch.look()).changes).toHaveLength(1);
  });

  it('says of an answer in another form that it sees nothing there', async () => {
    const { watch } = watchOf([{ resource_version: 7 }]);
    expect((await watch.look()).unseen).toMatchObject([{ why: 'the answer has another form' }]);
  });

  it('ends with the effect: Stop is heard in the pause', async () => {
    const controller = new AbortController();
    const { watch } = watchOf([], { signal: controller.signal });
    const pause = watch.pause(600_000);
    setTimeout(() => controller.abort(), 20);
    await expect(pause).rejects.toThrow();
    await expect(watch.look()).rejects.toThrow();
  });
});

describe('a deletion that a watch and the audit log show', () => {
  it('is one act, with the name and the time that the log has', () => {
    const gone = seen({
      key: 'gone',
      manager: 'somebody',
      operation: 'delete',
      fields: [],
      values: {},
      at: at(200),
    });
    const act: SeenChange = { ...gone, key: 'a', manager: 'oidc:dan', at: at(160), authenticated: true };
    expect(oneAct([gone, act], [], new Set())).toMatchObject([
      { key: 'gone', manager: 'oidc:dan', at: at(160), operation: 'delete' },
    ]);
    expect(oneAct([seen(), act], [], new Set())).toHaveLength(2);
    const all = { ...act, operation: 'deletecollection', target: gone.target.replace(/[^/]+$/, '-') };
    expect(oneAct([gone, all], [], new Set())).toEqual([all]);
    const elsewhere = { ...all, target: all.target.replace('spark-jobs', 'other') };
    expect(oneAct([gone, elsewhere], [], new Set())).toHaveLength(2);
    const much_later = { ...gone, at: at(2000) };
    expect(oneAct([much_later, act], [], new Set())).toHaveLength(2);
  });
});

describe('the incident', () => {
  it('keeps where the watches go on, and a look without them takes nothing away', () => {
    const positions = { [PLACE]: { version: '9', anew_at: null } };
    let s = watched();
    const observed = { at: at(70), changes: [], unseen: [], final: false, over: false };
    s = take(s, { type: 'observed', effect_id: runningId(s), ...observed, positions });
    expect(MachineContext.parse(s.context).shadow?.positions).toEqual(positions);
    s = take(s, { type: 'observed', effect_id: runningId(s), ...observed });
    expect(s.context.shadow?.positions).toEqual(positions);
  });
});

describe('open watches', () => {
  it('are never more than allowed, and whoever waits gets a place', async () => {
    const watches = new OpenWatches(2);
    const { signal } = new AbortController();
    let open = 0;
    let most = 0;
    const work = async () => {
      open += 1;
      most = Math.max(most, open);
      await new Promise((resolve) => setTimeout(resolve, 5));
      open -= 1;
      if (open === 0) throw new Error('a watch that fails gives its place back too');
    };
    const done = await Promise.allSettled(Array.from({ length: 9 }, () => watches.run(signal, work)));
    expect([done.length, most, open]).toEqual([9, 2, 0]);
  });

  it('whoever waits leaves at once when stopped, and takes no place along', async () => {
    const watches = new OpenWatches(1);
    const forever = new AbortController();
    let end = (): void => undefined;
    const first = watches.run(
      forever.signal,
      () =>
        new Promise<void>((resolve) => {
          end = resolve;
        }),
    );
    const stopped = new AbortController();
    const second = watches.run(stopped.signal, () => Promise.resolve('never'));
    stopped.abort();
    await expect(second).rejects.toThrow();
    end();
    await first;
    expect(await watches.run(forever.signal, () => Promise.resolve('in'))).toBe('in');
  });
});
