/**
 * The Loki twin: the read side of Loki's HTTP API over the simulated world, with Grafana's LogQL grammar and Loki's
 * meaning for a named subset. Errors are plain text as Loki sends them; a query outside of the subset is a 400 that
 * names the construct, never an empty answer. See FIDELITY.md.
 */
import type { LogRecord, Telemetry } from '../world/telemetry.ts';
import { compareLabels, labelKey, matchesAll, type Labels } from '../prometheus/label-set.ts';
import { formatScalar } from '../prometheus/promql-literal.ts';
import { startTwinServer, type FaultControls, type TwinCall, type TwinReply } from '../twin-http.ts';
import type { MetricQuery } from './logql-ast.ts';
import { evaluateMetric, ingest, selectStreams, type Stream } from './logql-engine.ts';
import { parseLogql, parseSelector } from './logql-parse.ts';
import { badRequest, LokiError } from './loki-error.ts';
import {
  readBackward,
  readLimit,
  readStep,
  readTime,
  readWindow,
  refuseTooLong,
  refuseTooManyEntries,
  type Window,
} from './loki-parameters.ts';

export interface LokiTwinOptions {
  readonly telemetry: Telemetry;
  /** Milliseconds since the epoch; the wall clock unless told. */
  readonly clock?: () => number;
  /** Demanded as `Authorization: Bearer` when given, as a proxy in front of Loki would. */
  readonly bearer_token?: string;
  /** Multi-tenant mode: `X-Scope-OrgID` is demanded, and any other tenant has no logs. */
  readonly tenant?: string;
}

/** One request as the twin saw it. `status` 0: cut by a fault. */
interface LokiRequest {
  readonly at_ms: number;
  readonly method: string;
  readonly path: string;
  readonly query: string | null;
  readonly tenant: string | null;
  readonly status: number;
}

export interface LokiTwin {
  readonly url: string;
  readonly faults: FaultControls;
  close(): Promise<void>;
  requests(): readonly LokiRequest[];
}

interface Ask {
  readonly parameters: URLSearchParams;
  /** Already only this tenant's. */
  readonly records: readonly LogRecord[];
  readonly now_ns: bigint;
}

interface Endpoint {
  readonly path: RegExp;
  readonly answer: (ask: Ask, name: string) => unknown;
}

const ENDPOINTS: readonly Endpoint[] = [
  { path: /^\/loki\/api\/v1\/query_range$/, answer: queryRange },
  { path: /^\/loki\/api\/v1\/query$/, answer: queryInstant },
  { path: /^\/loki\/api\/v1\/labels?$/, answer: listLabels },
  { path: /^\/loki\/api\/v1\/label\/([^/]+)\/values$/, answer: listLabelValues },
  { path: /^\/loki\/api\/v1\/series$/, answer: listSeries },
];

/** Endpoints of the real server that this twin lacks. */
const LACKING =
  /^\/(loki\/api\/v1\/(push|tail|index|rules|delete|format_query|patterns|detected_)|api\/prom|config|metrics|services|ring)/;

const PLAIN = { 'Content-Type': 'text/plain; charset=utf-8', 'X-Content-Type-Options': 'nosniff' } as const;

/** Starts the twin on a free loopback port. */
export async function startLokiTwin(options: LokiTwinOptions): Promise<LokiTwin> {
  const clock = options.clock ?? Date.now;
  const log: LokiRequest[] = [];
  const server = await startTwinServer({
    handle: (call) => handle(options, call, BigInt(Math.floor(clock())) * 1_000_000n),
    ended: (call, status) => {
      const query = formParameters(call).get('query');
      log.push({
        at_ms: clock(),
        method: call.method,
        path: call.path,
        query,
        tenant: tenantOf(call),
        status,
      });
    },
    fault_body: (status) => `injected fault ${status}\n`,
  });
  return { ...server, requests: () => [...log] };
}

function tenantOf(call: TwinCall): string | null {
  const header = call.headers['x-scope-orgid'];
  return typeof header === 'string' && header !== '' ? header : null;
}

function handle(options: LokiTwinOptions, call: TwinCall, now_ns: bigint): TwinReply {
  if (call.path === '/ready') return plain(200, 'ready');
  const token = options.bearer_token;
  if (token !== undefined && call.headers.authorization !== `Bearer ${token}`)
    return plain(401, 'Unauthorized');
  if (call.path === '/loki/api/v1/status/buildinfo') return { status: 200, body: JSON.stringify(BUILD) };
  const endpoint = ENDPOINTS.find((candidate) => candidate.path.test(call.path));
  if (endpoint === undefined) {
    const lacking = `loki twin: ${call.method} ${call.path} is outside of the implemented subset`;
    return LACKING.test(call.path) ? plain(501, lacking) : plain(404, '404 page not found');
  }
  if (call.method !== 'GET' && call.method !== 'POST') return plain(405, 'Method Not Allowed');
  if (options.tenant !== undefined && tenantOf(call) === null) return plain(401, 'no org id');
  const foreign = options.tenant !== undefined && tenantOf(call) !== options.tenant;
  try {
    const records = foreign ? [] : ingest(options.telemetry.logs());
    const body = endpoint.answer(
      { parameters: formParameters(call), records, now_ns },
      endpoint.path.exec(call.path)?.[1] ?? '',
    );
    return {
      status: 200,
      headers: { 'Content-Type': 'application/json; charset=UTF-8' },
      body: JSON.stringify(body),
    };
  } catch (error) {
    if (error instanceof LokiError) return plain(error.status, error.message);
    throw error;
  }
}

const BUILD = {
  version: '2.9.10',
  revision: 'aegis-lab-twin',
  branch: 'HEAD',
  buildUser: '',
  buildDate: '',
  goVersion: 'go1.21.9',
} as const;

function plain(status: number, message: string): TwinReply {
  return { status, headers: PLAIN, body: `${message}\n` };
}

function formParameters(call: TwinCall): URLSearchParams {
  const form = (call.headers['content-type'] ?? '').startsWith('application/x-www-form-urlencoded');
  const body = call.method === 'POST' && form ? new URLSearchParams(call.body) : new URLSearchParams();
  return new URLSearchParams([...body, ...call.query]);
}

function queryRange(ask: Ask): unknown {
  const { parameters, records } = ask;
  const window = readWindow(parameters, ask.now_ns);
  const step_ns = readStep(parameters, window);
  const limit = readLimit(parameters);
  const backward = readBackward(parameters);
  const query = parseLogql(parameters.get('query') ?? '');
  refuseTooLong(window);
  if (query.kind !== 'log') return success('matrix', matrix(records, query, window, step_ns), 0);
  refuseTooManyEntries(limit);
  const streams = selectStreams(records, query, window, { limit, backward });
  return success(
    'streams',
    streams.map(streamBody),
    streams.reduce((sum, stream) => sum + stream.entries.length, 0),
  );
}

function streamBody({ labels, entries }: Stream): unknown {
  return { stream: labels, values: entries.map((entry) => [entry.ts_ns.toString(), entry.line]) };
}

function matrix(
  records: readonly LogRecord[],
  query: MetricQuery,
  window: Window,
  step_ns: bigint,
): unknown[] {
  const rows = new Map<string, { readonly metric: Labels; readonly values: [number, string][] }>();
  for (let ts_ns = window.start_ns; ts_ns <= window.end_ns; ts_ns += step_ns) {
    for (const { labels, value } of evaluateMetric(records, query, ts_ns)) {
      const key = labelKey(labels);
      const row = rows.get(key) ?? { metric: labels, values: [] };
      rows.set(key, row);
      row.values.push([secondsOf(ts_ns), formatScalar(value)]);
    }
  }
  return [...rows.values()].sort((left, right) => compareLabels(left.metric, right.metric));
}

function queryInstant(ask: Ask): unknown {
  const ts_ns = readTime(ask.parameters, 'time', ask.now_ns);
  readLimit(ask.parameters);
  readBackward(ask.parameters);
  const query = parseLogql(ask.parameters.get('query') ?? '');
  if (query.kind === 'log') {
    throw badRequest(
      'log queries are not supported as an instant query type, please change your query to a range query type',
    );
  }
  const vector = evaluateMetric(ask.records, query, ts_ns).sort((left, right) =>
    compareLabels(left.labels, right.labels),
  );
  return success(
    'vector',
    vector.map(({ labels, value }) => ({ metric: labels, value: [secondsOf(ts_ns), formatScalar(value)] })),
    0,
  );
}

function secondsOf(ts_ns: bigint): number {
  return Number(ts_ns / 1_000_000n) / 1000;
}

function success(resultType: string, result: unknown[], entries: number): unknown {
  const summary = {
    bytesProcessedPerSecond: 0,
    linesProcessedPerSecond: 0,
    totalBytesProcessed: 0,
    totalLinesProcessed: 0,
    execTime: 0,
    queueTime: 0,
    subqueries: 0,
    totalEntriesReturned: entries,
    splits: 0,
    shards: 0,
  };
  return { status: 'success', data: { resultType, result, stats: { summary, querier: {}, ingester: {} } } };
}

/** Records in the window that pass the optional selector. */
function chosen({ parameters, records, now_ns }: Ask): readonly LogRecord[] {
  const window = readWindow(parameters, now_ns);
  const selector = parameters.get('query') ?? '';
  const matchers = selector === '' ? [] : parseSelector(selector);
  return records.filter((record) => within(record, window) && matchesAll(record.labels, matchers));
}

function within(record: LogRecord, { start_ns, end_ns }: Window): boolean {
  return record.ts_ns >= start_ns && record.ts_ns < end_ns;
}

/** Loki leaves `data` out when there is nothing. */
function list(values: readonly string[]): unknown {
  const data = [...new Set(values.filter((value) => value !== ''))].sort();
  return data.length === 0 ? { status: 'success' } : { status: 'success', data };
}

function listLabels(ask: Ask): unknown {
  return list(chosen(ask).flatMap((record) => Object.keys(record.labels)));
}

function listLabelValues(ask: Ask, name: string): unknown {
  return list(chosen(ask).map((record) => record.labels[name] ?? ''));
}

function listSeries({ parameters, records, now_ns }: Ask): unknown {
  const window = readWindow(parameters, now_ns);
  const texts = [...parameters.getAll('match'), ...parameters.getAll('match[]')];
  if (texts.length === 0) throw badRequest('0 matcher groups supplied');
  const groups = texts.map(parseSelector);
  const found = new Map<string, Labels>();
  for (const record of records) {
    if (!within(record, window) || !groups.some((group) => matchesAll(record.labels, group))) continue;
    found.set(labelKey(record.labels), record.labels);
  }
  return { status: 'success', data: [...found.values()].sort(compareLabels) };
}
