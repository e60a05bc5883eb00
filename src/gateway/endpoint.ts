import type { HttpResponse, HttpRoute } from '../contract/http.ts';
import { parseJsonText } from '../contract/parse.ts';
import type { Clock, Log } from '../contract/ports.ts';
import type { Store } from '../store/store.ts';
import { faceTools, type FaceDeps } from './endpoint/face-tools.ts';
import { isVisitor, visitors } from './endpoint/visitor.ts';
import { loadPolicySet, type PolicySet } from './policy/policy-set.ts';

/**
 * The MCP face, `POST /mcp`: agents that are not Aegis get the read tools of their token's scope, through the same read
 * door. It may not change anything, know any session or believe any header but Authorization. The order is: where does
 * the request come from (403), who sends it (401), is it one message (400); only then is MCP spoken.
 */
export interface EndpointDeps {
  readonly gateway: FaceDeps['gateway'];
  readonly store: Pick<Store, 'tokens' | 'ledger'>;
  readonly settings: FaceDeps['settings'] & { readonly http: { readonly host: string } };
  readonly policies_dir: string;
  readonly clock: Clock;
  readonly log: Log;
}

/** Arguments of reads are short: selectors, queries, windows. */
const BODY_BYTES_MAX = 131_072;
const BODY_LIMITS = { bytes_max: BODY_BYTES_MAX, depth_max: 20, keys_max: 2000 } as const;

export function mcpRoute(deps: EndpointDeps): HttpRoute {
  const { gateway, store, settings, clock, log } = deps;
  const visitorOf = visitors(settings.http.host, store.tokens, clock);
  const policies = policiesInForce(deps);
  const face: FaceDeps = { gateway, ledger: store.ledger, settings, policies, log };
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

/**
 * The set that lists must be the one that decides calls, by its digest. It is read with the first list, since a start
 * must not wait for it; files that were changed since the gateway read them list nothing until the next start.
 */
function policiesInForce({ gateway, policies_dir, log }: EndpointDeps): FaceDeps['policies'] {
  let known: PolicySet | null = null;
  return async () => {
    const digest = gateway.policyDigest();
    if (digest === null) return null;
    if (known?.digest === digest) return known;
    const { set } = await loadPolicySet(policies_dir);
    known = set?.digest === digest ? set : null;
    if (known === null)
      log.warn(
        { in_force: digest },
        'policies were changed since the start: /mcp lists no tool until the next',
      );
    return known;
  };
}

function rpcError(code: number, message: string): HttpResponse {
  return { status: 400, body: JSON.stringify({ jsonrpc: '2.0', error: { code, message }, id: null }) };
}
