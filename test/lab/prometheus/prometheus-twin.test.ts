import { readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import {
  startPrometheusTwin,
  type PrometheusTwin,
  type PrometheusTwinOptions,
} from '../../../src/lab/prometheus/prometheus-twin.ts';
import { evaluateVector, LOOKBACK_MS, Snapshot } from '../../../src/lab/prometheus/promql-engine.ts';
import { PromqlError } from '../../../src/lab/prometheus/promql-error.ts';
import { parsePromql } from '../../../src/lab/prometheus/promql-parse.ts';
import type { Series } from '../../../src/lab/world/telemetry.ts';

const recorded = JSON.parse(
  readFileSync(new URL('../../fixtures/recorded/prometheus-api.json', import.meta.url), 'utf8'),
);
const UP: Series[] = recorded.query_range_vector_selector_up_10s.data.result.map(
  (row: { metric: Record<string, string>; values: [number, string][] }) => ({
    labels: row.metric,
    samples: row.values.map(([at, value]) => ({ ts_ms: Math.round(at * 1000), value: Number(value) })),
  }),
);
const RECORDED_AT_S = 1_795_440_261.344;

const running: PrometheusTwin[] = [];
afterEach(async () => {
  for (const twin of running.splice(0)) await twin.close();
});

async function start(options: Partial<PrometheusTwinOptions> = {}): Promise<PrometheusTwin> {
  const twin = await startPrometheusTwin({
    telemetry: { series: () => UP, logs: () => [] },
    clock: () => RECORDED_AT_S * 1000,
    ...options,
  });
  running.push(twin);
  return twin;
}

async function get(twin: PrometheusTwin, path: string, parameters: Record<string, string> = {}) {
  const response = await fetch(`${twin.url}/api/v1/${path}?${new URLSearchParams(parameters).toString()}`);
  return { status: response.status, json: JSON.parse(await response.text()) };
}

describe('answers that were recorded from a real server', () => {
  it('come back in the same form from the same samples', async () => {
    const twin = await start();
    expect((await get(twin, 'query', { query: 'up[10s]', time: '1795440261.818' })).json).toEqual(
      recorded.query_range_vector_selector_up_10s,
    );
    expect((await get(twin, 'query', { query: 'sum(up) + 0 * time()' })).json.data.result[0].value).toEqual([
      RECORDED_AT_S,
      '2',
    ]);
    expect((await get(twin, 'query', { query: 'scalar(sum(up))' })).json).toEqual(recorded.query_scalar);
    expect((await get(twin, 'series', { 'match[]': 'up' })).json).toEqual(recorded.metadata_up_series);
    const matrix = await get(twin, 'query_range', {
      query: 'up',
      start: '1795440261',
      end: '1795440261',
      step: '10',
    });
    const last = recorded.query_range_up.data.result.map((row: { metric: object; values: unknown[] }) => ({
      ...row,
      values: row.values.slice(-1),
    }));
    expect(matrix.json.data).toEqual({ resultType: 'matrix', result: last });
  });

  it('include the refusals', async () => {
    const twin = await start();
    expect(await get(twin, 'query', { query: 'up{job=' })).toEqual({
      status: 400,
      json: recorded.error_parse_400,
    });
    expect(await get(twin, 'query_range', { query: 'up', start: '0', end: '12000', step: '1' })).toEqual({
      status: 400,
      json: recorded.error_resolution_400,
    });
  });
});

describe('the edge of the subset', () => {
  it.each([
    ['max_over_time(rate(up[1m])[5m:1m])', 'a subquery'],
    ['up[5m:]', 'a subquery'],
    ['up @ 1', 'the @ modifier'],
    ['1 + up @ end()', 'the @ modifier'],
    ['histogram_quantile(0.9, up)', 'the function histogram_quantile()'],
    ['label_replace(up, "a", "b", "c", "d")', 'the function label_replace()'],
    ['deriv(up[5m])', 'the function deriv()'],
    ['count_values("x", up)', 'the aggregation count_values'],
    ['stddev(up)', 'the aggregation stddev'],
    ['up atan2 up', 'the operator atan2'],
    ['{"up"}', 'a quoted label name'],
    ['sum by ("job") (up)', 'a quoted label name'],
    ['up offset (5m + 1m)', 'the offset'],
    ['up[5m + 1m]', 'the range'],
  ])('is a loud refusal that names the construct: %s', async (query, construct) => {
    const twin = await start();
    const answer = await get(twin, 'query', { query });
    expect([answer.status, answer.json.errorType]).toEqual([422, 'execution']);
    expect(answer.json.error).toContain(`prometheus twin: ${construct}`);
  });

  it.each(['alerts', 'rules', 'targets', 'status/config', 'admin/tsdb/snapshot', 'query_exemplars'])(
    'refuses /api/v1/%s by name',
    async (path) => {
      const twin = await start();
      const answer = await get(twin, path);
      expect([answer.status, answer.json.error]).toEqual([
        501,
        `prometheus twin: GET /api/v1/${path} is outside of the implemented subset`,
      ]);
    },
  );

  it('answers any text with a value or a refusal, never with a crash', () => {
    const piece = fc.constantFrom(
      'up',
      '{',
      '}',
      'job',
      '=',
      '=~',
      '"a"',
      '(',
      ')',
      'sum',
      'by',
      'rate',
      '[5m]',
      'offset',
      '5m',
      '+',
      '^',
      '-',
      'and',
      'on',
      '1',
      ' ',
      ',',
      '"',
      '@',
      'é',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 14 }), (pieces) => {
        try {
          parsePromql(pieces.join(''));
        } catch (error) {
          expect(error).toBeInstanceOf(PromqlError);
          expect((error as PromqlError).message).toMatch(/parse error: |prometheus twin: /);
        }
      }),
      { numRuns: 1500 },
    );
  });
});

describe('evaluation beside a naive model', () => {
  const samples = fc
    .uniqueArray(
      fc.record({ ts_ms: fc.integer({ min: 0, max: 900_000 }), value: fc.integer({ min: -50, max: 50 }) }),
      { selector: (sample) => sample.ts_ms, maxLength: 30 },
    )
    .map((list) => list.sort((left, right) => left.ts_ms - right.ts_ms));
  const world = fc.array(samples, { minLength: 1, maxLength: 4 }).map((lists): Series[] =>
    lists.map((list, index) => ({
      labels: { __name__: 'm', i: String(index), g: String(index % 2) },
      samples: list,
    })),
  );

  it('finds the newest sample of the last five minutes and none that is older', () => {
    fc.assert(
      fc.property(world, fc.integer({ min: 0, max: 1_300_000 }), (series, at_ms) => {
        const found = evaluateVector(parsePromql('m'), new Snapshot(series), at_ms);
        const expected = series.flatMap((one) => {
          const recent = one.samples.filter(
            (sample) => sample.ts_ms <= at_ms && sample.ts_ms >= at_ms - LOOKBACK_MS,
          );
          return recent.length === 0 ? [] : [{ labels: one.labels, value: recent.at(-1)?.value }];
        });
        expect(found).toEqual(expected);
      }),
    );
  });

  it('sums, counts and compares windows as plain loops do', () => {
    fc.assert(
      fc.property(
        world,
        fc.integer({ min: 0, max: 1_300_000 }),
        fc.integer({ min: 1, max: 600 }),
        fc.integer({ min: -20, max: 20 }),
        (series, at_ms, range_s, bound) => {
          const inside = (one: Series) =>
            one.samples
              .filter((sample) => sample.ts_ms <= at_ms && sample.ts_ms >= at_ms - range_s * 1000)
              .map((sample) => sample.value);
          const expected = new Map<string, number>();
          for (const one of series) {
            const values = inside(one);
            const sum = values.reduce((total, value) => total + value, 0);
            if (values.length > 0 && sum > bound)
              expected.set(one.labels['g'] ?? '', (expected.get(one.labels['g'] ?? '') ?? 0) + sum);
          }
          const query = `sum by (g) (sum_over_time(m[${range_s}s]) > ${bound})`;
          const found = evaluateVector(parsePromql(query), new Snapshot(series), at_ms);
          expect(new Map(found.map(({ labels, value }) => [labels['g'] ?? '', value]))).toEqual(expected);
        },
      ),
    );
  });
});

describe('the server around it', () => {
  it('takes GET and form POST, wants its bearer token when it has one, and logs what was asked', async () => {
    const twin = await start({ bearer_token: 'lab' });
    const headers = { Authorization: 'Bearer lab' };
    expect((await fetch(`${twin.url}/api/v1/query?query=up`)).status).toBe(401);
    const post = await fetch(`${twin.url}/api/v1/query`, {
      method: 'POST',
      headers,
      body: new URLSearchParams({ query: 'sum(up)' }),
    });
    expect(JSON.parse(await post.text()).data.result[0].value[1]).toBe('2');
    expect((await fetch(`${twin.url}/api/v1/query`, { method: 'PUT', headers })).status).toBe(405);
    expect((await fetch(`${twin.url}/api/v1/label/job/values`, { method: 'POST', headers })).status).toBe(
      405,
    );
    expect(twin.requests().map(({ method, query, status }) => [method, query, status])).toEqual([
      ['GET', 'up', 401],
      ['POST', 'sum(up)', 200],
      ['PUT', null, 405],
      ['POST', null, 405],
    ]);
  });

  it('is ready, says its version, and knows metrics by their suffix', async () => {
    const twin = await start();
    expect(await (await fetch(`${twin.url}/-/ready`)).text()).toBe('Prometheus Server is Ready.\n');
    expect((await get(twin, 'status/buildinfo')).json.data.version).toBe('2.42.0');
    expect((await get(twin, 'metadata')).json.data).toEqual({ up: [{ type: 'gauge', help: '', unit: '' }] });
  });

  it('fails, delays and drops on request', async () => {
    const twin = await start();
    twin.faults.inject({ kind: 'status', status: 503 });
    expect(await get(twin, 'query', { query: 'up' })).toEqual({
      status: 503,
      json: { status: 'error', errorType: 'unavailable', error: 'injected fault 503' },
    });
    twin.faults.inject({ kind: 'drop_before' });
    await expect(get(twin, 'query', { query: 'up' })).rejects.toThrow('fetch failed');
    twin.faults.inject({ kind: 'delay', delay_ms: 60 });
    const before = performance.now();
    expect((await get(twin, 'query', { query: 'up' })).status).toBe(200);
    expect(performance.now() - before).toBeGreaterThan(50);
  });
});
