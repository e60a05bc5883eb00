import { describe, expect, it } from 'vitest';
import { badDeploy } from '../../src/lab/scenarios/bad-deploy.ts';
import type { KubeObject } from '../../src/lab/world/kube-object.ts';
import { numberAt, stringAt } from '../../src/lab/world/kube-object.ts';
import { fences, nextSizes } from '../../src/lab/world/rolling-update.ts';
import { World } from '../../src/lab/world/world.ts';

/** The Deployment controller of the lab: what `minReadySeconds`, `maxSurge` and `maxUnavailable` do, turn by turn. */
const PLACE = ['spark-jobs', 'settlement-api'] as const;

function crashing(): { world: World; pass: (ms: number) => void } {
  let now = Date.parse('2026-11-26T10:00:00.000Z');
  const { definition } = badDeploy.world();
  const world = new World({ definition, clock: () => now, seed: 'pace' });
  const pass = (ms: number): void => {
    for (let left = ms; left > 0; left -= 100) {
      now += 100;
      world.tick();
    }
  };
  pass(3_000);
  return { world, pass };
}

function patch(world: World, spec: Record<string, unknown>): void {
  const edit = (deployment: KubeObject): void => {
    deployment.spec = { ...deployment.spec, ...spec };
  };
  world.change('Deployment', ...PLACE, edit, { manager: 'aegis' });
}

function earlierTemplate(world: World): unknown {
  const set = world.store
    .list('ReplicaSet', PLACE[0])
    .find((each) => each.metadata.annotations?.['deployment.kubernetes.io/revision'] === '1');
  const template = set?.spec?.['template'] as { metadata: { labels: Record<string, string> }; spec: unknown };
  const { 'pod-template-hash': _hash, ...labels } = template.metadata.labels;
  return { ...template, metadata: { ...template.metadata, labels } };
}

const imagesOf = (world: World): string[] =>
  world.store
    .list('Pod', PLACE[0])
    .filter((pod) => pod.metadata.name.startsWith('settlement-api-'))
    .map((pod) => stringAt(pod, 'spec', 'containers', 0, 'image').split(':')[1] ?? '')
    .sort();

const HOLD = {
  minReadySeconds: 60,
  strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
};

describe('a rollout that is held after its first pod', () => {
  it('makes exactly one pod beside those that crash, and nothing more until it was ready for so long', () => {
    const { world, pass } = crashing();
    expect(imagesOf(world)).toEqual(['2.15.0', '2.15.0']);
    patch(world, { template: earlierTemplate(world), ...HOLD });
    pass(50_000);
    expect(imagesOf(world)).toEqual(['2.14.0', '2.15.0', '2.15.0']);
    expect(numberAt(world.store.get('Deployment', ...PLACE), 'status', 'availableReplicas')).toBe(0);
    pass(30_000);
    expect(imagesOf(world).filter((tag) => tag === '2.14.0').length).toBeGreaterThan(1);
  });

  it('goes on at the Deployment’s own pace when the hold is taken off', () => {
    const { world, pass } = crashing();
    patch(world, { template: earlierTemplate(world), ...HOLD });
    pass(10_000);
    const pace = { type: 'RollingUpdate', rollingUpdate: { maxSurge: '25%', maxUnavailable: '25%' } };
    patch(world, { minReadySeconds: 0, strategy: pace });
    pass(10_000);
    expect(imagesOf(world)).toEqual(['2.14.0', '2.14.0']);
  });
});

describe('one turn of the controller', () => {
  const set = (name: string, wanted: number, available = wanted) => ({ name, wanted, available });
  const held = HOLD.strategy;

  it('resolves percentages: surge up, unavailability down, never both to nothing', () => {
    const quarter = { rollingUpdate: { maxSurge: '25%', maxUnavailable: '25%' } };
    expect(fences(quarter, 3)).toEqual({ surge: 1, unavailable: 0 });
    expect(fences(quarter, 10)).toEqual({ surge: 3, unavailable: 2 });
    expect(fences(undefined, 4)).toEqual({ surge: 1, unavailable: 1 });
    expect(fences({ rollingUpdate: { maxSurge: 0, maxUnavailable: '1%' } }, 3)).toEqual({
      surge: 0,
      unavailable: 1,
    });
  });

  it.each([
    ['begins with one pod more', set('new', 0), [set('old', 3, 0)], { new: 1, old: 3 }],
    [
      'cleans nothing up while that pod is not available',
      set('new', 1, 0),
      [set('old', 3, 0)],
      { new: 1, old: 3 },
    ],
    [
      'makes room among pods that serve nobody once it is',
      set('new', 1),
      [set('old', 3, 0)],
      { new: 1, old: 2 },
    ],
    ['takes one healthy pod for it', set('new', 1), [set('old', 3)], { new: 1, old: 2 }],
    ['ends with the old ones gone', set('new', 3), [set('old', 1)], { new: 3, old: 0 }],
  ])('held: %s', (_name, newest, old, sizes) => {
    expect(Object.fromEntries(nextSizes({ replicas: 3, strategy: held, newest, old }))).toEqual(sizes);
  });

  it('Recreate takes all old pods away before it makes a new one', () => {
    const strategy = { type: 'Recreate' };
    const first = nextSizes({ replicas: 3, strategy, newest: set('new', 0), old: [set('old', 3)] });
    expect(Object.fromEntries(first)).toEqual({ new: 0, old: 0 });
    const then = nextSizes({ replicas: 3, strategy, newest: set('new', 0), old: [set('old', 0)] });
    expect(Object.fromEntries(then)).toEqual({ new: 3, old: 0 });
  });
});
