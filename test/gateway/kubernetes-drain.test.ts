import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { hashOf } from '../../src/contract/canonical.ts';
import { journalKey } from '../../src/contract/tool.ts';
import { isRefusal } from '../../src/contract/verdict.ts';
import type { GatewaySettings } from '../../src/gateway/pipeline/core.ts';
import { isPodReady } from '../../src/lab/world/disruption-controller.ts';
import type { KubeObject } from '../../src/lab/world/kube-object.ts';
import { deploymentManifest, nodeManifest } from '../../src/lab/world/manifests.ts';
import type { Store } from '../../src/store/store.ts';
import { hasKubectl, kubectlFor } from '../lab/kubernetes/twin-fixture.ts';
import { approvedPlan, execute, type ApprovedPlan } from './approved-plan.ts';
import { startStage, type Stage, type StageOptions } from './stage.ts';

/** Nodes: who may change them, what a drain moves and what it never forces, and what is known when something breaks. */
const NODE = 'prod-1-pool-9';
const POOL = `mcp://k8s/prod-1/-/node/${NODE}`;
const WORKERS = ['prod-1-worker-1', 'prod-1-worker-2', 'prod-1-worker-3'];
const MARK = '/spec/unschedulable';
const REPLICAS = 4;
const DRAIN = { changes: [{ path: MARK, value: true }] };
const UNCORDON = { changes: [{ path: MARK, value: false }] };

let stage: Stage;
let broken_journal = false;

const node = (name = NODE): KubeObject => stage.world.store.get('Node', undefined, name) as KubeObject;
const isMarked = (): boolean => node().spec?.['unschedulable'] === true;
const web = (): KubeObject[] =>
  stage.world.store.list('Pod', 'spark-jobs').filter(({ metadata }) => metadata.name.startsWith('web-'));
const onNode = (): KubeObject[] => web().filter((pod) => pod.spec?.['nodeName'] === NODE);
const evictions = () =>
  stage.kubernetes.requests().filter((request) => request.resource === 'pods/eviction' && !request.dry_run);
const budget = (spec: Record<string, unknown>): KubeObject => ({
  apiVersion: 'policy/v1',
  kind: 'PodDisruptionBudget',
  metadata: { name: 'web', namespace: 'spark-jobs' },
  spec: { selector: { matchLabels: { app: 'web' } }, ...spec },
});

function mounted(change: object): StageOptions['settings'] {
  return (settings: GatewaySettings) => {
    const copy = structuredClone(settings);
    Object.assign(copy.teams['data']?.environments['prod']?.mounts[0] as object, change);
    return copy;
  };
}

/** A journal that can no longer write outcomes: the process that dies right after its last request. */
function mortal(store: Store): Store {
  const finish: Store['journal']['finish'] = (...input) =>
    broken_journal ? Promise.reject(new Error('the process died here')) : store.journal.finish(...input);
  return { ...store, journal: { ...store.journal, finish } };
}

async function startPool(change: object = { nodes: ['prod-1-pool-*'] }): Promise<void> {
  const labels = { team: 'data', env: 'prod' };
  const image = 'registry.example.com/data/web:1';
  const deployment = deploymentManifest({
    namespace: 'spark-jobs',
    name: 'web',
    image,
    replicas: REPLICAS,
    memory: '64Mi',
    cpu: '50m',
    labels,
  });
  stage = await startStage({
    settings: mounted(change) as NonNullable<StageOptions['settings']>,
    wrapStore: mortal,
    world: {
      objects: [
        { object: nodeManifest(NODE, '10.20.1.19'), manager: 'kubelet', at_ms: 0 },
        { object: deployment, manager: 'argocd-controller', at_ms: 0 },
      ],
    },
  });
}

function setMark(name: string, value: boolean): void {
  stage.kubernetes.patchFromOutside('Node', '', name, { spec: { unschedulable: value ? true : null } });
}

/** Every pod of `web` runs on the pool's node, and any node takes what is evicted from there. */
async function place(): Promise<void> {
  stage.kubernetes.faults.clear();
  stage.world.store.remove('PodDisruptionBudget', 'spark-jobs', 'web');
  for (const worker of WORKERS) setMark(worker, true);
  setMark(NODE, false);
  for (const pod of web())
    if (pod.spec?.['nodeName'] !== NODE || pod.metadata.deletionTimestamp !== undefined)
      stage.world.store.remove('Pod', 'spark-jobs', pod.metadata.name);
  await vi.waitFor(
    () => {
      stage.world.tick();
      expect(onNode().filter(isPodReady)).toHaveLength(REPLICAS);
      expect(web()).toHaveLength(REPLICAS);
    },
    { timeout: 20_000, interval: 50 },
  );
  for (const worker of WORKERS) setMark(worker, false);
  await vi.waitFor(
    () => {
      stage.world.tick();
      for (const name of [NODE, ...WORKERS]) expect(node(name).spec?.['taints']).toBeUndefined();
    },
    { timeout: 20_000, interval: 20 },
  );
}

async function guard(spec: Record<string, unknown>): Promise<void> {
  stage.kubernetes.setResource(budget(spec));
  await vi.waitFor(
    () => {
      stage.world.tick();
      const found = stage.world.store.get('PodDisruptionBudget', 'spark-jobs', 'web');
      expect(found?.status?.['observedGeneration']).toBe(found?.metadata.generation);
    },
    { timeout: 20_000, interval: 20 },
  );
}

const preview = async (tool = 'k8s.drain', target = POOL, params: Record<string, unknown> = DRAIN) =>
  stage.gateway.preview({
    token: await stage.token(),
    tool,
    target,
    params,
    change_id: 'CHG-7',
    why: 'test',
  });
const reasonOf = (answer: object): string => (isRefusal(answer) ? answer.reason : 'previewed');
const plan = (tool = 'k8s.drain', params: Record<string, unknown> = DRAIN): Promise<ApprovedPlan> =>
  approvedPlan(stage, { action: { tool, target: POOL, params } });
const run = (approved: ApprovedPlan, timeout_ms = 20_000) => execute(stage, approved, { timeout_ms });

async function undo(approved: ApprovedPlan) {
  const previewed = await preview(approved.permit.tool, POOL, UNCORDON);
  if (isRefusal(previewed)) return previewed;
  await stage.store.ledger.append(approved.incident_id, [
    { kind: 'preview', actor: 'aegis:gateway', payload: { change_id: 'CHG-7', preview: previewed.preview } },
  ]);
  const { effect_hash } = previewed.preview;
  const permit_id = await approved.mint({ phase: 'undo', effect_hash, args_hash: hashOf(UNCORDON) });
  return execute(stage, approved, { params: UNCORDON, permit_id });
}

/** Nothing was evicted twice: each accepted eviction is of another pod. */
function expectOnce(): void {
  const accepted = evictions().filter(({ changed }) => changed);
  expect(new Set(accepted.map(({ name }) => name)).size).toBe(accepted.length);
}

describe('whose nodes', () => {
  afterEach(() => stage.close());

  it('a node that no mount names is read by all and changed by nobody', async () => {
    await startPool({});
    const refused = await preview();
    expect(refused).toMatchObject({ code: 'node-not-owned', remedy: expect.stringContaining('"nodes"') });
    expect(reasonOf(refused)).toBe(
      `data/prod may read the node ${NODE}, not change it: no mount of it names the node.`,
    );
    for (const tool of ['k8s.cordon', 'k8s.uncordon'])
      expect(await preview(tool)).toMatchObject({ code: 'node-not-owned' });
    const elsewhere = await preview('k8s.drain', POOL.replace('prod-1/', 'nowhere/'));
    expect(elsewhere).toMatchObject({ code: 'scope-forbidden' });
    expect(await preview('k8s.drain', 'mcp://k8s/prod-1/spark-jobs/node/x')).toMatchObject({
      code: expect.stringMatching(/request-blocked|node-not-owned/),
    });
    expect(evictions()).toEqual([]);
  });

  it('a node that also runs other teams’ pods is not drained, and their names are not told', async () => {
    await startPool({ nodes: ['*'] });
    const names: string[] = [];
    for (const worker of WORKERS) {
      const foreign = stage.world.store
        .list('Pod')
        .filter((pod) => pod.spec?.['nodeName'] === worker && pod.metadata.namespace !== 'spark-jobs');
      names.push(...foreign.map(({ metadata }) => metadata.name));
      const answer = await preview('k8s.drain', POOL.replace(NODE, worker));
      if (foreign.length > 0)
        expect(reasonOf(answer)).toMatch(/runs \d+ pods? of namespaces that are not this team's/);
      for (const name of names) expect(JSON.stringify(answer)).not.toContain(name);
    }
    expect(names.length).toBeGreaterThan(0);
    expect(evictions()).toEqual([]);
  });

  it('with the word of the configuration other namespaces count too, under the same rules', async () => {
    await startPool({ nodes: ['*'], drain_other_namespaces: true });
    const driver = stage.world.store.get('Pod', 'fraud', 'fraud-features-driver') as KubeObject;
    const answer = await preview('k8s.drain', POOL.replace(NODE, String(driver.spec?.['nodeName'])));
    expect(reasonOf(answer)).toMatch(
      /is not drained: .*fraud\/fraud-features-\S+ keeps data on the node \(emptyDir\)/,
    );
  });

  it('without a role for nodes nothing is leased and nothing is sent', async () => {
    stage = await startStage({
      settings: (settings) => {
        const copy = mounted({ nodes: ['*'] })?.(settings) as GatewaySettings;
        const { credentials } = copy.clusters['prod-1'] as { credentials: { node_role?: string } };
        delete credentials.node_role;
        return copy;
      },
    });
    const answer = await preview('k8s.cordon', POOL.replace(NODE, 'prod-1-worker-1'));
    expect(answer).toMatchObject({
      code: 'credential-unavailable',
      remedy: expect.stringContaining('node_role'),
    });
    expect(stage.kubernetes.requests()).toEqual([]);
  });
});

describe('cordon and uncordon', () => {
  beforeAll(async () => {
    await startPool();
    await place();
  });
  afterAll(() => stage.close());

  it('are writes that change one mark, as kubectl sees it, and undo each other', async () => {
    expect(stage.gateway.classify({ tool: 'k8s.cordon', target: POOL, params: DRAIN })).toEqual({
      action_class: 'write',
      reasons: [],
    });
    expect(stage.gateway.classify({ tool: 'k8s.uncordon', target: POOL, params: UNCORDON })).toEqual({
      action_class: 'write',
      reasons: [],
    });
    const approved = await plan('k8s.cordon');
    expect(approved.preview.changes).toEqual([{ path: MARK, before: false, after: true }]);
    expect(isMarked()).toBe(false);
    expect(await run(approved)).toMatchObject({ outcome: { status: 'done', replayed: false } });
    expect(await run(approved)).toMatchObject({ outcome: { status: 'done', replayed: true } });
    expect(isMarked()).toBe(true);
    if (hasKubectl())
      expect(await kubectlNodes()).toMatch(new RegExp(`^${NODE} +Ready,SchedulingDisabled`, 'm'));
    expect(await undo(approved)).toMatchObject({ outcome: { status: 'done' } });
    expect(isMarked()).toBe(false);
    expect(onNode()).toHaveLength(REPLICAS);
  });

  it('refuse other paths and values, and a node that somebody else changed', async () => {
    const bad = [
      { path: '/spec/taints', value: true },
      { path: MARK, value: null },
      { path: MARK, value: 'yes' },
    ];
    for (const change of bad)
      expect(await preview('k8s.cordon', POOL, { changes: [change] })).toMatchObject({
        code: 'arguments-invalid',
      });
    const approved = await plan('k8s.cordon');
    setMark(NODE, true);
    expect(await run(approved)).toMatchObject({ outcome: { status: 'conflict' } });
    await place();
  });
});

async function kubectlNodes(): Promise<string> {
  const { token } = stage.kubernetes.issueToken({
    serviceAccount: 'onlooker',
    namespace: 'spark-jobs',
    rules: [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'], namespaces: ['*'] }],
  });
  const client = kubectlFor(stage.kubernetes.kubeconfig(token));
  const { out } = await client.kubectl('get', 'nodes');
  client.remove();
  return out;
}

describe('k8s.drain', () => {
  beforeAll(() => startPool());
  beforeEach(place, 60_000);
  afterEach(async () => {
    broken_journal = false;
    await stage.store.freezes.lift('*', 'ana', 'test');
    rmSync(join(stage.home, 'state', 'FREEZE'), { force: true });
  });
  afterAll(() => stage.close());

  it('rehearses every eviction on the server, names the pods by uid, and moves nothing', async () => {
    await guard({ maxUnavailable: 0 });
    const answer = await preview();
    if (isRefusal(answer)) throw new Error(answer.reason);
    expect(answer.preview.changes).toEqual([
      { path: MARK, before: false, after: true },
      ...onNode().map(({ metadata }) => ({
        path: `/pods/spark-jobs/${metadata.name}`,
        before: metadata.uid,
        after: null,
      })),
    ]);
    expect(answer.preview.diff.join('\n')).toMatch(/-\s+- spark-jobs\/web-\S+ \(ReplicaSet web-/);
    expect(answer.preview.warnings).toHaveLength(REPLICAS);
    expect(answer.preview.warnings[0]).toMatch(
      /is held now: The disruption budget web needs 4 healthy pods and has 4 currently/,
    );
    expect(evictions()).toEqual([]);
    expect(isMarked()).toBe(false);
    expect(onNode()).toHaveLength(REPLICAS);
  });

  it('leaves what kubectl leaves, and refuses what it refuses, with the reason', async () => {
    const model = onNode()[0] as KubeObject;
    const extra = (name: string, change: { meta?: object; spec?: object; status?: object }): KubeObject => ({
      ...model,
      metadata: { name, namespace: 'spark-jobs', labels: {}, ...change.meta },
      spec: { ...model.spec, ...change.spec },
      status: { ...model.status, ...change.status },
    });
    const owner = (kind: string) => ({
      ownerReferences: [{ apiVersion: 'apps/v1', kind, name: 'x', uid: 'u', controller: true }],
    });
    const added = [
      extra('ds', { meta: owner('DaemonSet') }),
      extra('mirror', { meta: { annotations: { 'kubernetes.io/config.mirror': 'abc' } } }),
      extra('ended', { meta: owner('Job'), status: { phase: 'Succeeded' } }),
      extra('alone', {}),
      extra('local', { meta: owner('StatefulSet'), spec: { volumes: [{ name: 't', emptyDir: {} }] } }),
    ];
    for (const pod of added) stage.kubernetes.setResource(pod);
    expect(reasonOf(await preview())).toMatch(
      /is not drained: spark-jobs\/alone has no controller: nobody would start it again; spark-jobs\/local keeps data on the node/,
    );
    for (const name of ['alone', 'local']) stage.world.store.remove('Pod', 'spark-jobs', name);
    const answer = await preview();
    expect(isRefusal(answer) ? [] : answer.preview.warnings).toEqual([
      '1 pod stays: of a DaemonSet, which would start it here again',
      '1 pod stays: ended already, kept for its logs',
      '1 pod stays: a static pod of the kubelet',
    ]);
    for (const name of ['ds', 'mirror', 'ended']) stage.world.store.remove('Pod', 'spark-jobs', name);
  });

  it('cordons, evicts every pod once inside its budget, and its undo uncordons', async () => {
    await guard({ minAvailable: REPLICAS - 1 });
    const approved = await plan();
    const answer = await run(approved);
    expect(answer).toMatchObject({
      outcome: {
        status: 'done',
        summary: `Drained node ${NODE}: it is cordoned, and all ${REPLICAS} pods are gone.`,
      },
    });
    expect(onNode()).toEqual([]);
    expect(isMarked()).toBe(true);
    expectOnce();
    const sent = evictions().length;
    expect(await run(approved)).toMatchObject({ outcome: { status: 'done', replayed: true } });
    expect(evictions().length).toBe(sent);
    expect(await undo(approved)).toMatchObject({ outcome: { status: 'done' } });
    expect(isMarked()).toBe(false);
  }, 60_000);

  it('a budget that never allows it is never forced: a clear partial result, and the undo still works', async () => {
    await guard({ maxUnavailable: 0 });
    const approved = await plan();
    const answer = await run(approved, 4000);
    expect(answer).toMatchObject({ outcome: { status: 'failed', partial: true } });
    expect(isRefusal(answer) ? '' : answer.outcome.summary).toMatch(
      /^0 of 4 pods evicted, node prod-1-pool-9 stays cordoned; pod spark-jobs\/web-\S+ is held: The disruption budget web needs 4 healthy pods and has 4 currently/,
    );
    expect(evictions().every(({ changed }) => !changed)).toBe(true);
    expect(onNode()).toHaveLength(REPLICAS);
    expect(await run(approved)).toMatchObject({
      outcome: { status: 'failed', partial: true, replayed: true },
    });
    expect(await undo(approved)).toMatchObject({ outcome: { status: 'done' } });
    expect(isMarked()).toBe(false);
  }, 60_000);

  it('a pod that never terminates is told so, not waited for without end', async () => {
    const stuck = onNode()[0] as KubeObject;
    stage.kubernetes.patchFromOutside('Pod', 'spark-jobs', stuck.metadata.name, {
      metadata: { finalizers: ['example.com/hold'] },
    });
    const answer = await run(await plan(), 5000);
    expect(answer).toMatchObject({ outcome: { status: 'failed', partial: true } });
    expect(isRefusal(answer) ? '' : answer.outcome.summary).toContain(
      `3 of 4 pods evicted, node ${NODE} stays cordoned; pod spark-jobs/${stuck.metadata.name} was told to go and is still terminating`,
    );
    expectOnce();
    stage.kubernetes.patchFromOutside('Pod', 'spark-jobs', stuck.metadata.name, {
      metadata: { finalizers: null },
    });
  }, 60_000);

  it('a pod with several budgets is refused in the preview: the server would refuse it', async () => {
    await guard({ minAvailable: 1 });
    const second = budget({ minAvailable: 1 });
    stage.kubernetes.setResource({ ...second, metadata: { ...second.metadata, name: 'web-2' } });
    expect(reasonOf(await preview())).toMatch(/has more than one PodDisruptionBudget/);
    stage.world.store.remove('PodDisruptionBudget', 'spark-jobs', 'web-2');
  });

  it('pods that came or went after the approval are another effect: nothing is sent', async () => {
    const approved = await plan();
    stage.world.store.remove('Pod', 'spark-jobs', (onNode()[0] as KubeObject).metadata.name);
    expect(await run(approved)).toMatchObject({ outcome: { status: 'conflict' } });
    expect(isMarked()).toBe(false);
  });

  describe('law 12: stopped between evictions', () => {
    const second = (act: () => void) => {
      let seen = 0;
      stage.kubernetes.faults.delay({
        ms: 300,
        match: ({ path, dry_run }) => {
          if (!path.endsWith('/eviction') || dry_run) return false;
          seen += 1;
          if (seen === 2) act();
          return seen === 2;
        },
      });
    };
    it.each([
      [
        'a freeze',
        () =>
          void stage.store.freezes.set({
            freeze_id: 'f1',
            scope: '*',
            reason: 'release day',
            by: 'ana',
            until_ms: null,
          }),
        /^Stopped between evictions: \* is frozen by ana: release day\. \d of 4 pods evicted/,
      ],
      [
        'the FREEZE file',
        () => writeFileSync(join(stage.home, 'state', 'FREEZE'), 'by hand'),
        /^Stopped between evictions: \* is frozen by system:freeze-file/,
      ],
    ])(
      '%s',
      async (_what, act, words) => {
        const approved = await plan();
        const before = evictions().length;
        second(act);
        const answer = await run(approved);
        expect(answer).toMatchObject({ outcome: { status: 'failed', partial: true } });
        expect(isRefusal(answer) ? '' : answer.outcome.summary).toMatch(words);
        expect(evictions().length).toBe(before + 2);
        expect(onNode().filter((pod) => pod.metadata.deletionTimestamp === undefined)).toHaveLength(2);
      },
      60_000,
    );

    it('a stop of the incident', async () => {
      const approved = await plan();
      const before = evictions().length;
      second(() => void stage.store.freezes.stop(approved.incident_id, 'ana', 'wrong node'));
      expect(await run(approved)).toMatchObject({ outcome: { status: 'failed', partial: true } });
      expect(evictions().length).toBe(before + 2);
    }, 60_000);
  });

  describe('when the server or the network is ill', () => {
    const isCordon = ({ method, dry_run }: { method: string; dry_run: boolean }) =>
      method === 'PATCH' && !dry_run;
    const nth = (n: number) => {
      let seen = 0;
      return ({ path, dry_run }: { path: string; dry_run: boolean }) =>
        path.endsWith('/eviction') && !dry_run && ++seen === n;
    };

    it.each([
      ['429 at the first eviction', () => stage.kubernetes.faults.answer({ status: 429, match: nth(1) })],
      ['409 at the second', () => stage.kubernetes.faults.answer({ status: 409, match: nth(2) })],
      ['500 at the third', () => stage.kubernetes.faults.answer({ status: 500, match: nth(3) })],
      ['503 at the last', () => stage.kubernetes.faults.answer({ status: 503, match: nth(4) })],
      ['a cut before the first', () => stage.kubernetes.faults.dropBefore({ match: nth(1) })],
      ['a cut after the second', () => stage.kubernetes.faults.dropAfter({ match: nth(2) })],
      ['a cut after the last', () => stage.kubernetes.faults.dropAfter({ match: nth(4) })],
      ['a lost answer to the cordon', () => stage.kubernetes.faults.dropAfter({ times: 1, match: isCordon })],
      [
        'a look that fails',
        () =>
          stage.kubernetes.faults.answer({
            status: 500,
            times: 1,
            match: ({ path }) => path === '/api/v1/pods' && isMarked(),
          }),
      ],
    ])(
      '%s: every pod leaves once, or what is left is said',
      async (what, inject) => {
        const approved = await plan();
        inject();
        const answer = await run(approved);
        const status = isRefusal(answer) ? answer.code : answer.outcome.status;
        // A cordon whose answer was lost is no licence to go on: the node shows it, the pods stay, a person decides.
        expect(status).toBe(what.includes('cordon') ? 'outcome_unknown' : 'done');
        expect(isMarked()).toBe(true);
        expect(onNode()).toHaveLength(what.includes('cordon') ? REPLICAS : 0);
        expectOnce();
      },
      60_000,
    );

    it('a cordon that is refused moves nothing', async () => {
      for (const status of [409, 500]) {
        const approved = await plan();
        stage.kubernetes.faults.answer({ status, times: 1, match: isCordon });
        expect(await run(approved)).toMatchObject({
          outcome: { status: status === 409 ? 'conflict' : 'failed' },
        });
        expect(isMarked()).toBe(false);
        expect(onNode()).toHaveLength(REPLICAS);
      }
    }, 60_000);

    it('an eviction that is always lost ends as unknown; it is not asked for without end', async () => {
      const approved = await plan();
      const name = (onNode()[0] as KubeObject).metadata.name;
      const before = evictions().length;
      stage.kubernetes.faults.dropBefore({ match: ({ path }) => path.includes(`/${name}/eviction`) });
      expect(await run(approved)).toMatchObject({ outcome: { status: 'outcome_unknown' } });
      expect(evictions().slice(before).length).toBeLessThan(20);
      expect(onNode().map(({ metadata }) => metadata.name)).toEqual([name]);
    }, 60_000);

    it('a process that died in the middle: found by looking, and never run a second time', async () => {
      const done = await plan();
      broken_journal = true;
      await expect(run(done)).rejects.toThrow('the process died here');
      broken_journal = false;
      let sent = evictions().length;
      const settle = async ({ incident_id }: ApprovedPlan) =>
        stage.gateway.reconcile({
          token: await stage.token({ incident_id }),
          journal_key: journalKey(incident_id, 'CHG-7', 'apply'),
        });
      expect(await settle(done)).toMatchObject({ outcome: { status: 'done' } });
      await place();
      await guard({ maxUnavailable: 0 });
      const half = await plan();
      broken_journal = true;
      await expect(run(half, 3000)).rejects.toThrow('the process died here');
      broken_journal = false;
      sent = evictions().length;
      expect(await settle(half)).toMatchObject({
        outcome: { status: 'outcome_unknown', conflict_fields: [{ path: MARK, before: false, after: true }] },
      });
      expect(await run(half)).toMatchObject({ outcome: { status: 'outcome_unknown' } });
      expect(evictions().length).toBe(sent);
    }, 90_000);
  });
});
