// auth.test, users.* and usergroups.*: who is who.
import type { Json } from '../json.ts';
import type { Core } from '../core.ts';
import { type Args, type Method, page, refuse } from '../method.ts';

function authTest(core: Core): Json {
  const { team, bot } = core.workspace.definition;
  return {
    ok: true,
    url: `https://${team.domain}.slack.com/`,
    team: team.name,
    user: bot.name,
    team_id: team.id,
    user_id: bot.user_id,
    bot_id: bot.bot_id,
    is_enterprise_install: false,
  };
}

function usersInfo(core: Core, args: Args): Json {
  const user = core.workspace.users.get(args.need('user'));
  return user ? { ok: true, user: core.workspace.userRecord(user) } : refuse('user_not_found');
}

function usersList(core: Core, args: Args): Json {
  const { items, next_cursor } = page([...core.workspace.users.values()], args, 100);
  return {
    ok: true,
    members: items.map((user) => core.workspace.userRecord(user)),
    cache_ts: Math.floor(core.clock() / 1000),
    response_metadata: { next_cursor },
  };
}

function usergroupsList(core: Core, args: Args): Json {
  const with_users = args.flag('include_users');
  const groups = [...core.workspace.usergroups.values()];
  return { ok: true, usergroups: groups.map((group) => core.workspace.usergroupRecord(group, with_users)) };
}

function usergroupUsers(core: Core, args: Args): Json {
  const group = core.workspace.usergroups.get(args.need('usergroup'));
  return group ? { ok: true, users: [...group.users] } : refuse('no_such_subteam');
}

export const peopleMethods: Readonly<Record<string, Method>> = {
  'auth.test': { tier: 'special', run: authTest },
  'users.info': { tier: 4, scope: 'users:read', run: usersInfo },
  'users.list': { tier: 2, scope: 'users:read', run: usersList },
  'usergroups.list': { tier: 2, scope: 'usergroups:read', run: usergroupsList },
  'usergroups.users.list': { tier: 2, scope: 'usergroups:read', run: usergroupUsers },
};
