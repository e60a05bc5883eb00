import { afterEach, describe, expect, it } from 'vitest';
import { startLokiTwin, type LokiTwin, type LokiTwinOptions } from '../../../src/lab/loki/loki-twin.ts';
import type { LogRecord } from '../../../src/lab/world/telemetry.ts';

const NOW_MS = 1_795_440_000_000;
const NOW_NS = BigInt(NOW_MS) * 1_000_000n;
const DRIVER = { namespace: 'spark-prod', pod: 'driver-1', app: 'etl' };
const API = { namespace: 'payments', pod: 'api-0', app: 'checkout' };

function record(seconds_ago: number, labels: Record<string, string>, line: string): LogRecord {
  return { ts_ns: NOW_NS - BigInt(Math.round(seconds_ago * 1e9)), labels, line };
}

const LOGS: readonly LogRecord[] = [
  record(10, DRIVER, 'java.lang.OutOfMemoryError: Java heap space'),
  record(300, DRIVER, 'INFO stage 4 done'),
  record(
    60,
    API,
    '{"level":"error","status":502,"took":"1.5s","http":{"path":"/pay","tries":3},"size":"12KB","namespace":"x"}',
  ),
  record(50, API, '{"level":"info","status":200.50,"took":"20ms","list":[1],"none":null}'),
  record(40, API, 'level=warn status=404 msg="not \\"found\\"" took=700ms flag'),
  record(30, API, 'no structure at all'),
];

const running: LokiTwin[] = [];
afterEach(async () => {
  for (const twin of running.splice(0)) await twin.close();
});

async function start(options: Partial<LokiTwinOptions> = {}, logs = LOGS): Promise<LokiTwin> {
  const twin = await startLokiTwin({
    telemetry: { logs: () => logs, series: () => [] },
    clock: () => NOW_MS,
    ...options,
  });
  running.push(twin);
  return twin;
}

async function get(
  twin: LokiTwin,
  path: string,
  parameters: Record<string, string> = {},
  headers: Record<string, string> = {},
) {
  const response = await fetch(
    `${twin.url}/loki/api/v1/${path}?${new URLSearchParams(parameters).toString()}`,
    { headers },
  );
  return { status: response.status, type: response.headers.get('content-type'), text: await response.text() };
}

async function lines(twin: LokiTwin, query: string, more: Record<string, string> = {}): Promise<string[]> {
  const answer = await get(twin, 'query_range', { query, ...more });
  if (answer.status !== 200) throw new Error(answer.text);
  const { data } = JSON.parse(answer.text);
  return data.result.flatMap((stream: { values: [string, string][] }) =>
    stream.values.map(([, line]) => line),
  );
}

describe('log queries', () => {
  it('answers streams with nanosecond strings, newest first, and statistics', async () => {
    const twin = await start();
    const answer = await get(twin, 'query_range', { query: '{namespace="spark-prod"}' });
    const { status, data } = JSON.parse(answer.text);
    expect([answer.status, status, data.resultType]).toEqual([200, 'success', 'streams']);
    expect(data.result).toEqual([
      {
        stream: DRIVER,
        values: [
          [String(NOW_NS - 10_000_000_000n), 'java.lang.OutOfMemoryError: Java heap space'],
          [String(NOW_NS - 300_000_000_000n), 'INFO stage 4 done'],
        ],
      },
    ]);
    expect(data.stats.summary.totalEntriesReturned).toBe(2);
  });

  it('takes the limit from the end backward and from the start forward, over all streams', async () => {
    const twin = await start();
    expect(await lines(twin, '{app=~".+"}', { limit: '2' })).toEqual(
      ['java.lang.OutOfMemoryError: Java heap space', 'no structure at all'].sort((a) =>
        a.startsWith('no') ? -1 : 1,
      ),
    );
    expect(await lines(twin, '{app=~".+"}', { limit: '1', direction: 'forward' })).toEqual([
      'INFO stage 4 done',
    ]);
  });

  it('includes the start and leaves out the end', async () => {
    const twin = await start();
    const at = (seconds: number) => String(NOW_NS - BigInt(seconds) * 1_000_000_000n);
    expect(await lines(twin, '{app="etl"}', { start: at(300), end: at(10) })).toEqual(['INFO stage 4 done']);
    expect(await lines(twin, '{app="etl"}', { start: at(299), end: String(BigInt(at(10)) + 1n) })).toEqual([
      'java.lang.OutOfMemoryError: Java heap space',
    ]);
    expect(await lines(twin, '{app="etl"}', { since: '1m' })).toHaveLength(1);
    expect(
      await lines(twin, '{app="etl"}', {
        start: new Date(NOW_MS - 301_000).toISOString(),
        end: String((NOW_MS - 11_000) / 1000),
      }),
    ).toEqual(['INFO stage 4 done']);
  });

  it('filters by labels and by unanchored RE2 line filters', async () => {
    const twin = await start();
    const count = async (query: string) => (await lines(twin, query)).length;
    expect(await count('{app="checkout"}')).toBe(4);
    expect(await count('{app!="checkout", namespace=~"spark.*"}')).toBe(2);
    expect(await count('{namespace=~"spark"} |= "OutOf"').catch(() => 0)).toBe(0);
    expect(await count('{app="etl"} |= "OutOf"')).toBe(1);
    expect(await count('{app="etl"} != "OutOf"')).toBe(1);
    expect(await count('{app="etl"} |~ "Out[A-Z]f|stage \\\\d"')).toBe(2);
    expect(await count('{app="etl"} !~ `(?i)outof`')).toBe(1);
    expect(await count('{app="etl"} |= "OutOf" or "stage"')).toBe(2);
    expect(await count('{app="etl"} != "OutOf" or "stage"')).toBe(0);
    expect(await count('{app="checkout"} |= `"level"` != "info"')).toBe(1);
  });

  it('parses json and logfmt into labels, keeps stream labels, and compares by text, number, duration and size', async () => {
    const twin = await start();
    const [stream] = JSON.parse(
      (await get(twin, 'query_range', { query: '{app="checkout"} | json | level="error"' })).text,
    ).data.result;
    expect(stream.stream).toEqual({
      ...API,
      level: 'error',
      status: '502',
      took: '1.5s',
      http_path: '/pay',
      http_tries: '3',
      size: '12KB',
      namespace_extracted: 'x',
    });
    const [picked] = JSON.parse(
      (
        await get(twin, 'query_range', {
          query:
            '{app="checkout"} | json where="http.path", all="http", namespace="namespace", n="a.b" | where="/pay"',
        })
      ).text,
    ).data.result;
    expect(picked.stream).toEqual({
      ...API,
      where: '/pay',
      all: '{"path":"/pay","tries":"3"}',
      namespace_extracted: 'x',
    });
    const count = async (query: string) => (await lines(twin, query)).length;
    expect(await count('{app="checkout"} | json x="status" | x > 500')).toBe(1);
    expect(await count('{app="checkout"} | json | status >= 500')).toBe(1);
    expect(await count('{app="checkout"} | json | status = 200.5')).toBe(1);
    expect(await count('{app="checkout"} | json | took > 1s or level="info"')).toBe(2);
    expect(await count('{app="checkout"} | json | size > 11KB and http_tries != 4')).toBe(1);
    expect(await count('{app="checkout"} | logfmt | status == 404 | msg=~".*found.*"')).toBe(1);
    expect(await count('{app="checkout"} | json | __error__=""')).toBe(2);
    expect(await count('{app="checkout"} | json | __error__="JSONParserErr"')).toBe(2);
    expect(
      await lines(
        twin,
        '{app="checkout"} | json | level="error" | line_format "{{.level}} on {{ .http_path }}"',
      ),
    ).toEqual(['error on /pay']);
  });

  it('stores an exact repetition once, as Loki does', async () => {
    const twin = await start({}, [
      ...LOGS,
      record(10, DRIVER, 'java.lang.OutOfMemoryError: Java heap space'),
    ]);
    expect(await lines(twin, '{app="etl"}')).toHaveLength(2);
  });
});

describe('metric queries', () => {
  it('counts windows that are open at the start and closed at the end', async () => {
    const twin = await start();
    const value = async (query: string, time = NOW_NS) =>
      JSON.parse((await get(twin, 'query', { query, time: String(time) })).text).data.result;
    expect(await value('count_over_time({app="etl"}[10s])')).toEqual([]);
    expect(await value('count_over_time({app="etl"}[11s])')).toEqual([
      { metric: DRIVER, value: [NOW_MS / 1000, '1'] },
    ]);
    expect(await value('count_over_time({app="etl"}[1m])', NOW_NS - 10_000_000_000n)).toHaveLength(1);
    expect(await value('sum(rate({app="checkout"}[1m]))')).toEqual([
      { metric: {}, value: [NOW_MS / 1000, '0.05'] },
    ]);
    expect(await value('sum by (app) (bytes_over_time({app=~".+"} |= "INFO" [10m]))')).toEqual([
      { metric: { app: 'etl' }, value: [NOW_MS / 1000, '17'] },
    ]);
    expect(
      await value('sum by (level) (count_over_time({app="checkout"} | json | __error__="" [5m]))'),
    ).toHaveLength(2);
    expect(await value('count(count_over_time({app=~".+"}[10m])) > 5')).toEqual([]);
    expect(await value('sum(count_over_time({app="etl"}[10m])) * 10')).toEqual([
      { metric: {}, value: [NOW_MS / 1000, '20'] },
    ]);
    expect(await value('count_over_time({app="etl"}[11s] offset 5m)')).toHaveLength(1);
    expect(await value('count_over_time({app="etl"}[11s] offset 301s)')).toEqual([]);
  });

  it('answers a matrix over a range', async () => {
    const twin = await start();
    const answer = await get(twin, 'query_range', {
      query: 'sum(count_over_time({app="etl"}[1m]))',
      start: String(NOW_NS - 360_000_000_000n),
      end: String(NOW_NS),
      step: '60',
    });
    const { resultType, result } = JSON.parse(answer.text).data;
    expect([resultType, result]).toEqual([
      'matrix',
      [
        {
          metric: {},
          values: [
            [NOW_MS / 1000 - 300, '1'],
            [NOW_MS / 1000, '1'],
          ],
        },
      ],
    ]);
  });

  it('refuses a metric over lines that a parser could not read', async () => {
    const twin = await start();
    const answer = await get(twin, 'query', { query: 'count_over_time({app="checkout"} | json [5m])' });
    expect(answer.status).toBe(400);
    expect(answer.text).toMatch(/^pipeline error: 'JSONParserErr' for series: /);
  });
});

describe('refusals', () => {
  const everything =
    'parse error : queries require at least one regexp or equality matcher that does not have an empty-compatible value. For instance, app=~".*" does not meet this requirement, but app=~".+" will';
  it.each([
    ['', 'parse error : syntax error: unexpected $end'],
    ['{}', everything],
    ['{app=~".*"}', everything],
    ['{app!="x"}', everything],
    ['count_over_time({app=""}[5m])', everything],
    ['{foo="bar}', 'parse error at line 1, col 6: literal not terminated'],
    ['{foo="bar"', 'parse error at line 1, col 11: syntax error: unexpected $end, expecting } or ,'],
    [
      '{foo="bar"} |~',
      'parse error at line 1, col 15: syntax error: unexpected $end, expecting STRING or ip',
    ],
    ['{foo="bar"} "foo"', 'parse error at line 1, col 13: syntax error: unexpected STRING'],
    ['{foo="bar"} foo', 'parse error at line 1, col 13: syntax error: unexpected IDENTIFIER'],
    ['{foo=', 'parse error at line 1, col 6: syntax error: unexpected $end, expecting STRING'],
    [
      '{app="a"} > 5',
      'parse error : unexpected type for left leg of binary operation (>): *syntax.MatchersExpr',
    ],
    [
      'count_over_time({app="a"}[5m]) by (app)',
      'parse error : grouping not allowed for count_over_time aggregation',
    ],
    ['{app="a"} |~ "("', 'parse error : error parsing regexp: missing closing ): `(`'],
    [`{app="${'a'.repeat(5120)}"}`, 'parse error : input size too long (5128 > 5120)'],
  ])('says in Loki’s words what is wrong with %s', async (query, message) => {
    const twin = await start();
    const answer = await get(twin, 'query_range', { query });
    expect([answer.status, answer.text]).toEqual([400, `${message}\n`]);
    expect(answer.type).toContain('text/plain');
  });

  it.each([
    ['{app="a"} | pattern "<_>"', 'the parser pattern'],
    ['{app="a"} | regexp "(?P<x>.)"', 'the parser regexp'],
    ['{app="a"} | unpack', 'the parser unpack'],
    ['{app="a"} | json x="a[0]"', 'the json expression x="a[0]"'],
    ['{app="a"} | json y="b", x="a[\\"b\\"]"', 'the json expression x='],
    ['{app="a"} | logfmt x="a"', 'logfmt with expressions'],
    ['{app="a"} | logfmt --strict', 'the flags of logfmt --strict'],
    ['{app="a"} | label_format a=b', 'label_format'],
    ['{app="a"} | drop x', 'drop'],
    ['{app="a"} | keep x', 'keep'],
    ['{app="a"} | decolorize', 'decolorize'],
    ['{app="a"} |= ip("10.0.0.1")', 'the ip() line filter'],
    ['{app="a"} | json | addr = ip("10.0.0.1")', 'the ip() label filter'],
    ['{app="a"} |> "<_>x"', 'the line filter |>'],
    ['{app="a"} | line_format "{{.a | upper}}"', 'the line_format template'],
    ['sum_over_time({app="a"} | json | unwrap x [5m])', 'the range aggregation sum_over_time'],
    ['rate({app="a"} | json | unwrap x [5m])', 'unwrap'],
    ['topk(3, count_over_time({app="a"}[5m]))', 'the aggregation topk'],
    [
      'sum(count_over_time({app="a"}[5m])) / sum(count_over_time({app="b"}[5m]))',
      'the operation / between two metric queries',
    ],
    ['sum(count_over_time({app="a"}[5m])) + 2 * 3', 'more than one binary operation'],
    ['vector(1)', 'vector()'],
    ['1 + 1', 'an operation between two numbers'],
    ['absent_over_time({app="a"}[5m])', 'the range aggregation absent_over_time'],
  ])('names the construct of %s instead of answering nothing', async (query, construct) => {
    const twin = await start();
    const answer = await get(twin, 'query_range', { query });
    expect([answer.status, answer.text.startsWith(`loki twin: ${construct}`)]).toEqual([400, true]);
    expect(answer.text).toContain('is outside of the implemented LogQL subset');
  });

  it.each([
    [{ limit: '5001' }, 'max entries limit per query exceeded, limit > max_entries_limit (5001 > 5000)'],
    [{ limit: '0' }, 'limit must be a positive value'],
    [{ limit: 'x' }, 'strconv.Atoi: parsing "x": invalid syntax'],
    [{ direction: 'sideways' }, "invalid direction 'sideways'"],
    [{ start: 'x' }, `could not parse 'start' parameter: strconv.ParseInt: parsing "x": invalid syntax`],
    [{ since: 'x' }, `could not parse 'since' parameter: not a valid duration string: "x"`],
    [{ start: '20', end: '10' }, 'end timestamp must not be before or equal to start time'],
    [{ step: '0' }, 'zero or negative query resolution step widths are not accepted. Try a positive integer'],
    [{ step: 'x' }, 'cannot parse "x" to a valid duration'],
    [
      { since: '4h', step: '1' },
      'exceeded maximum resolution of 11,000 points per time series. Try increasing the value of the step parameter',
    ],
    [{ since: '31d' }, 'the query time range exceeds the limit (query length: 744h0m0s, limit: 30d1h)'],
  ])('refuses %j', async (parameters, message) => {
    const twin = await start();
    const answer = await get(twin, 'query_range', {
      query: '{app="etl"}',
      ...(parameters as Record<string, string>),
    });
    expect([answer.status, answer.text]).toEqual([400, `${message}\n`]);
  });

  it('refuses a log query as an instant query, and a selector with stages where only matchers belong', async () => {
    const twin = await start();
    expect((await get(twin, 'query', { query: '{app="etl"}' })).text).toBe(
      'log queries are not supported as an instant query type, please change your query to a range query type\n',
    );
    expect((await get(twin, 'series')).text).toBe('0 matcher groups supplied\n');
    expect((await get(twin, 'series', { match: '{app="etl"} |= "x"' })).text).toBe(
      'only label matchers are supported\n',
    );
    expect((await get(twin, 'tail')).status).toBe(501);
    expect((await get(twin, 'nosuch')).status).toBe(404);
  });
});

describe('labels, tenants, faults', () => {
  it('lists labels, values and series of the window, and leaves data out when there is none', async () => {
    const twin = await start();
    expect(JSON.parse((await get(twin, 'labels')).text)).toEqual({
      status: 'success',
      data: ['app', 'namespace', 'pod'],
    });
    expect(
      JSON.parse((await get(twin, 'label/app/values', { query: '{namespace="payments"}' })).text).data,
    ).toEqual(['checkout']);
    expect(JSON.parse((await get(twin, 'series', { 'match[]': '{app=~".+"}' })).text).data).toEqual(
      [API, DRIVER].sort((a) => (a.app === 'checkout' ? -1 : 1)),
    );
    expect(JSON.parse((await get(twin, 'labels', { start: '1', end: '2' })).text)).toEqual({
      status: 'success',
    });
    expect(JSON.parse((await get(twin, 'status/buildinfo')).text).version).toBe('2.9.10');
    expect(await (await fetch(`${twin.url}/ready`)).text()).toBe('ready\n');
  });

  it('demands a tenant in multi-tenant mode and shows a foreign tenant nothing', async () => {
    const twin = await start({ tenant: 'data', bearer_token: 'lab' });
    const query = { query: '{app="etl"}' };
    expect((await get(twin, 'query_range', query)).status).toBe(401);
    const auth = { Authorization: 'Bearer lab' };
    expect(await get(twin, 'query_range', query, auth)).toMatchObject({ status: 401, text: 'no org id\n' });
    const own = await get(twin, 'query_range', query, { ...auth, 'X-Scope-OrgID': 'data' });
    const foreign = await get(twin, 'query_range', query, { ...auth, 'X-Scope-OrgID': 'payments' });
    expect(JSON.parse(own.text).data.result).toHaveLength(1);
    expect(JSON.parse(foreign.text).data.result).toEqual([]);
    expect(twin.requests().map((seen) => [seen.tenant, seen.status])).toEqual([
      [null, 401],
      [null, 401],
      ['data', 200],
      ['payments', 200],
    ]);
  });

  it('fails, delays and drops on request', async () => {
    const twin = await start();
    const query = { query: '{app="etl"}' };
    twin.faults.inject({ kind: 'status', status: 500 });
    expect(await get(twin, 'query_range', query)).toMatchObject({
      status: 500,
      text: 'injected fault 500\n',
    });
    twin.faults.inject({ kind: 'drop_after' });
    await expect(get(twin, 'query_range', query)).rejects.toThrow('fetch failed');
    const remove = twin.faults.inject({ kind: 'status', status: 503 }, { times: Infinity });
    expect((await get(twin, 'query_range', query)).status).toBe(503);
    remove();
    expect((await get(twin, 'query_range', query)).status).toBe(200);
  });
});
