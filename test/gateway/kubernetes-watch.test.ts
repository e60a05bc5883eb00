import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isRefusal } from '../../src/contract/verdict.ts';
import { startStage, type Stage } from './stage.ts';
import { startToldSource, type ToldSource } from './told-source.ts';

const CONFIG_MAPS = 'mcp://k8s/prod-1/spark-jobs/configmap/-';
const DEPLOYMENTS = 'mcp://k8s/prod-1/spark-jobs/deployment/-';
const TOLD = 'mcp://k8s/told-1/spark-jobs/deployment/-';
const SINCE = '2020-01-01T00:00:00.000Z';

interface Answer {
  readonly resource_version: string | null;
  readonly gone: boolean;
  readonly writes: readonly { name: string; manager: string; fields: string[]; values: object }[];
  readonly deletions: readonly { name: string; uid: string; owned: boolean }[];
  readonly more: boolean;
}

let stage: Stage;
let told: ToldSource;
beforeAll(async () => {
  told = await startToldSource();
  stage = await startStage({
    credentials: 'token',
    settings: (settings) => ({
      ...settings,
      clusters: {
        ...settings.clusters,
        'told-1': { server: told.settings.url, credentials: { engine: 'none' } },
      },
      teams: {
        ...settings.teams,
        data: {
          environments: {
            prod: {
              ...settings.teams['data']!.environments['prod']!,
              mounts: ['prod-1', 'told-1'].map((cluster) => ({
                kind: 'kubernetes' as const,
                cluster,
                namespaces: ['spark-jobs'],
              })),
            },
          },
        },
      },
    }),
  });
});
afterAll(async () => {
  await stage?.close();
  told?.close();
});

async function ask(
  resource_version: string | null,
  target = DEPLOYMENTS,
  more: Record<string, unknown> = {},
) {
  return stage.gateway.read({
    token: await stage.token(),
    tool: 'k8s.watch',
    target,
    args: { since: SINCE, resource_version, timeout_s: 1, ...more },
    why: 'test',
  });
}
async function watch(...asked: Parameters<typeof ask>): Promise<Answer> {
  const got = await ask(...asked);
  if (isRefusal(got)) throw new Error(`${got.code}: ${got.reason}`);
  return got.result as Answer;
}
async function code(...asked: Parameters<typeof ask>): Promise<string> {
  const got = await ask(...asked);
  return isRefusal(got) ? got.code : 'answered';
}
const scale = (replicas: number, manager: string) =>
  stage.kubernetes.patchFromOutside(
    'Deployment',
    'spark-jobs',
    'settlement-api',
    { spec: { replicas } },
    manager,
  );
function configMap(name: string, namespace = 'spark-jobs', owned = false) {
  const metadata = {
    name,
    namespace,
    ...(owned
      ? { ownerReferences: [{ apiVersion: 'v1', kind: 'Secret', name: 'x', uid: 'u', controller: true }] }
      : {}),
  };
  stage.kubernetes.setResource({ apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { a: '1' } });
}

describe('refused', () => {
  it('another tenant’s namespace, all namespaces, kinds that nobody watches', async () => {
    expect(await code(null, 'mcp://k8s/prod-1/fraud/deployment/-')).toBe('scope-forbidden');
    expect(await code(null, 'mcp://k8s/prod-1/-/deployment/-')).toBe('scope-forbidden');
    expect(await code(null, 'mcp://k8s/prod-1/spark-jobs/secret/-')).toBe('kind-forbidden');
    expect(await code(null, 'mcp://k8s/prod-1/spark-jobs/pod/-')).toBe('kind-forbidden');
  });

  it('a watch that is too long, and a version that would be more than one parameter', async () => {
    expect(await code('1', DEPLOYMENTS, { timeout_s: 26 })).toBe('arguments-invalid');
    expect(await code('1', DEPLOYMENTS, { timeout_s: 0 })).toBe('arguments-invalid');
    expect(await code('1&watch=false')).toBe('arguments-invalid');
    expect(await code('')).toBe('arguments-invalid');
  });

  it('a cluster that answers something else', async () => {
    const answers: [string, string][] = [
      ['{"type":"ADDED","object":{}}\n', 'upstream-malformed'],
      ['{"type":"RENAMED","object":{"metadata":{"resourceVersion":"5"}}}\n', 'upstream-malformed'],
      ['{"type":"ADDED","obj', 'upstream-malformed'],
      ['{"type":"ERROR","object":{"code":500,"message":"etcd is away"}}\n', 'upstream-failed'],
    ];
    for (const [body, refused] of answers) {
      told.answer = { status: 200, body };
      expect(await code('5', TOLD), body).toBe(refused);
    }
    told.answer = { status: 200, body: '{"items":[]}' };
    expect(await code(null, TOLD)).toBe('upstream-malformed');
  });
});

describe('a watch', () => {
  it('shows writes that are overwritten by now, each once, and where to go on', async () => {
    const start = await watch(null);
    expect(start).toMatchObject({ gone: false, writes: [], deletions: [] });
    scale(3, 'kubectl-scale');
    scale(5, 'kubectl-edit');
    scale(7, 'kubectl-patch');
    const seen = await watch(start.resource_version);
    const by = (manager: string) => seen.writes.filter((write) => write.manager === manager);
    for (const [manager, replicas] of [
      ['kubectl-scale', 3],
      ['kubectl-edit', 5],
      ['kubectl-patch', 7],
    ] as const)
      expect(by(manager)).toMatchObject([
        { name: 'settlement-api', fields: ['/spec/replicas'], values: { '/spec/replicas': replicas } },
      ]);
    // Only the last one still stands in the object.
    const later = await watch(seen.resource_version);
    expect(later.writes.filter(({ manager }) => manager === 'kubectl-scale')).toEqual([]);
  });

  it('shows deletions of this namespace, and whether the object had an owner', async () => {
    configMap('mine');
    configMap('owned', 'spark-jobs', true);
    configMap('theirs', 'fraud');
    const { resource_version } = await watch(null, CONFIG_MAPS);
    for (const [namespace, name] of [
      ['spark-jobs', 'mine'],
      ['spark-jobs', 'owned'],
      ['fraud', 'theirs'],
    ] as const)
      stage.world.store.remove('ConfigMap', namespace, name);
    const { deletions } = await watch(resource_version, CONFIG_MAPS);
    expect(deletions).toMatchObject([
      { name: 'mine', owned: false, managers: ['kubectl-edit'] },
      { name: 'owned', owned: true },
    ]);
  });

  it('goes on by a bookmark where nothing happens', async () => {
    const { resource_version } = await watch(null, CONFIG_MAPS);
    scale(4, 'kubectl-scale');
    const brief = await watch(resource_version, CONFIG_MAPS);
    expect(brief.resource_version).toBe(resource_version);
    const patient = await watch(resource_version, CONFIG_MAPS, { timeout_s: 3 });
    expect(patient).toMatchObject({ writes: [], deletions: [] });
    expect(Number(patient.resource_version)).toBeGreaterThan(Number(resource_version));
  });

  it('says that the version is too old, whichever way the server says it', async () => {
    expect(await watch('1')).toMatchObject({ gone: true, resource_version: null });
    told.answer = { status: 410, body: '{"kind":"Status","code":410,"message":"too old resource version"}' };
    expect(await watch('5', TOLD)).toMatchObject({ gone: true });
    const event = { type: 'ERROR', object: { kind: 'Status', code: 410, reason: 'Expired' } };
    told.answer = { status: 200, body: `${JSON.stringify(event)}\n` };
    expect(await watch('5', TOLD)).toMatchObject({ gone: true });
    // More than may be read is lost as well.
    told.answer = { status: 200, body: `${' '.repeat(9_000_000)}\n` };
    expect(await watch('5', TOLD)).toMatchObject({ gone: true });
  });

  it('shows a bounded number of events, and says when there were more', async () => {
    const gone = (n: number) =>
      JSON.stringify({
        type: 'DELETED',
        object: { metadata: { name: `d-${n}`, uid: `u-${n}`, resourceVersion: String(n) } },
      });
    told.answer = { status: 200, body: Array.from({ length: 150 }, (_, n) => `${gone(n + 1)}\n`).join('') };
    const answer = await watch('1', TOLD);
    expect(answer.deletions).toHaveLength(100);
    expect(answer).toMatchObject({ more: true, resource_version: '150' });
  });

  it('ends when the caller leaves', async () => {
    const { resource_version } = await watch(null);
    const controller = new AbortController();
    const began = performance.now();
    const asked = stage.gateway.read(
      {
        token: await stage.token(),
        tool: 'k8s.watch',
        target: DEPLOYMENTS,
        args: { since: SINCE, resource_version, timeout_s: 20 },
        why: 'test',
      },
      controller.signal,
    );
    setTimeout(() => controller.abort(), 200);
    expect(await asked).toMatchObject({ code: expect.stringMatching(/aborted/) });
    expect(performance.now() - began).toBeLessThan(10_000);
  });
});
