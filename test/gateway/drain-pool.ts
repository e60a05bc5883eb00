import { vi, expect } from 'vitest';
import { hashOf } from '../../src/contract/canonical.ts';
import { isRefusal } from '../../src/contract/verdict.ts';
import type { GatewaySettings } from '../../src/gateway/pipeline/core.ts';
import { isPodReady } from '../../src/lab/world/disruption-controller.ts';
import type { KubeObject } from '../../src/lab/world/kube-object.ts';
import { deploymentManifest, nodeManifest } from '../../src/lab/world/manifests.ts';
import type { Store } from '../../src/store/store.ts';
import { approvedPlan, execute, type ApprovedPlan } from './approved-plan.ts';
import { patient, startStage, type Stage, type StageOptions } from './stage.ts';

/** A node with the four pods of a Deployment of team data, and what a test does to drain it. */
export const NODE = 'prod-1-pool-9';
export const POOL = `mcp://k8s/prod-1/-/node/${NODE}`;
export const WORKERS = ['prod-1-worker-1', 'prod-1-worker-2', 'prod-1-worker-3'];
export const MARK = '/spec/unschedulable';
export const REPLICAS = 4;
export const DRAIN = { changes: [{ path: MARK, value: true }] };
export const UNCORDON = { changes: [{ path: MARK, value: false }] };

/** The stage under test; `startPool` or the test sets it. */
export let stage: Stage;
/** Broken: it can write outcomes no longer, as a process that dies right after its last request. */
export const journal = { is_broken: false };

export function useStage(next: Stage): void {
  stage = next;
}

export const node = (name = NODE): KubeObject => stage.world.store.get('Node', undefined, name) as KubeObject;
export const isMarked = (): boolean => node().spec?.['unschedulable'] === true;
export const web = (): KubeObject[] =>
  stage.world.store.list('Pod', 'spark-jobs').filter(({ metadata }) => metadata.name.startsWith('web-'));
export const onNode = (): KubeObject[] => web().filter((pod) => pod.spec?.['nodeName'] === NODE);
export const evictions = () =>
  stage.kubernetes.requests().filter((request) => request.resource === 'pods/eviction' && !request.dry_run);
export const budget = (spec: Record<string, unknown>): KubeObject => ({
  apiVersion: 'policy/v1',
  kind: 'PodDisruptionBudget',
  metadata: { name: 'web', namespace: 'spark-jobs' },
  spec: { selector: { matchLabels: { app: 'web' } }, ...spec },
});

export function mounted(change: object): StageOptions['settings'] {
  return (settings: GatewaySettings) => {
    const copy = structuredClone(patient(settings));
    Object.assign(copy.teams['data']?.environments['prod']?.mounts[0] as object, change);
    return copy;
  };
}

function mortal(store: Store): Store {
  const finish: Store['journal']['finish'] = (...input) =>
    journal.is_broken ? Promise.reject(new Error('the process died here')) : store.journal.finish(...input);
  return { ...store, journal: { ...store.journal, finish } };
}

export async function startPool(change: object = { nodes: ['prod-1-pool-*'] }): Promise<void> {
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

export function setMark(name: string, value: boolean): void {
  stage.kubernetes.patchFromOutside('Node', '', name, { spec: { unschedulable: value ? true : null } });
}

/** Every pod of `web` runs on the pool's node, and any node takes what is evicted from there. */
export async function place(): Promise<void> {
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

export async function guard(spec: Record<string, unknown>): Promise<void> {
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

export const preview = async (tool = 'k8s.drain', target = POOL, params: Record<string, unknown> = DRAIN) =>
  stage.gateway.preview({
    token: await stage.token(),
    tool,
    target,
    params,
    change_id: 'CHG-7',
    why: 'test',
  });
export const reasonOf = (answer: object): string => (isRefusal(answer) ? answer.reason : 'previewed');
export const plan = (tool = 'k8s.drain', params: Record<string, unknown> = DRAIN): Promise<ApprovedPlan> =>
  approvedPlan(stage, { action: { tool, target: POOL, params } });
export const run = (approved: ApprovedPlan, timeout_ms = 20_000) => execute(stage, approved, { timeout_ms });

export async function undo(approved: ApprovedPlan) {
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
export function expectOnce(): void {
  const accepted = evictions().filter(({ changed }) => changed);
  expect(new Set(accepted.map(({ name }) => name)).size).toBe(accepted.length);
}
