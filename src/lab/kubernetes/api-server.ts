/**
 * The pipeline of one request: identify, find the resource, authorize, execute, answer, log. It keeps no state but the
 * request log; objects live in the world, tokens in the token store.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { JsonObject } from '../world/kube-object.ts';
import { numberAt } from '../world/kube-object.ts';
import type { World } from '../world/world.ts';
import type { RawRequest, ResourceRequest } from './api-request.ts';
import type { auditor } from './audit-log.ts';
import { isDryRun, parseResourcePath, verbOf } from './api-request.ts';
import { refusal } from './authorize.ts';
import { discover } from './discovery.ts';
import { serveEviction } from './eviction.ts';
import type { Faults } from './faults.ts';
import { openapiDocument } from './openapi.ts';
import { servePodLog } from './pod-log.ts';
import { getObject, listObjects, selectorOf, shapeOf, shaped } from './read.ts';
import { answerReview, mintToken } from './reviews.ts';
import { serveScale } from './scale.ts';
import { ApiError, badRequest, notImplemented, unauthorized, unknownResource } from './status.ts';
import { ANONYMOUS } from './token-store.ts';
import type { Identity, TokenStore } from './token-store.ts';
import { serveWatch } from './watch.ts';
import type { Written } from './write.ts';
import { checkNamespace, createObject, deleteObject, patchObject, updateObject } from './write.ts';

/** One request as the twin saw it. */
export interface LoggedRequest {
  at_ms: number;
  method: string;
  path: string;
  query: Record<string, string>;
  /** The user name, `system:anonymous` without a token, empty when the token was refused. */
  user: string;
  verb: string;
  /** `sparkapplications`, `pods/log`; empty for paths that are no resource. */
  resource: string;
  namespace: string;
  name: string;
  status: number;
  dry_run: boolean;
  /** The parsed JSON body, its text when it is no JSON, or null. */
  body: unknown;
  content_type: string;
  user_agent: string;
  /** The error text of the answer, for failures. */
  message: string;
  /** True when an object was really created, changed or deleted. */
  changed: boolean;
  /** A fault cut the connection before the answer. */
  dropped: boolean;
}

interface Answer {
  code: number;
  body: JsonObject | string;
  content_type?: string;
  warnings?: readonly string[];
}

export interface ApiServerOptions {
  world: World;
  tokens: TokenStore;
  faults: Faults;
  address: () => string;
  /** Registers a stream so that the twin can end it when it closes. */
  onStream: (close: () => void) => void;
  /** Told of each request once it is answered, or once its stream has begun. */
  audit?: ReturnType<typeof auditor> | undefined;
}

const BODY_BYTES_MAX = 3 * 1024 * 1024;
const REQUESTS_KEPT_MAX = 50_000;
const OPEN_PATHS = ['/healthz', '/livez', '/readyz', '/version'];
const REVIEWS = ['SelfSubjectReview', 'SelfSubjectAccessReview', 'SelfSubjectRulesReview'];

export class ApiServer {
  readonly log: LoggedRequest[] = [];
  readonly #options: ApiServerOptions;

  constructor(options: ApiServerOptions) {
    this.#options = options;
  }

  async handle(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(incoming.url ?? '/', 'https://127.0.0.1');
    const raw: RawRequest = {
      method: incoming.method ?? 'GET',
      path: url.pathname,
      query: url.searchParams,
      headers: incoming.headers as Record<string, string | undefined>,
      body: '',
      raw_body: Buffer.alloc(0),
      uri: incoming.url ?? '/',
    };
    const entry = this.#newEntry(raw);
    let drop_after = false;
    try {
      raw.raw_body = await readAll(incoming);
      raw.body = raw.raw_body.toString('utf8');
      entry.body = parsedBody(raw.body);
      entry.dry_run = raw.query.getAll('dryRun').includes('All');
      for (const fault of this.#options.faults.take(entry)) {
        if (fault.kind === 'delay') await new Promise((resolve) => setTimeout(resolve, fault.ms));
        if (fault.kind === 'answer') throw faultAnswer(fault.status);
        if (fault.kind === 'drop_before') {
          entry.dropped = true;
          incoming.socket.destroy();
          return;
        }
        if (fault.kind === 'drop_after') drop_after = true;
      }
      this.#options.world.tick();
      const answer = this.#execute(raw, entry, response);
      if (drop_after) {
        entry.dropped = true;
        entry.status = answer?.code ?? 200;
        incoming.socket.destroy();
      } else if (answer !== undefined) send(response, answer, entry);
    } catch (error) {
      this.#fail(error, response, entry);
    } finally {
      this.#options.audit?.(entry, raw, response);
    }
  }

  #newEntry(raw: RawRequest): LoggedRequest {
    const entry: LoggedRequest = {
      at_ms: this.#options.world.now(),
      method: raw.method,
      path: raw.path,
      query: Object.fromEntries(raw.query),
      user: '',
      verb: '',
      resource: '',
      namespace: '',
      name: '',
      status: 0,
      dry_run: false,
      body: null,
      content_type: raw.headers['content-type'] ?? '',
      user_agent: raw.headers['user-agent'] ?? '',
      message: '',
      changed: false,
      dropped: false,
    };
    this.log.push(entry);
    if (this.log.length > REQUESTS_KEPT_MAX) this.log.splice(0, REQUESTS_KEPT_MAX / 2);
    return entry;
  }

  #fail(error: unknown, response: ServerResponse, entry: LoggedRequest): void {
    const failure =
      error instanceof ApiError
        ? error
        : new ApiError(
            500,
            'InternalError',
            `Internal error occurred: ${error instanceof Error ? error.message : String(error)}`,
          );
    entry.message = failure.message;
    if (response.headersSent) response.destroy();
    else send(response, { code: failure.code, body: failure.body() }, entry);
  }

  #identify(raw: RawRequest): Identity {
    const header = raw.headers['authorization'];
    if (header === undefined || header === '') return ANONYMOUS;
    const token = /^Bearer (\S+)$/i.exec(header)?.[1];
    const identity = token === undefined ? undefined : this.#options.tokens.identify(token);
    if (identity === undefined) throw unauthorized();
    return identity;
  }

  #execute(raw: RawRequest, entry: LoggedRequest, response: ServerResponse): Answer | undefined {
    const user = this.#identify(raw);
    raw.caller = user;
    entry.user = user.username;
    const path = raw.path.length > 1 ? raw.path.replace(/\/$/, '') : raw.path;
    const open = openAnswer(raw.method, path, raw.query);
    if (open !== undefined) return open;
    const isResource = parseSafely(path);
    if (isResource === undefined) return this.#meta(raw, path, user);
    if (isResource instanceof ApiError) {
      if (user === ANONYMOUS) throw pathForbidden(user, path, raw.method);
      throw isResource;
    }
    const verb = verbOf(raw.method, isResource, raw.query);
    const request: ResourceRequest = { ...raw, ...isResource, verb, dry_run: isDryRun(raw.query), user };
    const { kind, subresource } = request;
    Object.assign(entry, {
      verb,
      resource: subresource === '' ? kind.plural : `${kind.plural}/${subresource}`,
      namespace: request.namespace ?? '',
      name: request.name,
    });
    const refused = refusal(this.#options.world.store, request);
    if (refused !== undefined) throw refused;
    const version = this.#options.world.store.version();
    const answer = this.#resource(request, response);
    entry.dry_run = request.dry_run;
    entry.changed =
      !['get', 'list', 'watch'].includes(verb) && this.#options.world.store.version() !== version;
    if (answer === undefined) entry.status = 200;
    return answer;
  }

  /** Discovery and OpenAPI: for every signed-in user. */
  #meta(raw: RawRequest, path: string, user: Identity): Answer {
    if (user === ANONYMOUS) throw pathForbidden(user, path, raw.method);
    if (raw.method !== 'GET')
      throw new ApiError(
        405,
        'MethodNotAllowed',
        'the server does not allow this method on the requested resource',
      );
    const found = discover(path, raw.headers['accept'] ?? '', this.#options.address());
    if (found !== undefined) return { code: 200, body: found.body, content_type: found.content_type };
    const openapi = openapiDocument(path);
    if (openapi !== undefined) return { code: 200, body: openapi };
    if (path === '/openapi/v2') throw notImplemented('OpenAPI v2');
    throw unknownResource();
  }

  #resource(request: ResourceRequest, response: ServerResponse): Answer | undefined {
    const { world, tokens, onStream } = this.#options;
    const { kind, verb, subresource } = request;
    const allowed =
      subresource === ''
        ? kind.verbs
        : (kind.subresources.find(({ name }) => name === subresource)?.verbs ?? []);
    if (!allowed.includes(verb))
      throw notImplemented(
        `the verb ${verb} on ${kind.plural}${subresource === '' ? '' : `/${subresource}`}`,
      );
    if (subresource === 'log') {
      servePodLog(world, request, response, onStream);
      return undefined;
    }
    if (subresource === 'scale') return { code: 200, body: serveScale(world, request) };
    if (subresource === 'eviction') return { code: 201, body: serveEviction(world, request) };
    if (subresource === 'token') return { code: 201, body: mintToken(world, tokens, request) };
    if (REVIEWS.includes(kind.kind)) return { code: 201, body: answerReview(world, request) };
    checkNamespace(world, request);
    switch (verb) {
      case 'get':
        return { code: 200, body: getObject(world, request) };
      case 'list':
        return { code: 200, body: listObjects(world, request) };
      case 'watch':
        serveWatch(world, request, response, onStream);
        return undefined;
      case 'create':
        return this.#written(request, createObject(world, request));
      case 'update':
        return this.#written(request, updateObject(world, request));
      case 'patch':
        return this.#written(request, patchObject(world, request));
      case 'delete':
        return this.#written(request, deleteObject(world, request));
      case 'deletecollection':
        return this.#deleteAll(request);
      default:
        throw badRequest(`unknown verb ${verb}`);
    }
  }

  #written(request: ResourceRequest, written: Written): Answer {
    const { code, object, warnings } = written;
    const isStatus = object['kind'] === 'Status' || shapeOf(request) === 'object';
    const body = isStatus
      ? object
      : shaped(this.#options.world, request, object as Parameters<typeof shaped>[2]);
    return { code, body, warnings };
  }

  #deleteAll(request: ResourceRequest): Answer {
    const { world } = this.#options;
    const found = world.store.list(request.kind.kind, request.namespace).filter(selectorOf(request));
    for (const object of found) {
      const { name, namespace } = object.metadata;
      deleteObject(world, { ...request, name, namespace });
    }
    return {
      code: 200,
      body: {
        kind: `${request.kind.kind}List`,
        apiVersion: found[0]?.apiVersion ?? 'v1',
        metadata: { resourceVersion: String(world.store.version()) },
        items: found,
      },
    };
  }
}

function parseSafely(path: string): ReturnType<typeof parseResourcePath> | ApiError {
  try {
    return discover(path, '', '') === undefined ? parseResourcePath(path) : undefined;
  } catch (error) {
    if (error instanceof ApiError) return error;
    if (error instanceof URIError) return badRequest('malformed path');
    throw error;
  }
}

function openAnswer(method: string, path: string, query: URLSearchParams): Answer | undefined {
  if (method !== 'GET' || !OPEN_PATHS.includes(path)) return undefined;
  if (path !== '/version') {
    const verbose = query.has('verbose') ? '[+]ping ok\n[+]etcd ok\nhealthz check passed\n' : 'ok';
    return { code: 200, body: verbose, content_type: 'text/plain; charset=utf-8' };
  }
  return {
    code: 200,
    body: {
      major: '1',
      minor: '32',
      gitVersion: 'v1.32.4',
      gitCommit: '59526cd4867447956156ae3a602fcbac10a2c335',
      gitTreeState: 'clean',
      buildDate: '2025-04-22T16:02:27Z',
      goVersion: 'go1.23.6',
      compiler: 'gc',
      platform: 'linux/amd64',
    },
  };
}

function pathForbidden(user: Identity, path: string, method: string): ApiError {
  const verb = method.toLowerCase();
  return new ApiError(
    403,
    'Forbidden',
    `forbidden: User "${user.username}" cannot ${verb} path "${path}"`,
    {},
  );
}

function faultAnswer(status: number): ApiError {
  if (status === 503)
    return new ApiError(503, 'ServiceUnavailable', 'the server is currently unable to handle the request');
  if (status === 429)
    return new ApiError(
      429,
      'TooManyRequests',
      'the server has received too many requests and has asked us to try again later',
      { retryAfterSeconds: 1 },
    );
  if (status === 504)
    return new ApiError(504, 'Timeout', 'Timeout: request did not complete within the allotted timeout', {
      retryAfterSeconds: 1,
    });
  return new ApiError(status, 'InternalError', 'Internal error occurred: etcdserver: request timed out', {
    causes: [{ message: 'etcdserver: request timed out' }],
  });
}

function send(response: ServerResponse, answer: Answer, entry: LoggedRequest): void {
  entry.status = answer.code;
  response.statusCode = answer.code;
  response.setHeader('content-type', answer.content_type ?? 'application/json');
  response.setHeader('cache-control', 'no-cache, private');
  const wait_s = typeof answer.body === 'string' ? 0 : numberAt(answer.body, 'details', 'retryAfterSeconds');
  if (answer.code >= 400 && wait_s > 0) response.setHeader('retry-after', String(wait_s));
  for (const warning of answer.warnings ?? [])
    response.appendHeader('warning', `299 - ${JSON.stringify(warning)}`);
  response.end(typeof answer.body === 'string' ? answer.body : JSON.stringify(answer.body));
}

async function readAll(incoming: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX)
      throw new ApiError(
        413,
        'RequestEntityTooLarge',
        `Request entity too large: limit is ${BODY_BYTES_MAX}`,
      );
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function parsedBody(text: string): unknown {
  if (text === '') return null;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}
