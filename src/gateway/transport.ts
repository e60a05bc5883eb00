import type { Target } from '../contract/tool.ts';
import type { Credential } from './credentials/credential.ts';
import type { DriverHttp, DriverRequest, HttpUpstream, Upstream } from './drivers/driver.ts';
import { KINDS } from './drivers/kubernetes/kinds.ts';
import type { Egress } from './egress.ts';
import { UpstreamError, type UpstreamProblem } from './upstream-error.ts';

/**
 * The HTTP face that a driver is lent for one call. Here, below every driver, stand the rules that no driver can
 * forget: a read sends no mutating method, a preview carries the server's dry run, nothing leaves the target's
 * namespace, and Secrets, tokens and interactive subresources are unreachable.
 */
export type TransportMode = 'read' | 'preview' | 'write';

export interface TransportOptions {
  readonly egress: Egress;
  readonly upstream: Upstream;
  readonly target: Target;
  readonly mode: TransportMode;
  readonly credential: Credential | null;
  readonly timeout_ms: number;
  readonly bytes_max: number;
  readonly signal: AbortSignal | undefined;
}

export function lendTransport(options: TransportOptions): DriverHttp {
  const deadline_at = performance.now() + options.timeout_ms;
  return {
    request: async (request) => {
      const upstream = httpUpstream(options.upstream);
      const query = { ...request.query };
      refuseRequest(options, request, query);
      if (options.mode === 'preview' && request.method !== 'GET') query['dryRun'] = 'All';
      const answer = await options.egress.request(originOf(upstream), {
        method: request.method,
        path: request.path,
        query,
        headers: headersOf(upstream, options.credential, request),
        body: request.body === undefined ? null : JSON.stringify(request.body),
        timeout_ms: Math.max(1, Math.ceil(deadline_at - performance.now())),
        bytes_max: options.bytes_max,
        signal: options.signal,
      });
      if (answer.status >= 200 && answer.status < 300) return { status: answer.status, text: answer.text };
      throw refusedBy(answer.status, answer.text, answer.headers['retry-after']);
    },
  };
}

function refuseRequest(
  options: TransportOptions,
  request: DriverRequest,
  query: Readonly<Record<string, string>>,
): void {
  const { mode, upstream, target } = options;
  const mutating = request.method !== 'GET';
  if (!request.path.startsWith('/') || /\/\.{1,2}(?:\/|$)|%2e|%2f|\\|[?#]/i.test(request.path))
    throw blocked('the path of the request is not canonical');
  if ('dryRun' in query) throw blocked('the dry run is the transport’s to set, not the driver’s');
  if (mutating && mode === 'read') throw blocked('a read may not send a mutating request');
  if (upstream.system !== 'k8s') {
    if (mutating) throw blocked('this source is only read');
    return;
  }
  if (mutating && request.method !== 'PATCH' && request.method !== 'PUT')
    throw blocked(`${request.method} is not sent by any tool`);
  refuseKubernetesPath(request.path, target, mutating);
}

const SUBRESOURCES_READ: ReadonlySet<string> = new Set(['', 'log', 'scale', 'status']);
const SUBRESOURCES_WRITTEN: ReadonlySet<string> = new Set(['', 'scale']);

/** Only kinds of the registry, only the target's namespace, only harmless subresources. */
function refuseKubernetesPath(path: string, target: Target, mutating: boolean): void {
  const match =
    /^(\/api\/v1|\/apis\/[a-z0-9.-]+\/v[a-z0-9]+)(?:\/namespaces\/([^/]+))?\/([a-z]+)(?:\/([^/]+)(?:\/([a-z]+))?)?$/.exec(
      path,
    );
  const [, base, namespace, plural, name, subresource] = match ?? [];
  const known = Object.values(KINDS).some(
    (kind) => kind.base === base && kind.plural === plural && kind.namespaced === (namespace !== undefined),
  );
  // `/api/v1/namespaces/<name>` reads like a namespaced collection to the pattern above.
  const namespace_object = base === '/api/v1' && plural === 'namespaces' && namespace === undefined;
  if (match === null || !(known || namespace_object))
    throw blocked('this kind of object is not read or changed here');
  if (namespace !== undefined && namespace !== target.namespace)
    throw blocked('the request leaves the namespace of the target');
  const allowed = mutating ? SUBRESOURCES_WRITTEN : SUBRESOURCES_READ;
  if (!allowed.has(subresource ?? '')) throw blocked(`the subresource "${subresource}" is never used`);
  if (mutating && name !== target.name) throw blocked('a write may only touch the object of the target');
}

const HTTP_SYSTEMS: ReadonlySet<Upstream['system']> = new Set(['k8s', 'loki', 'prometheus']);

/** @throws UpstreamError `blocked` for a system that is not spoken to over this face. */
function httpUpstream(upstream: Upstream): HttpUpstream {
  if (!HTTP_SYSTEMS.has(upstream.system)) throw blocked(`${upstream.system} is not spoken to over HTTP`);
  return upstream as HttpUpstream;
}

function originOf(upstream: HttpUpstream): { url: string; ca_file?: string | undefined } {
  return upstream.system === 'k8s'
    ? { url: upstream.config.server, ca_file: upstream.config.ca_file }
    : { url: upstream.config.url, ca_file: upstream.config.ca_file };
}

function headersOf(
  upstream: HttpUpstream,
  credential: Credential | null,
  request: DriverRequest,
): Record<string, string> {
  const headers: Record<string, string> = { accept: 'application/json', 'user-agent': 'aegis' };
  if (request.body !== undefined) headers['content-type'] = request.content_type ?? 'application/json';
  if (credential !== null) headers['authorization'] = authorizationOf(credential);
  if (upstream.system !== 'k8s' && upstream.config.org_id !== undefined)
    headers['x-scope-orgid'] = upstream.config.org_id;
  return headers;
}

function authorizationOf(credential: Credential): string {
  if (credential.kind === 'bearer') return `Bearer ${credential.token.reveal()}`;
  if (credential.kind === 'password') {
    const pair = `${credential.username}:${credential.password.reveal()}`;
    return `Basic ${Buffer.from(pair).toString('base64')}`;
  }
  throw blocked('this kind of credential is not sent over HTTP');
}

const PROBLEM_OF_STATUS: Readonly<Record<number, UpstreamProblem>> = {
  401: 'unauthorized',
  403: 'forbidden',
  404: 'not-found',
  409: 'conflict',
  410: 'not-found',
  429: 'throttled',
};
/** Much more than is shown: what is cut here is cut before redaction, and half a secret has no shape. */
const MESSAGE_CHARS_MAX = 16_384;

function refusedBy(status: number, text: string, retry_after: string | string[] | undefined): UpstreamError {
  const problem = PROBLEM_OF_STATUS[status] ?? (status >= 500 ? 'failed' : 'invalid');
  const seconds = Number(retry_after);
  return new UpstreamError({
    problem,
    // A 5xx may come from a proxy in front of a server that goes on working.
    sent: status >= 500 ? 'maybe' : 'answered',
    status,
    message: `answered ${status}: ${messageOf(text)}`,
    ...(Number.isFinite(seconds) && seconds > 0 ? { retry_after_ms: seconds * 1000 } : {}),
  });
}

/** Kubernetes: `message`; Prometheus: `error`; Loki: plain text. */
function messageOf(text: string): string {
  try {
    const body = JSON.parse(text) as { message?: unknown; error?: unknown };
    const message = body.message ?? body.error;
    if (typeof message === 'string') return cutAtWord(message);
  } catch {
    // Not JSON: the text itself is the message.
  }
  return cutAtWord(text.trim());
}

/** A word that does not fit goes as a whole: it may be the beginning of a secret. */
function cutAtWord(text: string): string {
  return text.length <= MESSAGE_CHARS_MAX ? text : text.slice(0, MESSAGE_CHARS_MAX).replace(/[^\s"',]+$/, '');
}

function blocked(message: string): UpstreamError {
  return new UpstreamError({ problem: 'blocked', sent: 'no', status: null, message });
}
