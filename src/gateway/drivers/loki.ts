import { z } from 'zod';
import { parser } from '@grafana/lezer-logql';
import { canonicalJson } from '../../contract/canonical.ts';
import { answerJson, blocked, malformed } from './answer-json.ts';
import { readTool, type CallHandle, type Driver, type ReadAnswer } from './driver.ts';
import { scopeQuery, type Dialect } from './label-scope.ts';

/** `mcp://loki/<source>/<namespace>/query/-`: log lines of one namespace, whatever the query says. */
const LOGQL: Dialect = {
  language: 'LogQL',
  parser,
  selector: 'Selector',
  matchers: ['Matcher'],
  label: ['Identifier'],
  equals: 'Eq',
  not_equals: 'Neq',
  literal: ['String'],
  braces: (selector) => ({ open: selector.from, empty: selector.getChild('Matchers') === null }),
};

const Nanoseconds = z.string().regex(/^\d{16,19}$/, 'nanoseconds since the epoch as text');

const QueryRangeArgs = z
  .strictObject({
    query: z.string().min(2).max(8000),
    start_ns: Nanoseconds,
    end_ns: Nanoseconds,
    limit: z.int().min(1).max(5000).default(1000),
    direction: z.enum(['forward', 'backward']).default('backward'),
  })
  .refine(
    (args) => args.start_ns.padStart(19, '0') < args.end_ns.padStart(19, '0'),
    'start_ns must lie before end_ns',
  );
type QueryRangeArgs = z.infer<typeof QueryRangeArgs>;

const LOKI_QUERY_RANGE = readTool<QueryRangeArgs>({
  name: 'loki.query_range',
  system: 'loki',
  description: 'Reads log lines that match a LogQL query in a time window of one namespace.',
  base_class: 'read',
  target_kinds: ['query'],
  dry_run: 'none',
  timeout_ms_max: 30_000,
  result_bytes_max: 8 * 1024 * 1024,
  input: QueryRangeArgs,
  read: queryRange,
});

export const LOKI_DRIVER: Driver = { system: 'loki', tools: [LOKI_QUERY_RANGE] };

export interface LogEntry {
  readonly ts_ns: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly line: string;
}

const Answer = z.object({
  data: z.object({
    resultType: z.literal('streams'),
    result: z.array(
      z.object({
        stream: z.record(z.string(), z.string()),
        values: z.array(z.tuple([z.string(), z.string()], z.unknown())),
      }),
    ),
  }),
});

async function queryRange(handle: CallHandle, args: QueryRangeArgs): Promise<ReadAnswer> {
  if (handle.upstream.system !== 'loki') throw blocked('the target is not a Loki source');
  const { config } = handle.upstream;
  const { query } = scopeQuery(LOGQL, onlyLogs(args.query), config.namespace_label, handle.target.namespace);
  const entries = await askLoki(handle, query, args);
  return { result: { entries, more: entries.length >= args.limit }, source_query: query };
}

/** The lines of one page, ascending. The query is run as it is: whoever calls this has scoped it. @throws UpstreamError */
export async function askLoki(
  { http }: Pick<CallHandle, 'http'>,
  query: string,
  { start_ns, end_ns, limit, direction }: Omit<QueryRangeArgs, 'query'>,
): Promise<LogEntry[]> {
  const { text } = await http.request({
    method: 'GET',
    path: '/loki/api/v1/query_range',
    query: { query, start: start_ns, end: end_ns, limit: String(limit), direction },
  });
  return sortedEntries(parseAnswer(text), direction);
}

/** A metric query returns numbers over a namespace-wide range; lines are what this tool is for. */
function onlyLogs(query: string): string {
  let logs = false;
  parser.parse(query).iterate({
    enter: (cursor) => {
      if (cursor.name === 'LogExpr') logs = true;
      if (cursor.name === 'MetricExpr') throw blocked('only log queries are read here, not metric queries');
    },
  });
  if (!logs) throw blocked('the LogQL query does not parse: it has no stream selector');
  return query;
}

function parseAnswer(text: string): z.infer<typeof Answer> {
  const answer = Answer.safeParse(answerJson(text));
  if (!answer.success) throw malformed('the answer is not a Loki stream result');
  return answer.data;
}

/** Ascending by (timestamp, stream labels in canonical form, arrival): the one order in which logs are files. */
function sortedEntries(answer: z.infer<typeof Answer>, direction: 'forward' | 'backward'): LogEntry[] {
  const rows = answer.data.result.flatMap(({ stream, values }) => {
    const key = canonicalJson(stream);
    const arrived = direction === 'backward' ? values.toReversed() : values;
    return arrived.map(([ts_ns, line], arrival) => ({
      entry: { ts_ns, labels: stream, line },
      ts: BigInt(ts_ns),
      key,
      arrival,
    }));
  });
  rows.sort((a, b) => {
    if (a.ts !== b.ts) return a.ts < b.ts ? -1 : 1;
    if (a.key !== b.key) return a.key < b.key ? -1 : 1;
    return a.arrival - b.arrival;
  });
  return rows.map((row) => row.entry);
}
