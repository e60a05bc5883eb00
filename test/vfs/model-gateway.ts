import { parser as logqlParser } from '@grafana/lezer-logql';
import { parser as promqlParser } from '@prometheus-io/lezer-promql';
import { RE2JS } from 're2js';
import { hashOf } from '../../src/contract/canonical.ts';
import { parseTarget, type Target } from '../../src/contract/tool.ts';
import { isRefusal, refuse, type Refusal } from '../../src/contract/verdict.ts';
import type { GatewayRead, ReadRequest, ReadResult } from '../../src/gateway/read.ts';

/**
 * The gateway's read door over a small model: it filters raw text, then redacts, as the real one does. It refuses what
 * it does not understand, so that badly quoted query text fails loudly.
 */
interface ModelEntry {
  readonly namespace: string;
  readonly ts_ns: bigint;
  readonly labels: Readonly<Record<string, string>>;
  readonly line: string;
}

interface ModelSeries {
  readonly namespace: string;
  readonly metric: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Seconds and value. */
  readonly samples: readonly (readonly [number, number])[];
}

export interface KubeModelObject {
  kind: string;
  metadata: { name: string; namespace: string; uid: string; [key: string]: unknown };
  [key: string]: unknown;
}

export interface Model {
  entries: ModelEntry[];
  series: ModelSeries[];
  objects: KubeModelObject[];
  events: (KubeModelObject & { involvedObject: { kind: string; name: string } })[];
  /** Lines of pods as the kubelet has them, by pod name. */
  pod_logs: Record<string, { ts: string; line: string }[]>;
  /** What `git.commits` says of every repository, newest first. */
  commits: Record<string, unknown>[];
  /** Most entries in one answer, to force paging. */
  page_max: number;
  /** Answers every call with this refusal. */
  failing: Refusal | null;
}

export function emptyModel(): Model {
  return {
    entries: [],
    series: [],
    objects: [],
    events: [],
    pod_logs: {},
    commits: [],
    page_max: 5000,
    failing: null,
  };
}

export interface ModelGateway extends GatewayRead {
  readonly calls: ReadRequest[];
}

const SECRET = /(?<![\w.])[\w.]+@[\w.]+\.example|hunter\d+|sk-[A-Za-z0-9]{6,}/g;
const MARK: Record<string, string> = {
  '@': '[REDACTED_EMAIL]',
  h: '[REDACTED_SECRET]',
  s: '[REDACTED_TOKEN]',
};

function redactText(text: string): string {
  return text.replace(
    SECRET,
    (found) => (found.includes('@') ? MARK['@'] : MARK[found[0] as string]) as string,
  );
}

function redact(value: unknown): unknown {
  if (typeof value === 'string') return redactText(value);
  if (Array.isArray(value)) return value.map(redact);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, child]) => [key, redact(child)]));
}

export function modelGateway(model: Model): ModelGateway {
  const calls: ReadRequest[] = [];
  return {
    calls,
    async read(request, signal) {
      signal?.throwIfAborted();
      calls.push(request);
      await Promise.resolve();
      if (model.failing !== null) return model.failing;
      const raw = answer(model, request, parseTarget(request.target));
      if (isRefusal(raw)) return raw;
      const text = JSON.stringify(raw);
      const redacted = redact(raw);
      const result: ReadResult = {
        call_id: `call-${calls.length}`,
        result: redacted,
        redactions: text.match(SECRET)?.length ?? 0,
        rules_hash: hashOf('rules'),
        raw_hmac: hashOf(text),
        source_query: redactText(textOf(request.args['query'] ?? `${request.tool} ${request.target}`)),
        latency_ms: 1,
      };
      return result;
    },
  };
}

/** Each object that says so was written by somebody once. */
function writesIn(model: Model, target: Target): unknown[] {
  return model.objects
    .filter((each) => isTarget(each, target) && each.metadata['managedFields'] !== undefined)
    .map(({ metadata }) => ({
      name: metadata.name,
      uid: `uid-${metadata.name}`,
      generation: 1,
      revision: null,
      manager: 'kubectl-edit',
      operation: 'Update',
      at: '2026-11-23T02:00:00Z',
      fields: ['/spec/replicas'],
      more_fields: 0,
      values: { '/spec/replicas': 2 },
      template: null,
    }));
}

/** Whatever was written once shows in the audit log as well. */
function actsIn(model: Model, target: Target): unknown[] {
  return model.objects
    .filter((each) => each.metadata.namespace === target.namespace && 'managedFields' in each.metadata)
    .map(({ kind, metadata }) => ({
      kind: kind.toLowerCase(),
      name: metadata.name,
      uid: `uid-${metadata.name}`,
      generation: 1,
      user: 'oidc:dan',
      impersonated: null,
      by: 'dan',
      client: 'kubectl-edit',
      verb: 'patch',
      subresource: '',
      at: '2026-11-23T02:00:00.123456Z',
      fields: ['/spec/owner'],
      more_fields: 0,
      values: { '/spec/owner': 'ana@corp.example' },
      template: null,
    }));
}

function answer(model: Model, { tool, args }: ReadRequest, target: Target): unknown {
  switch (tool) {
    case 'k8s.get': {
      const object = model.objects.find(
        (each) => isTarget(each, target) && each.metadata.name === target.name,
      );
      return object === undefined ? notFound(target) : { object };
    }
    case 'k8s.list':
      return { items: model.objects.filter((each) => isTarget(each, target)), more: false };
    case 'k8s.audit_log':
      return { acts: actsIn(model, target), more: false, unreadable: 0 };
    case 'k8s.changes':
      return { writes: writesIn(model, target), more: false };
    case 'k8s.events':
      return {
        items: model.events.filter(
          ({ involvedObject: on, metadata }) =>
            metadata.namespace === target.namespace &&
            on.kind.toLowerCase() === target.kind &&
            on.name === target.name,
        ),
      };
    case 'k8s.logs':
      return podLogs(model, target, args);
    case 'git.branches':
      return {
        branches: ['main', 'release/1.2', '-odd', 'mit leerzeichen'].map((name) => ({ name, commit: 'c' })),
      };
    case 'git.commits':
      return ['-', 'main'].includes(target.name)
        ? { commits: model.commits, more: false, undated: 0 }
        : notFound(target);
    case 'git.diff':
      return target.name === 'main'
        ? { lines: ['diff --git a/x b/x', '-memory: 1g', '+memory: 2g of ops@corp.example', ''] }
        : notFound(target);
    case 'loki.query_range':
      return lokiAnswer(model, target, args);
    case 'prom.query':
    case 'prom.query_range':
      return promAnswer(model, tool, target, args);
    default:
      throw new Error(`the model has no tool ${tool}`);
  }
}

function textOf(value: unknown): string {
  if (typeof value !== 'string') throw new TypeError('not a text');
  return value;
}

function isTarget(object: KubeModelObject, target: Target): boolean {
  return object.kind.toLowerCase() === target.kind && object.metadata.namespace === target.namespace;
}

function notFound(target: Target): Refusal {
  return refuse('object-not-found', `${target.kind} ${target.name}: not found.`, 'Check the name.');
}

function podLogs(model: Model, target: Target, args: Readonly<Record<string, unknown>>): unknown {
  const lines = model.pod_logs[target.name];
  if (lines === undefined) return notFound(target);
  const since = args['since_time'] === undefined ? '' : textOf(args['since_time']);
  const inside = lines.filter(({ ts }) => Date.parse(ts) >= (since === '' ? 0 : Date.parse(since)));
  return { lines: args['tail_lines'] === undefined ? inside : inside.slice(-Number(args['tail_lines'])) };
}

// ---------------------------------------------------------------- Loki

function lokiAnswer(model: Model, target: Target, args: Readonly<Record<string, unknown>>): unknown {
  const matches = compileLogql(textOf(args['query']));
  const [start, end] = [BigInt(textOf(args['start_ns'])), BigInt(textOf(args['end_ns']))];
  if (start >= end) throw new Error('start_ns must lie before end_ns');
  const limit = Math.min(Number(args['limit']), model.page_max);
  const found = model.entries
    .map((entry, arrival) => ({ entry, arrival }))
    .filter(
      ({ entry }) =>
        entry.namespace === target.namespace && entry.ts_ns >= start && entry.ts_ns < end && matches(entry),
    )
    .sort((a, b) =>
      a.entry.ts_ns === b.entry.ts_ns ? a.arrival - b.arrival : a.entry.ts_ns < b.entry.ts_ns ? -1 : 1,
    );
  const page = args['direction'] === 'backward' ? found.slice(-limit) : found.slice(0, limit);
  const entries = page.map(({ entry }) => ({
    ts_ns: String(entry.ts_ns),
    labels: entry.labels,
    line: entry.line,
  }));
  return { entries, more: entries.length >= limit };
}

/** `{label="x", label=~"re"} |= "text" |~ "re"`, checked by the real grammar first. */
function compileLogql(query: string): (entry: ModelEntry) => boolean {
  logqlParser.parse(query).iterate({
    enter: (node) => {
      if (node.type.isError) throw new Error(`LogQL does not parse near ${node.from}: ${query}`);
    },
  });
  const STRING = String.raw`"(?:[^"\\]|\\.)*"`;
  const head = /^\{(.*?)\}(?= \||$)/s.exec(query);
  if (head === null) throw new Error(`no selector: ${query}`);
  const tests: ((entry: ModelEntry) => boolean)[] = [];
  for (const [, name, op, text] of (head[1] as string).matchAll(new RegExp(`(\\w+)(=~|=)(${STRING})`, 'g'))) {
    const value = unquote(text as string);
    const re = op === '=~' ? RE2JS.compile(value) : null;
    tests.push(({ labels }) =>
      re === null ? labels[name as string] === value : re.matches(labels[name as string] ?? ''),
    );
  }
  const rest = query.slice(head[0].length);
  const filters = [...rest.matchAll(new RegExp(` (\\|=|\\|~) (${STRING})`, 'g'))];
  if (filters.map(([all]) => all).join('') !== rest) throw new Error(`the model does not know: ${rest}`);
  for (const [, op, text] of filters) {
    const value = unquote(text as string);
    const re = op === '|~' ? RE2JS.compile(value) : null;
    tests.push(({ line }) => (re === null ? line.includes(value) : re.matcher(line).find()));
  }
  return (entry) => tests.every((test) => test(entry));
}

function unquote(text: string): string {
  return text
    .slice(1, -1)
    .replaceAll(/\\(.)/g, (_, char: string) => (char === 'n' ? '\n' : char === 't' ? '\t' : char));
}

// ---------------------------------------------------------------- Prometheus

function promAnswer(
  model: Model,
  tool: string,
  target: Target,
  args: Readonly<Record<string, unknown>>,
): unknown {
  const query = textOf(args['query']);
  promqlParser.parse(query).iterate({
    enter: (node) => {
      if (node.type.isError) throw new Error(`PromQL does not parse: ${query}`);
    },
  });
  const parts = /^(?:(rate|max_over_time)\()?(\w+)\{(.*)\}\[(\d+)s\]\)?$/.exec(query);
  if (parts === null) throw new Error(`the model does not know: ${query}`);
  const [, reduce, metric, matchers, range] = parts as unknown as [
    string,
    string | undefined,
    string,
    string,
    string,
  ];
  const own = model.series.filter(
    (each) =>
      each.namespace === target.namespace && each.metric === metric && matchesLabels(each.labels, matchers),
  );
  if (tool === 'prom.query') {
    const end = Number(args['time_s']);
    return {
      result_type: 'matrix',
      series: own
        .map(({ labels, samples }) => ({
          labels,
          values: samples
            .filter(([t]) => t > end - Number(range) && t <= end)
            .map(([t, v]) => [t, String(v)]),
        }))
        .filter(({ values }) => values.length > 0),
    };
  }
  const steps: number[] = [];
  for (let t = Number(args['start_s']); t <= Number(args['end_s']); t += Number(args['step_s']))
    steps.push(t);
  const series = own.map(({ labels, samples }) => ({
    labels,
    values: steps.flatMap((t) => {
      const inside = samples.filter(([at]) => at > t - Number(range) && at <= t).map(([, value]) => value);
      return inside.length === 0 ? [] : [[t, String(reduce === 'rate' ? 0 : Math.max(...inside))]];
    }),
  }));
  return { result_type: 'matrix', series: series.filter(({ values }) => values.length > 0) };
}

function matchesLabels(labels: Readonly<Record<string, string>>, matchers: string): boolean {
  return [...matchers.matchAll(/(\w+)(!=|=)"([^"]*)"/g)].every(
    ([, name, op, value]) => ((labels[name as string] ?? '') === value) === (op === '='),
  );
}
