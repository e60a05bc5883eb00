import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TwinFixture } from './twin-fixture.ts';
import { hasKubectl, kubectlFor, startTwin } from './twin-fixture.ts';

const present = hasKubectl();
if (!present) console.log('kubectl is not installed: the tests with the real kubectl are skipped');

describe.skipIf(!present)('the real kubectl', () => {
  let fixture: TwinFixture;
  let client: ReturnType<typeof kubectlFor>;
  beforeAll(async () => {
    fixture = await startTwin();
    client = kubectlFor(fixture.twin.kubeconfig(fixture.admin, { namespace: 'spark-jobs' }));
  });
  afterAll(async () => {
    client.remove();
    await fixture.close();
  });

  it('prints what the world holds, with the columns of the real server', async () => {
    const { out, err } = await client.kubectl(
      'get',
      'sparkapplications,pods,deployments,configmaps,nodes,resourcequotas',
      '-A',
    );
    expect(err).toBe('');
    expect(out).toMatch(/^NAMESPACE +NAME +STATUS +ATTEMPTS +START +FINISH +AGE$/m);
    expect(out).toMatch(
      /^spark-jobs +sparkapplication\.sparkoperator\.k8s\.io\/nightly-settlement +FAILED +1 +2026-\S+Z +2026-\S+Z +\S+$/m,
    );
    expect(out).toMatch(/^spark-jobs +pod\/nightly-settlement-driver +0\/1 +OOMKilled +0 +\S+$/m);
    expect(out).toMatch(/^fraud +deployment\.apps\/fraud-scorer +3\/3 +3 +3 +12d$/m);
    expect(out).toMatch(/^ +node\/prod-1-worker-1 +Ready +<none> +61d +v1\.32\.4$/m);
    expect(out).toMatch(/limits\.memory: 1Gi\/48Gi/);
  });

  it('prints events and describes the killed pod', async () => {
    const events = await client.kubectl(
      'get',
      'events',
      '--field-selector',
      'involvedObject.name=nightly-settlement',
    );
    expect(events.out).toMatch(
      /Warning +SparkApplicationFailed +sparkapplication\/nightly-settlement +.*ExitCode: 137, Reason: OOMKilled/,
    );
    const { out, err } = await client.kubectl('describe', 'pod', 'nightly-settlement-driver');
    expect(err).toBe('');
    expect(out).toMatch(/Reason: +OOMKilled\n +Exit Code: +137/);
    expect(out).toMatch(/Scheduled .*default-scheduler +Successfully assigned/);
  });

  it('reads logs with tail, timestamps and a byte limit', async () => {
    const tail = await client.kubectl('logs', 'nightly-settlement-driver', '--tail=1', '--timestamps');
    expect(tail.out).toMatch(
      /^2026-11-23T02:2\d:\d\d\.\d{9}Z Exception in thread "main" java\.lang\.OutOfMemoryError: Java heap space\n$/,
    );
    const limited = await client.kubectl('logs', 'nightly-settlement-driver', '--limit-bytes=10');
    expect(limited.out).toHaveLength(10);
    const previous = await client.kubectl('logs', 'nightly-settlement-driver', '--previous');
    expect(previous.err).toContain(
      'previous terminated container "spark-kubernetes-driver" in pod "nightly-settlement-driver" not found',
    );
  });

  it('dry-runs a patch and an apply on the server, and nothing changes', async () => {
    const version = fixture.world.store.version();
    const patch = '{"spec":{"driver":{"memory":"2g"}}}';
    const dry = await client.kubectl(
      'patch',
      'sparkapp',
      'nightly-settlement',
      '--type',
      'merge',
      '-p',
      patch,
      '--dry-run=server',
      '-o',
      'jsonpath={.spec.driver.memory} {.metadata.generation}',
    );
    expect(dry.out).toBe('2g 2');
    const { out: yaml } = await client.kubectl('get', 'sparkapp', 'nightly-settlement', '-o', 'yaml');
    const file = join(client.home, 'job.yaml');
    writeFileSync(file, yaml.replace('memory: 1g', 'memory: 2g'));
    const apply = await client.kubectl('apply', '--dry-run=server', '-f', file);
    expect(apply.out).toContain(
      'sparkapplication.sparkoperator.k8s.io/nightly-settlement configured (server dry run)',
    );
    expect(fixture.world.store.version()).toBe(version);
    expect(fixture.twin.mutations()).toEqual([]);
  });

  it('is told in the words of the real server why a patch is refused', async () => {
    const patch = (type: string, body: string) =>
      client.kubectl('patch', 'sparkapp', 'nightly-settlement', '--type', type, '-p', body);
    expect((await patch('strategic', '{"spec":{}}')).err).toContain(
      'application/strategic-merge-patch+json is not supported by sparkoperator.k8s.io/v1beta2',
    );
    expect((await patch('merge', '{"spec":{"driver":{"memory":"2x"}}}')).err).toContain(
      'spec.driver.memory: Invalid value: "2x": spec.driver.memory in body should match',
    );
    expect((await patch('merge', '{"spec":{"driver":{"memroy":"2g"}}}')).err).toContain(
      'Warning: unknown field "spec.driver.memroy"',
    );
    expect((await patch('json', '[{"op":"test","path":"/spec/driver/memory","value":"3g"}]')).err).toContain(
      'The request is invalid: the server rejected our request due to an error in our request',
    );
    expect(
      (await patch('merge', '{"metadata":{"resourceVersion":"1"},"spec":{"driver":{"cores":2}}}')).err,
    ).toContain(
      'the object has been modified; please apply your changes to the latest version and try again',
    );
    expect(fixture.twin.mutations()).toEqual([]);
  });

  it('answers what a service account may do, and who it is', async () => {
    const rules = [{ verbs: ['get', 'list'], apiGroups: [''], resources: ['pods', 'pods/log'] }];
    const { token } = fixture.twin.issueToken({ serviceAccount: 'reader', namespace: 'spark-jobs', rules });
    const reader = kubectlFor(fixture.twin.kubeconfig(token, { namespace: 'spark-jobs' }));
    expect((await reader.kubectl('auth', 'can-i', 'get', 'pods', '--subresource=log')).out.trim()).toBe(
      'yes',
    );
    expect((await reader.kubectl('auth', 'can-i', 'get', 'secrets')).out.trim()).toBe('no');
    expect((await reader.kubectl('auth', 'whoami')).out).toContain('system:serviceaccount:spark-jobs:reader');
    expect((await reader.kubectl('get', 'secrets')).err).toContain(
      'Error from server (Forbidden): secrets is forbidden: User "system:serviceaccount:spark-jobs:reader" cannot list resource "secrets" in API group "" in the namespace "spark-jobs"',
    );
    fixture.twin.revokeToken(token);
    expect((await reader.kubectl('get', 'pods')).err).toMatch(/Unauthorized|must be logged in/);
    reader.remove();
  });

  it('scales a deployment, restarts it and takes the restart back', async () => {
    const deployment = 'deployment/settlement-api';
    expect((await client.kubectl('scale', deployment, '--replicas=3')).out).toContain('scaled');
    fixture.pass(3_000);
    expect((await client.kubectl('get', deployment)).out).toMatch(/settlement-api +3\/3 +3 +3/);
    await client.kubectl('rollout', 'restart', deployment);
    fixture.pass(6_000);
    expect((await client.kubectl('rollout', 'undo', deployment)).out).toContain('rolled back');
    fixture.pass(6_000);
    expect((await client.kubectl('rollout', 'status', deployment)).out).toContain('successfully rolled out');
    const sets = await client.kubectl(
      'get',
      'replicasets',
      '-o',
      'jsonpath={range .items[*]}{.spec.replicas} {end}',
    );
    expect(sets.out.trim().split(' ').sort()).toEqual(['0', '3']);
  });

  it('is told loudly what the twin leaves out', async () => {
    const file = join(client.home, 'map.json');
    writeFileSync(
      file,
      JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' }, data: { b: 'c' } }),
    );
    const { err } = await client.kubectl('apply', '--server-side', '-f', file);
    expect(err).toContain(
      'the Kubernetes twin does not implement server-side apply (application/apply-patch+yaml)',
    );
    expect((await client.kubectl('apply', '-f', file)).out).toContain('configmap/a created');
    expect((await client.kubectl('delete', 'configmap', 'a')).out).toContain('configmap "a" deleted');
  });
});
