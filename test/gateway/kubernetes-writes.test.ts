import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hashOf } from '../../src/contract/canonical.ts';
import type { Preview } from '../../src/contract/tool.ts';
import { isRefusal } from '../../src/contract/verdict.ts';
import { locateField } from '../../src/gateway/drivers/kubernetes/field-path.ts';
import { hasKubectl, kubectlFor } from '../lab/kubernetes/twin-fixture.ts';
import { approvedPlan, execute, type ApprovedPlan } from './approved-plan.ts';
import { patient, startStage, type Stage } from './stage.ts';

const API = 'mcp://k8s/prod-1/spark-jobs/deployment/settlement-api';
const FOREIGN = 'mcp://k8s/prod-1/fraud/deployment/fraud-scorer';
const MEMORY = '/spec/template/spec/containers/settlement-api/resources/limits/memory';
const CPU = '/spec/template/spec/containers/settlement-api/resources/limits/cpu';
const RESTARTED_AT = '/spec/template/metadata/annotations/kubectl.kubernetes.io~1restartedAt';
const AT = '2026-11-23T03:04:05Z';

type Changes = readonly { readonly path: string; readonly value: unknown }[];
type Answer = Awaited<ReturnType<typeof execute>>;

async function preview(stage: Stage, tool: string, changes: Changes, target = API) {
  return stage.gateway.preview({
    token: await stage.token(),
    tool,
    target,
    params: { changes },
    change_id: 'CHG-7',
    why: 'test',
  });
}

function approve(stage: Stage, tool: string, changes: Changes): Promise<ApprovedPlan> {
  return approvedPlan(stage, { action: { tool, target: API, params: { changes: [...changes] } } });
}

/** The undo, previewed and bound like the change; its arguments are the before-image of the journal. */
async function undo(stage: Stage, approved: ApprovedPlan): Promise<Answer> {
  const row = await stage.store.journal.get(`${approved.incident_id}#CHG-7#apply`);
  const changes = Object.entries(row?.before_image ?? {}).map(([path, value]) => ({ path, value }));
  const previewed = await preview(stage, approved.permit.tool, changes);
  if (isRefusal(previewed)) throw new Error(previewed.reason);
  await stage.store.ledger.append(approved.incident_id, [
    {
      kind: 'preview',
      actor: 'aegis:gateway',
      payload: { change_id: 'CHG-7', preview: previewed.preview },
    },
  ]);
  const { effect_hash } = previewed.preview;
  const permit_id = await approved.mint({ phase: 'undo', effect_hash, args_hash: hashOf({ changes }) });
  return execute(stage, approved, { params: { changes }, permit_id });
}

const deployment = (stage: Stage) => {
  const found = stage.world.store.get('Deployment', 'spark-jobs', 'settlement-api');
  if (found === undefined) throw new Error('the Deployment is gone');
  return found;
};
const templateOf = (stage: Stage): unknown => deployment(stage).spec?.['template'];
const now = (stage: Stage, path: string): unknown => locateField(deployment(stage), path).value ?? null;
const writes = (stage: Stage): number => stage.kubernetes.mutations().length;
const shown = (answer: { preview: Preview } | { code: string }): unknown =>
  'preview' in answer ? answer.preview.changes : answer.code;

interface WriteCase {
  readonly tool: string;
  readonly changes: Changes;
  readonly before: readonly unknown[];
  /** What real kubectl prints of the object after the change. */
  readonly jsonpath: string;
  readonly printed: string;
}

const CASES: WriteCase[] = [
  {
    tool: 'k8s.patch',
    changes: [
      { path: MEMORY, value: '1Gi' },
      { path: CPU, value: '500m' },
    ],
    before: ['512Mi', '250m'],
    jsonpath:
      '{.spec.template.spec.containers[0].resources.limits.memory} {.spec.template.spec.containers[0].resources.limits.cpu}',
    printed: '1Gi 500m',
  },
  {
    tool: 'k8s.scale',
    changes: [{ path: '/spec/replicas', value: 3 }],
    before: [2],
    jsonpath: '{.spec.replicas}',
    printed: '3',
  },
  {
    tool: 'k8s.rollout_restart',
    changes: [{ path: RESTARTED_AT, value: AT }],
    before: [null],
    jsonpath: String.raw`{.spec.template.metadata.annotations.kubectl\.kubernetes\.io/restartedAt}`,
    printed: AT,
  },
];

const isWrite = ({ method, dry_run }: { method: string; dry_run: boolean }): boolean =>
  method === 'PATCH' && !dry_run;

/** A write whose connection broke before the server saw it: what came of it, on a stage of its own. */
async function neverArrived({ tool, changes }: WriteCase) {
  const stage = await startStage({ settings: patient });
  try {
    const approved = await approve(stage, tool, changes);
    stage.kubernetes.faults.dropBefore({ times: 1, match: isWrite });
    const answer = await execute(stage, approved);
    const patches = stage.kubernetes.requests().filter((request) => isWrite(request)).length;
    return { answer, patches, writes: writes(stage), values: changes.map(({ path }) => now(stage, path)) };
  } finally {
    await stage.close();
  }
}

// The gateway looks for seconds before it calls an outcome unknown: the tools wait together, beside the other tests.
const unheard = new Map<string, ReturnType<typeof neverArrived>>();
beforeAll(() => {
  for (const each of CASES) {
    const end = neverArrived(each);
    end.catch(() => undefined);
    unheard.set(each.tool, end);
  }
});

describe.each(CASES)('$tool', ({ tool, changes, before, jsonpath, printed }) => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await startStage();
  });
  afterAll(() => stage.close());

  it('previews by the server’s dry run and changes nothing', async () => {
    const version = deployment(stage).metadata.resourceVersion;
    expect(shown(await preview(stage, tool, changes))).toEqual(
      changes.map(({ path, value }, index) => ({ path, before: before[index], after: value })),
    );
    const sent = stage.kubernetes.requests().filter((request) => request.method === 'PATCH');
    expect(sent.map((request) => request.query['dryRun'])).toEqual(['All']);
    expect(writes(stage)).toBe(0);
    expect(deployment(stage).metadata.resourceVersion).toBe(version);
  });

  it('is of class write, and refuses another team’s object with the words for an unknown one', async () => {
    expect(stage.gateway.classify({ tool, target: API, params: { changes } })).toEqual({
      action_class: 'write',
      reasons: [],
    });
    const codes = [FOREIGN, 'mcp://k8s/nowhere/fraud/deployment/fraud-scorer'].map((target) =>
      preview(stage, tool, changes, target),
    );
    expect((await Promise.all(codes)).map((answer) => isRefusal(answer) && answer.code)).toEqual([
      'scope-forbidden',
      'scope-forbidden',
    ]);
    const pod = await preview(stage, tool, changes, 'mcp://k8s/prod-1/spark-jobs/pod/settlement-api');
    expect(shown(pod as never)).toBe('kind-forbidden');
  });

  it('redacts what the preview shows', async () => {
    stage.kubernetes.patchFromOutside('Deployment', 'spark-jobs', 'settlement-api', {
      metadata: { annotations: { owner: 'ana.planted@example.com', key: 'AKIAIOSFODNN7EXAMPLE' } },
    });
    const text = JSON.stringify(await preview(stage, tool, changes));
    expect(text).toContain('diff');
    expect(text).not.toContain('ana.planted@example.com');
    expect(text).not.toContain('AKIAIOSFODNN7EXAMPLE');
  });

  it('acts once for one key, shows it to kubectl, and undoes to the before-image', async () => {
    const template = templateOf(stage);
    const approved = await approve(stage, tool, changes);
    expect(await execute(stage, approved)).toMatchObject({ outcome: { status: 'done', replayed: false } });
    expect(await execute(stage, approved)).toMatchObject({ outcome: { status: 'done', replayed: true } });
    expect(writes(stage)).toBe(1);
    if (hasKubectl()) expect(await asked(stage, jsonpath)).toBe(printed);
    const key = `${approved.incident_id}#CHG-7#apply`;
    expect((await stage.store.journal.get(key))?.before_image).toEqual(
      Object.fromEntries(changes.map(({ path }, index) => [path, before[index]])),
    );
    const token = await stage.token({ incident_id: approved.incident_id });
    expect(await stage.gateway.reconcile({ token, journal_key: key })).toMatchObject({
      outcome: { status: 'done', replayed: true },
    });
    expect(await undo(stage, approved)).toMatchObject({ outcome: { status: 'done' } });
    expect(changes.map(({ path }) => now(stage, path))).toEqual(before);
    expect(templateOf(stage)).toEqual(template);
    expect(writes(stage)).toBe(2);
  });

  it('a lost answer is found done by looking, also for reconcile; one that never arrived is not sent again', async () => {
    const lost = await approve(stage, tool, changes);
    stage.kubernetes.faults.dropAfter({ times: 1, match: isWrite });
    const count = writes(stage);
    expect(await execute(stage, lost)).toMatchObject({ outcome: { status: 'done' } });
    expect(writes(stage)).toBe(count + 1);
    expect(await undo(stage, lost)).toMatchObject({ outcome: { status: 'done' } });
    expect(writes(stage)).toBe(count + 2);
    expect(changes.map(({ path }) => now(stage, path))).toEqual(before);
    expect(await unheard.get(tool)).toEqual({
      answer: expect.objectContaining({ outcome: expect.objectContaining({ status: 'outcome_unknown' }) }),
      patches: 1,
      writes: 0,
      values: before,
    });
  });

  it('writes nothing when the object shows another value than the approved one, or is another object', async () => {
    const approved = await approve(stage, tool, changes);
    const count = writes(stage);
    const saved = deployment(stage);
    stage.kubernetes.patchFromOutside('Deployment', 'spark-jobs', 'settlement-api', foreignChange(tool));
    expect(await execute(stage, approved)).toMatchObject({ outcome: { status: 'conflict' } });
    expect(writes(stage)).toBe(count);
    stage.kubernetes.setResource({ ...saved, metadata: { ...saved.metadata } });
    const again = await approve(stage, tool, changes);
    stage.world.store.remove('Deployment', 'spark-jobs', 'settlement-api');
    const { uid: _uid, resourceVersion: _version, ...metadata } = saved.metadata;
    stage.kubernetes.setResource({ ...saved, metadata });
    expect(await execute(stage, again)).toMatchObject({
      outcome: { status: 'conflict', conflict_fields: [{ path: '/metadata/uid' }] },
    });
    expect(writes(stage)).toBe(count);
  });
});

function foreignChange(tool: string): object {
  if (tool === 'k8s.scale') return { spec: { replicas: 4 } };
  if (tool === 'k8s.rollout_restart')
    return {
      spec: {
        template: {
          metadata: { annotations: { 'kubectl.kubernetes.io/restartedAt': '2026-11-23T01:00:00Z' } },
        },
      },
    };
  return { spec: { template: { spec: { containers: [{ name: 'settlement-api', image: 'other:1' }] } } } };
}

async function asked(stage: Stage, jsonpath: string): Promise<string> {
  const { token } = stage.kubernetes.issueToken({
    serviceAccount: 'onlooker',
    namespace: 'spark-jobs',
    rules: [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'], namespaces: ['*'] }],
  });
  const client = kubectlFor(stage.kubernetes.kubeconfig(token, { namespace: 'spark-jobs' }));
  try {
    const { out } = await client.kubectl('get', 'deployment', 'settlement-api', '-o', `jsonpath=${jsonpath}`);
    return out;
  } finally {
    client.remove();
  }
}

describe('what a Kubernetes write may not do', () => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await startStage();
  });
  afterAll(() => stage.close());
  const code = async (tool: string, changes: Changes): Promise<unknown> => {
    const answer = await preview(stage, tool, changes);
    return isRefusal(answer) ? answer.code : 'previewed';
  };
  const reason = async (tool: string, changes: Changes): Promise<string> => {
    const answer = await preview(stage, tool, changes);
    return isRefusal(answer) ? answer.reason : 'previewed';
  };

  it('scale to nothing: that is destruction', async () => {
    expect(await reason('k8s.scale', [{ path: '/spec/replicas', value: 0 }])).toMatch(
      /class destroy.*stops every pod/,
    );
    expect(await code('k8s.scale', [{ path: '/spec/replicas', value: 51 }])).toBe('value-out-of-bounds');
    expect(await code('k8s.scale', [{ path: '/spec/replicas', value: 7 }])).toBe('value-out-of-bounds');
    expect(await code('k8s.scale', [{ path: '/spec/replicas', value: -1 }])).toBe('arguments-invalid');
    expect(await code('k8s.scale', [{ path: '/spec/replicas', value: '3' }])).toBe('arguments-invalid');
    expect(await code('k8s.scale', [{ path: '/spec/paused', value: true }])).toBe('arguments-invalid');
  });

  it.each([
    ['an image', '/spec/template/spec/containers/settlement-api/image', 'evil:latest'],
    ['a command', '/spec/template/spec/containers/settlement-api/command/0', 'sh'],
    ['a service account', '/spec/template/spec/serviceAccountName', 'admin'],
    ['a host path', '/spec/template/spec/volumes/data/hostPath/path', '/'],
    ['a host network', '/spec/template/spec/hostNetwork', true],
    ['a privilege', '/spec/template/spec/containers/settlement-api/securityContext/privileged', true],
    [
      'an environment variable',
      '/spec/template/spec/containers/settlement-api/env/LD_PRELOAD/value',
      '/x.so',
    ],
    [
      'a probe that runs a command',
      '/spec/template/spec/containers/settlement-api/readinessProbe/exec/command',
      'sh',
    ],
    ['zero replicas', '/spec/replicas', 0],
    ['another annotation', '/spec/template/metadata/annotations/sidecar.istio.io~1inject', 'false'],
    ['an init container', '/spec/template/spec/initContainers/x/image', 'evil'],
  ])('a good patch that also sets %s is caught', async (_what, path, value) => {
    const changes = [
      { path: MEMORY, value: '1Gi' },
      { path, value },
    ];
    expect(await reason('k8s.patch', changes)).toMatch(/class privileged/);
    expect(writes(stage)).toBe(0);
  });

  it('go beyond bounds or factor, name a container that is not there, or a position', async () => {
    expect(await code('k8s.patch', [{ path: MEMORY, value: '17Gi' }])).toBe('value-out-of-bounds');
    expect(await code('k8s.patch', [{ path: MEMORY, value: '1025Mi' }])).toBe('value-out-of-bounds');
    expect(await code('k8s.patch', [{ path: CPU, value: '1' }])).toBe('value-out-of-bounds');
    expect(await reason('k8s.patch', [{ path: MEMORY, value: '1024Mi' }])).toContain('as "1Gi"');
    expect(await reason('k8s.patch', [{ path: '/spec/minReadySeconds', value: 5 }])).toContain('is not set');
    // The server's own rule, told by its dry run.
    expect(await reason('k8s.patch', [{ path: MEMORY, value: '256Mi' }])).toMatch(
      /less than or equal to memory limit/,
    );
    for (const item of ['nobody', '0', '-', 'length'])
      expect(
        await code('k8s.patch', [{ path: MEMORY.replace('settlement-api', item), value: '1Gi' }]),
      ).not.toBe('previewed');
  });

  it('restart at a time that is none, or a Deployment that is paused', async () => {
    expect(await code('k8s.rollout_restart', [{ path: RESTARTED_AT, value: 'now' }])).toBe(
      'arguments-invalid',
    );
    stage.kubernetes.patchFromOutside('Deployment', 'spark-jobs', 'settlement-api', {
      spec: { paused: true },
    });
    expect(await reason('k8s.rollout_restart', [{ path: RESTARTED_AT, value: AT }])).toMatch(/paused/);
    const warned = await preview(stage, 'k8s.patch', [{ path: MEMORY, value: '1Gi' }]);
    expect(isRefusal(warned) ? [] : warned.preview.warnings).toEqual([expect.stringContaining('paused')]);
  });

  it('hit another container after somebody put one in front: the name is approved, not the position', async () => {
    stage.kubernetes.patchFromOutside('Deployment', 'spark-jobs', 'settlement-api', {
      spec: { paused: null },
    });
    const approved = await approve(stage, 'k8s.patch', [{ path: MEMORY, value: '1Gi' }]);
    const own = locateField(deployment(stage), '/spec/template/spec/containers').value as object[];
    const front = { ...structuredClone(own[0]), name: 'mesh-proxy' };
    stage.kubernetes.patchFromOutside('Deployment', 'spark-jobs', 'settlement-api', {
      spec: { template: { spec: { containers: [front, ...own] } } },
    });
    expect(await execute(stage, approved)).toMatchObject({ outcome: { status: 'done' } });
    expect(now(stage, MEMORY)).toBe('1Gi');
    expect(now(stage, MEMORY.replace('settlement-api', 'mesh-proxy'))).toBe('512Mi');
  });
});

describe('somebody who is faster, between the last look and the write', () => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await startStage();
  });
  afterAll(() => stage.close());

  /** The other person's change arrives at the server while our write is already on its way. */
  function meanwhile(act: () => void): void {
    let acted = false;
    stage.kubernetes.faults.clear();
    stage.kubernetes.faults.delay({
      ms: 0,
      match: ({ method, dry_run }) => {
        if (method !== 'PATCH' || dry_run || acted) return false;
        acted = true;
        act();
        return false;
      },
    });
  }

  it('restarted it too: the server finds the annotation where none was, and our restart does not happen', async () => {
    const approved = await approve(stage, 'k8s.rollout_restart', [{ path: RESTARTED_AT, value: AT }]);
    meanwhile(() => {
      stage.kubernetes.patchFromOutside(
        'Deployment',
        'spark-jobs',
        'settlement-api',
        foreignChange('k8s.rollout_restart'),
      );
    });
    const count = writes(stage);
    expect(await execute(stage, approved)).toMatchObject({ outcome: { status: 'conflict' } });
    expect(writes(stage)).toBe(count);
    expect(now(stage, RESTARTED_AT)).toBe('2026-11-23T01:00:00Z');
  });

  it('put another container in front: nothing is written, to neither', async () => {
    const approved = await approve(stage, 'k8s.patch', [{ path: MEMORY, value: '1Gi' }]);
    const own = locateField(deployment(stage), '/spec/template/spec/containers').value as object[];
    const front = { ...structuredClone(own[0]), name: 'mesh-proxy' };
    meanwhile(() => {
      stage.kubernetes.patchFromOutside('Deployment', 'spark-jobs', 'settlement-api', {
        spec: { template: { spec: { containers: [front, ...own] } } },
      });
    });
    expect(await execute(stage, approved)).toMatchObject({ outcome: { status: 'failed' } });
    expect(now(stage, MEMORY)).toBe('512Mi');
    expect(now(stage, MEMORY.replace('settlement-api', 'mesh-proxy'))).toBe('512Mi');
  });

  it('scaled it: the server compares the number that was approved', async () => {
    const approved = await approve(stage, 'k8s.scale', [{ path: '/spec/replicas', value: 3 }]);
    meanwhile(() => {
      stage.kubernetes.patchFromOutside('Deployment', 'spark-jobs', 'settlement-api', {
        spec: { replicas: 5 },
      });
    });
    expect(await execute(stage, approved)).toMatchObject({ outcome: { status: 'conflict' } });
    expect(now(stage, '/spec/replicas')).toBe(5);
  });
});

it('a preview says what the change asks of the namespace quota', async () => {
  const stage = await startStage();
  try {
    const answer = await preview(stage, 'k8s.scale', [{ path: '/spec/replicas', value: 3 }]);
    expect(isRefusal(answer) ? null : answer.preview.resources).toEqual({
      memory_bytes_before: 2 * 512 * 2 ** 20,
      memory_bytes_after: 3 * 512 * 2 ** 20,
      cpu_millis_before: 500,
      cpu_millis_after: 750,
    });
  } finally {
    await stage.close();
  }
});

it('a restart replaces the pods', async () => {
  const stage = await startStage();
  const podsOf = (): string[] =>
    stage.world.store
      .list('Pod', 'spark-jobs')
      .map((pod) => pod.metadata.name)
      .filter((name) => name.startsWith('settlement-api'));
  try {
    const old = new Set(podsOf());
    const approved = await approve(stage, 'k8s.rollout_restart', [{ path: RESTARTED_AT, value: AT }]);
    expect(await execute(stage, approved)).toMatchObject({ outcome: { status: 'done' } });
    const replaced = (): boolean => {
      stage.world.tick();
      return podsOf().length === 2 && podsOf().every((name) => !old.has(name));
    };
    await expect.poll(replaced, { timeout: 10_000, interval: 100 }).toBe(true);
  } finally {
    await stage.close();
  }
});
