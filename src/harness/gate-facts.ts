import type { Approval, ApprovalRule } from '../contract/approval.ts';
import type { EvidenceRecord, HoldsResult } from '../contract/evidence.ts';
import type { Plan } from '../contract/plan.ts';
import { effectKey, planCalls } from '../contract/plan-calls.ts';
import type { RiskEnvelope } from '../contract/risk.ts';
import { rolesOf } from '../contract/settings.ts';
import type { Preview } from '../contract/tool.ts';
import type { Unattended } from '../contract/unattended.ts';
import type { Refusal } from '../contract/verdict.ts';
import { isRefusal } from '../contract/verdict.ts';
import { freezeRemedy } from '../store/freezes.ts';
import { readBudgets } from './budget-facts.ts';
import { environmentOf } from './deps.ts';
import type { HarnessDeps } from './deps.ts';
import type { GateFacts } from './gates/gate.ts';
import { involvedThroughEffect } from './same-effect.ts';
import { incidentOf, involvedSet } from './state.ts';
import type { MachineContext } from './state.ts';
import type { ReadSession } from './world-session.ts';

/** Runs the dry run of every action, and of its canary. A refusal stands in the map, so that the gate can say why. */
export async function previewAll(
  deps: HarnessDeps,
  plan: Plan,
  token: string,
  signal: AbortSignal,
): Promise<Map<string, Preview | Refusal>> {
  const previews = new Map<string, Preview | Refusal>();
  for (const { action, phase, params, key } of planCalls(plan)) {
    const { tool, target, change_id, intent, canary } = action;
    const why = phase === 'canary' ? (canary?.intent ?? intent) : intent;
    const result = await deps.gateway.preview({ token, tool, target, params, change_id, why }, signal);
    previews.set(key, isRefusal(result) ? result : result.preview);
  }
  return previews;
}

/** Checks every cited pointer against store and source. */
export async function holdsAll(read: ReadSession, plan: Plan): Promise<Map<string, HoldsResult>> {
  const holds = new Map<string, HoldsResult>();
  for (const cited of plan.evidence) holds.set(cited.id, await read.vfs.holds(cited.pointer, read.session));
  return holds;
}

/** Everything else that the gates look at, read just now. */
export async function gatherFacts(
  deps: HarnessDeps,
  context: MachineContext,
  input: {
    readonly phase: GateFacts['phase'];
    readonly plan: Plan;
    readonly risk: RiskEnvelope;
    readonly approval: Approval | null;
    readonly rule: ApprovalRule;
    readonly unattended: Unattended | null;
    readonly previews: ReadonlyMap<string, Preview | Refusal>;
    readonly holds: ReadonlyMap<string, HoldsResult>;
    readonly digests_of_plan: { readonly policy: string; readonly tools: string };
  },
): Promise<GateFacts | Refusal> {
  const incident = incidentOf(context);
  const guardrails = deps.gateway.guardrails();
  const { team, env, service } = incident.scope;
  if (guardrails === null)
    return {
      allow: false,
      code: 'policy-broken',
      reason: 'The policy set failed to load, so writes are stopped.',
      remedy: 'Run "aegis policy check" and mend the file it names.',
    };
  const identities = new Map(deps.settings.identity.map((i) => [i.principal, i]));
  const approvers = input.approval?.decisions.map((d) => d.principal) ?? [];
  return {
    phase: input.phase,
    now_ms: deps.clock.now(),
    incident,
    plan: input.plan,
    mounts: environmentOf(deps.settings, incident.scope).mounts,
    guardrails,
    records: await recordsOf(deps, input.plan),
    holds: input.holds,
    previews: input.previews,
    approved_effects: new Map(
      (context.plan?.previews ?? []).map((p) => [effectKey(p.change_id, p.phase), p.preview.effect_hash]),
    ),
    freezes: (await deps.store.freezes.active({ team, env, service })).map((freeze) => ({
      ...freeze,
      remedy: freezeRemedy(freeze),
    })),
    stopped: await deps.store.freezes.stopped(incident.incident_id),
    risk: input.risk,
    approval: input.approval,
    rule: input.rule,
    unattended: input.unattended,
    involved: new Set([...involvedSet(context), ...(await involvedThroughEffect(deps, context)).keys()]),
    roles_now: new Map(
      approvers.map((p) => [p, identities.has(p) ? rolesOf(identities.get(p) as never, team, env) : []]),
    ),
    revoked_tokens: await deps.store.persons.distrusted(
      (input.approval?.decisions ?? []).flatMap((d) => d.token?.token_id ?? []),
    ),
    digests: {
      policy_now: deps.gateway.policyDigest(),
      policy_plan: input.digests_of_plan.policy,
      tools_now: deps.gateway.toolDefinitionsDigest(),
      tools_plan: input.digests_of_plan.tools,
    },
    budgets: await readBudgets(deps, context),
    locks: await targetLocks(deps, incident.incident_id),
  };
}

async function recordsOf({ store }: HarnessDeps, plan: Plan): Promise<Map<string, EvidenceRecord>> {
  const records = new Map<string, EvidenceRecord>();
  for (const cited of plan.evidence) {
    const record = await store.evidence.record(cited.pointer.evidence_id);
    if (record !== null) records.set(cited.id, record);
  }
  return records;
}

/** Targets that other incidents hold; the permit takes them for good, in the transaction that mints it. */
async function targetLocks({ store }: HarnessDeps, own_id: string): Promise<Map<string, string>> {
  const others = (await store.locks.held()).filter(({ incident_id }) => incident_id !== own_id);
  return new Map(others.map(({ target, incident_id }) => [target, incident_id]));
}
