import type { HttpRequest, HttpResponse, HttpRoute } from '../../contract/http.ts';
import { parseJsonText } from '../../contract/parse.ts';
import { Name } from '../../contract/scope.ts';
import { isRefusal, type Refusal } from '../../contract/verdict.ts';
import { isVisitor, visitors, type Visitor } from '../endpoint/visitor.ts';
import type { GatewayCore } from '../pipeline/core.ts';
import type { RelaySessions } from './relay-sessions.ts';

/**
 * `/mcp/<server>`: one configured MCP server as its clients know it, with nothing of Aegis in its names, for holders of
 * a token whose team and environment own it. Governed like every read: what may not be seen does not exist.
 */
const BASE = '/mcp/';
/** A message may hold the answer of a model or of a person. */
const BODY_BYTES_MAX = 1_048_576;
const BODY_LIMITS = { bytes_max: BODY_BYTES_MAX, depth_max: 40, keys_max: 20_000 } as const;

/** How a refusal to open a session reads in HTTP; everything else is the server's fault. */
const STATUS: Readonly<Record<string, number>> = {
  'scope-forbidden': 404,
  'policy-denied': 403,
  'policy-error': 503,
  'policy-not-in-force': 503,
  'audit-unavailable': 503,
  'credential-unavailable': 503,
  'gateway-closing': 503,
  'breaker-open': 503,
  'queue-full': 503,
  'rate-limited': 429,
  'sessions-used-up': 429,
  'token-unknown': 401,
  'token-expired': 401,
};

/** @param listening_on the address that Aegis listens on. */
export function relayRoutes(core: GatewayCore, sessions: RelaySessions, listening_on: string): HttpRoute[] {
  if (!Object.values(core.settings.upstreams).some(({ relay }) => relay)) return [];
  const visitorOf = visitors(listening_on, core.store.tokens, core.clock);
  const handle = async (request: HttpRequest): Promise<HttpResponse> => {
    const visitor = await visitorOf(request);
    if (!isVisitor(visitor)) return visitor;
    const server = request.path.slice(BASE.length);
    if (!Name.safeParse(server).success) return noServer(null);
    const id = request.headers['mcp-session-id'];
    if (request.method === 'POST') return post({ sessions, server, visitor, request, id });
    const session = id === undefined ? null : await sessions.find(id, server, visitor);
    if (session === null) return id === undefined ? noSession() : lostSession();
    if (request.method === 'GET') return session.handle(request, undefined, visitor);
    await session.close();
    return { status: 200 };
  };
  return (['POST', 'GET', 'DELETE'] as const).map((method) => ({
    method,
    path: `${BASE}*`,
    body_bytes_max: method === 'POST' ? BODY_BYTES_MAX : 0,
    handle,
  }));
}

interface Post {
  readonly sessions: RelaySessions;
  readonly server: string;
  readonly visitor: Visitor;
  readonly request: HttpRequest;
  readonly id: string | undefined;
}

async function post({ sessions, server, visitor, request, id }: Post): Promise<HttpResponse> {
  const parsed = parseJsonText(request.body.toString('utf8'), BODY_LIMITS);
  if (!parsed.ok) return rpcError(400, -32_700, `Parse error: the body is ${parsed.reason}`, null);
  const message = parsed.value;
  if (typeof message !== 'object' || message === null || Array.isArray(message))
    return rpcError(400, -32_600, 'Invalid request: send one message at a time', null);
  const { method, params, id: rpc_id } = message as { method?: unknown; params?: unknown; id?: unknown };
  if (id !== undefined) {
    const session = await sessions.find(id, server, visitor);
    return session === null ? lostSession() : session.handle(request, message, visitor);
  }
  if (method !== 'initialize') return noSession();
  const opened = await sessions.open(server, visitor, params);
  if (!isRefusal(opened)) return opened.handle(request, message, visitor);
  return opened.code === 'scope-forbidden' ? noServer(rpc_id) : refused(opened, rpc_id);
}

/** The same words for a server that is not there, not relayed or not this token's. */
function noServer(rpc_id: unknown): HttpResponse {
  const words =
    'There is no such MCP server for this token. Check the name, and the token’s team and environment.';
  return rpcError(404, -32_001, words, rpc_id);
}

function noSession(): HttpResponse {
  return rpcError(
    400,
    -32_000,
    'Begin with initialize and send the Mcp-Session-Id header of its answer.',
    null,
  );
}

function lostSession(): HttpResponse {
  return rpcError(404, -32_001, 'Session not found. Begin a new one with initialize.', null);
}

function refused({ code, reason, remedy }: Refusal, rpc_id: unknown): HttpResponse {
  return rpcError(STATUS[code] ?? 502, -32_000, `${reason} ${remedy}`.trim(), rpc_id);
}

function rpcError(status: number, code: number, message: string, rpc_id: unknown): HttpResponse {
  const id = typeof rpc_id === 'string' || typeof rpc_id === 'number' ? rpc_id : null;
  return { status, body: JSON.stringify({ jsonrpc: '2.0', error: { code, message }, id }) };
}
