import { describe, expect, it } from 'vitest';
import { auditAct } from '../../src/gateway/drivers/kubernetes/audit-event.ts';
import { patchedFields } from '../../src/gateway/drivers/kubernetes/patch-fields.ts';
import { templateMark } from '../../src/gateway/template-mark.ts';
import { API_IMAGE, auditLine, ref } from './audit-lines.ts';

const PEOPLE = { 'oidc:dan': 'dan', 'oidc:ines': 'ines' };
const act = (change: Record<string, unknown> = {}, people: Record<string, string> = PEOPLE) =>
  auditAct(auditLine(change), 'spark-jobs', people);
const POD = { resource: 'pods', apiGroup: undefined, name: 'settlement-api-5d-x1' };

describe('lines that are no act', () => {
  it.each([
    ['another namespace', { objectRef: ref({ namespace: 'fraud' }) }],
    ['no namespace', { objectRef: ref({ namespace: undefined }) }],
    ['no object', { objectRef: undefined }],
    ['a read', { verb: 'get' }],
    ['a watch', { verb: 'watch' }],
    ['a verb that nobody knows', { verb: 'obliterate' }],
    ['the request before its answer', { stage: 'RequestReceived' }],
    ['a stream that has begun', { stage: 'ResponseStarted' }],
    ['a panic', { stage: 'Panic' }],
    ['a stage that nobody knows', { stage: 'responsecomplete' }],
    ['a refusal', { responseStatus: { code: 403, status: 'Failure' } }],
    ['a conflict', { responseStatus: { code: 409 } }],
    ['a redirect', { responseStatus: { code: 301 } }],
    ['no answer', { responseStatus: undefined }],
    ['a failure inside of a 201', { responseStatus: { code: 201, status: 'Failure' } }],
    ['a dry run', { requestURI: '/apis/apps/v1/namespaces/spark-jobs/deployments/x?a=b&dryRun=All' }],
    [
      'a deletion whose body asks for a dry run',
      { verb: 'delete', requestObject: { kind: 'DeleteOptions', dryRun: ['All'] } },
    ],
    [
      'an eviction whose body asks for a dry run',
      {
        verb: 'create',
        objectRef: ref({ ...POD, subresource: 'eviction' }),
        requestObject: { kind: 'Eviction', deleteOptions: { dryRun: ['All'] } },
      },
    ],
    ['a status', { objectRef: ref({ subresource: 'status' }) }],
    ['a shell in a pod', { verb: 'create', objectRef: ref({ ...POD, subresource: 'exec' }) }],
    ['a pod that is made', { verb: 'create', objectRef: ref(POD) }],
    ['a Secret', { objectRef: ref({ resource: 'secrets', apiGroup: undefined }) }],
    ['a kind of that name in another group', { objectRef: ref({ apiGroup: 'example.com' }) }],
  ])('%s', (_what, change) => {
    expect(act(change)).toBeNull();
  });
});

describe('lines that cannot be read', () => {
  it.each([
    ['a line that was cut', auditLine().slice(0, 300)],
    ['no JSON', 'I1123 10:00:00 httplog.go] "HTTP" verb="PATCH"'],
    ['too long a line', auditLine({ requestObject: { spec: { note: 'x'.repeat(600_000) } } })],
    ['too many keys', auditLine({ requestObject: { spec: Object.fromEntries(numbered(30_000)) } })],
    ['too deep', auditLine({ requestObject: nested(80) })],
    ['another version', auditLine({ apiVersion: 'audit.k8s.io/v1beta1' })],
    ['no user', auditLine({ user: {} })],
    ['a time that is none', auditLine({ stageTimestamp: 'yesterday' })],
    ['a name that no object has', auditLine({ objectRef: ref({ name: '../../secrets' }) })],
    ['a name with a line break', auditLine({ objectRef: ref({ name: 'a\nb' }) })],
    ['a patch of nothing', auditLine({ objectRef: ref({ name: '' }) })],
  ])('%s', (_what, line) => {
    expect(auditAct(line, 'spark-jobs', PEOPLE)).toBe('unreadable');
  });

  it('is quiet about lines of others, whatever is wrong with them', () => {
    expect(act({ objectRef: { namespace: 'fraud' }, user: 7, stageTimestamp: null })).toBeNull();
  });
});

describe('forged places', () => {
  const foreign = { objectRef: ref({ namespace: 'fraud', name: 'fraud-scorer' }) };

  it.each([
    ['in the body', { requestObject: { objectRef: { namespace: 'spark-jobs' }, spec: { replicas: 0 } } }],
    ['in the user agent', { userAgent: 'x","objectRef":{"namespace":"spark-jobs"},"y":"' }],
    ['in the address', { requestURI: '/apis/apps/v1/namespaces/spark-jobs/deployments/settlement-api' }],
    ['as a flat key', { objectRef_namespace: 'spark-jobs', 'objectRef.namespace': 'spark-jobs' }],
    ['in an annotation', { annotations: { 'objectRef.namespace': 'spark-jobs' } }],
    ['as a member of the prototype', { ['__proto__']: { objectRef: { namespace: 'spark-jobs' } } }],
  ])('%s', (_where, change) => {
    expect(act({ ...foreign, ...change })).toBeNull();
  });

  it('a dry run that only the user agent or another parameter names is none', () => {
    expect(act({ userAgent: 'kubectl?dryRun=All' })).toMatchObject({ verb: 'patch' });
    expect(act({ requestURI: '/apis/x?fieldManager=dryRun%3DAll' })).toMatchObject({ verb: 'patch' });
  });

  it('a deletion is none whose address asks for a dry run and whose body does not', () => {
    const requestURI = '/apis/apps/v1/namespaces/spark-jobs/deployments/settlement-api?dryRun=All';
    expect(act({ verb: 'delete', requestURI, requestObject: { kind: 'DeleteOptions' } })).toMatchObject({
      verb: 'delete',
    });
    expect(act({ verb: 'delete', requestURI, requestObject: undefined })).toBeNull();
  });
});

describe('acts', () => {
  it('names user, person, client, time and the fields of the patch', () => {
    expect(act()).toMatchObject({
      kind: 'deployment',
      name: 'settlement-api',
      user: 'oidc:dan',
      impersonated: null,
      by: 'dan',
      client: 'kubectl-patch',
      verb: 'patch',
      at: '2026-11-23T10:00:00.123456Z',
      fields: ['/spec/replicas'],
      values: { '/spec/replicas': 5 },
      template: null,
    });
  });

  it('calls the client by its user agent where it named no field manager, as the API server does', () => {
    expect(act({ requestURI: '/apis/apps/v1/x' })).toMatchObject({ client: 'kubectl' });
    expect(act({ requestURI: '/apis/apps/v1/x', userAgent: undefined })).toMatchObject({ client: '' });
  });

  it('keeps both names of an impersonated request, and knows nobody who is not in the map', () => {
    const found = act({ user: { username: 'proxy' }, impersonatedUser: { username: 'oidc:ines' } });
    expect(found).toMatchObject({ user: 'proxy', impersonated: 'oidc:ines', by: 'ines' });
    expect(act({ user: { username: '__proto__' } })).toMatchObject({ by: null });
    expect(act({ user: { username: 'constructor' } }, {})).toMatchObject({ by: null });
  });

  it('sees deletions, evictions, collections, scales and new objects', () => {
    expect(act({ verb: 'delete', requestObject: undefined })).toMatchObject({ verb: 'delete', fields: [] });
    expect(act({ verb: 'delete', objectRef: ref(POD) })).toMatchObject({ kind: 'pod' });
    const evicted = act({ verb: 'create', objectRef: ref({ ...POD, subresource: 'eviction' }) });
    expect(evicted).toMatchObject({ kind: 'pod', subresource: 'eviction' });
    const all = act({ verb: 'deletecollection', objectRef: ref({ name: undefined }) });
    expect(all).toMatchObject({ kind: 'deployment', name: '-' });
    const scale = { kind: 'Scale', spec: { replicas: 0 }, metadata: { name: 'settlement-api' } };
    expect(
      act({ verb: 'update', objectRef: ref({ subresource: 'scale' }), requestObject: scale }),
    ).toMatchObject({ subresource: 'scale', fields: ['/spec/replicas'], values: { '/spec/replicas': 0 } });
    const made = { verb: 'create', objectRef: ref({ name: undefined }), responseStatus: { code: 201 } };
    expect(act({ ...made, requestObject: { metadata: { name: 'new-api' } } })).toMatchObject({
      name: 'new-api',
    });
    expect(act({ ...made, requestObject: { metadata: { generateName: 'new-' } } })).toMatchObject({
      name: '-',
    });
  });

  it('claims no fields for a whole object: which of them changed is not said', () => {
    expect(act({ verb: 'update', requestObject: { spec: { replicas: 5 } } })).toMatchObject({ fields: [] });
  });

  it('marks the template that a rollback puts in, and prefers what the server answered', () => {
    const template = { metadata: { labels: { app: 'a' } }, spec: { containers: [] } };
    const requestObject = [{ op: 'replace', path: '/spec/template', value: template }];
    const mark = templateMark({ spec: { template } });
    expect(act({ requestObject })).toMatchObject({ template: mark });
    const responseObject = { spec: { template: { spec: { containers: [{ name: 'b' }] } } } };
    expect(act({ requestObject, responseObject })).toMatchObject({ template: templateMark(responseObject) });
  });

  it('two requests under one auditID are two acts, one line stored twice is one', () => {
    const key = (change: Record<string, unknown> = {}) => (act(change) as { key: string }).key;
    expect(key()).toBe(key());
    expect(key({ stageTimestamp: '2026-11-23T10:00:00.123457Z' })).not.toBe(key());
    expect(key({ user: { username: 'oidc:ines' } })).not.toBe(key());
  });
});

describe('patches as pointers', () => {
  const paths = (patch: unknown) => patchedFields(patch).map(({ path }) => path);

  it('strategic merge: list items by name, directives left out', () => {
    const containers = [{ name: 'settlement-api', image: 'a:2', $patch: 'merge' }];
    const patch = {
      metadata: { labels: { a: 'b' } },
      spec: { template: { spec: { '$setElementOrder/containers': [{ name: 'x' }], containers } } },
    };
    expect(paths(patch)).toEqual([API_IMAGE]);
    expect(paths({ spec: { containers: [{ name: 'gone', $patch: 'delete' }] } })).toEqual([
      '/spec/containers/gone',
    ]);
  });

  it('merge: removed fields and lists without names are named too', () => {
    expect(paths({ spec: { paused: null, args: ['a', 'b'] }, data: { 'a/b': '1' } })).toEqual([
      '/spec/paused',
      '/spec/args',
      '/data/a~1b',
    ]);
  });

  it('a restart is the note of the template', () => {
    const annotations = { 'kubectl.kubernetes.io/restartedAt': '2026-11-23T10:00:00Z' };
    expect(paths({ spec: { template: { metadata: { creationTimestamp: null, annotations } } } })).toEqual([
      '/spec/template/metadata/annotations/kubectl.kubernetes.io~1restartedAt',
    ]);
  });

  it('JSON patch: what is put in, never what is only tested; a place in a list is not guessed', () => {
    expect(
      paths([
        { op: 'test', path: '/spec/replicas', value: 2 },
        { op: 'replace', path: '/spec/template/spec/containers/0/image', value: 'a:2' },
        { op: 'remove', path: '/spec/paused' },
        { op: 'add', path: '/spec/strategy', value: { type: 'Recreate' } },
        { op: 'replace', path: '/metadata/annotations', value: {} },
        { op: 'replace', path: 'spec/no-pointer', value: 1 },
        'no operation',
      ]),
    ).toEqual(['/spec/template/spec/containers', '/spec/paused', '/spec/strategy/type']);
  });

  it('anything else has no fields', () => {
    for (const patch of [null, undefined, 7, 'spec', {}, []]) expect(paths(patch)).toEqual([]);
  });
});

function numbered(count: number): [string, number][] {
  return Array.from({ length: count }, (_, n) => [`k${n}`, n]);
}

function nested(depth: number): unknown {
  return depth === 0 ? 1 : { spec: nested(depth - 1) };
}
