/** Watch: the current objects first (unless a version is given), then every change as one JSON line. */
import type { ServerResponse } from 'node:http';
import type { KubeObject } from '../world/kube-object.ts';
import type { Change } from '../world/object-store.ts';
import type { World } from '../world/world.ts';
import type { ResourceRequest } from './api-request.ts';
import { integerParameter, isTrue } from './api-request.ts';
import { inVersionOf } from './event-versions.ts';
import { metadataOnly, selectorOf, shapeOf, table } from './read.ts';
import { ApiError, invalid, notImplemented } from './status.ts';

/** Streams until the client leaves, the time is up, or `closeAll` ends it. */
export function serveWatch(
  world: World,
  request: ResourceRequest,
  response: ServerResponse,
  onClose: (close: () => void) => void,
): void {
  const { kind, query } = request;
  const matches = selectorOf(request);
  const shape = shapeOf(request);
  if (isTrue(query.get('sendInitialEvents'))) {
    const message =
      'Forbidden: sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled';
    throw invalid(kind, '', [{ reason: 'FieldValueForbidden', message, field: 'sendInitialEvents' }]);
  }
  // 0 is "not given", as for the real server.
  const timeout_s = integerParameter(query, 'timeoutSeconds') || 1_800;
  const from = query.get('resourceVersion') ?? '';
  if (from !== '' && !/^[0-9]+$/.test(from))
    throw notImplemented(`watching from the resourceVersion ${from}`);
  const show = (object: KubeObject) => {
    const shown = inVersionOf(kind, object);
    if (shape === 'metadata') return metadataOnly(shown);
    if (shape === 'object') return shown;
    return table(world, request, [object], { resourceVersion: object.metadata.resourceVersion });
  };
  const send = (type: string, object: unknown) => response.write(`${JSON.stringify({ type, object })}\n`);
  function sendChange(change: Change): void {
    if (change.object.kind !== kind.kind) return;
    const before = change.previous !== undefined && matches(change.previous);
    const after = change.type !== 'DELETED' && matches(change.object);
    if (after) send(before ? 'MODIFIED' : 'ADDED', show(change.object));
    else if (before) send('DELETED', show(change.object));
  }
  response.writeHead(200, { 'content-type': 'application/json', 'transfer-encoding': 'chunked' });
  if (from === '' || from === '0') {
    for (const object of world.store.list(kind.kind, request.namespace))
      if (matches(object)) send('ADDED', show(object));
  } else {
    const missed = world.store.changesSince(Number(from));
    if (missed === undefined) {
      send(
        'ERROR',
        new ApiError(410, 'Expired', `too old resource version: ${from} (${world.store.version()})`).body(),
      );
      response.end();
      return;
    }
    for (const change of missed) sendChange(change);
  }
  const unsubscribe = world.store.subscribe(sendChange);
  const timer = setTimeout(close, timeout_s * 1_000);
  const stopBookmarks = isTrue(query.get('allowWatchBookmarks'))
    ? sendBookmarks(timeout_s, () =>
        send('BOOKMARK', {
          kind: kind.kind,
          apiVersion: kind.group === '' ? kind.version : `${kind.group}/${kind.version}`,
          metadata: { resourceVersion: String(world.store.version()), creationTimestamp: null },
        }),
      )
    : () => undefined;
  function close(): void {
    clearTimeout(timer);
    stopBookmarks();
    unsubscribe();
    response.end();
  }
  response.on('close', close);
  response.flushHeaders();
  onClose(close);
}

const BOOKMARK_EVERY_MS = 60_000;
/** The last one comes this long before the watch ends; a shorter watch has none. */
const BOOKMARK_BEFORE_END_MS = 2_000;

function sendBookmarks(timeout_s: number, send: () => void): () => void {
  const timers: NodeJS.Timeout[] = [setInterval(send, BOOKMARK_EVERY_MS)];
  const last_ms = timeout_s * 1_000 - BOOKMARK_BEFORE_END_MS;
  if (last_ms > 0) timers.push(setTimeout(send, last_ms));
  return () => timers.forEach((timer) => clearTimeout(timer));
}
