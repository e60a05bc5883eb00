import { riskDemands } from '../../contract/approval-rule.ts';
import type { Gate } from './gate.ts';
import { passed, refused } from './gate.ts';

/** The blast radius is under the limit, and the rule asks for at least as many people as the risk demands. */
export const riskGate: Gate = {
  gate: 'risk',
  title: 'Risk is within limits',
  check({ risk, guardrails, rule }) {
    const score = risk.blast_radius_score;
    if (score > guardrails.risk.blast_radius_max)
      return refused(
        `Blast radius ${score.toFixed(2)} is above the limit of ${guardrails.risk.blast_radius_max}.`,
        'A person has to do this by hand.',
      );
    const { two_people, step_up } = riskDemands(guardrails, risk);
    if (two_people && rule.people < 2)
      return refused('This risk needs two people, the rule asked for fewer.', 'Press Plan again.');
    if (step_up && !rule.step_up)
      return refused(
        'This risk needs an approval outside Slack, the rule asked for none.',
        'Press Plan again.',
      );
    return passed(`blast radius ${score.toFixed(2)}`);
  },
};
