import type { Gate } from './gate.ts';
import { passed, refused } from './gate.ts';

/** Unsealed, re-hashed, and still true at the source. `cause` evidence may be gone while it is intact and young. */
export const evidenceCurrentGate: Gate = {
  gate: 'evidence-current',
  title: 'Evidence is unchanged',
  check({ plan, holds, guardrails, now_ms }) {
    const warnings: string[] = [];
    for (const cited of plan.evidence) {
      const result = holds.get(cited.id);
      const age_s = (now_ms - Date.parse(cited.pointer.captured_at)) / 1000;
      if (result === undefined)
        return refused(`Evidence "${cited.id}" could not be checked.`, 'Press Resume to check again.');
      const fresh = age_s <= guardrails.evidence.max_age_s;
      if (result.status === 'holds' && fresh) continue;
      const forgivable =
        cited.role === 'cause' &&
        result.status === 'gone' &&
        age_s <= guardrails.evidence.gone_cause_max_age_s;
      if (!forgivable) {
        const what =
          result.status === 'holds' ? `is ${Math.round(age_s)} s old` : `${result.status}: ${result.detail}`;
        return refused(
          `Evidence "${cited.id}" ${what}`,
          'Aegis collects the evidence again and plans again.',
        );
      }
      warnings.push(`"${cited.id}" is gone from its source but intact here`);
    }
    if (warnings.length > 0)
      return {
        status: 'warning',
        reason: warnings.join('; '),
        remedy: 'Open Evidence to see the captured copy.',
      };
    return passed(`${plan.evidence.length} of ${plan.evidence.length} unchanged`);
  },
};
