import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TwinFixture } from './twin-fixture.ts';
import { startTwin } from './twin-fixture.ts';

let fixture: TwinFixture;
beforeAll(async () => {
  fixture = await startTwin();
});
afterAll(() => fixture.close());

describe('reading', () => {
  it('names what it leaves out, and does not know what no cluster has', async () => {
    for (const path of [
      '/apis/batch/v1/jobs',
      '/api/v1/services',
      '/apis/apps/v1/statefulsets',
      '/api/v1/namespaces/spark-jobs/pods/nightly-settlement-driver/exec',
      '/openapi/v2',
    ]) {
      const { status, json } = await fixture.call(path);
      expect([path, status, json.reason]).toEqual([path, 501, 'NotImplemented']);
    }
    expect((await fixture.call('/apis/made.up.example/v1/things')).status).toBe(404);
    expect((await fixture.call('/api/v1/namespaces/spark-jobs/pods/none')).json).toMatchObject({
      reason: 'NotFound',
      message: 'pods "none" not found',
    });
    expect((await fixture.call('/api/v1/pods?fieldSelector=spec.colour%3Dred')).json.message).toContain(
      'field label not supported: spec.colour',
    );
  });

  it('cuts logs by time and lines and refuses contradictions', async () => {
    const log = '/api/v1/namespaces/spark-jobs/pods/nightly-settlement-driver/log';
    const all = (await fixture.call(`${log}?timestamps=true`)).text.trimEnd().split('\n');
    const since = all[200]?.slice(0, 19) ?? '';
    const after = (await fixture.call(`${log}?timestamps=true&sinceTime=${since}Z`)).text
      .trimEnd()
      .split('\n');
    expect(after).toEqual(all.filter((line) => line.slice(0, 19) >= since));
    expect((await fixture.call(`${log}?tailLines=0`)).text).toBe('');
    expect((await fixture.call(`${log}?sinceSeconds=1`)).text).toBe('');
    expect((await fixture.call(`${log}?tailLines=-1`)).status).toBe(422);
    expect((await fixture.call(`${log}?sinceSeconds=5&sinceTime=${since}Z`)).status).toBe(422);
    expect((await fixture.call(`${log}?container=nope`)).json.message).toBe(
      'container nope is not valid for pod nightly-settlement-driver',
    );
    expect((await fixture.call(`${log}?colour=red`)).status).toBe(501);
  });

  it('offers the same resources in both forms of discovery', async () => {
    const accept = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json';
    const aggregated = (await fixture.call('/apis', { accept })).json.items as {
      metadata: { name: string };
      versions: { version: string; resources: { resource: string }[] }[];
    }[];
    for (const { metadata, versions } of aggregated) {
      const plain = (await fixture.call(`/apis/${metadata.name}/${versions[0]?.version ?? ''}`)).json
        .resources as { name: string }[];
      const names = plain.map(({ name }) => name).filter((name) => !name.includes('/'));
      expect(versions[0]?.resources.map(({ resource }) => resource)).toEqual(names);
    }
    expect((await fixture.call('/apis')).json.groups.map(({ name }: { name: string }) => name)).toEqual(
      aggregated.map(({ metadata }) => metadata.name),
    );
  });

  it('ends a watch from a version that is no longer kept with 410 Expired', async () => {
    const { text } = await fixture.call('/api/v1/pods?watch=true&resourceVersion=1');
    expect(JSON.parse(text)).toMatchObject({ type: 'ERROR', object: { code: 410, reason: 'Expired' } });
  });

  it('shows the same event in both API versions', async () => {
    const { items } = (await fixture.call('/apis/events.k8s.io/v1/namespaces/spark-jobs/events?limit=1'))
      .json;
    const [event] = items;
    const core = (await fixture.call(`/api/v1/namespaces/spark-jobs/events/${event.metadata.name}`)).json;
    expect(event).toMatchObject({
      note: core.message,
      regarding: core.involvedObject,
      deprecatedCount: core.count,
    });
  });
});
