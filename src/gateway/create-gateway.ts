import type { Clock, Ids, Log } from '../contract/ports.ts';
import type { Secret } from '../contract/secret.ts';
import type { SecretRef } from '../contract/credentials.ts';
import { isRefusal } from '../contract/verdict.ts';
import type { Store } from '../store/store.ts';
import { CredentialBroker } from './credentials/broker.ts';
import { DRIVERS } from './drivers/index.ts';
import { Egress } from './egress.ts';
import type { Gateway } from './gateway.ts';
import { GitMirrors } from './git/git-mirrors.ts';
import { classifyFields } from './pipeline/classify.ts';
import { policyInForce, type GatewayCore, type GatewaySettings } from './pipeline/core.ts';
import { executeCall } from './pipeline/execute-call.ts';
import { Peers } from './pipeline/peers.ts';
import { previewCall } from './pipeline/preview-call.ts';
import { readCall } from './pipeline/read-call.ts';
import { reconcileCall } from './pipeline/reconcile-call.ts';
import { buildRegistry } from './pipeline/registry.ts';
import { route } from './pipeline/route.ts';
import { Throttle } from './pipeline/throttle.ts';
import { loadPolicySet, type PolicyLoad } from './policy/policy-set.ts';
import { sanitizeText } from './sanitize/sanitize.ts';
import { WorkFolders } from './terraform/work-folders.ts';
import { refuse } from '../contract/verdict.ts';

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
  const { store, settings, secrets, clock, ids, log } = deps;
  const policies = await loadPolicySet(deps.policies_dir);
  await recordLoad(deps, policies);
  const egress = new Egress(settings.unsafe_endpoints);
  const broker = new CredentialBroker({
    store: store.leases,
    vault: settings.vault,
    egress,
    secrets,
    clock,
    ids,
    log,
  });
  const core: GatewayCore = {
    store,
    settings,
    clock,
    ids,
    log,
    policies,
    registry: buildRegistry(DRIVERS),
    peers: new Peers(DRIVERS),
    broker,
    throttle: new Throttle(clock),
    egress,
    mirrors: new GitMirrors(settings.home, clock),
    work_folders: new WorkFolders(settings.home),
    in_flight: new Set(),
  };
  return {
    ...doors(core),
    ...facts(core),
    sweepLeases: () => broker.sweep(),
    close: async () => {
      await broker.close();
      await core.peers.close();
      await core.work_folders.close();
      await egress.close();
    },
  };
}

function doors(core: GatewayCore): Pick<Gateway, 'read' | 'preview' | 'execute' | 'reconcile'> {
  return {
    read: (request, signal) => readCall(core, request, signal),
    preview: (request, signal) => previewCall(core, request, signal),
    execute: (request) => executeCall(core, request),
    reconcile: (input) => reconcileCall(core, input),
  };
}

function facts(
  core: GatewayCore,
): Omit<Gateway, 'read' | 'preview' | 'execute' | 'reconcile' | 'sweepLeases' | 'close'> {
  const { registry, policies, settings } = core;
  return {
    classify: (action) => classify(core, action),
    definitions: () => registry.definitions,
    toolDefinitionsDigest: () => registry.digest,
    policyDigest: () => policies.set?.digest ?? null,
    guardrails: () => policies.set?.guardrails ?? null,
    credentialRevocable: (target) => {
      const routed = route(settings, target);
      return !isRefusal(routed) && routed.credentials.engine === 'vault_kubernetes';
    },
    redactText: (text) =>
      policies.redaction === null ? WITHHELD : sanitizeText(text, policies.redaction).text,
  };
}

const classify = (
  core: GatewayCore,
  action: Parameters<Gateway['classify']>[0],
): ReturnType<Gateway['classify']> => {
  const policy = policyInForce(core);
  if (isRefusal(policy)) return policy;
  const routed = route(core.settings, action.target);
  if (isRefusal(routed)) return routed;
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
  return classifyFields(policy.guardrails, tool, routed.target, tool.touched(args.data));
};

/** Which rules are in force is part of the story: the SYSTEM chain says so at each load. */
async function recordLoad({ store, log }: GatewayDeps, { set, files, problems }: PolicyLoad): Promise<void> {
  const payload = {
    type: 'policies_loaded',
    in_force: set !== null,
    digest: set?.digest ?? null,
    files: [...files],
    problems: problems.map((problem) => problem.slice(0, 300)).slice(0, 20),
  };
  await store.ledger.append('SYSTEM', [{ kind: 'event', actor: 'aegis:gateway', payload }]);
  if (set === null)
    log.error({ problems: payload.problems }, 'policies are not in force: nothing is allowed');
}
