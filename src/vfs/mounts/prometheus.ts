import { z } from 'zod';
import { isRefusal, refuse, type Refusal } from '../../contract/verdict.ts';
import {
  directory,
  mountsOf,
  type FileRequest,
  type Look,
  type Mount,
  type MountContext,
  type PathParams,
} from '../mount.ts';
import { ageParam, onlyParams } from '../path-params.ts';
import type { SourceReader } from '../source-reader.ts';
import type { AbsoluteWindow } from '../window.ts';
import { badAnswer } from './kube-reader.ts';
import { logqlString } from './logql.ts';
import { POD_FILES, QUOTA_FILE, type MetricFile } from './metric-files.ts';
import { mergeByContainer, metricLines, rateOf, type MetricSeries } from './metric-series.ts';

/**
 * `metrics/pods/<pod>/{memory,cpu,restarts}.prom?window=15m` and `metrics/namespaces/<ns>/quota.prom?resource=requests.memory`.
 * Short windows show the samples as scraped, with their own times, so that "newer than the change" can be told; long ones
 * are reduced by Prometheus to one value a step.
 */
const NAME = 'prometheus';
const RAW_WINDOW_MS_MAX = 6 * 3_600_000;
const STEPS = 240;

interface MetricSource {
  readonly source: string;
  readonly namespaces: readonly string[];
  readonly lag_ms: number;
}

export function prometheusMount(context: MountContext): Mount {
  const mounts = mountsOf(context, 'metrics');
  const [first] = mounts;
  const source: MetricSource | null =
    first === undefined
      ? null
      : {
          source: first.source,
          namespaces: [
            ...new Set(
              mounts.filter((each) => each.source === first.source).flatMap((each) => each.namespaces),
            ),
          ].sort(),
          lag_ms: 2000 * (context.settings.sources.prometheus[first.source]?.ingest_interval_s ?? 0),
        };
  return {
    name: NAME,
    look(path, params) {
      const [area, name, file, ...beyond] = path;
      if (source === null || beyond.length > 0) return null;
      if (area === undefined)
        return directory([
          { name: 'namespaces', kind: 'dir' },
          { name: 'pods', kind: 'dir' },
        ]);
      if (area === 'namespaces') return lookNamespace(source, name, file, params);
      return area === 'pods' ? lookPod(source, name, file, params) : null;
    },
  };
}

function lookPod(
  source: MetricSource,
  pod: string | undefined,
  file: string | undefined,
  params: PathParams,
): Look {
  if (pod === undefined)
    return directory([{ name: '<pod>', kind: 'dir', note: 'any pod of this environment, by name' }]);
  if (!/^[a-z0-9][a-z0-9.-]{0,252}$/.test(pod)) return null;
  if (file === undefined) return directory(POD_FILES.map(({ name }) => ({ name, kind: 'file' })));
  const metric = POD_FILES.find(({ name }) => name === file);
  if (metric === undefined) return null;
  const container = params.get('container');
  const matchers = [
    `pod=${logqlString(pod)}`,
    ...(container === undefined ? [] : [`container=${logqlString(container)}`]),
  ];
  return metricFile(source, metric, matchers, ['container'], params);
}

function lookNamespace(
  source: MetricSource,
  namespace: string | undefined,
  file: string | undefined,
  params: PathParams,
): Look {
  if (namespace === undefined) return directory(source.namespaces.map((name) => ({ name, kind: 'dir' })));
  if (!source.namespaces.includes(namespace)) return null;
  if (file === undefined) return directory([{ name: QUOTA_FILE.name, kind: 'file' }]);
  if (file !== QUOTA_FILE.name) return null;
  const resource = params.get('resource') ?? 'requests.memory';
  return metricFile(
    { ...source, namespaces: [namespace] },
    QUOTA_FILE,
    [`resource=${logqlString(resource)}`],
    ['resource'],
    params,
  );
}

function metricFile(
  source: MetricSource,
  file: MetricFile,
  matchers: readonly string[],
  own_params: readonly string[],
  params: PathParams,
): Look {
  const window_ms = ageParam(params, 'window');
  const bad = onlyParams(params, ['window', ...own_params]);
  if (bad !== null) return bad;
  if (isRefusal(window_ms)) return window_ms;
  return {
    kind: 'file',
    mount: NAME,
    evidence: 'stream',
    attacker_writable: false,
    windowed: 'always',
    lag_ms: source.lag_ms,
    window_param_ms: window_ms,
    async *pages(request, io) {
      yield await readMetric(io, source, file, matchers, windowOf(request));
    },
    explain: (request) => ({
      pushed: queries(file, matchers, windowOf(request)).map(
        (query) => `${query}  at ${source.namespaces.map((each) => `${source.source}/${each}`).join(', ')}`,
      ),
      not_pushed: ['filters over the rendered file'],
    }),
  };
}

function windowOf(request: FileRequest): AbsoluteWindow {
  return request.window ?? { since_ms: 0, until_ms: 1 };
}

/** Value query and, where there is one, limit query. */
function queries(file: MetricFile, matchers: readonly string[], window: AbsoluteWindow): string[] {
  const value = query(file.value_metric, [...matchers, ...file.value_matchers], window, file.counter);
  if (file.limit_metric === null) return [value];
  return [value, query(file.limit_metric, [...matchers, ...file.limit_matchers], window, false)];
}

function query(
  metric: string,
  matchers: readonly string[],
  window: AbsoluteWindow,
  counter: boolean,
): string {
  const selector = `${metric}{${matchers.join(', ')}}`;
  if (isRaw(window)) return `${selector}[${Math.ceil((window.until_ms - window.since_ms) / 1000)}s]`;
  const range = `${selector}[${stepSeconds(window)}s]`;
  return counter ? `rate(${range})` : `max_over_time(${range})`;
}

function isRaw(window: AbsoluteWindow): boolean {
  return window.until_ms - window.since_ms <= RAW_WINDOW_MS_MAX;
}

function stepSeconds(window: AbsoluteWindow): number {
  return Math.ceil((window.until_ms - window.since_ms) / 1000 / STEPS);
}

async function readMetric(
  io: SourceReader,
  source: MetricSource,
  file: MetricFile,
  matchers: readonly string[],
  window: AbsoluteWindow,
): Promise<readonly string[] | Refusal> {
  const [value_query, limit_query] = queries(file, matchers, window) as [string, string?];
  const values: MetricSeries[] = [];
  const limits: MetricSeries[] = [];
  const places: string[] = [];
  for (const namespace of source.namespaces) {
    const found = await ask(io, source.source, namespace, value_query, window);
    if (isRefusal(found)) return found;
    if (found.length === 0) continue;
    places.push(namespace);
    values.push(...found);
    const bounds =
      limit_query === undefined ? [] : await ask(io, source.source, namespace, limit_query, window);
    if (isRefusal(bounds)) return bounds;
    limits.push(...bounds);
  }
  if (places.length > 1)
    return refuse(
      'ambiguous-name',
      `Several namespaces have a pod of this name: ${places.join(', ')}.`,
      'Read the pod below k8s/namespaces/<namespace>/pods instead.',
    );
  const merged = mergeByContainer(values);
  const rates =
    file.counter && isRaw(window)
      ? merged.map((each) => ({ ...each, samples: rateOf(each.samples) }))
      : merged;
  return metricLines(file, value_query, rates, mergeByContainer(limits));
}

const Answer = z.object({
  series: z.array(
    z.object({
      labels: z.record(z.string(), z.string()),
      values: z.array(z.tuple([z.number(), z.string()])),
    }),
  ),
});

async function ask(
  io: SourceReader,
  source: string,
  namespace: string,
  text: string,
  window: AbsoluteWindow,
): Promise<MetricSeries[] | Refusal> {
  const target = { system: 'prometheus', cluster: source, namespace, kind: 'query', name: '-' };
  const step_s = stepSeconds(window);
  const result = isRaw(window)
    ? await io.call('prom.query', target, { query: text, time_s: window.until_ms / 1000 })
    : await io.call('prom.query_range', target, {
        query: text,
        start_s: window.since_ms / 1000 + step_s,
        end_s: window.until_ms / 1000,
        step_s,
      });
  if (isRefusal(result)) return result;
  const parsed = Answer.safeParse(result.result);
  if (!parsed.success) return badAnswer('prom.query', parsed.error);
  // A reduced value stands for a whole step; the start of the step is the oldest that it can be.
  const shift_ms = isRaw(window) ? 0 : step_s * 1000;
  return parsed.data.series.map(({ labels, values }) => ({
    container: labels['container'] ?? '',
    samples: values
      .map(([t_s, value]) => ({ at_ms: Math.round(t_s * 1000) - shift_ms, value: Number(value) }))
      .filter(
        ({ at_ms, value }) => Number.isFinite(value) && at_ms >= window.since_ms && at_ms < window.until_ms,
      ),
  }));
}
