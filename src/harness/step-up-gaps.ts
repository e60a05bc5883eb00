import { AUTONOMY_LEVELS } from '../contract/incident.ts';
import type { Guardrails } from '../contract/guardrails.ts';
import type { Settings } from '../contract/settings.ts';

/**
 * Environments whose plans may need an approval over the step-up page, while there is no address for that page: nobody
 * could give it. A row that matches by tier, environment and policy counts, whatever else it asks for.
 */
export function stepUpGaps(settings: Settings, guardrails: Guardrails): string[] {
  if (settings.http.public_url !== undefined) return [];
  const rows = guardrails.approval.filter(({ rule }) => rule.step_up);
  return Object.entries(settings.teams).flatMap(([team, { environments }]) =>
    Object.entries(environments).flatMap(([env, { tier, autonomy, approval_policy }]) => {
      const services = settings.services.filter((s) => s.team === team && s.env === env);
      const tiers = new Set([tier, ...services.map((s) => s.tier)]);
      const asked = rows.some(
        ({ policy, when }) =>
          policy === approval_policy &&
          (when.env === undefined || when.env.includes(env)) &&
          (when.tier === undefined || when.tier.some((t) => tiers.has(t))),
      );
      const acts = AUTONOMY_LEVELS.indexOf(autonomy) >= AUTONOMY_LEVELS.indexOf('approve');
      return asked && acts ? [`${team}/${env}`] : [];
    }),
  );
}
