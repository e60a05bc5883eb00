import type { Clock, Ids, Log } from '../contract/ports.ts';
import { KEPT_BY_DEFAULT } from '../contract/retention.ts';
import type { Secret } from '../contract/secret.ts';
import { isRevocable, type SecretRef } from '../contract/credentials.ts';
import { isRefusal, refuse, type Refusal } from '../contract/verdict.ts';
import type { Store } from '../store/store.ts';
import { CredentialBroker } from './credentials/broker.ts';
import { DRIVERS } from './drivers/index.ts';
import { statementProblems } from './drivers/postgres/statement-problems.ts';
import { Egress } from './egress.ts';
import type { Gateway } from './gateway.ts';
import { GitMirrors } from './git/git-mirrors.ts';
import { classifyFields } from './pipeline/classify.ts';
import { policyInForce, type GatewayCore, type GatewaySettings } from './pipeline/core.ts';
import { executeCall } from './pipeline/execute-call.ts';
import { Flights } from './pipeline/flights.ts';
import { Peers } from './pipeline/peers.ts';
import { previewCall } from './pipeline/preview-call.ts';
import { proveCredential } from './pipeline/prove-credential.ts';
import { readCall } from './pipeline/read-call.ts';
import { reconcileCall } from './pipeline/reconcile-call.ts';
import { buildRegistry } from './pipeline/registry.ts';
import { route } from './pipeline/route.ts';
import { Throttle } from './pipeline/throttle.ts';
import { PolicyKeeper } from './policy/policy-keeper.ts';
import { Recogniser } from './recogniser/recogniser.ts';
import { redactedLog } from './sanitize/redacted-log.ts';
import { RELAY_LIMITS, RelaySessions } from './relay/relay-sessions.ts';
import { relayRoutes } from './relay/relay-routes.ts';
import { sanitizeText } from './sanitize/sanitize.ts';
import { WorkFolders } from './terraform/work-folders.ts';
import { lookAtUpstream } from './pipeline/look-at-upstream.ts';
import { Upstreams } from './upstreams/upstreams.ts';

/**
 * Builds the gateway: reads the policies and records which are in force. It must start
 * without any upstream and without Vault; what is heavy (MCP, HTTP, Vault) loads when it is first needed.
 */
export interface GatewayDeps {
  readonly store: Store;
  readonly settings: GatewaySettings;
  readonly secrets: (ref: SecretRef) => Secret;
  readonly policies_dir: string;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Log;
}

const WITHHELD = '[WITHHELD: policies/redaction.yaml did not load]';

export async function createGateway(deps: GatewayDeps): Promise<Gateway> {
  const { store, settings, secrets, clock, ids } = deps;
  await checkStatements(settings.databases);
  // What is wrong with the rules is said as it is: the rules that would redact it may be those that are wrong.
  const keeper = await openPolicies(deps);
  const log = redactedLog(deps.log, () => keeper.current.redaction);
  const egress = new Egress(settings.unsafe_endpoints);
  const broker = new CredentialBroker({
    store: store.leases,
    vault: settings.vault,
    sealed_file: settings.sealed_file,
    clusters: settings.clusters,
    egress,
    secrets,
    clock,
    ids,
    log,
  });
  const throttle = new Throttle({ clock, log, store: store.throttle, quotas: settings.quotas ?? [] });
  const core: GatewayCore = {
    store,
    settings,
    clock,
    ids,
    log,
    // Read anew by each call, which then keeps what it was admitted with.
    get policies() {
      return keeper.current;
    },
    registry: buildRegistry(DRIVERS),
    peers: new Peers(DRIVERS),
    upstreams: new Upstreams({
      settings: settings.upstreams,
      pins: store.upstream_pins,
      egress,
      secrets,
      clock,
      log,
      redactText: (text) => redactWith(keeper.current, text),
    }),
    broker,
    throttle,
    egress,
    recogniser: recogniserOf(settings, { egress, throttle }),
    mirrors: new GitMirrors(settings.home, clock),
    flights: new Flights(),
    work_folders: new WorkFolders(settings.home),
    in_flight: new Set(),
  };
  const sessions = new RelaySessions(core, RELAY_LIMITS);
  return {
    ...doors(core),
    ...facts(core),
    relayRoutes: (listening_on) => relayRoutes(core, sessions, listening_on),
    refreshPolicies: () => keeper.refresh(),
    sweepLeases: () => broker.sweep(),
    close: async () => {
      await sessions.close();
      await broker.close();
      await core.peers.close();
      await core.upstreams.close();
      await core.work_folders.close();
      await egress.close();
    },
  };
}

function openPolicies({ policies_dir, settings, store, log }: GatewayDeps): Promise<PolicyKeeper> {
  const services = { recogniser: settings.recogniser !== undefined };
  return PolicyKeeper.open({ dir: policies_dir, services, ledger: store.ledger, log });
}

function recogniserOf(
  { recogniser: service }: GatewaySettings,
  through: Pick<GatewayCore, 'egress' | 'throttle'>,
): Recogniser | null {
  return service === undefined ? null : new Recogniser({ service, ...through });
}

type Door = 'read' | 'preview' | 'execute' | 'reconcile' | 'proveCredential';

function doors(core: GatewayCore): Pick<Gateway, Door> {
  return {
    read: (request, signal) => readCall(core, request, signal),
    preview: (request, signal) => previewCall(core, request, signal),
    execute: (request) => executeCall(core, request),
    reconcile: (input) => reconcileCall(core, input),
    proveCredential: (request, signal) => proveCredential(core, request, signal),
  };
}

function facts(
  core: GatewayCore,
): Omit<Gateway, Door | 'relayRoutes' | 'refreshPolicies' | 'sweepLeases' | 'close'> {
  const { registry, settings } = core;
  return {
    classify: (action) => classify(core, action),
    undoArguments: (change) => undoArguments(core, change),
    definitions: () => registry.definitions,
    toolDefinitionsDigest: () => registry.digest,
    policyDigest: () => core.policies.set?.digest ?? null,
    guardrails: () => core.policies.set?.guardrails ?? null,
    retention: () => core.policies.set?.retention ?? KEPT_BY_DEFAULT,
    authorizer: () => core.policies.set?.authorizer ?? null,
    credentialRevocable: (target) => {
      const routed = route(settings, target);
      return !isRefusal(routed) && isRevocable(routed.credentials);
    },
    redactText: (text) => redactWith(core.policies, text),
    redactionMarks: () => core.policies.redaction?.marks ?? [],
    upstreamDefinitions: () => core.upstreams.definitions(),
    lookAtUpstream: (server, signal) => lookAtUpstream(core, server, signal),
  };
}

function undoArguments(
  { registry }: GatewayCore,
  change: { tool: string; before_image: Readonly<Record<string, unknown>> },
): Readonly<Record<string, unknown>> | Refusal {
  const tool = registry.tools.get(change.tool)?.tool;
  return tool?.mode === 'write'
    ? (tool.undo(change.before_image) as Record<string, unknown>)
    : refuse('unknown-tool', `There is no tool ${change.tool} that writes.`, 'Put it back by hand.');
}

function redactWith({ redaction }: Pick<GatewayCore['policies'], 'redaction'>, text: string): string {
  return redaction === null ? WITHHELD : sanitizeText(text, redaction).text;
}

const classify = (
  core: GatewayCore,
  action: Parameters<Gateway['classify']>[0],
): ReturnType<Gateway['classify']> => {
  const policy = policyInForce(core);
  if (isRefusal(policy)) return policy;
  const routed = route(core.settings, action.target);
  if (isRefusal(routed)) return routed;
  if (routed.target.system === 'mcp')
    return refuse(
      'upstream-write-refused',
      `${action.tool} belongs to an external MCP server, and Aegis cannot preview what a foreign server would change.`,
      'Plan the change with a tool that Aegis can preview, or make it by hand.',
    );
  const entry = core.registry.tools.get(action.tool);
  if (
    entry === undefined ||
    entry.definition.system !== routed.target.system ||
    !entry.definition.target_kinds.includes(routed.target.kind)
  )
    return refuse(
      'tool-unknown',
      `No tool ${action.tool} works on ${action.target}.`,
      'Use a tool and a kind that the gateway lists.',
    );
  const { tool } = entry;
  if (tool.mode === 'read') return { action_class: tool.base_class, reasons: [] };
  const args = tool.input.safeParse(action.params);
  if (!args.success)
    return refuse(
      'arguments-invalid',
      `${action.tool}: ${args.error.issues[0]?.message ?? 'not valid'}.`,
      'Correct the arguments; the tool’s schema is in its definition.',
    );
  return classifyFields(policy.guardrails, tool, routed.target, tool.touched(args.data, routed));
};

/** `aegis start` has said the same with line numbers; this holds for whoever else builds a gateway. */
async function checkStatements(databases: GatewaySettings['databases']): Promise<void> {
  const [problem] = await statementProblems(databases);
  if (problem !== undefined) throw new Error(`${problem.path.join('.')}: ${problem.say}`);
}
