/**
 * The Prometheus twin: the read side of Prometheus's HTTP API over the simulated world, with the official PromQL
 * grammar and the semantics of 2.42 for a named subset. A query outside of the subset is refused by name; a twin that
 * answered it with nothing would teach the product that nothing happened. See FIDELITY.md.
 */
import type { Series, Telemetry } from '../world/telemetry.ts';
import { startTwinServer, type FaultControls, type TwinCall, type TwinReply } from '../twin-http.ts';
import {
  checkTimeout,
  invalidParameter,
  optionalTime,
  rangeParameters,
  type RangeParameters,
} from './http-parameters.ts';
import {
  compareLabels,
  labelKey,
  matchesAll,
  METRIC_NAME,
  selectsEverything,
  type Labels,
  type Matcher,
} from './label-set.ts';
import { typeOf, type Expr } from './promql-ast.ts';
import { evaluateRange, evaluateScalar, evaluateVector, Snapshot } from './promql-engine.ts';
import { PromqlError } from './promql-error.ts';
import { formatSample, formatScalar } from './promql-literal.ts';
import { parsePromql, parseSeriesSelector } from './promql-parse.ts';

export interface PrometheusTwinOptions {
  readonly telemetry: Telemetry;
  /** Milliseconds since the epoch; the wall clock unless told. */
  readonly clock?: () => number;
  /** Demanded as `Authorization: Bearer` when given, as a proxy in front of Prometheus would. */
  readonly bearer_token?: string;
}

/** One request as the twin saw it. `query` is the PromQL or the first `match[]`; `status` 0: cut by a fault. */
interface PrometheusRequest {
  readonly at_ms: number;
  readonly method: string;
  readonly path: string;
  readonly query: string | null;
  readonly status: number;
}

export interface PrometheusTwin {
  readonly url: string;
  readonly faults: FaultControls;
  close(): Promise<void>;
  requests(): readonly PrometheusRequest[];
}

interface Ask {
  readonly parameters: URLSearchParams;
  readonly telemetry: Telemetry;
  readonly now_ms: number;
}

interface Endpoint {
  readonly path: RegExp;
  readonly methods: readonly string[];
  readonly answer: (ask: Ask, name: string) => unknown;
}

const READ = ['GET', 'HEAD'];
const READ_OR_FORM = [...READ, 'POST'];

const ENDPOINTS: readonly Endpoint[] = [
  { path: /^\/api\/v1\/query$/, methods: READ_OR_FORM, answer: queryInstant },
  { path: /^\/api\/v1\/query_range$/, methods: READ_OR_FORM, answer: queryRange },
  { path: /^\/api\/v1\/series$/, methods: READ_OR_FORM, answer: listSeries },
  { path: /^\/api\/v1\/labels$/, methods: READ_OR_FORM, answer: listLabels },
  { path: /^\/api\/v1\/label\/([^/]+)\/values$/, methods: READ, answer: listLabelValues },
  { path: /^\/api\/v1\/metadata$/, methods: READ, answer: metadata },
  { path: /^\/api\/v1\/status\/buildinfo$/, methods: READ, answer: buildInfo },
];

/** Endpoints of the real server that this twin lacks. */
const LACKING =
  /^\/(api\/v1\/(alerts|alertmanagers|rules|targets|query_exemplars|format_query|status|admin|read|write)|federate|metrics)(\/|$)/;

/** Starts the twin on a free loopback port. */
export async function startPrometheusTwin(options: PrometheusTwinOptions): Promise<PrometheusTwin> {
  const clock = options.clock ?? Date.now;
  const log: PrometheusRequest[] = [];
  const server = await startTwinServer({
    handle: (call) => handle(options, call, clock()),
    ended: ({ method, path, ...call }, status) => {
      const parameters = formParameters({ method, path, ...call });
      log.push({
        at_ms: clock(),
        method,
        path,
        query: parameters.get('query') ?? parameters.get('match[]'),
        status,
      });
    },
    fault_body: (status) =>
      failure(status, status === 503 ? 'unavailable' : 'internal', `injected fault ${status}`).body,
  });
  return { ...server, requests: () => [...log] };
}

function handle(options: PrometheusTwinOptions, call: TwinCall, now_ms: number): TwinReply {
  const token = options.bearer_token;
  if (token !== undefined && call.headers.authorization !== `Bearer ${token}`) {
    return { status: 401, headers: { 'WWW-Authenticate': 'Bearer', ...PLAIN }, body: 'Unauthorized\n' };
  }
  if (call.path === '/-/ready' || call.path === '/-/healthy') {
    return {
      status: 200,
      headers: PLAIN,
      body: `Prometheus Server is ${call.path === '/-/ready' ? 'Ready' : 'Healthy'}.\n`,
    };
  }
  const endpoint = ENDPOINTS.find((candidate) => candidate.path.test(call.path));
  if (endpoint === undefined) return unknownPath(call);
  if (!endpoint.methods.includes(call.method))
    return { status: 405, headers: PLAIN, body: 'Method Not Allowed\n' };
  const name = endpoint.path.exec(call.path)?.[1] ?? '';
  try {
    const ask = { parameters: formParameters(call), telemetry: options.telemetry, now_ms };
    return { status: 200, body: JSON.stringify({ status: 'success', data: endpoint.answer(ask, name) }) };
  } catch (error) {
    if (error instanceof PromqlError) return failure(error.status, error.error_type, error.message);
    throw error;
  }
}

const PLAIN = { 'Content-Type': 'text/plain; charset=utf-8' } as const;

function unknownPath(call: TwinCall): TwinReply {
  if (!LACKING.test(call.path)) return { status: 404, headers: PLAIN, body: '404 page not found\n' };
  return failure(
    501,
    'not_implemented',
    `prometheus twin: ${call.method} ${call.path} is outside of the implemented subset`,
  );
}

function failure(status: number, errorType: string, error: string): TwinReply {
  return { status, body: JSON.stringify({ status: 'error', errorType, error }) };
}

/** Query parameters and, for a form POST, the body's, which come first as in Go. */
function formParameters(call: TwinCall): URLSearchParams {
  const form = (call.headers['content-type'] ?? '').startsWith('application/x-www-form-urlencoded');
  const body = call.method === 'POST' && form ? new URLSearchParams(call.body) : new URLSearchParams();
  return new URLSearchParams([...body, ...call.query]);
}

function queryInstant({ parameters, telemetry, now_ms }: Ask): unknown {
  const ts_ms = optionalTime(parameters, 'time', now_ms);
  checkTimeout(parameters);
  const expr = parseParameter(parameters.get('query') ?? '', 'query');
  const snapshot = new Snapshot(telemetry.series());
  if (expr.kind === 'string') return { resultType: 'string', result: [ts_ms / 1000, expr.value] };
  if (expr.kind === 'selector' && expr.range_ms !== undefined) {
    const result = evaluateRange(expr, snapshot, ts_ms).map(({ labels, window }) => ({
      metric: labels,
      values: window.samples.map((sample) => [sample.ts_ms / 1000, formatSample(sample.value)]),
    }));
    return {
      resultType: 'matrix',
      result: result.sort((left, right) => compareLabels(left.metric, right.metric)),
    };
  }
  if (typeOf(expr) === 'scalar') {
    return {
      resultType: 'scalar',
      result: [ts_ms / 1000, formatScalar(evaluateScalar(expr, snapshot, ts_ms))],
    };
  }
  const vector = evaluateVector(expr, snapshot, ts_ms);
  const ordered = isOrdered(expr)
    ? vector
    : [...vector].sort((left, right) => compareLabels(left.labels, right.labels));
  return {
    resultType: 'vector',
    result: ordered.map(({ labels, value }) => ({
      metric: labels,
      value: [ts_ms / 1000, formatSample(value)],
    })),
  };
}

/** Only these give an instant answer an order of its own. */
function isOrdered(expr: Expr): boolean {
  if (expr.kind === 'call') return expr.name === 'sort' || expr.name === 'sort_desc';
  return expr.kind === 'aggregate' && (expr.op === 'topk' || expr.op === 'bottomk');
}

function queryRange({ parameters, telemetry }: Ask): unknown {
  const range = rangeParameters(parameters);
  checkTimeout(parameters);
  const expr = parsePromql(parameters.get('query') ?? '');
  const type = typeOf(expr);
  if (type !== 'scalar' && type !== 'instant vector') {
    throw new PromqlError(
      400,
      'bad_data',
      `invalid expression type "${type}" for range query, must be Scalar or instant Vector`,
    );
  }
  return { resultType: 'matrix', result: matrix(expr, new Snapshot(telemetry.series()), range) };
}

function matrix(expr: Expr, snapshot: Snapshot, range: RangeParameters): unknown[] {
  const rows = new Map<string, { readonly metric: Labels; readonly values: [number, string][] }>();
  const scalar = typeOf(expr) === 'scalar';
  for (let ts_ms = range.start_ms; ts_ms <= range.end_ms; ts_ms += range.step_ms) {
    const at_ms = Math.floor(ts_ms);
    const vector = scalar
      ? [{ labels: {}, value: evaluateScalar(expr, snapshot, at_ms) }]
      : evaluateVector(expr, snapshot, at_ms);
    for (const { labels, value } of vector) {
      const key = labelKey(labels);
      const row = rows.get(key) ?? { metric: labels, values: [] };
      rows.set(key, row);
      row.values.push([at_ms / 1000, formatSample(value)]);
    }
  }
  return [...rows.values()].sort((left, right) => compareLabels(left.metric, right.metric));
}

function parseParameter(query: string, name: string): Expr {
  try {
    return parsePromql(query);
  } catch (error) {
    if (error instanceof PromqlError && error.error_type === 'bad_data')
      throw invalidParameter(name, error.message);
    throw error;
  }
}

function listSeries(ask: Ask): unknown {
  const sets = ask.parameters.getAll('match[]');
  if (sets.length === 0) throw new PromqlError(400, 'bad_data', 'no match[] parameter provided');
  return chosenSeries(ask, true)
    .map((series) => series.labels)
    .sort(compareLabels);
}

function listLabels(ask: Ask): string[] {
  return [...new Set(chosenSeries(ask, false).flatMap((series) => Object.keys(series.labels)))].sort();
}

function listLabelValues(ask: Ask, name: string): string[] {
  if (!/^[a-zA-Z_][a-zA-Z0-9_]*$/.test(name))
    throw new PromqlError(400, 'bad_data', `invalid label name: ${JSON.stringify(name)}`);
  const values = chosenSeries(ask, false).map((series) => series.labels[name] ?? '');
  return [...new Set(values.filter((value) => value !== ''))].sort();
}

/** Series with a sample between `start` and `end` that pass any of the `match[]` selectors. */
function chosenSeries({ parameters, telemetry }: Ask, named: boolean): readonly Series[] {
  const start_ms = optionalTime(parameters, 'start', -Infinity);
  const end_ms = optionalTime(parameters, 'end', Infinity);
  const sets = parameters.getAll('match[]').map((text) => matcherSet(text, named));
  return telemetry
    .series()
    .filter((series) => sets.length === 0 || sets.some((set) => matchesAll(series.labels, set)))
    .filter((series) => series.samples.some((sample) => sample.ts_ms >= start_ms && sample.ts_ms <= end_ms));
}

function matcherSet(text: string, named: boolean): readonly Matcher[] {
  let set: readonly Matcher[];
  try {
    set = parseSeriesSelector(text);
  } catch (error) {
    if (named && error instanceof PromqlError) throw invalidParameter('match[]', error.message);
    throw error;
  }
  if (selectsEverything(set))
    throw invalidParameter('match[]', 'match[] must contain at least one non-empty matcher');
  return set;
}

/** The world declares no types; the name's suffix tells a counter, as exporters name them. */
function metadata({ parameters, telemetry }: Ask): unknown {
  const limitText = parameters.get('limit') ?? '';
  if (limitText !== '' && !/^-?\d+$/.test(limitText))
    throw new PromqlError(400, 'bad_data', 'limit must be a number');
  const limit = limitText === '' || Number(limitText) < 0 ? Infinity : Number(limitText);
  const wanted = parameters.get('metric') ?? '';
  const names = [...new Set(telemetry.series().map((series) => series.labels[METRIC_NAME] ?? ''))].sort();
  const chosen = names.filter((name) => name !== '' && (wanted === '' || name === wanted)).slice(0, limit);
  return Object.fromEntries(
    chosen.map((name) => [
      name,
      [{ type: name.endsWith('_total') ? 'counter' : 'gauge', help: '', unit: '' }],
    ]),
  );
}

function buildInfo(): unknown {
  return {
    version: '2.42.0',
    revision: 'aegis-lab-twin',
    branch: 'HEAD',
    buildUser: '',
    buildDate: '',
    goVersion: 'go1.19.8',
  };
}
