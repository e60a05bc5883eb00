import { AUTONOMY_LEVELS } from '../contract/incident.ts';
import type { Guardrails } from '../contract/guardrails.ts';
import type { Environment, Settings } from '../contract/settings.ts';

/** Where `aegis.yaml` and the approval rules do not go together. Pure. */

/**
 * Environments whose plans may need an approval over the step-up page, while there is no address for that page: nobody
 * could give it. A row that matches by tier, environment and policy counts, whatever else it asks for.
 */
export function stepUpGaps(settings: Settings, guardrails: Guardrails): string[] {
  if (settings.http.public_url !== undefined) return [];
  const rows = guardrails.approval.filter(({ rule }) => rule.step_up);
  return environmentsOf(settings)
    .filter((place) => mayAct(place) && rows.some((row) => applies(row, place)))
    .map(({ name }) => name);
}

/** Environments with autonomy `limited` where no rule asks nobody: people are asked for every plan all the same. */
export function limitedGaps(settings: Settings, guardrails: Guardrails): string[] {
  const rows = guardrails.approval.filter(({ rule }) => rule.people === 0);
  return environmentsOf(settings)
    .filter((place) => place.environment.autonomy === 'limited')
    .filter((place) => !rows.some((row) => applies(row, place)))
    .map(({ name }) => name);
}

interface Place {
  /** `team/env` */
  readonly name: string;
  readonly env: string;
  readonly environment: Environment;
  /** Of the environment and of its services. */
  readonly tiers: ReadonlySet<string>;
}

function environmentsOf(settings: Settings): Place[] {
  return Object.entries(settings.teams).flatMap(([team, { environments }]) =>
    Object.entries(environments).map(([env, environment]) => {
      const services = settings.services.filter((s) => s.team === team && s.env === env);
      const tiers = new Set([environment.tier, ...services.map((s) => s.tier)]);
      return { name: `${team}/${env}`, env, environment, tiers };
    }),
  );
}

function applies({ policy, when }: Guardrails['approval'][number], place: Place): boolean {
  return (
    policy === place.environment.approval_policy &&
    (when.env === undefined || when.env.includes(place.env)) &&
    (when.tier === undefined || when.tier.some((tier) => place.tiers.has(tier)))
  );
}

function mayAct({ environment: { autonomy } }: Place): boolean {
  return AUTONOMY_LEVELS.indexOf(autonomy) >= AUTONOMY_LEVELS.indexOf('approve');
}
