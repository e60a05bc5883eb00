import type { WorkspaceDefinition } from './slack/workspace.ts';

/** The simulated company: who works there, in which channels, and which of them Aegis knows. */
export const TEAM_ID = 'T0LAB';
export const DATA_CHANNEL = 'C0DATAOPS';
export const AUDIT_CHANNEL = 'C0AUDIT';

/** Slack accounts by first name, as the configuration and the tests need them. */
export const PEOPLE = {
  maya: 'U0MAYA',
  dan: 'U0DAN',
  ines: 'U0INES',
  omar: 'U0OMAR',
  guest: 'U0GUEST',
  former: 'U0FORMER',
} as const;

export function labWorkspace(): WorkspaceDefinition {
  const everybody = Object.values(PEOPLE);
  return {
    team: { id: TEAM_ID, name: 'Acme (simulated)', domain: 'acme-lab' },
    app_id: 'A0AEGIS',
    bot: { user_id: 'U0AEGIS', bot_id: 'B0AEGIS', name: 'aegis', real_name: 'Aegis' },
    users: [
      { id: PEOPLE.maya, name: 'maya', real_name: 'Maya Ortiz', title: 'SRE, data platform (on call)' },
      { id: PEOPLE.dan, name: 'dan', real_name: 'Dan Weber', title: 'SRE, data platform' },
      { id: PEOPLE.ines, name: 'ines', real_name: 'Inês Costa', title: 'Lead, data platform' },
      { id: PEOPLE.omar, name: 'omar', real_name: 'Omar Haddad', title: 'SRE, fraud' },
      { id: PEOPLE.guest, name: 'contractor', real_name: 'Pat Contractor', role: 'guest' },
      { id: PEOPLE.former, name: 'former', real_name: 'Former Colleague', role: 'deactivated' },
    ],
    channels: [
      {
        id: DATA_CHANNEL,
        name: 'data-prod-incidents',
        members: [...everybody, 'U0AEGIS'],
        topic: 'Incidents of data/prod',
      },
      {
        id: AUDIT_CHANNEL,
        name: 'aegis-audit',
        members: [PEOPLE.ines, 'U0AEGIS'],
        topic: 'Checkpoints of the ledger',
      },
      { id: 'C0LOBBY', name: 'lobby', members: everybody },
    ],
  };
}

/** The name that the company's identity provider gives the cluster for a person. */
export function clusterUser(person: string): string {
  return `${person}@acme-lab.example`;
}

/** Identity map of the configuration: what Aegis knows of these people. */
export function labIdentity(): readonly Record<string, unknown>[] {
  const account = (user: string) => [{ workspace: TEAM_ID, user }];
  return [
    {
      principal: 'maya',
      name: 'Maya Ortiz',
      slack: account(PEOPLE.maya),
      kubernetes: [clusterUser('maya')],
      roles: [{ team: 'data', env: 'prod', role: 'oncall' }],
    },
    {
      principal: 'dan',
      name: 'Dan Weber',
      slack: account(PEOPLE.dan),
      kubernetes: [clusterUser('dan')],
      roles: [{ team: 'data', env: 'prod', role: 'oncall' }],
    },
    {
      principal: 'ines',
      name: 'Inês Costa',
      slack: account(PEOPLE.ines),
      kubernetes: [clusterUser('ines')],
      roles: [{ team: 'data', env: 'prod', role: 'lead' }],
    },
    {
      principal: 'omar',
      name: 'Omar Haddad',
      slack: account(PEOPLE.omar),
      kubernetes: [clusterUser('omar')],
      roles: [{ team: 'fraud', env: 'prod', role: 'oncall' }],
    },
    {
      principal: 'contractor',
      name: 'Pat Contractor',
      slack: account(PEOPLE.guest),
      roles: [],
    },
  ];
}
