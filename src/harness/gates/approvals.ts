import { tallyDecisions } from '../../contract/approval.ts';
import type { Decision } from '../../contract/approval.ts';
import type { Unattended } from '../../contract/unattended.ts';
import type { Gate, GateResult } from './gate.ts';
import { passed, refused } from './gate.ts';

/**
 * Enough distinct people, none involved, each still holding the role that the decision counts under. Under `limited` a rule may
 * ask nobody: then level and caps must still allow it.
 */
export const approvalsGate: Gate = {
  gate: 'approvals',
  title: 'Approvals',
  check({ phase, approval, rule, unattended, involved, roles_now, revoked_tokens, now_ms }) {
    if (rule.people === 0) return nobodyAsked(rule.name, unattended);
    if (phase === 'prepare' || approval === null)
      return {
        status: 'waiting',
        reason: 'nobody has been asked yet',
        remedy: unattended === null ? '' : `People are asked: ${whyAsked(unattended)}`,
      };
    const expires_at_ms = Date.parse(approval.expires_at);
    if (now_ms > expires_at_ms) return refused('The approval expired.', 'Press Plan again.');
    const lost = (d: Decision) => !(roles_now.get(d.principal) ?? []).includes(d.role);
    const approved = approval.decisions.filter((d) => d.decision === 'approve');
    const stolen = (d: Decision) => d.token !== undefined && revoked_tokens.has(d.token.token_id);
    const current = approval.decisions.filter((d) => d.decision !== 'approve' || (!lost(d) && !stolen(d)));
    const tally = tallyDecisions(approval.rule, current, involved, expires_at_ms);
    if (tally.denied !== null)
      return refused(`${tally.denied.principal} denied the plan.`, 'Press Plan again.');
    if (!tally.satisfied) {
      const why = approved.flatMap((d) => {
        if (lost(d)) return [`${d.principal} no longer is ${d.role}`];
        if (stolen(d)) return [`the token that ${d.principal} used was revoked`];
        return involved.has(d.principal) ? [`${d.principal} takes part in the change`] : [];
      });
      const because = why.length === 0 ? '' : `: ${[...new Set(why)].join(', ')}`;
      return refused(
        `${tally.approvals.length} of ${approval.rule.people} approvals count${because}.`,
        'Press Plan again and ask another person.',
      );
    }
    return passed(`${tally.approvals.length} of ${approval.rule.people} given`);
  },
};

function nobodyAsked(rule_name: string, unattended: Unattended | null): GateResult {
  if (unattended?.may === true) return passed(`nobody is asked: rule ${rule_name}; ${unattended.words}`);
  return refused(
    unattended?.words ?? 'The plan asks nobody, and the incident asks people.',
    'Press Plan again: the new plan asks people.',
  );
}

/** Under `limited`, and asked all the same. */
function whyAsked({ may, words }: Unattended): string {
  return may ? 'no rule of guardrails.yaml lets this plan run alone.' : words;
}
