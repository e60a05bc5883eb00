import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { parse } from 'yaml';
import { canonicalJson, hashOf } from '../../src/contract/canonical.ts';
import { Guardrails } from '../../src/contract/guardrails.ts';
import { isoTime } from '../../src/contract/ports.ts';
import { parseTarget } from '../../src/contract/tool.ts';
import { isRefusal } from '../../src/contract/verdict.ts';
import { classifyFields } from '../../src/gateway/pipeline/classify.ts';
import { ageProblem } from '../../src/gateway/pipeline/restoration.ts';
import type { KubeObject } from '../../src/lab/world/kube-object.ts';
import { hasKubectl, kubectlFor } from '../lab/kubernetes/twin-fixture.ts';
import { approvedPlan, execute, type ApprovedPlan, type PlanKnobs } from './approved-plan.ts';
import { patient, POLICIES_DIR, startStage, type Stage } from './stage.ts';

vi.setConfig({ testTimeout: 90_000, hookTimeout: 90_000 });

/** Laws 2 and 5 for rollbacks: only what this Deployment ran before the incident opened, proved by the pipeline. */
const API = 'mcp://k8s/prod-1/spark-jobs/deployment/settlement-api';
const IMAGE = 'registry.example.com/data/settlement-api';
const TOOL = 'k8s.rollout_undo';
const REVISION = 'deployment.kubernetes.io/revision';
const TEN_MINUTES_MS = 600_000;

let stage: Stage;
/** When the world's time stopped; null: it runs. */
let stands_at_ms: number | null = null;

const deployment = (name = 'settlement-api'): KubeObject =>
  stage.world.store.get('Deployment', 'spark-jobs', name) as KubeObject;
const sets = (): KubeObject[] => stage.world.store.list('ReplicaSet', 'spark-jobs');
const setOf = (revision: string): KubeObject =>
  sets().find((set) => set.metadata.annotations?.[REVISION] === revision) as KubeObject;
const imageOf = (object: KubeObject): string =>
  (object.spec as { template: { spec: { containers: { image: string }[] } } }).template.spec.containers[0]
    ?.image ?? '';
/** Canonical: of an image alone two releases may look the same. */
const podSpecOf = (object: KubeObject): string =>
  canonicalJson((object.spec as { template: { spec: object } }).template.spec);
const writes = (): number => stage.kubernetes.mutations().length;

/** Somebody releases another image, and the controller has seen it. */
async function release(tag: string): Promise<void> {
  const current = deployment();
  const { template } = current.spec as { template: { spec: { containers: object[] } } };
  const containers = template.spec.containers.map((container) => ({
    ...container,
    image: `${IMAGE}:${tag}`,
  }));
  stage.kubernetes.patchFromOutside('Deployment', 'spark-jobs', 'settlement-api', {
    spec: { template: { spec: { containers } } },
  });
  await settled(`${IMAGE}:${tag}`);
}

async function settled(image: string): Promise<void> {
  const isSettled = (): boolean => {
    stage.world.tick();
    const revision = deployment().metadata.annotations?.[REVISION] ?? '';
    const newest = Math.max(...sets().map((set) => Number(set.metadata.annotations?.[REVISION])));
    return (
      imageOf(deployment()) === image &&
      revision === String(newest) &&
      podSpecOf(setOf(revision)) === podSpecOf(deployment())
    );
  };
  await vi.waitFor(() => expect(isSettled()).toBe(true), { timeout: 20_000, interval: 20 });
}

const plan = (params: Record<string, unknown> = {}, knobs: PlanKnobs = {}): Promise<ApprovedPlan> =>
  approvedPlan(stage, { ...knobs, action: { tool: TOOL, target: API, params } });

/** Why no such plan can be made. */
async function refusalOf(params: Record<string, unknown> = {}, knobs: PlanKnobs = {}): Promise<string> {
  try {
    await plan(params, knobs);
    return 'previewed';
  } catch (error) {
    return (error as Error).message;
  }
}

async function undo(approved: ApprovedPlan, params: Record<string, unknown>) {
  const previewed = await stage.gateway.preview({
    token: await stage.token({ incident_id: approved.incident_id }),
    tool: TOOL,
    target: API,
    params,
    change_id: 'CHG-7',
    why: 'test',
  });
  if (isRefusal(previewed)) return previewed;
  await stage.store.ledger.append(approved.incident_id, [
    { kind: 'preview', actor: 'aegis:gateway', payload: { change_id: 'CHG-7', preview: previewed.preview } },
  ]);
  const { effect_hash } = previewed.preview;
  const permit_id = await approved.mint({ phase: 'undo', effect_hash, args_hash: hashOf(params) });
  return execute(stage, approved, { params, permit_id });
}

/** Revision 1 is 26 days old, revision 2 was released ten minutes before the incident opens (on the gateway's clock). */
async function startWithHistory(): Promise<void> {
  stands_at_ms = null;
  stage = await startStage({ settings: patient, world_clock: () => stands_at_ms ?? Date.now() });
  await release('2.15.0');
  stage.clock.skip(TEN_MINUTES_MS);
}

describe('k8s.rollout_undo', () => {
  beforeAll(startWithHistory);
  afterAll(() => stage.close());

  it('is a write only under the condition that it names', () => {
    const classified = stage.gateway.classify({ tool: TOOL, target: API, params: {} });
    expect(classified).toMatchObject({
      action_class: 'write',
      reasons: [expect.stringMatching(/ran before the incident opened/)],
    });
    const both = { to_revision: 1, template: `sha256:${'0'.repeat(64)}` };
    expect(stage.gateway.classify({ tool: TOOL, target: API, params: both })).toMatchObject({
      code: 'arguments-invalid',
    });
  });

  it('previews by the server’s dry run: the diff in words, the template by its mark, nothing changed', async () => {
    const { generation } = deployment().metadata;
    const { preview } = await plan();
    expect(preview.changes).toEqual([
      {
        path: '/spec/template',
        before: expect.stringMatching(/^sha256:[0-9a-f]{64}$/),
        after: expect.stringMatching(/^sha256:[0-9a-f]{64}$/),
      },
    ]);
    expect(preview.diff.join('\n')).toMatch(/-.*settlement-api:2\.15\.0\n\+.*settlement-api:2\.14\.0/);
    expect(preview.warnings).toEqual([expect.stringMatching(/from revision 2 to revision 1: ReplicaSet/)]);
    expect(deployment().metadata.generation).toBe(generation);
    const sent = stage.kubernetes.requests().filter(({ method }) => method === 'PATCH');
    expect(sent.every(({ dry_run }) => dry_run)).toBe(true);
    expect(writes()).toBe(0);
  });

  it('goes back once, as kubectl sees it, and its undo brings back what was there, byte for byte', async () => {
    const before = deployment().spec?.['template'];
    const approved = await plan();
    expect(await execute(stage, approved)).toMatchObject({ outcome: { status: 'done', replayed: false } });
    expect(await execute(stage, approved)).toMatchObject({ outcome: { status: 'done', replayed: true } });
    expect(writes()).toBe(1);
    await settled(`${IMAGE}:2.14.0`);
    if (hasKubectl()) expect(await history()).toEqual(['2', '3']);
    const key = `${approved.incident_id}#CHG-7#apply`;
    const token = await stage.token({ incident_id: approved.incident_id });
    expect(await stage.gateway.reconcile({ token, journal_key: key })).toMatchObject({
      outcome: { status: 'done', replayed: true },
    });
    const image = (await stage.store.journal.get(key))?.before_image ?? {};
    expect(Object.keys(image)).toEqual(['/spec/template']);
    expect(await undo(approved, { template: image['/spec/template'] })).toMatchObject({
      outcome: { status: 'done' },
    });
    expect(deployment().spec?.['template']).toEqual(before);
    await settled(`${IMAGE}:2.15.0`);
  });

  it('an undo that would bring back anything else than the before-image is refused', async () => {
    const approved = await plan();
    expect(await execute(stage, approved)).toMatchObject({ outcome: { status: 'done' } });
    await settled(`${IMAGE}:2.14.0`);
    expect(await undo(approved, { to_revision: 4 })).toMatchObject({ code: 'undo-mismatch' });
    const row = await stage.store.journal.get(`${approved.incident_id}#CHG-7#apply`);
    await undo(approved, { template: row?.before_image?.['/spec/template'] });
    await settled(`${IMAGE}:2.15.0`);
  });

  it('says what is wrong with a revision that is not there, is current, or has no predecessor', async () => {
    expect(await refusalOf({ to_revision: 77 })).toMatch(/there is no revision 77; its history has/);
    const newest = Number(deployment().metadata.annotations?.[REVISION]);
    expect(await refusalOf({ to_revision: newest })).toMatch(/is what the Deployment has already/);
    expect(await refusalOf({ to_revision: 0 })).toMatch(/to_revision/);
    expect(await refusalOf({ template: `sha256:${'0'.repeat(64)}` })).toMatch(/holds that template no more/);
  });

  it('refuses a paused Deployment, as kubectl does', async () => {
    stage.kubernetes.patchFromOutside('Deployment', 'spark-jobs', 'settlement-api', {
      spec: { paused: true },
    });
    expect(await refusalOf()).toMatch(/paused/);
    stage.kubernetes.patchFromOutside('Deployment', 'spark-jobs', 'settlement-api', {
      spec: { paused: null },
    });
  });

  it('copies no text of the template into plan, journal or outcome', async () => {
    const { template } = deployment().spec as { template: { spec: { containers: object[] } } };
    const env = [{ name: 'DSN', value: 'postgres://svc:planted-pw-771@db/x' }];
    stage.kubernetes.patchFromOutside('Deployment', 'spark-jobs', 'settlement-api', {
      spec: { template: { spec: { containers: template.spec.containers.map((c) => ({ ...c, env })) } } },
    });
    await settled(imageOf(deployment()));
    stage.clock.skip(TEN_MINUTES_MS);
    const approved = await plan();
    const answer = await execute(stage, approved);
    expect(answer).toMatchObject({ outcome: { status: 'done' } });
    const row = await stage.store.journal.get(`${approved.incident_id}#CHG-7#apply`);
    const chain = await stage.store.ledger.read(approved.incident_id, { limit: 1000 });
    expect(JSON.stringify([approved.preview, answer, row, chain])).not.toContain('planted-pw-771');
  });
});

async function history(): Promise<string[]> {
  const { token } = stage.kubernetes.issueToken({
    serviceAccount: 'onlooker',
    namespace: 'spark-jobs',
    rules: [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'], namespaces: ['*'] }],
  });
  const client = kubectlFor(stage.kubernetes.kubeconfig(token, { namespace: 'spark-jobs' }));
  const { out } = await client.kubectl('rollout', 'history', 'deployment/settlement-api');
  client.remove();
  return out.match(/^\d+/gm) ?? [];
}

/** A ReplicaSet as an attacker who may write ReplicaSets would put it there. */
function forged(change: {
  name?: string;
  revision: string;
  uid?: string;
  owner?: string;
  created?: string;
  image?: string;
}): KubeObject {
  const model = setOf('1');
  const hash = change.name ?? 'forged0001';
  const labels = { ...model.metadata.labels, 'pod-template-hash': hash };
  const spec = structuredClone(model.spec) as {
    template: { metadata: { labels: object }; spec: { containers: { image: string }[] } };
  };
  spec.template.metadata.labels = labels;
  for (const container of spec.template.spec.containers) container.image = change.image ?? 'evil.example/x:1';
  const owner = change.owner ?? 'settlement-api';
  return {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: {
      name: `settlement-api-${hash}`,
      namespace: 'spark-jobs',
      labels,
      annotations: { [REVISION]: change.revision },
      ownerReferences: [
        {
          apiVersion: 'apps/v1',
          kind: 'Deployment',
          name: owner,
          uid: change.uid ?? deployment().metadata.uid ?? '',
          controller: true,
          blockOwnerDeletion: true,
        },
      ],
      ...(change.created === undefined ? {} : { creationTimestamp: change.created }),
    },
    spec: { ...spec, replicas: 0, selector: { matchLabels: labels } },
    status: { replicas: 0, observedGeneration: 1 },
  };
}

describe('what a rollback can never be talked into', () => {
  let saved: KubeObject[] = [];
  beforeAll(async () => {
    await startWithHistory();
    saved = sets().filter((set) => set.metadata.name.startsWith('settlement-api-'));
    // The controller would begin to mend what these tests forge.
    stands_at_ms = Date.now();
  });
  afterAll(() => stage.close());
  /** The history as it was, in the controller's own hand. */
  afterEach(() => {
    for (const { metadata } of sets()) stage.world.store.remove('ReplicaSet', 'spark-jobs', metadata.name);
    for (const set of saved) stage.kubernetes.setResource(set, 'kube-controller-manager');
  });

  it('an orphan with a forged owner reference: made now, or under a name that the controller does not give', async () => {
    stage.kubernetes.setResource(forged({ revision: '1' }), 'kube-controller-manager');
    expect(await refusalOf({ to_revision: 1 })).toMatch(/2 ReplicaSets say that they are revision 1/);
    stage.world.store.remove('ReplicaSet', 'spark-jobs', 'settlement-api-forged0001');
    const orphan = forged({ revision: '9', created: '2026-01-01T00:00:00Z' });
    const renamed = {
      ...orphan,
      metadata: { ...orphan.metadata, name: 'mine', annotations: { [REVISION]: '1' } },
    };
    stage.kubernetes.setResource(renamed, 'kube-controller-manager');
    expect(await refusalOf({ to_revision: 1 })).not.toBe('previewed');
    stage.world.store.remove('ReplicaSet', 'spark-jobs', setOf('1').metadata.name);
    stage.kubernetes.setResource(renamed, 'kube-controller-manager');
    expect(await refusalOf({ to_revision: 1 })).not.toBe('previewed');
  });

  it('an old orphan that somebody adopted into the Deployment under the right name', async () => {
    const real = setOf('1');
    const orphan = forged({ revision: '1', created: real.metadata.creationTimestamp ?? '' });
    stage.world.store.remove('ReplicaSet', 'spark-jobs', real.metadata.name);
    stage.kubernetes.setResource(orphan, 'kubectl-edit');
    expect(await refusalOf({ to_revision: 1 })).toMatch(/was not written by the Deployment controller alone/);
  });

  it('the ReplicaSet of another Deployment, whatever its annotations say', async () => {
    const foreign = forged({ revision: '1', name: 'other0001', owner: 'other', uid: 'another-uid' });
    stage.world.store.remove('ReplicaSet', 'spark-jobs', setOf('1').metadata.name);
    stage.kubernetes.setResource(foreign, 'kube-controller-manager');
    expect(await refusalOf({ to_revision: 1 })).toMatch(/there is no revision 1/);
  });

  it('a second controller in the owner references', async () => {
    const real = setOf('1');
    const second = {
      ...forged({ revision: '1', owner: 'other', uid: 'another-uid' }).metadata.ownerReferences![0]!,
    };
    const ownerReferences = [...(real.metadata.ownerReferences ?? []), { ...second, controller: false }];
    stage.kubernetes.setResource(
      { ...real, metadata: { ...real.metadata, ownerReferences } },
      'kubectl-edit',
    );
    expect(await refusalOf({ to_revision: 1 })).toMatch(/not controlled by this Deployment alone/);
  });

  it('forged revisions: a newest one that does not run, or the number of another set', async () => {
    const renumber = (set: KubeObject, revision: string): void => {
      const annotations = { ...set.metadata.annotations, [REVISION]: revision };
      stage.kubernetes.setResource({ ...set, metadata: { ...set.metadata, annotations } }, 'kubectl-edit');
    };
    const first = setOf('1');
    renumber(first, '99');
    expect(await refusalOf()).toMatch(/the history does not add up: revision 99/);
    renumber(first, '1');
    stage.kubernetes.setResource(forged({ revision: '99' }), 'kube-controller-manager');
    expect(await refusalOf()).toMatch(/the history does not add up: revision 99/);
    expect(await refusalOf({ to_revision: 99 })).toMatch(/the history does not add up/);
  });

  it('a template that somebody edited inside an old ReplicaSet', async () => {
    const real = setOf('1');
    const edited = structuredClone(real) as unknown as KubeObject & {
      spec: { template: { spec: { containers: { image: string }[] } } };
    };
    for (const container of edited.spec.template.spec.containers) container.image = 'evil.example/x:1';
    stage.kubernetes.setResource(edited, 'kubectl-edit');
    expect(await refusalOf({ to_revision: 1 })).toMatch(/was not written by the Deployment controller alone/);
    expect(writes()).toBe(0);
  });

  it('the preview without an incident, or of one that never opened', async () => {
    const ask = async (incident_id: string | null) =>
      stage.gateway.preview({
        token: await stage.token({ incident_id }),
        tool: TOOL,
        target: API,
        params: {},
        change_id: 'CHG-7',
        why: 'test',
      });
    expect(await ask(null)).toMatchObject({ code: 'class-forbidden' });
    expect(await ask('INC-2026-1123-999')).toMatchObject({ code: 'incident-unknown' });
  });
});

describe('a rollback that time or other people overtook', () => {
  beforeEach(startWithHistory);
  afterEach(() => stage.close());

  it('a revision that was made after the incident opened, at preview and at execution', async () => {
    const opened_at = isoTime(Date.now() - TEN_MINUTES_MS);
    await release('2.16.0');
    expect(await refusalOf({ to_revision: 2 }, { opened_at })).toMatch(
      /class privileged: .*ReplicaSet was made at \S+, after the incident opened/,
    );
    expect(await refusalOf({ to_revision: 1 }, { opened_at })).toBe('previewed');
    expect(writes()).toBe(0);
  });

  it('a revision that was made so near to the opening that clocks cannot tell', async () => {
    await release('2.16.0');
    expect(await refusalOf({ to_revision: 2 }, { opened_at: isoTime(Date.now() + 20_000) })).toMatch(
      /too near to the opening/,
    );
  });

  it('a template that was edited between the approval and the write', async () => {
    const approved = await plan();
    const real = setOf('1');
    const edited = structuredClone(real) as unknown as KubeObject & {
      spec: { template: { spec: { containers: { image: string }[] } } };
    };
    for (const container of edited.spec.template.spec.containers) container.image = 'evil.example/x:1';
    stage.kubernetes.setResource(edited, 'kube-controller-manager');
    expect(await execute(stage, approved)).toMatchObject({
      code: 'class-forbidden',
      reason: expect.stringContaining('its history holds no such template any more'),
    });
    expect(writes()).toBe(0);
    expect(imageOf(deployment())).toBe(`${IMAGE}:2.15.0`);
  });

  it('an approved rollback whose ReplicaSet changed hands, or whose Deployment moved on', async () => {
    const approved = await plan();
    const real = setOf('1');
    const stolen = (real.metadata.ownerReferences ?? []).map((owner) => ({ ...owner, controller: false }));
    stage.kubernetes.setResource(
      { ...real, metadata: { ...real.metadata, ownerReferences: stolen } },
      'kubectl-edit',
    );
    expect(await execute(stage, approved)).toMatchObject({ code: 'class-forbidden' });
    stage.kubernetes.setResource(
      { ...real, metadata: { ...real.metadata, ownerReferences: real.metadata.ownerReferences ?? [] } },
      'kubectl-edit',
    );
    const again = await plan();
    await release('2.17.0');
    expect(await execute(stage, again)).toMatchObject({ outcome: { status: 'conflict' } });
    expect(writes()).toBe(0);
  });

  it('arguments of an approved rollback that name another template', async () => {
    await release('2.16.0');
    stage.clock.skip(TEN_MINUTES_MS);
    const approved = await plan({ to_revision: 1 });
    const params = { template: `sha256:${'0'.repeat(64)}` };
    const permit_id = await approved.mint({ args_hash: hashOf(params) });
    expect(await execute(stage, approved, { params, permit_id })).toMatchObject({ code: 'permit-mismatch' });
    const other = { to_revision: 2 };
    const second = await approved.mint({ args_hash: hashOf(other) });
    expect(await execute(stage, approved, { params: other, permit_id: second })).toMatchObject({
      code: 'permit-mismatch',
    });
    expect(writes()).toBe(0);
  });

  it('the write of somebody who was faster: the server compares the whole template', async () => {
    const approved = await plan();
    let acted = false;
    stage.kubernetes.faults.delay({
      ms: 0,
      match: ({ method, dry_run }) => {
        if (method !== 'PATCH' || dry_run || acted) return false;
        acted = true;
        stage.kubernetes.patchFromOutside('Deployment', 'spark-jobs', 'settlement-api', {
          spec: { template: { metadata: { annotations: { who: 'faster' } } } },
        });
        return false;
      },
    });
    expect(await execute(stage, approved)).toMatchObject({ outcome: { status: 'conflict' } });
    expect(writes()).toBe(0);
  });
});

describe('a rollback when the network or the server is ill', () => {
  beforeEach(startWithHistory);
  afterEach(() => stage.close());
  const isWrite = ({ method, dry_run }: { method: string; dry_run: boolean }): boolean =>
    method === 'PATCH' && !dry_run;

  it('a lost answer is found done by looking; it is not sent again', async () => {
    const approved = await plan();
    stage.kubernetes.faults.dropAfter({ times: 1, match: isWrite });
    expect(await execute(stage, approved)).toMatchObject({ outcome: { status: 'done' } });
    expect(writes()).toBe(1);
  });

  it('a request that never arrived is unknown, and nothing is written', async () => {
    const approved = await plan();
    stage.kubernetes.faults.dropBefore({ times: 1, match: isWrite });
    expect(await execute(stage, approved)).toMatchObject({ outcome: { status: 'outcome_unknown' } });
    expect(writes()).toBe(0);
  });

  it('a history that cannot be read stops it before the write', async () => {
    const approved = await plan();
    stage.kubernetes.faults.answer({ status: 500, match: ({ path }) => path.includes('/replicasets') });
    expect(await execute(stage, approved)).toMatchObject({ code: 'upstream-failed' });
    expect(writes()).toBe(0);
  });
});

it.each([
  ['2026-11-22T23:58:59Z', null],
  ['2026-11-22T23:59:00Z', null],
  ['2026-11-22T23:59:01Z', /too near/],
  ['2026-11-23T00:00:01Z', /after the incident opened/],
  ['never', /cannot be read/],
  [undefined, /cannot be read/],
])('a ReplicaSet made at %s, for an incident opened at midnight', (made, problem) => {
  const found = ageProblem(made, '2026-11-23T00:00:00Z');
  if (problem === null) expect(found).toBeNull();
  else expect(found).toMatch(problem);
});

it('guardrails that do not let it restore make it privileged; without an entry, too', () => {
  const tool = { name: TOOL, base_class: 'write', restores: true } as const;
  const target = parseTarget(API);
  const fields = [{ path: '/spec/template', after: `sha256:${'0'.repeat(64)}` }];
  const guardrails = Guardrails.parse(parse(readFileSync(join(POLICIES_DIR, 'guardrails.yaml'), 'utf8')));
  const withTouch = (touch: Guardrails['touch']) =>
    classifyFields({ ...guardrails, touch }, tool, target, fields);
  const entry = { tool: TOOL, kind: 'deployment', path: '/spec/template' };
  expect(withTouch([{ ...entry, restored: true }])).toMatchObject({ action_class: 'write' });
  expect(withTouch([entry])).toMatchObject({ action_class: 'privileged' });
  expect(withTouch([])).toMatchObject({ action_class: 'privileged' });
  // The mark helps no tool that does not restore.
  expect(
    classifyFields(
      { ...guardrails, touch: [{ ...entry, tool: 'k8s.patch', restored: true }] },
      { name: 'k8s.patch', base_class: 'write' },
      target,
      [{ path: '/spec/template', after: {} }],
    ),
  ).toMatchObject({ action_class: 'privileged' });
});
