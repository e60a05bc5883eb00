import { z } from 'zod';
import { isRefusal, refuse, type Refusal } from '../../contract/verdict.ts';
import { isoTime } from '../../contract/ports.ts';
import { lineText, streamName } from '../line-text.ts';
import type { FileRequest, Look, PathParams } from '../mount.ts';
import { numberParam, onlyParams } from '../path-params.ts';
import type { SourceReader } from '../source-reader.ts';
import { asList, asObject } from './kube-objects.ts';
import { badAnswer, getObject, kubeTarget, type Place } from './kube-reader.ts';

/**
 * `logs.tail?limit=200&container=<name>&previous=true`: the last lines of one container as the kubelet keeps them. The API can
 * limit and start at a time; it cannot filter, and with an end in the past it cannot limit either.
 */
const LINES_MAX = 5000;
/** Lines that may arrive between "now" and the answer; they belong to the next read. */
const NEWER_LINES = 50;
const LOG_BYTES_MAX = 4_000_000;
const LogAnswer = z.object({ lines: z.array(z.object({ ts: z.string(), line: z.string() })) });

export function podLogFile(mount: string, place: Place, pod: string, params: PathParams): Look {
  const limit = numberParam(params, 'limit', 200, LINES_MAX);
  const previous = params.get('previous');
  const container = params.get('container') ?? null;
  const bad =
    onlyParams(params, ['limit', 'container', 'previous']) ??
    (previous === undefined || previous === 'true' || previous === 'false'
      ? null
      : refuse('bad-parameter', '?previous= must be true or false.', 'For example ?previous=true.'));
  if (bad !== null) return bad;
  if (isRefusal(limit)) return limit;
  const args = (request: FileRequest) => logArguments(request, limit, previous === 'true');
  return {
    kind: 'file',
    mount,
    evidence: 'stream',
    attacker_writable: true,
    windowed: 'always',
    lag_ms: 0,
    window_param_ms: null,
    async *pages(request, io) {
      const name = await containerOf(io, place, pod, container);
      if (isRefusal(name)) {
        yield name;
        return;
      }
      const result = await io.call('k8s.logs', kubeTarget(place, 'pod', pod), {
        ...args(request),
        container: name,
      });
      if (isRefusal(result)) {
        yield result;
        return;
      }
      const parsed = LogAnswer.safeParse(result.result);
      if (!parsed.success) {
        yield badAnswer('k8s.logs', parsed.error);
        return;
      }
      const inside = parsed.data.lines.filter(({ ts }) => isInside(ts, request));
      yield inside
        .slice(-limit)
        .map(({ ts, line }) => `${lineText(ts)} ${streamName(pod, name)} | ${lineText(line)}`);
    },
    explain: (request) => ({
      pushed: [`GET ${place.cluster} ${place.namespace}/pods/${pod}/log ${JSON.stringify(args(request))}`],
      not_pushed: ['filters: the kubelet cannot filter log lines'],
    }),
  };
}

function logArguments(request: FileRequest, limit: number, previous: boolean): Record<string, unknown> {
  const { window, take, greps } = request;
  const wanted = take?.end === 'last' && greps.length === 0 ? Math.min(take.n, limit) : limit;
  return {
    ...(window === null ? {} : { since_time: isoTime(window.since_ms) }),
    ...(request.until_given ? {} : { tail_lines: wanted + NEWER_LINES }),
    ...(previous ? { previous: true } : {}),
    limit_bytes: LOG_BYTES_MAX,
  };
}

function isInside(ts: string, { window }: FileRequest): boolean {
  const at_ms = Date.parse(ts);
  return window === null || (at_ms >= window.since_ms && at_ms < window.until_ms);
}

/** The container whose log is meant: the only one, or the one that is named. */
async function containerOf(
  io: SourceReader,
  place: Place,
  pod: string,
  wanted: string | null,
): Promise<string | Refusal> {
  const object = await getObject(io, place, 'pod', pod);
  if (isRefusal(object)) return object;
  const spec = asObject(object.spec);
  const names = [...asList(spec['containers']), ...asList(spec['initContainers'])].map((each) =>
    String(asObject(each)['name']),
  );
  if (wanted !== null && names.includes(wanted)) return wanted;
  const [only, ...others] = names;
  if (wanted === null && only !== undefined && others.length === 0) return only;
  return refuse(
    'bad-parameter',
    wanted === null ? `Pod ${pod} has several containers.` : `Pod ${pod} has no such container.`,
    `Name one with ?container=: ${names.join(', ')}.`,
  );
}
