import { z } from 'zod';
import { isRefusal, refuse, type Refusal } from '../../contract/verdict.ts';
import { lineText, streamName } from '../line-text.ts';
import type { SourceReader } from '../source-reader.ts';
import type { AbsoluteWindow } from '../window.ts';
import { badAnswer } from './kube-reader.ts';

/**
 * Pages of log lines over the namespaces of one source. Order is (time in ns, stream, labels, arrival). A page ends at a
 * time that every namespace has answered completely, so that no line is lost or shown twice between pages.
 */
export interface LokiQuestion {
  readonly source: string;
  readonly namespaces: readonly string[];
  readonly query: (namespace: string) => string;
  readonly window: AbsoluteWindow;
  readonly newest_first: boolean;
  /** First page; later ones grow up to the source's limit. */
  readonly page_lines: number;
}

export const PAGE_LINES_MAX = 5000;
const Answer = z.object({
  entries: z.array(
    z.object({
      ts_ns: z.string().regex(/^\d{1,19}$/),
      labels: z.record(z.string(), z.string()),
      line: z.string(),
    }),
  ),
  more: z.boolean(),
});

interface Entry {
  readonly ts: bigint;
  readonly stream: string;
  readonly labels: string;
  readonly arrival: number;
  readonly text: string;
}

/** Lines in order inside a page; pages newest first when asked so. */
export async function* lokiPages(
  io: SourceReader,
  question: LokiQuestion,
): AsyncGenerator<readonly string[] | Refusal> {
  let start = BigInt(question.window.since_ms) * 1_000_000n;
  let end = BigInt(question.window.until_ms) * 1_000_000n;
  let limit = Math.min(question.page_lines, PAGE_LINES_MAX);
  while (start < end) {
    const page = await askAll(io, question, start, end, limit);
    if (isRefusal(page)) {
      if (!page.code.endsWith('too-large') || limit <= 10) {
        yield page;
        return;
      }
      limit = Math.ceil(limit / 4);
      continue;
    }
    const { entries, border } = page;
    const complete = entries.filter(
      ({ ts }) => border === null || (question.newest_first ? ts > border : ts < border),
    );
    if (complete.length > 0) yield complete.map(({ text }) => text);
    if (border === null) return;
    if (complete.length === 0 && limit >= PAGE_LINES_MAX) {
      yield refuse(
        'read-too-large',
        `More than ${PAGE_LINES_MAX} log lines have the same time.`,
        'Narrow the read with a fixed text to search for.',
      );
      return;
    }
    if (question.newest_first) end = border + 1n;
    else start = border;
    limit = Math.min(limit * 2, PAGE_LINES_MAX);
  }
}

/** True when the question has at least one entry. */
export async function lokiHas(io: SourceReader, question: LokiQuestion): Promise<boolean | Refusal> {
  const { since_ms, until_ms } = question.window;
  const page = await askAll(io, question, BigInt(since_ms) * 1_000_000n, BigInt(until_ms) * 1_000_000n, 1);
  return isRefusal(page) ? page : page.entries.length > 0;
}

/** One page from every namespace; `border` is the first time that is not complete, null when all is there. */
async function askAll(
  io: SourceReader,
  question: LokiQuestion,
  start: bigint,
  end: bigint,
  limit: number,
): Promise<{ entries: Entry[]; border: bigint | null } | Refusal> {
  const entries: Entry[] = [];
  let border: bigint | null = null;
  for (const namespace of question.namespaces) {
    const result = await io.call(
      'loki.query_range',
      { system: 'loki', cluster: question.source, namespace, kind: 'query', name: '-' },
      {
        query: question.query(namespace),
        start_ns: String(start),
        end_ns: String(end),
        limit,
        direction: question.newest_first ? 'backward' : 'forward',
      },
    );
    if (isRefusal(result)) return result;
    const parsed = Answer.safeParse(result.result);
    if (!parsed.success) return badAnswer('loki.query_range', parsed.error);
    const found = parsed.data.entries
      .map((entry, index) => entryOf(entry, entries.length + index))
      .filter(({ ts }) => ts >= start && ts < end);
    entries.push(...found);
    const edge = found.at(question.newest_first ? 0 : -1);
    if (!parsed.data.more || edge === undefined) continue;
    if (border === null || (question.newest_first ? edge.ts > border : edge.ts < border)) border = edge.ts;
  }
  return { entries: entries.sort(inOrder), border };
}

function entryOf(entry: z.infer<typeof Answer>['entries'][number], arrival: number): Entry {
  const ts = BigInt(entry.ts_ns);
  const stream = streamName(entry.labels['pod'], entry.labels['container']).toLowerCase();
  const labels = JSON.stringify(Object.entries(entry.labels).sort(([a], [b]) => (a < b ? -1 : 1)));
  return { ts, stream, labels, arrival, text: `${nanoTime(ts)} ${stream} | ${lineText(entry.line)}` };
}

function inOrder(a: Entry, b: Entry): number {
  if (a.ts !== b.ts) return a.ts < b.ts ? -1 : 1;
  if (a.stream !== b.stream) return a.stream < b.stream ? -1 : 1;
  if (a.labels !== b.labels) return a.labels < b.labels ? -1 : 1;
  return a.arrival - b.arrival;
}

/** `2026-11-23T16:00:00.123456789Z`. */
function nanoTime(ts_ns: bigint): string {
  const seconds = new Date(Number(ts_ns / 1_000_000_000n) * 1000).toISOString().slice(0, 19);
  return `${seconds}.${String(ts_ns % 1_000_000_000n).padStart(9, '0')}Z`;
}
