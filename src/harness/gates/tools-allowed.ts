import { AUTONOMY_LEVELS } from '../../contract/incident.ts';
import type { Gate } from './gate.ts';
import { passed, refused } from './gate.ts';

/** Class of every action is allowed by guardrails, and tool and policy definitions are those that the plan was made under. */
export const toolsAllowedGate: Gate = {
  gate: 'tools-allowed',
  title: 'Tools and paths are allowed',
  check({ plan, guardrails, digests, incident, phase }) {
    if (digests.policy_now === null)
      return refused(
        'The policy set failed to load, so writes are stopped.',
        'Run "aegis policy check", mend the file it names.',
      );
    const bad = plan.actions.find((a) => guardrails.forbidden_classes.includes(a.action_class));
    if (bad !== undefined)
      return refused(
        `${bad.change_id} is classed ${bad.action_class}, which guardrails forbid.`,
        'A person has to do this by hand.',
      );
    if (digests.policy_now !== digests.policy_plan)
      return refused('Policies changed since the plan was made.', 'Press Plan again.');
    if (digests.tools_now !== digests.tools_plan)
      return refused('Tool definitions changed since the plan was made.', 'Press Plan again.');
    const level = AUTONOMY_LEVELS.indexOf(incident.autonomy);
    if (phase === 'clear' && level < AUTONOMY_LEVELS.indexOf('approve'))
      return refused(`Autonomy is ${incident.autonomy}: nothing may be executed.`, 'People act by hand.');
    return passed(plan.actions.map((a) => `${a.tool} (${a.action_class})`).join(', '));
  },
};
