import type { HarnessDeps } from './deps.ts';
import { rolesOf } from '../contract/settings.ts';
import { involvedThroughEffect } from './same-effect.ts';
import { incidentOf, involvedSet } from './state.ts';
import type { MachineContext } from './state.ts';

/** Names on a card before it says "and n more". */
const NAMES_MAX = 5;

/** Who could still approve, by name, for the card: not involved, right role, not yet counted. */
export async function approversInWords(
  deps: Pick<HarnessDeps, 'settings' | 'store' | 'clock'>,
  context: MachineContext,
): Promise<string> {
  const rule = context.approval?.rule ?? context.plan?.payload.rule;
  if (rule === undefined) return 'nobody yet';
  const { team, env } = incidentOf(context).scope;
  const elsewhere = context.approval?.status === 'open' ? await involvedThroughEffect(deps, context) : null;
  const involved = new Set([...involvedSet(context), ...(elsewhere?.keys() ?? [])]);
  const given = new Set(
    context.approval?.decisions.filter((d) => d.decision === 'approve').map((d) => d.principal) ?? [],
  );
  const people = deps.settings.identity.filter(
    (i) =>
      !involved.has(i.principal) &&
      !given.has(i.principal) &&
      rolesOf(i, team, env).some((r) => rule.roles.includes(r)),
  );
  if (people.length === 0)
    return `a person with role ${rule.roles.join(' or ')} (nobody is left in the identity map)`;
  const names = people.slice(0, NAMES_MAX).map((p) => p.name);
  const more = people.length - names.length;
  return `${names.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}
