import { tenantKey } from '../../contract/scope.ts';
import { isRefusal, refuse, type Refusal } from '../../contract/verdict.ts';
import type { TokenGrant } from '../../store/authority.ts';
import { authorize, type Admission, type Refused } from '../pipeline/admit.ts';
import { policyInForce, type GatewayCore } from '../pipeline/core.ts';
import { notYours, route } from '../pipeline/route.ts';
import { ownersOf, tierOf } from '../pipeline/tenancy.ts';
import type { RpcParams } from '../upstreams/link.ts';
import { INITIALIZE, RELAYED_METHODS, type RelayedMethod } from './relay-methods.ts';

/** The same first steps as for every door, for one message of the protocol: policy, route, tenancy, tool, Cedar. */
export type RelayAdmission = Omit<Admission, 'entry'> & {
  readonly entry: { readonly tool: { readonly name: string } };
};

export interface RelayRequest {
  readonly grant: TokenGrant;
  /** Name in `upstreams`. */
  readonly server: string;
  readonly method: string;
  readonly params: RpcParams;
  /** Tools that are declared to read and that the server describes as a person approved them. */
  readonly offers: (tool: string) => boolean;
}

export function admitRelay(core: GatewayCore, request: RelayRequest): RelayAdmission | Refused {
  const { grant, server, params } = request;
  const refused = (refusal: Refusal): Refused => ({ refusal, grant });
  const policy = policyInForce(core);
  if (isRefusal(policy)) return refused(policy);
  const about = request.method === 'initialize' ? INITIALIZE : RELAYED_METHODS.get(request.method);
  if (about === undefined)
    return refused(refuse('method-unknown', 'Method not found.', 'The relay passes reads only.'));
  const uri = `mcp://mcp/${server}/-/${about.kind}/${nameIn(about, params)}`;
  const routed = route(core.settings, uri);
  if (isRefusal(routed)) return refused(about.kind === 'tool' ? unknownTool(params) : routed);
  const tier = tierOf(core.settings, grant.team, grant.env);
  const owners = ownersOf(core.settings, routed.target);
  if (!isRelayed(core, server) || tier === null || !owners.includes(tenantKey(grant)))
    return refused(notYours(uri));
  const tool = about.kind === 'tool' ? toolOf(core, request) : about.tool;
  if (tool === null) return refused(unknownTool(params));
  const admission: RelayAdmission = {
    grant,
    policy,
    route: routed,
    entry: { tool: { name: tool } },
    args: params,
    action_class: 'read',
    owners,
    tier,
  };
  const denied = authorize(admission, { action: 'read' });
  // What a policy forbids does not exist either, in the list as in the call.
  if (denied !== null) return refused(about.kind === 'tool' ? unknownTool(params) : denied);
  return admission;
}

/** By the name that policies and plans know it by, whichever door it is called through. */
function toolOf(core: GatewayCore, { server, params, offers }: RelayRequest): string | null {
  const tool = String(params['name']);
  return offers(tool) ? core.upstreams.nameOf({ server, tool }) : null;
}

function isRelayed({ settings }: GatewayCore, server: string): boolean {
  return Object.hasOwn(settings.upstreams, server) && settings.upstreams[server]?.relay === true;
}

/** Only a tool has a name that can stand in a target; what else is asked for stands in the arguments. */
function nameIn({ kind }: RelayedMethod, { name }: RpcParams): string {
  return kind === 'tool' ? String(name) : '-';
}

function unknownTool({ name }: RpcParams): Refusal {
  return refuse(
    'tool-unknown',
    `Unknown tool: ${String(name).slice(0, 100)}.`,
    'tools/list names those that there are.',
  );
}
