import type { ApprovalRule } from './approval.ts';
import type { Guardrails } from './guardrails.ts';
import type { IncidentContext } from './incident.ts';
import type { RiskEnvelope } from './risk.ts';
import { ACTION_CLASSES } from './tool.ts';
import type { ActionClass } from './tool.ts';
import { refuse } from './verdict.ts';
import type { Refusal } from './verdict.ts';

/** An action as far as rows of `guardrails.yaml` look at it. */
export interface RuledAction {
  readonly tool: string;
  readonly action_class: ActionClass;
}

/**
 * Which approvals a plan needs: the first row of `guardrails.yaml` that matches risk, tier, environment, tools and the
 * highest class among the actions. A row that asks nobody (`people: 0`) counts only when the plan may run `unattended`.
 * Risk can only add people. No matching row means that nobody may approve it.
 */
export function selectRule(
  guardrails: Guardrails,
  incident: Pick<IncidentContext, 'approval_policy' | 'scope'>,
  risk: RiskEnvelope,
  actions: readonly RuledAction[],
  unattended = false,
): ApprovalRule | Refusal {
  const highest = ACTION_CLASSES[
    Math.max(...actions.map(({ action_class }) => ACTION_CLASSES.indexOf(action_class)))
  ] as ActionClass;
  const { tier, env } = incident.scope;
  const score = risk.blast_radius_score;
  const row = guardrails.approval.find(({ policy, when, rule }) => {
    if (policy !== incident.approval_policy) return false;
    if (rule.people === 0 && !unattended) return false;
    if (when.action_class !== undefined && !when.action_class.includes(highest)) return false;
    if (when.tier !== undefined && !when.tier.includes(tier)) return false;
    if (when.env !== undefined && !when.env.includes(env)) return false;
    if (when.tools !== undefined && !actions.every(({ tool }) => when.tools?.includes(tool))) return false;
    return score >= (when.blast_radius_min ?? 0) && score <= (when.blast_radius_max ?? 1);
  });
  if (row === undefined)
    return refuse(
      'no-approval-rule',
      `No approval rule of policy "${incident.approval_policy}" covers a ${highest} in ${tier} ${env}.`,
      'Add a row under `approval` in policies/guardrails.yaml, or act by hand.',
    );
  const { two_people, step_up } = riskDemands(guardrails, risk);
  return {
    ...row.rule,
    people: two_people ? Math.max(2, row.rule.people) : row.rule.people,
    step_up: row.rule.step_up || step_up,
  };
}

/** What the risk asks for, whatever a row says. */
export function riskDemands(
  { risk: { two_people_at } }: Pick<Guardrails, 'risk'>,
  { blast_radius_score, required_gates }: RiskEnvelope,
): { readonly two_people: boolean; readonly step_up: boolean } {
  return {
    two_people:
      blast_radius_score >= two_people_at || required_gates.includes('two_person_approval_required'),
    step_up: required_gates.includes('step_up_required'),
  };
}
