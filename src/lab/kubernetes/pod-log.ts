/** GET pods/log: the container's log with the options of the real endpoint. */
import type { ServerResponse } from 'node:http';
import type { KubeObject } from '../world/kube-object.ts';
import { at, listAt, numberAt, stringAt } from '../world/kube-object.ts';
import type { ContainerLogRecord } from '../world/log-book.ts';
import type { World } from '../world/world.ts';
import type { ResourceRequest } from './api-request.ts';
import { integerParameter, isTrue } from './api-request.ts';
import { ApiError, badRequest, notFound, notImplemented } from './status.ts';

interface LogOptions {
  container: string;
  restart: number;
  since_ns: bigint;
  tail: number | undefined;
  limit_bytes: number | undefined;
  with_timestamps: boolean;
}

const KNOWN = [
  'container',
  'follow',
  'insecureSkipTLSVerifyBackend',
  'limitBytes',
  'pretty',
  'previous',
  'sinceSeconds',
  'sinceTime',
  'tailLines',
  'timestamps',
];

export function servePodLog(
  world: World,
  request: ResourceRequest,
  response: ServerResponse,
  onClose: (close: () => void) => void,
): void {
  const pod = world.store.get('Pod', request.namespace, request.name);
  if (pod === undefined) throw notFound(request.kind, request.name);
  for (const name of request.query.keys())
    if (!KNOWN.includes(name)) throw notImplemented(`the log option ${name}`);
  const options = logOptions(world, request, pod);
  const uid = pod.metadata.uid ?? '';
  const records = world.containerLog(uid, options.container, options.restart);
  const recent = records.filter((record) => record.ts_ns >= options.since_ns);
  const tailed = options.tail === undefined ? recent : options.tail === 0 ? [] : recent.slice(-options.tail);
  const text = Buffer.from(render(tailed, options.with_timestamps));
  response.writeHead(200, { 'content-type': 'text/plain' });
  response.write(options.limit_bytes === undefined ? text : text.subarray(0, options.limit_bytes));
  if (!isTrue(request.query.get('follow')) || isEnded(world, pod)) {
    response.end();
    return;
  }
  if (options.limit_bytes !== undefined) throw notImplemented('follow together with limitBytes');
  followLog(world, pod, options, { response, sent: records.length, onClose });
}

function logOptions(world: World, request: ResourceRequest, pod: KubeObject): LogOptions {
  const { query } = request;
  const names = listAt(pod, 'spec', 'containers').map((container) => stringAt(container, 'name'));
  const container = query.get('container') || (names[0] ?? '');
  if (!names.includes(container))
    throw badRequest(`container ${container} is not valid for pod ${pod.metadata.name}`);
  const status = at(pod, 'status', 'containerStatuses', 0);
  if (status === undefined) {
    throw badRequest(
      `container "${container}" in pod "${pod.metadata.name}" is waiting to start: ContainerCreating`,
    );
  }
  const restarts = numberAt(status, 'restartCount');
  const isPrevious = isTrue(query.get('previous'));
  if (isPrevious && restarts === 0) {
    throw badRequest(`previous terminated container "${container}" in pod "${pod.metadata.name}" not found`);
  }
  // While a crashed container waits, the log is that of its last instance.
  const isWaiting = at(status, 'state', 'waiting') !== undefined && restarts > 0;
  const since_s = positive(query, 'sinceSeconds', 1);
  const sinceTime = query.get('sinceTime') ?? '';
  if (since_s !== undefined && sinceTime !== '')
    throw invalidOption(
      'sinceSeconds',
      'Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified',
    );
  if (sinceTime !== '' && Number.isNaN(Date.parse(sinceTime)))
    throw badRequest(`parsing time "${sinceTime}": cannot parse`);
  const since_ms =
    since_s === undefined ? (sinceTime === '' ? 0 : Date.parse(sinceTime)) : world.now() - since_s * 1_000;
  return {
    container,
    restart: isPrevious || isWaiting ? restarts - 1 : restarts,
    since_ns: BigInt(Math.floor(since_ms)) * 1_000_000n,
    tail: positive(query, 'tailLines', 0),
    limit_bytes: positive(query, 'limitBytes', 1),
    with_timestamps: isTrue(query.get('timestamps')),
  };
}

function positive(query: URLSearchParams, name: string, minimum: number): number | undefined {
  const value = integerParameter(query, name);
  if (value !== undefined && value < minimum) {
    throw invalidOption(
      name,
      `Invalid value: ${value}: must be greater than ${minimum === 0 ? 'or equal to 0' : '0'}`,
    );
  }
  return value;
}

function invalidOption(field: string, message: string): ApiError {
  const causes = [{ reason: 'FieldValueInvalid', message, field }];
  return new ApiError(422, 'Invalid', `PodLogOptions "" is invalid: ${field}: ${message}`, {
    kind: 'PodLogOptions',
    causes,
  });
}

function render(records: readonly ContainerLogRecord[], withTimestamps: boolean): string {
  return records.map(({ ts_ns, line }) => `${withTimestamps ? `${nanoTime(ts_ns)} ` : ''}${line}\n`).join('');
}

/** RFC 3339 with nanoseconds, as the container runtime writes it. */
function nanoTime(ts_ns: bigint): string {
  const seconds = new Date(Number(ts_ns / 1_000_000n)).toISOString().slice(0, 19);
  return `${seconds}.${String(ts_ns % 1_000_000_000n).padStart(9, '0')}Z`;
}

function isEnded(world: World, pod: KubeObject): boolean {
  const current = world.store.get('Pod', pod.metadata.namespace, pod.metadata.name);
  if (current === undefined || current.metadata.uid !== pod.metadata.uid) return true;
  return ['Succeeded', 'Failed'].includes(stringAt(current, 'status', 'phase'));
}

function followLog(
  world: World,
  pod: KubeObject,
  options: LogOptions,
  stream: { response: ServerResponse; sent: number; onClose: (close: () => void) => void },
): void {
  const { response } = stream;
  let { sent } = stream;
  function sendNew(): void {
    const records = world.containerLog(pod.metadata.uid ?? '', options.container, options.restart);
    if (records.length > sent) response.write(render(records.slice(sent), options.with_timestamps));
    sent = records.length;
  }
  const stopLogs = world.cluster.logs.subscribe(sendNew);
  const stopObjects = world.store.subscribe(({ object }) => {
    if (object.kind === 'Pod' && object.metadata.uid === pod.metadata.uid && isEnded(world, pod)) close();
  });
  function close(): void {
    stopLogs();
    stopObjects();
    response.end();
  }
  response.on('close', close);
  stream.onClose(close);
}
