import { canonicalJson } from '../contract/canonical.ts';
import type { Target } from '../contract/tool.ts';
import { awsError, awsRequestProblem, signedHeaders } from './aws-request.ts';
import type { Credential } from './credentials/credential.ts';
import type { DriverHttp, DriverRequest, EvictionGrant, HttpUpstream, Upstream } from './drivers/driver.ts';
import { evictionBody } from './drivers/kubernetes/eviction-body.ts';
import { KINDS } from './drivers/kubernetes/kinds.ts';
import type { Egress } from './egress.ts';
import { valueAt } from './json-pointer.ts';
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
  /** Only a drain has one. */
  readonly evictions?: EvictionGrant | null;
  /** Read before each mutating request of a write but the first, which has its own reading at dispatch. */
  readonly brake?: (() => Promise<string | null>) | undefined;
}

export function lendTransport(options: TransportOptions): DriverHttp {
  const deadline_at = performance.now() + options.timeout_ms;
  let writes = 0;
  return {
    request: async (request) => {
      const upstream = httpUpstream(options.upstream);
      const query = { ...request.query };
      refuseRequest(options, request, query);
      if (options.mode === 'write' && request.method !== 'GET') {
        const why = writes === 0 ? null : ((await options.brake?.()) ?? null);
        if (why !== null) throw blocked(why);
        writes += 1;
      }
      if (options.mode === 'preview' && request.method !== 'GET') query['dryRun'] = 'All';
      const answer = await options.egress.request(originOf(upstream), {
        method: request.method,
        path: request.path,
        query,
        headers:
          upstream.system === 'aws'
            ? await signedHeaders(upstream.config, options.credential, query)
            : headersOf(upstream, options.credential, request),
        body: request.body === undefined ? null : JSON.stringify(request.body),
        timeout_ms: Math.max(1, Math.ceil(deadline_at - performance.now())),
        bytes_max: options.bytes_max,
        signal: options.signal,
      });
      if (answer.status >= 200 && answer.status < 300) return { status: answer.status, text: answer.text };
      throw (
        (upstream.system === 'aws' ? awsError(answer.status, answer.text) : null) ??
        refusedBy(answer.status, answer.text, answer.headers['retry-after'])
      );
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
    const problem = upstream.system === 'aws' ? awsRequestProblem(request.path, query, target) : null;
    if (problem !== null) throw blocked(problem);
    return;
  }
  if (isOfDrain(options, request, query)) return;
  if (mutating && request.method !== 'PATCH' && request.method !== 'PUT')
    throw blocked(`${request.method} is not sent by any tool`);
  refuseKubernetesPath(request.path, target, mutating);
}

const EVICTION = /^\/api\/v1\/namespaces\/([a-z0-9-]+)\/pods\/([a-z0-9.-]+)\/eviction$/;
const LIST_KEYS: ReadonlySet<string> = new Set(['fieldSelector', 'limit', 'continue']);

/**
 * The two requests that a drain needs beyond its node, to the letter: the pods of this node, and the eviction of one pod
 * by its uid. Anything else of it (a grace period, a pod that was not approved, a namespace of others) is no drain.
 */
function isOfDrain(
  { target, evictions, mode }: TransportOptions,
  request: DriverRequest,
  query: Readonly<Record<string, string>>,
): boolean {
  if (target.kind !== 'node' || evictions === undefined || evictions === null) return false;
  if (request.method === 'GET')
    return (
      request.path === '/api/v1/pods' &&
      query['fieldSelector'] === `spec.nodeName=${target.name}` &&
      Object.keys(query).every((key) => LIST_KEYS.has(key))
    );
  const [, namespace = '', name = ''] = EVICTION.exec(request.path) ?? [];
  if (request.method !== 'POST' || mode === 'read' || name === '' || Object.keys(query).length > 0)
    return false;
  if (evictions.namespaces !== 'all' && !evictions.namespaces.has(namespace))
    throw blocked(`pods of the namespace ${namespace} are not this team's to evict`);
  const approved = evictions.pods?.get(`${namespace}/${name}`);
  if (mode === 'write' && approved === undefined)
    throw blocked(`the eviction of ${namespace}/${name} was not approved`);
  const uid = approved ?? uidIn(request.body);
  if (
    uid === null ||
    canonicalJson(request.body ?? null) !== canonicalJson(evictionBody({ namespace, name, uid }))
  )
    throw blocked('an eviction names its pod by uid, and nothing else');
  return true;
}

function uidIn(body: unknown): string | null {
  const uid = valueAt(body, '/deleteOptions/preconditions/uid');
  return typeof uid === 'string' && uid !== '' ? uid : null;
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

const HTTP_SYSTEMS: ReadonlySet<Upstream['system']> = new Set(['k8s', 'loki', 'prometheus', 'aws']);

/** @throws UpstreamError `blocked` for a system that is not spoken to over this face. */
function httpUpstream(upstream: Upstream): HttpUpstream {
  if (!HTTP_SYSTEMS.has(upstream.system)) throw blocked(`${upstream.system} is not spoken to over HTTP`);
  return upstream as HttpUpstream;
}

function originOf(upstream: HttpUpstream): { url: string; ca_file?: string | undefined } {
  if (upstream.system === 'aws') return { url: upstream.config.endpoint, ca_file: upstream.config.ca_file };
  return upstream.system === 'k8s'
    ? { url: upstream.config.server, ca_file: upstream.config.ca_file }
    : { url: upstream.config.url, ca_file: upstream.config.ca_file };
}

function headersOf(
  upstream: Exclude<HttpUpstream, { system: 'aws' }>,
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

/** @throws UpstreamError `blocked` for a kind that HTTP does not carry. */
export function authorizationOf(credential: Credential): string {
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

/** The error of an answer that is not 2xx. */
export function refusedBy(
  status: number,
  text: string,
  retry_after: string | string[] | undefined,
): UpstreamError {
  const cause = status === 429 ? budgetCause(text) : null;
  const problem =
    cause === null ? (PROBLEM_OF_STATUS[status] ?? (status >= 500 ? 'failed' : 'invalid')) : 'held';
  const seconds = Number(retry_after);
  return new UpstreamError({
    problem,
    // A 5xx may come from a proxy in front of a server that goes on working.
    sent: status >= 500 ? 'maybe' : 'answered',
    status,
    message: cause ?? `answered ${status}: ${messageOf(text)}`,
    ...(Number.isFinite(seconds) && seconds > 0 ? { retry_after_ms: seconds * 1000 } : {}),
  });
}

/** A 429 of the eviction API: which budget holds the pod, in the server's words; null for an API that is merely busy. */
function budgetCause(text: string): string | null {
  try {
    const causes = valueAt(JSON.parse(text), '/details/causes');
    const found = (Array.isArray(causes) ? (causes as unknown[]) : []).find(
      (cause) => valueAt(cause, '/reason') === 'DisruptionBudget',
    );
    const message = valueAt(found, '/message');
    return typeof message === 'string' ? message.slice(0, MESSAGE_CHARS_MAX) : null;
  } catch {
    return null;
  }
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
