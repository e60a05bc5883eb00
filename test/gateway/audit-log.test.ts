import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { isRefusal } from '../../src/contract/verdict.ts';
import { startLokiTwin, type LokiTwin } from '../../src/lab/loki/loki-twin.ts';
import type { LogRecord } from '../../src/lab/world/telemetry.ts';
import { auditLine, ref } from './audit-lines.ts';
import { startStage, type Stage } from './stage.ts';
import { startToldSource, type ToldSource } from './told-source.ts';

const HERE = 'mcp://k8s/prod-1/spark-jobs/auditlog/-';
const SINCE = '2026-11-23T09:00:00.000Z';
const UNTIL = '2026-11-23T11:00:00.000Z';
const LABELS = { job: 'kube-audit', cluster: 'prod-1' };
const FROM_NS = BigInt(Date.parse('2026-11-23T10:00:00.000Z')) * 1_000_000n;

interface Answer {
  readonly acts: readonly Record<string, unknown>[];
  readonly more: boolean;
  readonly unreadable: number;
}

/** One stage, whose audit log is a Loki twin over these lines, or a server that says whatever it is told. */
let stage: Stage;
let loki: LokiTwin;
let told: ToldSource;
let logs: LogRecord[] = [];

beforeAll(async () => {
  loki = await startLokiTwin({ telemetry: { logs: () => logs, series: () => [] }, tenant: 'ops' });
  told = await startToldSource();
  stage = await startStage({
    settings: (settings) => ({
      ...settings,
      identity: settings.identity.map((each) =>
        each.principal === 'ana' ? { ...each, kubernetes: ['ana@corp.example'] } : each,
      ),
      clusters: {
        'prod-1': { ...settings.clusters['prod-1']!, audit: { source: 'audit', selector: LABELS } },
        'told-1': { ...settings.clusters['prod-1']!, audit: { source: 'told', selector: LABELS } },
        'plain-1': settings.clusters['prod-1']!,
      },
      sources: {
        ...settings.sources,
        loki: {
          ...settings.sources.loki,
          audit: { ...settings.sources.loki['main']!, url: loki.url, org_id: 'ops' },
          told: told.settings,
        },
      },
      teams: {
        ...settings.teams,
        data: {
          environments: {
            prod: {
              ...settings.teams['data']!.environments['prod']!,
              mounts: ['prod-1', 'told-1', 'plain-1'].map((cluster) => ({
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
  await loki?.close();
  told?.close();
});
beforeEach(() => {
  logs = [];
});

let count = 0;
/** Stored one after the other, a millisecond apart. */
function store(line: string, labels: Record<string, string> = LABELS): void {
  logs.push({ ts_ns: FROM_NS + BigInt(logs.length) * 1_000_000n, labels, line });
}
const unique = (change: Record<string, unknown> = {}) =>
  auditLine({ auditID: `id-${(count += 1)}`, ...change });

async function ask(target = HERE, args: Record<string, unknown> = {}, team = 'data') {
  return stage.gateway.read({
    token: await stage.token({ team }),
    tool: 'k8s.audit_log',
    target,
    args: { since: SINCE, until: UNTIL, ...args },
    why: 'test',
  });
}

async function answer(...asked: Parameters<typeof ask>): Promise<Answer> {
  const got = await ask(...asked);
  if (isRefusal(got)) throw new Error(`${got.code}: ${got.reason}`);
  return got.result as Answer;
}

async function code(...asked: Parameters<typeof ask>): Promise<string> {
  const got = await ask(...asked);
  return isRefusal(got) ? got.code : 'answered';
}

describe('refused', () => {
  it('another tenant’s namespace, all namespaces, and a cluster without an audit log, all in the same words', async () => {
    const foreign = 'mcp://k8s/prod-1/fraud/auditlog/-';
    expect(await code(foreign)).toBe('scope-forbidden');
    expect(await code(HERE, {}, 'fraud')).toBe('scope-forbidden');
    expect(await code('mcp://k8s/prod-1/-/auditlog/-')).toBe('scope-forbidden');
    expect(await code('mcp://k8s/plain-1/spark-jobs/auditlog/-')).toBe('scope-forbidden');
    expect(await code('mcp://loki/audit/spark-jobs/auditlog/-')).toBe('scope-forbidden');
    expect(loki.requests()).toEqual([]);
  });

  it('other tools on the audit log, and this tool elsewhere', async () => {
    const read = async (tool: string, target: string, args: Record<string, unknown>) => {
      const got = await stage.gateway.read({ token: await stage.token(), tool, target, args, why: 'test' });
      return isRefusal(got) ? got.code : 'answered';
    };
    expect(await read('k8s.list', HERE, { limit: 1 })).toBe('kind-forbidden');
    expect(await read('loki.query_range', HERE, { query: '{a="b"}', start_ns: '1', end_ns: '2' })).not.toBe(
      'answered',
    );
    const deployments = 'mcp://k8s/prod-1/spark-jobs/deployment/-';
    expect(await code(deployments)).toBe('kind-forbidden');
  });

  it('a query of the caller, and times that are none', async () => {
    expect(await code(HERE, { query: '{job="kube-audit"}' })).toBe('arguments-invalid');
    expect(await code(HERE, { since: UNTIL, until: SINCE })).toBe('arguments-invalid');
    expect(await code(HERE, { since: '1h' })).toBe('arguments-invalid');
  });
});

describe('the audit log of a namespace', () => {
  it('has its acts in order, and none of other namespaces, clusters or streams', async () => {
    store(unique({ stageTimestamp: '2026-11-23T10:00:02.000000Z', verb: 'delete' }));
    store(unique());
    store(unique({ objectRef: ref({ namespace: 'fraud', name: 'fraud-scorer' }) }));
    store(unique({ objectRef: ref({ namespace: 'spark-jobs-2' }) }));
    store(unique({ verb: 'get' }));
    store(unique(), { job: 'kube-audit', cluster: 'prod-2' });
    store(unique(), { app: 'writes-like-an-api-server', namespace: 'spark-jobs' });
    const got = await answer();
    expect(got).toMatchObject({ more: false, unreadable: 0 });
    expect(got.acts.map((act) => act['verb'])).toEqual(['patch', 'delete']);
    expect(loki.requests().at(-1)).toMatchObject({ tenant: 'ops', status: 200 });
  });

  it('shows people of the identity map by their principal, and redacts the rest as everywhere', async () => {
    store(unique({ user: { username: 'ana@corp.example' } }));
    store(
      unique({ user: { username: 'eve@corp.example' }, requestObject: { spec: { owner: 'a@b.example' } } }),
    );
    const got = await answer();
    expect(got.acts).toMatchObject([{ by: 'ana' }, { by: null, user: '[REDACTED_EMAIL]' }]);
    expect(JSON.stringify(got)).not.toMatch(/corp\.example|b\.example/);
  });

  it('counts a line that was delivered twice once, and two requests under one auditID twice', async () => {
    const line = auditLine();
    store(line);
    store(line);
    store(auditLine({ stageTimestamp: '2026-11-23T10:00:05.000000Z', verb: 'delete' }));
    expect((await answer()).acts.map((act) => act['verb'])).toEqual(['patch', 'delete']);
  });

  it('leaves out what happened before, also when it was stored late', async () => {
    store(unique({ stageTimestamp: '2026-11-23T08:59:59.999999Z' }));
    store(unique());
    expect((await answer()).acts).toHaveLength(1);
  });

  it('reads page after page, and says when there was more than it shows', async () => {
    for (let n = 0; n < 450; n += 1)
      store(
        unique({ stageTimestamp: `2026-11-23T10:${String(n % 60).padStart(2, '0')}:00.00000${n % 10}Z` }),
      );
    const before = loki.requests().length;
    const got = await answer();
    expect(loki.requests().length - before).toBe(3);
    expect(got.acts).toHaveLength(200);
    expect(got.more).toBe(true);
    const times = got.acts.map((act) => act['at'] as string);
    expect(times).toEqual(times.toSorted());
  });

  it('says that it cannot go on where a whole page has one time', async () => {
    for (let n = 0; n < 300; n += 1) logs.push({ ts_ns: FROM_NS, labels: LABELS, line: unique() });
    expect(await answer()).toMatchObject({ more: true });
  });
});

describe('a log store that cannot be believed', () => {
  const TOLD = 'mcp://k8s/told-1/spark-jobs/auditlog/-';
  const streams = (...lines: string[]) => ({
    status: 200,
    body: JSON.stringify({
      data: {
        resultType: 'streams',
        result: [{ stream: LABELS, values: lines.map((line, n) => [String(FROM_NS + BigInt(n)), line]) }],
      },
    }),
  });

  it('that ignores the query gives nothing of others away', async () => {
    told.answer = streams(
      unique({ objectRef: ref({ namespace: 'fraud', name: 'fraud-secret-name' }) }),
      unique({
        objectRef: ref({ namespace: 'fraud' }),
        requestObject: { objectRef: { namespace: 'spark-jobs' }, spec: { note: 'fraud-secret-name' } },
      }),
      unique(),
    );
    const got = await answer(TOLD);
    expect(got.acts).toHaveLength(1);
    expect(JSON.stringify(got)).not.toContain('fraud');
  });

  it('that cuts lines is counted, and its text goes nowhere', async () => {
    told.answer = streams(unique().slice(0, 400), unique());
    const got = await answer(TOLD);
    expect(got).toMatchObject({ unreadable: 1, acts: [{}] });
  });

  it('that gives no stream result is refused', async () => {
    told.answer = { status: 200, body: '{"data":{"resultType":"matrix","result":[]}}' };
    expect(await code(TOLD)).toBe('upstream-malformed');
    told.answer = { status: 500, body: 'no' };
    expect(await code(TOLD)).toMatch(/^upstream-/);
  });
});
