import type { ActionClass, Target } from '../../contract/tool.ts';
import { tenantKey, type Tier } from '../../contract/scope.ts';
import { isRefusal, refuse, type Refusal } from '../../contract/verdict.ts';
import type { TokenGrant } from '../../store/authority.ts';
import type { WriteTool } from '../drivers/driver.ts';
import type { AuthorizationRequest } from '../policy/authorizer.ts';
import type { PolicySet } from '../policy/policy-set.ts';
import { authenticate } from './authenticate.ts';
import { classifyFields, forbiddenClass } from './classify.ts';
import { policyInForce, type GatewayCore } from './core.ts';
import type { RegisteredTool } from './registry.ts';
import { notYours, route, type Route } from './route.ts';
import { ownersOf, tierOf } from './tenancy.ts';

/** The first steps of the pipeline, the same for every door: token, route, pinned definition, arguments, class. */
export interface Admission {
  readonly grant: TokenGrant;
  readonly policy: PolicySet;
  readonly route: Route;
  readonly entry: RegisteredTool;
  /** Checked arguments, defaults filled in. */
  readonly args: Readonly<Record<string, unknown>>;
  readonly action_class: ActionClass;
  readonly owners: readonly string[];
  readonly tier: Tier;
}

export interface AdmissionRequest {
  readonly token: string;
  readonly tool: string;
  readonly target: string;
  readonly args: Readonly<Record<string, unknown>>;
}

/** A refusal together with who was refused, as far as that is known: the ledger entry needs it. */
export interface Refused {
  readonly refusal: Refusal;
  readonly grant: TokenGrant | null;
}

export async function admit(
  core: GatewayCore,
  request: AdmissionRequest,
  mode: 'read' | 'write',
): Promise<Admission | Refused> {
  const grant = await authenticate(core.store.tokens, core.clock, request.token);
  if (isRefusal(grant)) return { refusal: grant, grant: null };
  const refused = (refusal: Refusal): Refused => ({ refusal, grant });
  const policy = policyInForce(core);
  if (isRefusal(policy)) return refused(policy);
  const routed = route(core.settings, request.target);
  if (isRefusal(routed)) return refused(routed);
  const tier = tierOf(core.settings, grant.team, grant.env);
  const owners = ownersOf(core.settings, routed.target, mode);
  if (tier === null || !owners.includes(tenantKey(grant)))
    return refused(notOwned(core, routed.target, request.target, tenantKey(grant)));
  const known =
    core.registry.tools.get(request.tool) ?? (await core.upstreams.entry(request.tool, routed.uri));
  if (isRefusal(known)) return refused(known);
  const entry = toolFor(known, request.tool, routed, mode);
  if (isRefusal(entry)) return refused(entry);
  // An external tool's pin was checked with its entry, and is again behind the connection.
  const unpinned = entry.external === undefined ? await core.peers.checkPinned(entry) : null;
  if (unpinned !== null) return refused(unpinned);
  const parsed = entry.tool.input.safeParse(request.args);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const where = issue === undefined || issue.path.length === 0 ? '' : `${issue.path.join('.')}: `;
    return refused(
      refuse(
        'arguments-invalid',
        `${request.tool}: ${where}${issue?.message ?? 'not valid'}.`,
        'Correct the arguments; the tool’s schema is in its definition.',
      ),
    );
  }
  const args: Record<string, unknown> = parsed.data;
  const action_class = classOf(policy, entry, routed, args);
  if (isRefusal(action_class)) return refused(action_class);
  return { grant, policy, route: routed, entry, args, action_class, owners, tier };
}

/** Who may read a node is told why they may not change it; for everything else there is one answer. */
function notOwned(core: GatewayCore, target: Target, uri: string, tenant: string): Refusal {
  if (target.kind !== 'node' || !ownersOf(core.settings, target).includes(tenant)) return notYours(uri);
  return refuse(
    'node-not-owned',
    `${tenant} may read the node ${target.name}, not change it: no mount of it names the node.`,
    `If this team may drain it, add it to "nodes" of its kubernetes mount of ${target.cluster} in aegis.yaml.`,
  );
}

export function isRefused(value: object): value is Refused {
  return 'refusal' in value;
}

export function writeToolOf(admission: Admission): WriteTool {
  return admission.entry.tool as WriteTool;
}

function toolFor(
  entry: RegisteredTool | null,
  name: string,
  { target, uri }: Route,
  mode: 'read' | 'write',
): RegisteredTool | Refusal {
  if (entry === null)
    return refuse(
      'tool-unknown',
      `There is no tool "${name.slice(0, 100)}".`,
      'The tools that exist are listed by the gateway; nothing else can be called.',
    );
  if (entry.tool.mode !== mode)
    return mode === 'read'
      ? refuse(
          'tool-writes',
          `${name} changes things and cannot be used to read.`,
          'Writes go through a plan, its approval and a permit.',
        )
      : refuse('tool-reads', `${name} only reads.`, 'Use the read door.');
  if (entry.definition.system !== target.system)
    return refuse(
      'target-wrong-system',
      `${name} works on mcp://${entry.definition.system}/..., not on ${uri}.`,
      'Use the tool of that system.',
    );
  if (!entry.definition.target_kinds.includes(target.kind))
    return refuse(
      'kind-forbidden',
      `${name} does not touch the kind "${target.kind}".`,
      `It works on: ${entry.definition.target_kinds.join(', ')}.`,
    );
  return entry;
}

function classOf(
  policy: PolicySet,
  { tool }: RegisteredTool,
  place: Route,
  args: Record<string, unknown>,
): ActionClass | Refusal {
  const fields = tool.mode === 'write' ? tool.touched(args as never, place) : [];
  const classified = classifyFields(policy.guardrails, tool, place.target, fields);
  if (isRefusal(classified)) return classified;
  return forbiddenClass(policy.guardrails, classified) ?? classified.action_class;
}

/** Asks Cedar. Any evaluation error is a deny. */
export function authorize(admission: Authorized, door: DoorFacts): Refusal | null {
  const { grant, route: routed, entry, policy } = admission;
  const facts = {
    tool: entry.tool.name,
    action_class: admission.action_class,
    env: grant.env,
    tier: admission.tier,
  };
  const answer = policy.authorizer.decide({
    principal: {
      id: grant.principal,
      tenant: tenantKey(grant),
      token_class: grant.action_class,
      has_incident: grant.incident_id !== null,
    },
    target: { ...routed.target, uri: routed.uri, tenants: admission.owners },
    call: { ...facts, ...door },
  });
  if (answer.allow) return null;
  if (answer.errors.length > 0)
    return refuse(
      'policy-error',
      `A policy could not be evaluated, so the answer is no: ${answer.errors[0]}.`,
      'Mend the policy; `aegis policy check` finds it.',
    );
  const rule = answer.reasons.length === 0 ? 'no rule allows it' : `rule ${answer.reasons.join(', ')}`;
  return refuse(
    'policy-denied',
    `Policy says no to ${door.action} ${entry.tool.name} on ${routed.uri}: ${rule}.`,
    'The rules are in policies/*.cedar.',
  );
}

/** What the question to Cedar is made of. */
type Authorized = Omit<Admission, 'entry' | 'args'> & {
  readonly entry: { readonly tool: { readonly name: string } };
};
type DistributiveOmit<T, K extends string> = T extends unknown ? Omit<T, K> : never;
type DoorFacts = DistributiveOmit<AuthorizationRequest['call'], 'tool' | 'action_class' | 'env' | 'tier'>;
