import { rolesOf } from '../contract/settings.ts';
import type { Identity } from '../contract/settings.ts';
import { refuse } from '../contract/verdict.ts';
import type { Refusal } from '../contract/verdict.ts';
import type { SlackAccount } from './intake.ts';

/**
 * Who is this, and what may they do: from the identity map of the configuration, keyed by (workspace, user). A Slack
 * name, e-mail or group is never enough; an unknown account is refused.
 */
export function resolveAccount(
  identities: readonly Identity[],
  workspace: string,
  account: SlackAccount,
): Identity | Refusal {
  if (account.workspace !== workspace)
    return refuse(
      'foreign-workspace',
      'Your account belongs to another Slack workspace, so it has no rights here.',
      'Ask a member of this workspace.',
    );
  if (account.is_bot)
    return refuse('bot-account', 'A bot cannot act on incidents.', 'A person has to press the button.');
  if (account.is_deactivated)
    return refuse(
      'deactivated-account',
      'Your Slack account is deactivated.',
      'Ask a workspace admin to activate it.',
    );
  if (account.is_guest)
    return refuse(
      'guest-account',
      'Guests of the workspace cannot act on incidents.',
      'Ask a full member of the team.',
    );
  const found = identities.find((i) =>
    i.slack.some((s) => s.workspace === account.workspace && s.user === account.user),
  );
  if (found === undefined)
    return refuse(
      'unknown-account',
      'Your Slack account is not in Aegis’s identity map, so Aegis does not know what you may do.',
      'Ask an admin to add you under `identity` in aegis.yaml.',
    );
  return found;
}

/** Any role in the team and environment makes a member: members may start, stop and read. */
export function requireMember(identity: Identity, team: string, env: string): Refusal | null {
  if (rolesOf(identity, team, env).length > 0) return null;
  return refuse(
    'not-a-member',
    `You have no role in ${team}/${env}.`,
    `Ask one of ${team}’s people, or an admin to give you a role there in aegis.yaml.`,
  );
}
