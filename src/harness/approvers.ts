import type { Settings } from '../contract/settings.ts';
import { rolesOf } from './identity.ts';
import { incidentOf, involvedSet } from './state.ts';
import type { MachineContext } from './state.ts';

/** Names on a card before it says "and n more". */
const NAMES_MAX = 5;

/** Who could still approve, by name, for the card: not involved, right role, not yet counted. */
export function approversInWords(settings: Settings, context: MachineContext): string {
  const rule = context.approval?.rule ?? context.plan?.payload.rule;
  if (rule === undefined) return 'nobody yet';
  const { team, env } = incidentOf(context).scope;
  const involved = involvedSet(context);
  const given = new Set(
    context.approval?.decisions.filter((d) => d.decision === 'approve').map((d) => d.principal) ?? [],
  );
  const people = settings.identity.filter(
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
