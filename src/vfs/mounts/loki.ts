import { isRefusal, type Refusal } from '../../contract/verdict.ts';
import {
  directory,
  mountsOf,
  type FileRequest,
  type Look,
  type Mount,
  type MountContext,
  type VfsFile,
} from '../mount.ts';
import { noParams } from '../path-params.ts';
import { patternText } from '../grep.ts';
import { pushability, type SourceFilter } from '../pushdown.ts';
import type { SourceReader } from '../source-reader.ts';
import { logqlProbe, logqlQuery } from './logql.ts';
import { lokiHas, lokiPages, PAGE_LINES_MAX, type LokiQuestion } from './loki-pages.ts';

/**
 * `logs/<file>.log` (configured) and `logs/pods/<pod>.log` from Loki. Window, limit, direction and filters are pushed down;
 * a filter only as a superset over raw text, because the file's meaning is defined over redacted lines.
 */
const NAME = 'loki';

interface LogFile {
  readonly source: string;
  readonly namespaces: readonly string[];
  /** Stream labels that select the file. */
  readonly labels: Readonly<Record<string, string>>;
  /** Stands in every selector, since one needs a matcher; the gateway insists on it as well. */
  readonly namespace_label: string;
  readonly lag_ms: number;
  readonly marks: () => readonly string[];
}

export function lokiMount(context: MountContext): Mount {
  const mounts = mountsOf(context, 'logs');
  const fileOf = (mount: (typeof mounts)[number], labels: Readonly<Record<string, string>>): LogFile => {
    const source = context.settings.sources.loki[mount.source];
    const own = source === undefined ? undefined : labels[source.namespace_label];
    const namespaces =
      own === undefined
        ? [...new Set(mount.namespaces)].sort()
        : mount.namespaces.filter((each) => each === own);
    return {
      source: mount.source,
      namespaces,
      labels,
      namespace_label: source?.namespace_label ?? 'namespace',
      lag_ms: 2000 * (source?.ingest_interval_s ?? 0),
      marks: context.redaction_marks,
    };
  };
  const files = new Map<string, LogFile>(
    mounts
      .flatMap((mount) =>
        Object.entries(mount.files).map(([name, labels]) => [`${name}.log`, fileOf(mount, labels)] as const),
      )
      .filter(([, file]) => file.namespaces.length > 0),
  );
  const all = firstSource(mounts);
  return {
    name: NAME,
    look(path, params) {
      const [first, second, ...beyond] = path;
      if (mounts.length === 0 || beyond.length > 0) return null;
      if (first === undefined) return logsDirectory([...files.keys()].sort());
      if (first === 'pods') {
        if (second === undefined)
          return directory([
            { name: '<pod>.log', kind: 'file', note: 'the log of any pod of this environment, by name' },
          ]);
        const pod = /^([a-z0-9][a-z0-9.-]{0,251})\.log$/.exec(second)?.[1];
        return pod === undefined || all === null ? null : (noParams(params) ?? logFile(fileOf(all, { pod })));
      }
      const file = second === undefined ? files.get(first) : undefined;
      return file === undefined ? null : (noParams(params) ?? logFile(file));
    },
  };
}

/** Pods are looked for in the first configured source, in every namespace that is mounted from it. */
function firstSource<M extends { source: string; namespaces: readonly string[] }>(
  mounts: readonly M[],
): M | null {
  const [first] = mounts;
  if (first === undefined) return null;
  return {
    ...first,
    namespaces: mounts
      .filter(({ source }) => source === first.source)
      .flatMap(({ namespaces }) => namespaces),
  };
}

function logsDirectory(names: readonly string[]): Look {
  return directory([
    ...names.map((name) => ({ name, kind: 'file' as const })),
    { name: 'pods', kind: 'dir' },
  ]);
}

function logFile(file: LogFile): VfsFile {
  return {
    kind: 'file',
    mount: NAME,
    evidence: 'stream',
    attacker_writable: true,
    windowed: 'always',
    lag_ms: file.lag_ms,
    window_param_ms: null,
    async *pages(request, io) {
      const filters = await filtersToPush(io, file, request);
      if (isRefusal(filters)) {
        yield filters;
        return;
      }
      yield* lokiPages(io, question(file, request, filters));
    },
    explain: (request) => explainFile(file, request),
  };
}

function question(file: LogFile, request: FileRequest, filters: readonly SourceFilter[]): LokiQuestion {
  const { take, greps } = request;
  // One line more than wanted, since a page's border time is not complete; with local filters not every line passes.
  const page_lines = take === null ? PAGE_LINES_MAX : Math.max(take.n + 1, greps.length === 0 ? 1 : 200);
  return {
    source: file.source,
    namespaces: file.namespaces,
    query: (namespace) => logqlQuery(labelsIn(file, namespace), filters),
    window: request.window ?? { since_ms: 0, until_ms: 0 },
    newest_first: take?.end === 'last',
    page_lines,
  };
}

/** Filters whose words stand in no stream name of the window: only then does every match lie in the raw text. */
async function filtersToPush(
  io: SourceReader,
  file: LogFile,
  request: FileRequest,
): Promise<readonly SourceFilter[] | Refusal> {
  const pushed: SourceFilter[] = [];
  for (const grep of request.greps) {
    const decided = pushability(grep, file.marks());
    if (!decided.pushed || isInFixedLabel(file, decided.filter)) continue;
    const hit = await streamHolds(io, file, request, decided.filter);
    if (isRefusal(hit)) return hit;
    if (!hit) pushed.push(decided.filter);
  }
  return pushed;
}

/** The selector already names the pod or container, and it holds the word: every line matches. */
function isInFixedLabel(file: LogFile, { probe }: SourceFilter): boolean {
  return probe.some((word) =>
    ['pod', 'container'].some((label) => file.labels[label]?.toLowerCase().includes(word.toLowerCase())),
  );
}

function labelsIn(file: LogFile, namespace: string): Readonly<Record<string, string>> {
  return { ...file.labels, [file.namespace_label]: namespace };
}

async function streamHolds(
  io: SourceReader,
  file: LogFile,
  request: FileRequest,
  { probe }: SourceFilter,
): Promise<boolean | Refusal> {
  for (const query of probe.length === 0 ? [] : probeQueries(file, probe)) {
    const found = await lokiHas(io, { ...question(file, request, []), query });
    if (isRefusal(found) || found) return found;
  }
  return false;
}

function probeQueries(file: LogFile, words: readonly string[]): ((namespace: string) => string)[] {
  return ['pod', 'container']
    .filter((label) => file.labels[label] === undefined)
    .map((label) => (namespace) => logqlProbe(labelsIn(file, namespace), label, words));
}

function explainFile(file: LogFile, request: FileRequest): { pushed: string[]; not_pushed: string[] } {
  const filters: SourceFilter[] = [];
  const probes: ((namespace: string) => string)[] = [];
  const not_pushed: string[] = [];
  for (const grep of request.greps) {
    const decided = pushability(grep, file.marks());
    const text = JSON.stringify(patternText(grep.pattern));
    if (!decided.pushed) not_pushed.push(`grep ${text}: ${decided.why}`);
    else if (isInFixedLabel(file, decided.filter))
      not_pushed.push(`grep ${text}: every line's stream holds it`);
    else {
      filters.push(decided.filter);
      if (decided.filter.probe.length > 0) probes.push(...probeQueries(file, decided.filter.probe));
    }
  }
  const asked = question(file, request, filters);
  const stop =
    request.take === null
      ? 'until the window is read'
      : `until ${request.take.n} lines have passed the local filters`;
  const how = `direction=${asked.newest_first ? 'backward' : 'forward'} limit=${Math.min(asked.page_lines, PAGE_LINES_MAX)}`;
  return {
    pushed: file.namespaces.flatMap((namespace) => [
      ...probes.map((query) => `only if empty: ${query(namespace)}`),
      `${asked.query(namespace)}  ${how}, page after page ${stop}`,
    ]),
    not_pushed,
  };
}
