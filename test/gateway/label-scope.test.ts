import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isRefusal } from '../../src/contract/verdict.ts';
import { startStage, type Stage } from './stage.ts';

/** Query text cannot reach beyond the namespace of the target, however it is written. */
let stage: Stage;
beforeAll(async () => {
  stage = await startStage();
});
afterAll(() => stage.close());

async function loki(query: string): Promise<{ code: string } | { sent: string; namespaces: Set<string> }> {
  const now = Date.now();
  const args = { query, start_ns: `${now - 3_600_000}000000`, end_ns: `${now}000000`, limit: 50 };
  const answer = await stage.gateway.read({
    token: await stage.token(),
    tool: 'loki.query_range',
    target: 'mcp://loki/main/spark-jobs/query/-',
    args,
    why: 'test',
  });
  if (isRefusal(answer)) return { code: answer.code };
  const { entries } = answer.result as { entries: { labels: { namespace: string } }[] };
  return { sent: answer.source_query, namespaces: new Set(entries.map((entry) => entry.labels.namespace)) };
}

async function prom(query: string): Promise<{ code: string } | { sent: string }> {
  const answer = await stage.gateway.read({
    token: await stage.token(),
    tool: 'prom.query',
    target: 'mcp://prometheus/main/spark-jobs/query/-',
    args: { query, time_s: Date.now() / 1000 },
    why: 'test',
  });
  return isRefusal(answer) ? { code: answer.code } : { sent: answer.source_query };
}

describe('LogQL', () => {
  it('gets the namespace of the target', async () => {
    const found = await loki('{container="spark-kubernetes-driver"} |= "INFO"');
    expect(found).toMatchObject({
      sent: '{namespace="spark-jobs",container="spark-kubernetes-driver"} |= "INFO"',
    });
    expect([...(found as { namespaces: Set<string> }).namespaces]).toEqual(['spark-jobs']);
  });

  it('keeps an equal matcher and narrows a pattern', async () => {
    expect(await loki('{namespace="spark-jobs"}')).toMatchObject({ sent: '{namespace="spark-jobs"}' });
    expect(await loki('{namespace=~".+"}')).toMatchObject({ namespaces: new Set(['spark-jobs']) });
  });

  it.each([
    '{namespace="fraud"}',
    '{namespace!="spark-jobs"}',
    '{namespace="spark-jobs", namespace="fraud"}',
    '{namespace="spark\\u002djobs"}',
  ])('refuses %s', async (query) => {
    expect(await loki(query)).toEqual({ code: 'request-blocked' });
  });

  it.each([
    '{ ',
    '{app="x"} |= ',
    '{}',
    'app="x"',
    '{app="x"} } {namespace="fraud"}',
    'rate({app="x"}[5m])',
    'sum(count_over_time({app="x"}[1m]))',
    'vector(1)',
  ])('refuses what is no log query: %s', async (query) => {
    expect(await loki(query)).toMatchObject({ code: 'request-blocked' });
  });

  it('is not fooled by selectors inside strings and comments', async () => {
    expect(await loki('{app="nightly-settlement"} |= "{namespace=\\"fraud\\"}" # {x="y"}')).toMatchObject({
      sent: '{namespace="spark-jobs",app="nightly-settlement"} |= "{namespace=\\"fraud\\"}" # {x="y"}',
    });
  });
});

describe('PromQL', () => {
  it.each([
    ['up', 'up{namespace="spark-jobs"}'],
    ['up{}', 'up{namespace="spark-jobs"}'],
    ['{__name__="up"}', '{namespace="spark-jobs",__name__="up"}'],
    ['up{namespace="spark-jobs"}', 'up{namespace="spark-jobs"}'],
    ['max(up) - min(up)', 'max(up{namespace="spark-jobs"}) - min(up{namespace="spark-jobs"})'],
    [
      'rate(container_memory_working_set_bytes[5m])',
      'rate(container_memory_working_set_bytes{namespace="spark-jobs"}[5m])',
    ],
  ])('scopes %s', async (query, sent) => {
    expect(await prom(query)).toEqual({ sent });
  });

  it.each([
    'up{namespace="fraud"}',
    'up{namespace!="spark-jobs"}',
    'up or up{namespace="fraud"}',
    'up{',
    'up}',
    '{"namespace"="fraud"}',
    'info(up)',
    'up{namespace="spark-jobs"} or on() (up{namespace=\'fraud\'})',
  ])('refuses %s', async (query) => {
    expect(await prom(query)).toEqual({ code: 'request-blocked' });
  });
});
