import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { Secret } from '../../src/contract/secret.ts';
import { parseTarget } from '../../src/contract/tool.ts';
import type { DriverRequest, EvictionGrant } from '../../src/gateway/drivers/driver.ts';
import { evictionBody } from '../../src/gateway/drivers/kubernetes/eviction-body.ts';
import { addressProblem, Egress } from '../../src/gateway/egress.ts';
import { lendTransport, type TransportMode } from '../../src/gateway/transport.ts';
import { UpstreamError } from '../../src/gateway/upstream-error.ts';
import { JOB } from './stage.ts';

/** What no driver can get past, whatever it asks for. */
let server: Server | undefined;
const egress = new Egress(true);
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
  server = undefined;
});

async function serve(answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> {
  const own = createServer(answer);
  server = own;
  await new Promise<void>((resolve) => own.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(own.address() as AddressInfo).port}`;
}

function transport(
  url: string,
  mode: TransportMode,
  limits: { timeout_ms?: number; bytes_max?: number; signal?: AbortSignal } = {},
) {
  return lendTransport({
    egress,
    upstream: { system: 'k8s', name: 'prod-1', config: { server: url, credentials: { engine: 'none' } } },
    target: parseTarget(JOB),
    mode,
    credential: { kind: 'bearer', token: new Secret('the-live-credential') },
    timeout_ms: limits.timeout_ms ?? 2000,
    bytes_max: limits.bytes_max ?? 10_000,
    signal: limits.signal,
  });
}

async function problemOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'none';
  } catch (error) {
    return error instanceof UpstreamError ? error.info.problem : `fault: ${String(error)}`;
  }
}

const OBJECT =
  '/apis/sparkoperator.k8s.io/v1beta2/namespaces/spark-jobs/sparkapplications/nightly-settlement';

describe('requests that never leave', () => {
  const cases: readonly [string, TransportMode, DriverRequest][] = [
    ['a write while reading', 'read', { method: 'PATCH', path: OBJECT }],
    ['a POST in a preview', 'preview', { method: 'POST', path: '/api/v1/namespaces/spark-jobs/pods' }],
    ['a DELETE, which no type allows', 'write', { method: 'DELETE' as 'PUT', path: OBJECT }],
    [
      'a dry run that the driver sets by itself',
      'preview',
      { method: 'PATCH', path: OBJECT, query: { dryRun: 'None' } },
    ],
    ['a Secret', 'read', { method: 'GET', path: '/api/v1/namespaces/spark-jobs/secrets/settlement-db' }],
    ['all Secrets', 'read', { method: 'GET', path: '/api/v1/secrets' }],
    ['exec', 'read', { method: 'GET', path: '/api/v1/namespaces/spark-jobs/pods/x/exec' }],
    ['port-forward', 'read', { method: 'GET', path: '/api/v1/namespaces/spark-jobs/pods/x/portforward' }],
    ['attach', 'read', { method: 'GET', path: '/api/v1/namespaces/spark-jobs/pods/x/attach' }],
    ['a proxy', 'read', { method: 'GET', path: '/api/v1/namespaces/spark-jobs/services/x/proxy' }],
    [
      'a token of a service account',
      'write',
      { method: 'PUT', path: '/api/v1/namespaces/spark-jobs/serviceaccounts/x/token' },
    ],
    ['another namespace', 'read', { method: 'GET', path: '/api/v1/namespaces/fraud/pods' }],
    ['all namespaces', 'read', { method: 'GET', path: '/api/v1/pods' }],
    [
      'another object in a write',
      'write',
      { method: 'PATCH', path: OBJECT.replace('nightly-settlement', 'daily-ledger-export') },
    ],
    [
      'a collection in a write',
      'write',
      { method: 'PATCH', path: OBJECT.replace('/nightly-settlement', '') },
    ],
    ['a path that climbs', 'read', { method: 'GET', path: '/api/v1/namespaces/spark-jobs/../fraud/pods' }],
    ['an encoded climb', 'read', { method: 'GET', path: '/api/v1/namespaces/spark-jobs/%2e%2e/fraud/pods' }],
    ['an encoded slash', 'read', { method: 'GET', path: '/api/v1/namespaces/spark-jobs%2Fx/pods' }],
    ['a query in the path', 'read', { method: 'GET', path: `${OBJECT}?dryRun=None` }],
    [
      'RBAC',
      'read',
      { method: 'GET', path: '/apis/rbac.authorization.k8s.io/v1/namespaces/spark-jobs/roles' },
    ],
  ];
  it.each(cases)('%s', async (_title, mode, request) => {
    let seen = 0;
    const url = await serve((_request, response) => {
      seen += 1;
      response.end('{}');
    });
    expect(await problemOf(transport(url, mode).request(request))).toBe('blocked');
    expect(seen).toBe(0);
  });
});

describe('a drain', () => {
  const NODE = '/api/v1/nodes/w1';
  const EVICTION = '/api/v1/namespaces/spark-jobs/pods/api-1/eviction';
  const body = evictionBody({ namespace: 'spark-jobs', name: 'api-1', uid: 'uid-1' });
  const here = { fieldSelector: 'spec.nodeName=w1', limit: '100' };
  const GRANT: EvictionGrant = {
    namespaces: new Set(['spark-jobs']),
    pods: new Map([
      ['spark-jobs/api-1', 'uid-1'],
      ['spark-jobs/api-2', 'uid-2'],
    ]),
  };
  interface Knobs {
    readonly mode?: TransportMode;
    readonly target?: string;
    readonly evictions?: EvictionGrant | null;
    readonly brake?: () => Promise<string | null>;
  }
  const lend = (url: string, knobs: Knobs) =>
    lendTransport({
      egress,
      upstream: { system: 'k8s', name: 'prod-1', config: { server: url, credentials: { engine: 'none' } } },
      target: parseTarget(knobs.target ?? 'mcp://k8s/prod-1/-/node/w1'),
      mode: knobs.mode ?? 'write',
      credential: null,
      timeout_ms: 60_000,
      bytes_max: 10_000,
      signal: undefined,
      evictions: knobs.evictions === undefined ? GRANT : knobs.evictions,
      brake: knobs.brake,
    });
  const seen: string[] = [];
  const listen = async (): Promise<string> => {
    seen.length = 0;
    return serve((request, response) => {
      seen.push(`${request.method} ${request.url}`);
      response.end('{}');
    });
  };

  it('reaches its node, the pods on it and the approved pods by uid', async () => {
    const url = await listen();
    const write = lend(url, {});
    await write.request({ method: 'PATCH', path: NODE, body: [] });
    await write.request({ method: 'GET', path: '/api/v1/pods', query: here });
    await write.request({ method: 'POST', path: EVICTION, body });
    const preview = lend(url, { mode: 'preview', evictions: { ...GRANT, pods: null } });
    await preview.request({ method: 'POST', path: EVICTION, body });
    await lend(url, { mode: 'read' }).request({ method: 'GET', path: '/api/v1/pods', query: here });
    expect(seen).toEqual([
      `PATCH ${NODE}`,
      'GET /api/v1/pods?fieldSelector=spec.nodeName%3Dw1&limit=100',
      `POST ${EVICTION}`,
      `POST ${EVICTION}?dryRun=All`,
      'GET /api/v1/pods?fieldSelector=spec.nodeName%3Dw1&limit=100',
    ]);
  });

  const other = (change: object): object => ({ ...body, ...change });
  const cases: readonly [string, DriverRequest, Knobs?][] = [
    ['without a grant', { method: 'POST', path: EVICTION, body }, { evictions: null }],
    ['while reading', { method: 'POST', path: EVICTION, body }, { mode: 'read' }],
    ['for a target that is no node', { method: 'POST', path: EVICTION, body }, { target: JOB }],
    [
      'of a pod in another namespace',
      {
        method: 'POST',
        path: EVICTION.replace('spark-jobs', 'fraud'),
        body: evictionBody({ namespace: 'fraud', name: 'api-1', uid: 'uid-1' }),
      },
    ],
    [
      'of a pod in another namespace, in a dry run',
      {
        method: 'POST',
        path: EVICTION.replace('spark-jobs', 'fraud'),
        body: evictionBody({ namespace: 'fraud', name: 'api-1', uid: 'uid-1' }),
      },
      { mode: 'preview', evictions: { ...GRANT, pods: null } },
    ],
    [
      'of a pod that was not approved',
      {
        method: 'POST',
        path: EVICTION.replace('api-1', 'api-3'),
        body: evictionBody({ namespace: 'spark-jobs', name: 'api-3', uid: 'uid-3' }),
      },
    ],
    [
      'of a later pod of the name',
      {
        method: 'POST',
        path: EVICTION,
        body: evictionBody({ namespace: 'spark-jobs', name: 'api-1', uid: 'x' }),
      },
    ],
    [
      'whose body names another pod',
      {
        method: 'POST',
        path: EVICTION,
        body: other({ metadata: { name: 'api-2', namespace: 'spark-jobs' } }),
      },
    ],
    [
      'without a uid',
      { method: 'POST', path: EVICTION, body: other({ deleteOptions: {} }) },
      { mode: 'preview', evictions: { ...GRANT, pods: null } },
    ],
    [
      'without a grace period',
      {
        method: 'POST',
        path: EVICTION,
        body: other({ deleteOptions: { gracePeriodSeconds: 0, preconditions: { uid: 'uid-1' } } }),
      },
    ],
    [
      'with a dry run of its own',
      {
        method: 'POST',
        path: EVICTION,
        body: other({ deleteOptions: { dryRun: ['None'], preconditions: { uid: 'uid-1' } } }),
      },
    ],
    ['with a query', { method: 'POST', path: EVICTION, body, query: { fieldManager: 'x' } }],
    ['without a body', { method: 'POST', path: EVICTION }],
    ['by PUT', { method: 'PUT', path: EVICTION, body }],
    ['by DELETE of the pod', { method: 'DELETE' as 'PUT', path: EVICTION.replace('/eviction', '') }],
    ['by another subresource', { method: 'POST', path: EVICTION.replace('eviction', 'exec'), body }],
    ['as a binding', { method: 'POST', path: EVICTION.replace('eviction', 'binding'), body }],
    ['by creating a pod', { method: 'POST', path: '/api/v1/namespaces/spark-jobs/pods', body }],
    ['and a change of another node', { method: 'PATCH', path: '/api/v1/nodes/w2', body: [] }],
    ['and a change of the node’s status', { method: 'PATCH', path: `${NODE}/status`, body: [] }],
    ['and a change of a pod', { method: 'PATCH', path: EVICTION.replace('/eviction', ''), body: [] }],
    ['and all pods of the cluster', { method: 'GET', path: '/api/v1/pods' }],
    [
      'and the pods of another node',
      { method: 'GET', path: '/api/v1/pods', query: { fieldSelector: 'spec.nodeName=w2' } },
    ],
    [
      'and a selector that reaches beyond it',
      { method: 'GET', path: '/api/v1/pods', query: { fieldSelector: 'spec.nodeName!=w1' } },
    ],
    ['and a watch', { method: 'GET', path: '/api/v1/pods', query: { ...here, watch: 'true' } }],
    ['and one pod', { method: 'GET', path: EVICTION.replace('/eviction', '') }],
    ['and the Secrets of the cluster', { method: 'GET', path: '/api/v1/secrets', query: here }],
  ];
  it.each(cases)('never leaves %s', async (_title, request, knobs) => {
    const url = await listen();
    expect(await problemOf(lend(url, knobs ?? {}).request(request))).toBe('blocked');
    expect(seen).toEqual([]);
  });

  it('law 12: asks before each further write whether it may go on, whatever its driver does', async () => {
    const url = await listen();
    let why: string | null = null;
    const write = lend(url, { brake: () => Promise.resolve(why) });
    await write.request({ method: 'PATCH', path: NODE, body: [] });
    await write.request({ method: 'POST', path: EVICTION, body });
    why = 'data/prod is frozen by ana: release day';
    await expect(
      write.request({
        method: 'POST',
        path: EVICTION.replace('api-1', 'api-2'),
        body: evictionBody({ namespace: 'spark-jobs', name: 'api-2', uid: 'uid-2' }),
      }),
    ).rejects.toMatchObject({ info: { problem: 'blocked', sent: 'no', message: why } });
    await write.request({ method: 'GET', path: '/api/v1/pods', query: here });
    expect(seen).toHaveLength(3);
  });

  it('a spent budget is not a busy server', async () => {
    const causes = [
      { reason: 'DisruptionBudget', message: 'The disruption budget web needs 2 healthy pods' },
    ];
    const url = await serve((_request, response) =>
      response.writeHead(429).end(JSON.stringify({ message: 'Cannot evict pod', details: { causes } })),
    );
    await expect(lend(url, {}).request({ method: 'POST', path: EVICTION, body })).rejects.toMatchObject({
      info: { problem: 'held', sent: 'answered', message: 'The disruption budget web needs 2 healthy pods' },
    });
  });
});

describe('requests that leave', () => {
  it('a preview carries the dry run, a write does not, and both carry the credential', async () => {
    const seen: string[] = [];
    const url = await serve((request, response) => {
      seen.push(
        `${request.method} ${new URL(request.url ?? '', 'http://x').search} ${request.headers.authorization}`,
      );
      response.end('{}');
    });
    for (const mode of ['preview', 'write'] as const)
      await transport(url, mode).request({
        method: 'PATCH',
        path: OBJECT,
        query: { fieldManager: 'aegis' },
        body: [],
      });
    expect(seen).toEqual([
      'PATCH ?fieldManager=aegis&dryRun=All Bearer the-live-credential',
      'PATCH ?fieldManager=aegis Bearer the-live-credential',
    ]);
  });

  it('a redirect is never followed, so the credential never moves', async () => {
    let followed = 0;
    const url = await serve((request, response) => {
      if (request.url === '/stolen') followed += 1;
      response.writeHead(302, { location: '/stolen' }).end();
    });
    expect(await problemOf(transport(url, 'read').request({ method: 'GET', path: OBJECT }))).toBe('redirect');
    expect(followed).toBe(0);
  });

  it('a flood is cut off at the limit', async () => {
    let sent = 0;
    const url = await serve((_request, response) => {
      const pour = (): void => {
        while (!response.destroyed && sent < 50 * 2 ** 20) {
          sent += 65_536;
          if (!response.write(Buffer.alloc(65_536))) {
            response.once('drain', pour);
            return;
          }
        }
        response.end();
      };
      pour();
    });
    expect(await problemOf(transport(url, 'read').request({ method: 'GET', path: OBJECT }))).toBe(
      'too-large',
    );
    expect(sent).toBeLessThan(20 * 2 ** 20);
  });

  it('a server that hangs, or drips, ends at the deadline', async () => {
    const url = await serve((_request, response) => {
      response.write('{');
    });
    expect(
      await problemOf(transport(url, 'read', { timeout_ms: 150 }).request({ method: 'GET', path: OBJECT })),
    ).toBe('timeout');
  });

  it('an abort ends the call', async () => {
    const url = await serve(() => {});
    const controller = new AbortController();
    const call = problemOf(
      transport(url, 'read', { signal: controller.signal }).request({ method: 'GET', path: OBJECT }),
    );
    setTimeout(() => controller.abort(), 30);
    expect(await call).toBe('aborted');
  });

  it.each([
    [401, 'unauthorized', 'answered'],
    [403, 'forbidden', 'answered'],
    [404, 'not-found', 'answered'],
    [409, 'conflict', 'answered'],
    [422, 'invalid', 'answered'],
    [429, 'throttled', 'answered'],
    [500, 'failed', 'maybe'],
    [503, 'failed', 'maybe'],
  ])('%i is %s', async (status, problem, sent) => {
    const url = await serve((_request, response) => response.writeHead(status).end('{"message":"no"}'));
    await expect(transport(url, 'write').request({ method: 'PATCH', path: OBJECT })).rejects.toMatchObject({
      info: { problem, sent, status },
    });
  });

  it('nobody there: certainly not sent', async () => {
    await expect(
      transport('http://127.0.0.1:9', 'write').request({ method: 'PATCH', path: OBJECT }),
    ).rejects.toMatchObject({ info: { problem: 'unreachable', sent: 'no' } });
  });

  it('a broken connection: perhaps sent', async () => {
    const url = await serve((request) => request.socket.destroy());
    await expect(transport(url, 'write').request({ method: 'PATCH', path: OBJECT })).rejects.toMatchObject({
      info: { problem: 'dropped', sent: 'maybe' },
    });
  });
});

describe('addresses', () => {
  it.each([
    'http://k8s.example.com',
    'https://127.0.0.1:6443',
    'https://localhost',
    'https://169.254.169.254/latest',
    'https://[::1]:6443',
    'https://0.0.0.0',
    'https://0x7f000001',
    'https://2130706433',
    'https://[::ffff:127.0.0.1]',
    'https://[::ffff:169.254.169.254]',
    'https://[::ffff:0.0.0.0]',
    'https://[64:ff9b::169.254.169.254]',
    'https://[64:ff9b::127.0.0.1]',
    'https://[fe80::1]',
    'https://[fd00:ec2::254]',
    'https://100.100.100.200',
    'https://192.0.0.192',
    'https://168.63.129.16',
  ])('%s needs unsafe_endpoints', (url) => {
    expect(addressProblem(url, false)).not.toBeNull();
    expect(addressProblem(url, true)).toBeNull();
  });

  it('an encrypted address elsewhere is fine, also a private one', () => {
    expect(addressProblem('https://10.0.0.1:6443', false)).toBeNull();
    expect(addressProblem('https://k8s.example.com', false)).toBeNull();
    expect(addressProblem('https://[fd00::5]:6443', false)).toBeNull();
    expect(addressProblem('https://[64:ff9b::10.0.0.1]', false)).toBeNull();
  });

  it('a name that resolves to this machine is refused when it is dialled', async () => {
    const strict = new Egress(false);
    const request = {
      method: 'GET',
      path: '/',
      query: {},
      headers: {},
      body: null,
      timeout_ms: 2000,
      bytes_max: 10,
      signal: undefined,
    };
    expect(await problemOf(strict.request({ url: 'https://localhost.localdomain' }, request))).toMatch(
      /unreachable|blocked/,
    );
    await strict.close();
  });
});
