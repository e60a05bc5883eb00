import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isRefusal } from '../../src/contract/verdict.ts';
import { valueAt } from '../../src/gateway/json-pointer.ts';
import { describeDriver, fieldsBack } from './describe-driver.ts';
import { JOB, startStage, type Stage } from './stage.ts';

const PLANTED = ['ana.planted@example.com', 'AKIAIOSFODNN7EXAMPLE'] as const;

describeDriver({
  name: 'k8s',
  read: {
    tool: 'k8s.get',
    target: JOB,
    foreign_target: 'mcp://k8s/prod-1/fraud/sparkapplication/fraud-features',
    unknown_target: 'mcp://k8s/nowhere/fraud/sparkapplication/fraud-features',
    args: () => ({}),
    bad_args: { raw: '/api/v1/secrets' },
    planted: async (stage) => {
      stage.kubernetes.patchFromOutside('SparkApplication', 'spark-jobs', 'nightly-settlement', {
        metadata: { annotations: { owner: PLANTED[0], note: `used ${PLANTED[1]}` } },
      });
      return PLANTED;
    },
  },
  write: {
    mutations: (stage) => stage.kubernetes.mutations().length,
    now: (stage) => {
      const job = stage.world.store.get('SparkApplication', 'spark-jobs', 'nightly-settlement');
      return valueAt(job, '/spec/driver/memory');
    },
    action: {
      tool: 'job.update_spec',
      target: JOB,
      params: { changes: [{ path: '/spec/driver/memory', value: '2g' }] },
    },
    before: '1g',
    after: '2g',
    changes: [{ path: '/spec/driver/memory', before: '1g', after: '2g' }],
    diff: ['-    memory: 1g', '+    memory: 2g'],
    undo: fieldsBack,
  },
});

describeDriver({
  name: 'k8s nodes',
  stage: () =>
    startStage({
      settings: (settings) => {
        const copy = structuredClone(settings);
        Object.assign(copy.teams['data']?.environments['prod']?.mounts[0] as object, { nodes: ['prod-1-*'] });
        return copy;
      },
    }),
  read: {
    tool: 'k8s.list',
    target: 'mcp://k8s/prod-1/spark-jobs/deployment/-',
    foreign_target: 'mcp://k8s/prod-1/fraud/deployment/-',
    unknown_target: 'mcp://k8s/nowhere/fraud/deployment/-',
    args: () => ({}),
    bad_args: { raw: '/api/v1/nodes' },
    planted: async () => [],
  },
  write: {
    mutations: (stage) => stage.kubernetes.mutations().length,
    now: (stage) =>
      valueAt(stage.world.store.get('Node', undefined, 'prod-1-worker-1'), '/spec/unschedulable'),
    action: {
      tool: 'k8s.cordon',
      target: 'mcp://k8s/prod-1/-/node/prod-1-worker-1',
      params: { changes: [{ path: '/spec/unschedulable', value: true }] },
    },
    before: undefined,
    after: true,
    changes: [{ path: '/spec/unschedulable', before: false, after: true }],
    diff: ['+  unschedulable: true'],
    undo: fieldsBack,
  },
});

const window = (): { start_ns: string; end_ns: string } => {
  const now = Date.now();
  return { start_ns: `${now - 3_600_000}000000`, end_ns: `${now}000000` };
};

describeDriver({
  name: 'loki',
  read: {
    tool: 'loki.query_range',
    target: 'mcp://loki/main/spark-jobs/query/-',
    foreign_target: 'mcp://loki/main/fraud/query/-',
    unknown_target: 'mcp://loki/nowhere/fraud/query/-',
    args: () => ({ query: '{app="nightly-settlement"} |= "executor"', ...window(), limit: 1000 }),
    bad_args: { query: '{app="x"}', start_ns: 'yesterday', end_ns: 'now' },
    planted: async (stage) => {
      const answer = await stage.gateway.read({
        token: await stage.token(),
        tool: 'loki.query_range',
        target: 'mcp://loki/main/spark-jobs/query/-',
        args: { query: '{app="nightly-settlement"} |= "executor"', ...window(), limit: 1000 },
        why: 'plan',
      });
      // The world's own log lines name executors by address: nothing has to be planted.
      expect(JSON.stringify(answer)).toContain('[REDACTED_IP]');
      return ['10.244.'];
    },
  },
});

describeDriver({
  name: 'prometheus',
  read: {
    tool: 'prom.query_range',
    target: 'mcp://prometheus/main/spark-jobs/query/-',
    foreign_target: 'mcp://prometheus/main/fraud/query/-',
    unknown_target: 'mcp://prometheus/nowhere/fraud/query/-',
    args: () => ({
      query: 'container_memory_working_set_bytes',
      start_s: Date.now() / 1000 - 600,
      end_s: Date.now() / 1000,
      step_s: 15,
    }),
    bad_args: { query: 'up', start_s: 0, end_s: 1e9, step_s: 1 },
    planted: async () => [],
  },
});

describe('reading Kubernetes', () => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await startStage();
  });
  afterAll(() => stage.close());

  const read = async (tool: string, target: string, args: Record<string, unknown> = {}) => {
    const answer = await stage.gateway.read({ token: await stage.token(), tool, target, args, why: 'test' });
    return isRefusal(answer) ? answer.code : answer.result;
  };

  it('gives objects without managedFields', async () => {
    const { object } = (await read('k8s.get', JOB)) as { object: { metadata: object; spec: object } };
    expect(Object.keys(object.metadata)).not.toContain('managedFields');
    expect(object.spec).toMatchObject({ driver: { memory: '1g' } });
  });

  it('lists by label and says when there is more', async () => {
    const all = (await read('k8s.list', 'mcp://k8s/prod-1/spark-jobs/pod/-')) as {
      items: unknown[];
      more: boolean;
    };
    expect(all.items.length).toBeGreaterThan(1);
    expect(all.more).toBe(false);
    const one = (await read('k8s.list', 'mcp://k8s/prod-1/spark-jobs/pod/-', { limit: 1 })) as {
      items: unknown[];
      more: boolean;
    };
    expect([one.items.length, one.more]).toEqual([1, true]);
  });

  it('gives the events of one object', async () => {
    const { items } = (await read('k8s.events', JOB)) as { items: { involvedObject: { name: string } }[] };
    expect(items.length).toBeGreaterThan(0);
    expect(new Set(items.map((item) => item.involvedObject.name))).toEqual(new Set(['nightly-settlement']));
  });

  it('gives log lines with their times as given', async () => {
    const { lines } = (await read('k8s.logs', 'mcp://k8s/prod-1/spark-jobs/pod/nightly-settlement-driver', {
      tail_lines: 3,
    })) as { lines: { ts: string; line: string }[] };
    expect(lines).toHaveLength(3);
    for (const { ts } of lines) expect(ts).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$/);
  });

  it('knows no Secrets, no other tenants’ namespaces and no lists of namespaces', async () => {
    expect(await read('k8s.get', 'mcp://k8s/prod-1/spark-jobs/secret/settlement-db')).toBe('kind-forbidden');
    expect(await read('k8s.list', 'mcp://k8s/prod-1/spark-jobs/secret/-')).toBe('kind-forbidden');
    expect(await read('k8s.logs', 'mcp://k8s/prod-1/spark-jobs/deployment/x')).toBe('kind-forbidden');
    expect(await read('k8s.get', 'mcp://k8s/prod-1/-/namespace/fraud')).toBe('scope-forbidden');
    expect(await read('k8s.list', 'mcp://k8s/prod-1/-/namespace/-')).toBe('scope-forbidden');
    expect(await read('k8s.list', 'mcp://k8s/prod-1/-/pod/-')).toBe('scope-forbidden');
  });

  it('says plainly that an object is not there', async () => {
    expect(await read('k8s.get', 'mcp://k8s/prod-1/spark-jobs/pod/none')).toBe('object-not-found');
  });

  it('does not let a write tool through the read door, nor a read tool through preview', async () => {
    expect(
      await read('job.update_spec', JOB, { changes: [{ path: '/spec/driver/memory', value: '2g' }] }),
    ).toBe('tool-writes');
    const preview = await stage.gateway.preview({
      token: await stage.token(),
      tool: 'k8s.get',
      target: JOB,
      params: {},
      change_id: 'CHG-1',
      why: 'x',
    });
    expect(isRefusal(preview) && preview.code).toBe('tool-reads');
  });

  it('refuses a preview beyond the bounds before and after looking', async () => {
    const preview = async (value: unknown, path = '/spec/driver/memory'): Promise<unknown> => {
      const answer = await stage.gateway.preview({
        token: await stage.token(),
        tool: 'job.update_spec',
        target: JOB,
        params: { changes: [{ path, value }] },
        change_id: 'CHG-1',
        why: 'x',
      });
      return isRefusal(answer) ? answer.code : 'previewed';
    };
    expect(await preview('32g')).toBe('value-out-of-bounds');
    expect(await preview('4g')).toBe('value-out-of-bounds');
    expect(await preview('evil:latest', '/spec/image')).toBe('class-forbidden');
    expect(await preview({ cores: 1 })).toBe('arguments-invalid');
    expect(await preview('x', '/metadata/labels/a')).toBe('arguments-invalid');
  });
});

describe('an ill source', () => {
  it('is left alone after five failures, and asked again later; others go on', async () => {
    let asked = 0;
    let ill = true;
    const server = createServer((_request, response) => {
      asked += 1;
      response.writeHead(ill ? 500 : 200).end('{"data":{"resultType":"streams","result":[]}}');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const stage = await startStage({
      settings: (s) => ({
        ...s,
        sources: { ...s.sources, loki: { main: { ...s.sources.loki['main'], url } as never } },
      }),
    });
    const read = async (): Promise<string> => {
      const answer = await stage.gateway.read({
        token: await stage.token(),
        tool: 'loki.query_range',
        target: 'mcp://loki/main/spark-jobs/query/-',
        args: { query: '{app="x"}', ...window() },
        why: 'x',
      });
      return isRefusal(answer) ? answer.code : 'read';
    };
    try {
      const codes: string[] = [];
      for (let n = 0; n < 7; n += 1) codes.push(await read());
      expect(codes).toEqual([
        ...Array.from({ length: 5 }, () => 'upstream-failed'),
        'breaker-open',
        'breaker-open',
      ]);
      expect(asked).toBe(5);
      ill = false;
      const other = await stage.gateway.read({
        token: await stage.token(),
        tool: 'k8s.get',
        target: JOB,
        args: {},
        why: 'x',
      });
      expect(isRefusal(other)).toBe(false);
      await expect.poll(read, { timeout: 6000, interval: 300 }).toBe('read');
    } finally {
      await stage.close();
      server.close();
    }
  });
});

describe('no audit row, no call', () => {
  it('a read whose row cannot be written is refused and never sent', async () => {
    let broken = false;
    const stage = await startStage({
      wrapStore: (store) => ({
        ...store,
        ledger: {
          ...store.ledger,
          append: (chain, entries) =>
            broken ? Promise.reject(new Error('disk full')) : store.ledger.append(chain, entries),
        },
      }),
    });
    try {
      broken = true;
      const answer = await stage.gateway.read({
        token: await stage.token(),
        tool: 'k8s.get',
        target: JOB,
        args: {},
        why: 'x',
      });
      expect(isRefusal(answer) && answer.code).toBe('audit-unavailable');
      expect(stage.kubernetes.requests()).toHaveLength(0);
    } finally {
      broken = false;
      await stage.close();
    }
  });
});
