import { asksNobody } from '../../contract/approval.ts';
import type { ApprovalRequest, ApprovalRule } from '../../contract/approval.ts';
import { selectRule } from '../../contract/approval-rule.ts';
import type { PlanPayload } from '../../contract/ledger.ts';
import type { GateLine } from '../../contract/notice.ts';
import { effectHashes, effectKey, planCalls } from '../../contract/plan-calls.ts';
import { planHashOf } from '../../contract/plan.ts';
import type { Plan, PlanDraft } from '../../contract/plan.ts';
import { isoTime } from '../../contract/ports.ts';
import { ACTION_CLASSES, combinedEffectHash } from '../../contract/tool.ts';
import type { ActionClass, Preview } from '../../contract/tool.ts';
import { isRefusal, refuse } from '../../contract/verdict.ts';
import type { Refusal } from '../../contract/verdict.ts';
import { assessRisk } from '../../risk/envelope.ts';
import type { HarnessEvent } from '../events.ts';
import { freezeDraft } from '../freeze-draft.ts';
import { gatherFacts, holdsAll, previewAll } from '../gate-facts.ts';
import { checkGates } from '../gates/index.ts';
import { readQuota } from '../quota-facts.ts';
import { incidentOf } from '../state.ts';
import { readUnattended } from '../unattended-facts.ts';
import { isOutage, withWorld } from '../world-session.ts';
import type { ReadSession } from '../world-session.ts';
import type { Effect, EffectInput } from './effect.ts';
import { failed } from './effect.ts';

/**
 * PLANNING, second half: freeze the draft, dry-run every action, compute the risk, choose the rule, run the gates. Only
 * then are people asked; they are asked about exactly what this produced.
 */
export const prepareEffect: Effect = (input) =>
  withWorld(input.deps, input.context, { purpose: 'investigate' }, async (read) => {
    const { draft } = input.context;
    if (draft === null)
      return refusedBy(input, [], refuse('no-draft', 'There is no draft to prepare.', 'Press Plan again.'));
    const plan = await freeze(input, draft);
    if (isRefusal(plan)) return refusedBy(input, [], plan);
    const previews = await previewAll(input.deps, plan, read.session.token, input.signal);
    const outage = [...previews.values()].find((p) => isRefusal(p) && isOutage(p.code));
    if (outage !== undefined && isRefusal(outage)) return failed(input, outage.reason);
    return judgePlan(input, read, plan, previews);
  });

async function judgePlan(
  input: EffectInput,
  read: ReadSession,
  plan: Plan,
  previews: Map<string, Preview | Refusal>,
): Promise<HarnessEvent> {
  const { deps, context } = input;
  const incident = incidentOf(context);
  // What an action does in the end; its canary asks for no more than that.
  const good = plan.actions
    .map((action) => previews.get(effectKey(action.change_id)))
    .filter((p): p is Preview => p !== undefined && !isRefusal(p));
  const risk = assessRisk({
    plan,
    previews: good,
    services: deps.settings.services,
    incident,
    quota: await readQuota(read.world, plan, incident.scope, input.signal),
    history: { succeeded: 0, failed: 0 },
  });
  const guardrails = deps.gateway.guardrails();
  const policy = deps.gateway.policyDigest();
  if (guardrails === null || policy === null)
    return refusedBy(
      input,
      [],
      refuse(
        'policy-broken',
        'The policy set failed to load, so writes are stopped.',
        'Run "aegis policy check" and mend the file it names.',
      ),
    );
  const unattended = await readUnattended(deps, context, guardrails.limited, plan, previews);
  const rule = selectRule(guardrails, incident, risk, plan.actions, unattended?.may ?? false);
  if (isRefusal(rule)) return refusedBy(input, [], rule);
  const tools = deps.gateway.toolDefinitionsDigest();
  const holds = await holdsAll(read, plan);
  const unreachable = [...holds.values()].find((h) => h.status === 'unreachable');
  if (unreachable !== undefined) return failed(input, unreachable.detail);
  const facts = await gatherFacts(deps, context, {
    phase: 'prepare',
    plan,
    risk,
    approval: null,
    rule,
    unattended,
    previews,
    holds,
    digests_of_plan: { policy, tools },
  });
  if (isRefusal(facts)) return refusedBy(input, [], facts);
  const gates = checkGates(facts);
  const bad = gates.find((g) => g.status === 'refused');
  if (bad !== undefined)
    return refusedBy(input, gates, refuse(bad.gate, `${bad.title}: ${bad.reason}`, bad.remedy));
  const announce_s = guardrails.limited?.announce_s ?? 0;
  const parts = { plan, risk, rule, policy, tools, announce_s, gates };
  return prepared(input, parts, previews as Map<string, Preview>);
}

async function prepared(
  input: EffectInput,
  parts: {
    plan: Plan;
    risk: PlanPayload['risk'];
    rule: ApprovalRule;
    policy: string;
    tools: string;
    announce_s: number;
    gates: GateLine[];
  },
  previews: ReadonlyMap<string, Preview>,
): Promise<HarnessEvent> {
  const { deps } = input;
  const { plan, risk, rule } = parts;
  const digests = { policy_digest: parts.policy, tool_definitions_digest: parts.tools };
  const plan_hash = planHashOf({ plan, risk, approval_rule: rule, ...digests });
  const effect_hash = combinedEffectHash(effectHashes(plan, previews));
  const at = input.at();
  const number = await deps.store.incidents.allocateNumber('APR');
  const request: ApprovalRequest = {
    approval_id: `APR-${number}`,
    incident_id: plan.incident_id,
    revision: plan.revision,
    plan_hash,
    effect_hash,
    rule,
    opened_at: at,
    expires_at: isoTime(Date.parse(at) + rule.expires_after_s * 1000),
    ...(asksNobody(rule, incidentOf(input.context).autonomy)
      ? { runs_from: isoTime(Date.parse(at) + parts.announce_s * 1000) }
      : {}),
  };
  return {
    type: 'prepared',
    at,
    effect_id: input.running.effect_id,
    payload: { plan, risk, rule, ...digests, plan_hash, effect_hash },
    previews: planCalls(plan).map(({ action, phase, key }) => ({
      change_id: action.change_id,
      ...(phase === 'canary' ? { phase } : {}),
      previewed_at: at,
      credential_revocable: deps.gateway.credentialRevocable(action.target),
      preview: previews.get(key) as Preview,
    })),
    gates: parts.gates,
    request,
  };
}

async function freeze(input: EffectInput, draft: PlanDraft): Promise<Plan | Refusal> {
  const { deps, context } = input;
  const classes: ActionClass[] = [];
  const change_ids: string[] = [];
  for (const action of draft.actions) {
    const classified = classOf(deps, action);
    if (isRefusal(classified)) return classified;
    if (classified === 'read')
      return refuse(
        'not-a-change',
        `${action.tool} does not change anything, so it is not an action.`,
        'Plan again.',
      );
    classes.push(classified);
    change_ids.push(`CHG-${await deps.store.incidents.allocateNumber('CHG')}`);
  }
  return freezeDraft({
    draft,
    incident_id: incidentOf(context).incident_id,
    revision: context.revision,
    change_ids,
    classes,
  });
}

/** The higher class of an action and its canary. */
function classOf(deps: EffectInput['deps'], action: PlanDraft['actions'][number]): ActionClass | Refusal {
  const classified = deps.gateway.classify(action);
  if (isRefusal(classified) || action.canary === undefined)
    return isRefusal(classified) ? classified : classified.action_class;
  const tried = deps.gateway.classify({ ...action, params: action.canary.params });
  if (isRefusal(tried)) return tried;
  const level = Math.max(
    ...[classified, tried].map(({ action_class }) => ACTION_CLASSES.indexOf(action_class)),
  );
  return ACTION_CLASSES[level] as ActionClass;
}

function refusedBy(input: EffectInput, gates: GateLine[], refusal: Refusal): HarnessEvent {
  const { code, reason, remedy } = refusal;
  return {
    type: 'prepare_refused',
    at: input.at(),
    effect_id: input.running.effect_id,
    gates,
    code,
    reason,
    remedy,
  };
}
