import type { HttpResponse, HttpRoute } from '../contract/http.ts';
import { parseJsonText } from '../contract/parse.ts';
import type { Clock, Ids, Log } from '../contract/ports.ts';
import type { Store } from '../store/store.ts';
import { faceTools, type FaceDeps } from './endpoint/face-tools.ts';
import { isVisitor, visitors } from './endpoint/visitor.ts';

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

export function mcpRoute(deps: EndpointDeps): HttpRoute {
  const { gateway, store, settings, clock, ids, log } = deps;
  const visitorOf = visitors(settings.http.host, store.tokens, clock);
  const face: FaceDeps = { gateway, store, settings, clock, ids, log };
  return {
    method: 'POST',
    path: '/mcp',
    body_bytes_max: BODY_BYTES_MAX,
    async handle(request) {
      const visitor = await visitorOf(request);
      if (!isVisitor(visitor)) return visitor;
      const parsed = parseJsonText(request.body.toString('utf8'), BODY_LIMITS);
      if (!parsed.ok) return rpcError(-32700, `Parse error: the body is ${parsed.reason}`);
      if (Array.isArray(parsed.value)) return rpcError(-32600, 'Invalid request: send one message at a time');
      const { serveMcp } = await import('./endpoint/serve-mcp.ts');
      return serveMcp(faceTools(face, visitor.grant, visitor.token), request, parsed.value);
    },
  };
}

function rpcError(code: number, message: string): HttpResponse {
  return { status: 400, body: JSON.stringify({ jsonrpc: '2.0', error: { code, message }, id: null }) };
}
