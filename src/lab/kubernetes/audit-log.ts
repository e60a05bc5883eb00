/**
 * The audit log of the API server: one audit.k8s.io/v1 Event as a line of JSON for each stage of each request. The policy
 * is that of the documentation's example: bodies of writes (`Request`), and never those of Secrets, ConfigMaps and
 * tokens (`Metadata`); the stage RequestReceived is left out.
 */
import { randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import type { World } from '../world/world.ts';
import type { RawRequest } from './api-request.ts';
import type { LoggedRequest } from './api-server.ts';

export type WriteLine = (line: string) => void;

const READS = ['get', 'list', 'watch'];
const NEVER_IN_FULL = ['secrets', 'configmaps', 'serviceaccounts/token'];

/** Called when a request has been answered, or when the answer of a stream has begun. */
export function auditor(world: World, write: WriteLine) {
  return (entry: LoggedRequest, raw: RawRequest, response: ServerResponse): void => {
    // Cut before the server read it.
    if (entry.dropped && entry.status === 0) return;
    const auditID = raw.headers['audit-id'] ?? randomUUID();
    const line = (stage: string) => write(JSON.stringify(event(entry, raw, auditID, stage, world.now())));
    if (response.writableEnded || entry.dropped) return line('ResponseComplete');
    line('ResponseStarted');
    response.once('close', () => line('ResponseComplete'));
  };
}

function event(
  entry: LoggedRequest,
  raw: RawRequest,
  auditID: string,
  stage: string,
  now_ms: number,
): Record<string, unknown> {
  const is_resource = entry.resource !== '';
  const is_review = entry.resource.startsWith('self');
  const is_full =
    is_resource &&
    !is_review &&
    !READS.includes(entry.verb) &&
    !NEVER_IN_FULL.includes(entry.resource) &&
    entry.body !== null;
  const { username, uid, groups } = raw.caller ?? {};
  return {
    kind: 'Event',
    apiVersion: 'audit.k8s.io/v1',
    level: is_full ? 'Request' : 'Metadata',
    auditID,
    stage,
    requestURI: raw.uri,
    verb: is_resource ? entry.verb : entry.method.toLowerCase(),
    user: username === undefined ? {} : { username, ...(uid === '' ? {} : { uid }), groups },
    sourceIPs: ['127.0.0.1'],
    ...(entry.user_agent === '' ? {} : { userAgent: entry.user_agent }),
    ...(is_resource ? { objectRef: objectRef(entry, raw.path) } : {}),
    responseStatus: {
      metadata: {},
      ...(entry.status >= 400 ? { status: 'Failure', message: entry.message } : {}),
      code: entry.status,
    },
    ...(is_full ? { requestObject: entry.body } : {}),
    requestReceivedTimestamp: microTime(entry.at_ms),
    stageTimestamp: microTime(now_ms),
    annotations: {
      'authorization.k8s.io/decision': entry.status === 403 ? 'forbid' : 'allow',
      'authorization.k8s.io/reason': '',
    },
  };
}

function objectRef(entry: LoggedRequest, path: string): Record<string, string> {
  const [resource = '', subresource = ''] = entry.resource.split('/');
  const [, group = '', version = ''] = /^\/(?:api|apis\/([^/]+))\/([^/]+)/.exec(path) ?? [];
  return {
    resource,
    ...(entry.namespace === '' ? {} : { namespace: entry.namespace }),
    ...(entry.name === '' ? {} : { name: entry.name }),
    ...(group === '' ? {} : { apiGroup: group }),
    apiVersion: version,
    ...(subresource === '' ? {} : { subresource }),
  };
}

/** `2026-11-23T10:00:00.123000Z`: metav1.MicroTime. */
function microTime(ms: number): string {
  return new Date(ms).toISOString().replace('Z', '000Z');
}
