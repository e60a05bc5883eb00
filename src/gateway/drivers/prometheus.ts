import { z } from 'zod';
import { parser } from '@prometheus-io/lezer-promql';
import { answerJson, blocked, malformed } from './answer-json.ts';
import { readTool, type CallHandle, type Driver, type ReadAnswer } from './driver.ts';
import { scopeQuery, type Dialect } from './label-scope.ts';

/** `mcp://prometheus/<source>/<namespace>/query/-`: series of one namespace, whatever the query says. */
const PROMQL: Dialect = {
  language: 'PromQL',
  parser,
  selector: 'VectorSelector',
  matchers: ['UnquotedLabelMatcher', 'QuotedLabelMatcher'],
  label: ['LabelName', 'QuotedLabelName'],
  equals: 'EqlSingle',
  not_equals: 'Neq',
  literal: ['StringLiteral'],
  braces: (selector) => {
    const matchers = selector.getChild('LabelMatchers');
    return matchers === null ? null : { open: matchers.from, empty: matchers.firstChild === null };
  },
};

/** Prometheus answers more points per series with 400. */
const POINTS_MAX = 11_000;

const Seconds = z.number().min(0).max(1e11);
const Query = z.string().min(1).max(8000);

const QueryArgs = z.strictObject({ query: Query, time_s: Seconds });
const QueryRangeArgs = z
  .strictObject({ query: Query, start_s: Seconds, end_s: Seconds, step_s: z.number().min(0.001).max(86_400) })
  .refine((args) => args.start_s <= args.end_s, 'start_s must not lie after end_s')
  .refine(
    (args) => (args.end_s - args.start_s) / args.step_s <= POINTS_MAX,
    `more than ${POINTS_MAX} points: use a larger step_s`,
  );

const COMMON = {
  system: 'prometheus',
  base_class: 'read',
  target_kinds: ['query'] as string[],
  dry_run: 'none',
  timeout_ms_max: 30_000,
  result_bytes_max: 8 * 1024 * 1024,
} as const;

const PROM_QUERY = readTool<z.infer<typeof QueryArgs>>({
  ...COMMON,
  name: 'prom.query',
  description: 'Evaluates a PromQL query at one moment.',
  input: QueryArgs,
  read: (handle, args) => ask(handle, '/api/v1/query', args.query, { time: String(args.time_s) }),
});

const PROM_QUERY_RANGE = readTool<z.infer<typeof QueryRangeArgs>>({
  ...COMMON,
  name: 'prom.query_range',
  description: 'Evaluates a PromQL query over a time window.',
  input: QueryRangeArgs,
  read: (handle, args) =>
    ask(handle, '/api/v1/query_range', args.query, {
      start: String(args.start_s),
      end: String(args.end_s),
      step: String(args.step_s),
    }),
});

export const PROMETHEUS_DRIVER: Driver = { system: 'prometheus', tools: [PROM_QUERY, PROM_QUERY_RANGE] };

const Labels = z.record(z.string(), z.string());
const Point = z.tuple([z.number(), z.string()]);
const Answer = z.object({
  status: z.literal('success'),
  data: z.discriminatedUnion('resultType', [
    z.object({
      resultType: z.literal('vector'),
      result: z.array(z.object({ metric: Labels, value: Point })),
    }),
    z.object({
      resultType: z.literal('matrix'),
      result: z.array(z.object({ metric: Labels, values: z.array(Point) })),
    }),
    z.object({ resultType: z.literal('scalar'), result: Point }),
    z.object({ resultType: z.literal('string'), result: Point }),
  ]),
});

async function ask(
  handle: CallHandle,
  path: string,
  text: string,
  time: Readonly<Record<string, string>>,
): Promise<ReadAnswer> {
  if (handle.upstream.system !== 'prometheus') throw blocked('the target is not a Prometheus source');
  refuseInfo(text);
  const { query } = scopeQuery(PROMQL, text, handle.upstream.config.namespace_label, handle.target.namespace);
  const answer = await handle.http.request({ method: 'GET', path, query: { query, ...time } });
  return { result: seriesOf(parseAnswer(answer.text)), source_query: query };
}

/** `info()` joins labels of series that no selector in the text names, so that no matcher could bound it. */
function refuseInfo(text: string): void {
  parser.parse(text).iterate({
    enter: (cursor) => {
      if (cursor.name === 'FunctionIdentifier' && text.slice(cursor.from, cursor.to).toLowerCase() === 'info')
        throw blocked('the function info() reaches beyond the namespace of the target');
    },
  });
}

function parseAnswer(text: string): z.infer<typeof Answer> {
  const answer = Answer.safeParse(answerJson(text));
  if (!answer.success) throw malformed('the answer is not a Prometheus query result');
  return answer.data;
}

function seriesOf(answer: z.infer<typeof Answer>): {
  result_type: string;
  series: { labels: object; values: unknown[] }[];
} {
  const { data } = answer;
  if (data.resultType === 'vector')
    return {
      result_type: 'vector',
      series: data.result.map((row) => ({ labels: row.metric, values: [row.value] })),
    };
  if (data.resultType === 'matrix')
    return {
      result_type: 'matrix',
      series: data.result.map((row) => ({ labels: row.metric, values: row.values })),
    };
  return { result_type: data.resultType, series: [{ labels: {}, values: [data.result] }] };
}
