import type { HttpRequest, HttpResponse, HttpRoute } from '../contract/http.ts';
import { parseJsonText } from '../contract/parse.ts';
import type { Clock, Ids, Log } from '../contract/ports.ts';
import { isRefusal } from '../contract/verdict.ts';
import type { Store } from '../store/store.ts';
import { faceTools, type FaceDeps } from './endpoint/face-tools.ts';
import { authenticate } from './pipeline/authenticate.ts';

/**
 * The MCP face, `POST /mcp`: agents that are not Aegis get the read tools of their token's scope, through the same read
 * door. It may not change anything, know any session or believe any header but Authorization. The order is: where does
 * the request come from (403), who sends it (401), is it one message (400); only then is MCP spoken.
 */
export interface EndpointDeps {
  readonly gateway: FaceDeps['gateway'];
  readonly store: Pick<Store, 'tokens' | 'ledger' | 'results'>;
  readonly settings: FaceDeps['settings'] & { readonly http: { readonly host: string } };
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Log;
}

/** Arguments of reads are short: selectors, queries, windows. */
const BODY_BYTES_MAX = 131_072;
const BODY_LIMITS = { bytes_max: BODY_BYTES_MAX, depth_max: 20, keys_max: 2000 } as const;
const LOOPBACK = ['localhost', '127.0.0.1', '[::1]'];
/** Addresses to listen on that are nobody's name; a browser takes them for this machine. */
const WILDCARDS = ['0.0.0.0', '::'];
const TOKEN = /^Bearer ([\w.~+/=-]{1,200})$/i;
const HOST = /^([a-z0-9.-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?$/i;

export function mcpRoute(deps: EndpointDeps): HttpRoute {
  const { gateway, store, settings, clock, ids, log } = deps;
  const bound = settings.http.host.toLowerCase();
  const hosts = new Set(WILDCARDS.includes(bound) ? LOOPBACK : [...LOOPBACK, bound]);
  const face: FaceDeps = { gateway, store, settings, clock, ids, log };
  return {
    method: 'POST',
    path: '/mcp',
    body_bytes_max: BODY_BYTES_MAX,
    async handle(request) {
      const foreign = foreignProblem(request, hosts);
      if (foreign !== null) return answer(403, foreign);
      const token = TOKEN.exec(request.headers['authorization'] ?? '')?.[1];
      if (token === undefined)
        return unauthorized('send a token in the Authorization header: Bearer <token>', '');
      const grant = await authenticate(store.tokens, clock, token);
      if (isRefusal(grant)) return unauthorized(grant.reason, ', error="invalid_token"');
      const parsed = parseJsonText(request.body.toString('utf8'), BODY_LIMITS);
      if (!parsed.ok) return rpcError(-32700, `Parse error: the body is ${parsed.reason}`);
      if (Array.isArray(parsed.value)) return rpcError(-32600, 'Invalid request: send one message at a time');
      const { serveMcp } = await import('./endpoint/serve-mcp.ts');
      return serveMcp(faceTools(face, grant, token), request, parsed.value);
    },
  };
}

/** A page in somebody's browser can reach loopback under a name of its own; its Host or its Origin gives it away. */
function foreignProblem({ headers }: HttpRequest, hosts: ReadonlySet<string>): string | null {
  const host = HOST.exec(headers['host'] ?? '')?.[1]?.toLowerCase();
  if (host === undefined || !hosts.has(host))
    return 'this Host is not served; let the proxy in front pass the address that Aegis listens on';
  const origin = headers['origin'];
  if (origin === undefined) return null;
  const url = URL.canParse(origin) ? new URL(origin) : null;
  return url !== null && /^https?:$/.test(url.protocol) && hosts.has(url.hostname)
    ? null
    : 'this Origin may not ask; pages of other sites get nothing';
}

function unauthorized(error: string, more: string): HttpResponse {
  const { status, body } = answer(401, error);
  return { status, body: body ?? '', headers: { 'www-authenticate': `Bearer realm="aegis"${more}` } };
}

function answer(status: number, error: string): HttpResponse {
  return { status, body: JSON.stringify({ error }) };
}

function rpcError(code: number, message: string): HttpResponse {
  return { status: 400, body: JSON.stringify({ jsonrpc: '2.0', error: { code, message }, id: null }) };
}
