import type { ApprovalRule } from '../contract/approval.ts';
import type { Guardrails } from '../contract/guardrails.ts';
import type { IncidentContext } from '../contract/incident.ts';
import type { RiskEnvelope } from '../contract/risk.ts';
import { ACTION_CLASSES } from '../contract/tool.ts';
import type { ActionClass } from '../contract/tool.ts';
import { refuse } from '../contract/verdict.ts';
import type { Refusal } from '../contract/verdict.ts';

/**
 * Which approvals a plan needs: the first row of `guardrails.yaml` that matches risk, tier, environment and the highest
 * class among the actions. Risk can only add people. No matching row means that nobody may approve it.
 */
export function selectRule(
  guardrails: Guardrails,
  incident: IncidentContext,
  risk: RiskEnvelope,
  classes: readonly ActionClass[],
): ApprovalRule | Refusal {
  const highest = ACTION_CLASSES[Math.max(...classes.map((c) => ACTION_CLASSES.indexOf(c)))] as ActionClass;
  const score = risk.blast_radius_score;
  const row = guardrails.approval.find(({ policy, when }) => {
    if (policy !== incident.approval_policy) return false;
    if (when.action_class !== undefined && !when.action_class.includes(highest)) return false;
    if (when.tier !== undefined && !when.tier.includes(incident.scope.tier)) return false;
    if (when.env !== undefined && !when.env.includes(incident.scope.env)) return false;
    return score >= (when.blast_radius_min ?? 0) && score <= (when.blast_radius_max ?? 1);
  });
  if (row === undefined)
    return refuse(
      'no-approval-rule',
      `No approval rule of policy "${incident.approval_policy}" covers a ${highest} in ${incident.scope.tier} ${incident.scope.env}.`,
      'Add a row under `approval` in policies/guardrails.yaml, or act by hand.',
    );
  const two =
    score >= guardrails.risk.two_people_at || risk.required_gates.includes('two_person_approval_required');
  return { ...row.rule, people: two ? Math.max(2, row.rule.people) : row.rule.people };
}
