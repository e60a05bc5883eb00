import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { TwinFixture } from './twin-fixture.ts';
import { JOB_PATH, startTwin } from './twin-fixture.ts';

/** The twin's audit log has the form that the documentation of audit.k8s.io/v1 gives. */
let lines: string[];
let fixture: TwinFixture;
beforeEach(async () => {
  lines = [];
  fixture = await startTwin({}, (line) => lines.push(line));
});
afterEach(() => fixture.close());

const events = () => lines.map((line) => JSON.parse(line) as Record<string, unknown>);
const CONFIG_MAP = '/api/v1/namespaces/spark-jobs/configmaps/made';

describe('the audit log', () => {
  it('has user, object, answer and body of a write', async () => {
    const { token } = fixture.twin.issueToken({
      serviceAccount: 'dan',
      namespace: 'spark-jobs',
      user: 'oidc:dan',
      rules: [{ verbs: ['patch'], apiGroups: ['*'], resources: ['*'] }],
    });
    const patch = { spec: { driver: { memory: '2g' } } };
    expect((await fixture.patchJob(patch, { token }, '?fieldManager=kubectl-patch')).status).toBe(200);
    expect(events()).toMatchObject([
      {
        kind: 'Event',
        apiVersion: 'audit.k8s.io/v1',
        level: 'Request',
        stage: 'ResponseComplete',
        requestURI: `${JOB_PATH}?fieldManager=kubectl-patch`,
        verb: 'patch',
        user: { username: 'oidc:dan', groups: ['system:authenticated'] },
        objectRef: {
          resource: 'sparkapplications',
          namespace: 'spark-jobs',
          name: 'nightly-settlement',
          apiGroup: 'sparkoperator.k8s.io',
          apiVersion: 'v1beta2',
        },
        responseStatus: { metadata: {}, code: 200 },
        requestObject: patch,
      },
    ]);
    expect(events()[0]?.['stageTimestamp']).toMatch(/^2026-11-23T\d\d:\d\d:\d\d\.\d{6}Z$/);
  });

  it('has refused requests with the reason, and no bodies of Secrets, ConfigMaps and reads', async () => {
    await fixture.call(JOB_PATH, { token: 'made-up' });
    await fixture.call(JOB_PATH);
    const secret = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'made' }, data: { key: 'hush' } };
    const { status } = await fixture.call(CONFIG_MAP.replace('/made', ''), { method: 'POST', body: secret });
    expect(status).toBe(201);
    expect(events()).toMatchObject([
      { user: {}, responseStatus: { code: 401, status: 'Failure', message: 'Unauthorized' } },
      { verb: 'get', level: 'Metadata', objectRef: { name: 'nightly-settlement' } },
      { verb: 'create', level: 'Metadata', objectRef: { resource: 'configmaps' } },
    ]);
    expect(lines.join('')).not.toContain('hush');
  });

  it('names the subresource, and both stages of a stream', async () => {
    const { token } = fixture.twin.issueToken({
      serviceAccount: 'reader',
      namespace: 'spark-jobs',
      rules: [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }],
    });
    await fixture.call('/apis/apps/v1/namespaces/spark-jobs/deployments/settlement-api/scale', { token });
    await fixture.call(
      '/apis/apps/v1/namespaces/spark-jobs/deployments?watch=true&timeoutSeconds=1&fieldSelector=metadata.name%3Dsettlement-api',
      { token },
    );
    await expect.poll(() => lines.length).toBe(3);
    expect(events()).toMatchObject([
      { objectRef: { resource: 'deployments', subresource: 'scale' } },
      { verb: 'watch', stage: 'ResponseStarted' },
      { verb: 'watch', stage: 'ResponseComplete' },
    ]);
    expect(events()[1]?.['auditID']).toBe(events()[2]?.['auditID']);
  });
});
